// Ends a session of another browser as signing out there would: applications that registered for it are notified
// (OpenID Connect Back-Channel Logout §2.5), and grants that may not outlast the session end with it.
import type { Client, Provider } from 'oidc-provider';

type EngineSession = InstanceType<Provider['Session']>;

interface Authorization {
  readonly sid?: string;
  readonly grantId?: string;
  readonly persistsLogout?: boolean;
}

/** Ends a session, within the unit of work. @param id the session's id, as in its cookie */
export async function endSession(provider: Provider, id: string): Promise<void> {
  const session: EngineSession | undefined = await provider.Session.find(id);
  if (!session) return;
  const { accountId = '', authorizations = {} } = session;
  for (const [clientId, authorization] of Object.entries(authorizations)) {
    const { sid, grantId, persistsLogout } = authorization as Authorization;
    const client = (await provider.Client.find(clientId).catch(() => undefined)) as
      (Client & { backchannelLogout(accountId: string, sid?: string): Promise<void> }) | undefined;
    if (client?.backchannelLogoutUri !== undefined) await client.backchannelLogout(accountId, sid);
    if (grantId !== undefined && !persistsLogout)
      await (await provider.Grant.find(grantId))?.destroy();
  }
  await session.destroy();
}
