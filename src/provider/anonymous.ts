// What the engine has written in requests of nobody in particular is limited by the network that they come from, so that
// no stranger fills the database: interactions and sessions of people who have not signed in, requests and codes of
// clients that do not authenticate or registered themselves, and registrations. What is large counts for several.
import { type AdapterPayload, Provider } from 'oidc-provider';
import { TooManyAttempts } from '../accounts/limits.ts';
import { type RowKind, createRowLimits } from '../accounts/row-limits.ts';
import type { Admit } from '../storage/artifact-adapter.ts';
import type { Storage } from '../storage/storage.ts';

const ROW = 4096; // bytes that count as one

/** Makes the adapter's {@link Admit}, which throws {@link TooManyAttempts}. */
export function admitAnonymous(storage: Pick<Storage, 'pool' | 'keyring'>): Admit {
  const limits = createRowLimits(storage);
  return async (model, payload) => {
    const { ctx } = Provider;
    const kind = kindOf(model, payload);
    if (kind === undefined || !ctx) return;
    const rows = Math.ceil(JSON.stringify(payload).length / ROW);
    const seconds = await limits.take(kind, ctx.ip, rows);
    if (seconds === 0) return;
    ctx.set('Retry-After', String(seconds));
    // Nobody is sent to an application with it.
    throw Object.assign(new TooManyAttempts(seconds, false), { allow_redirect: false });
  };
}

/** @returns undefined for what somebody answers for */
function kindOf(model: string, payload: AdapterPayload): RowKind | undefined {
  switch (model) {
    case 'Interaction':
    case 'Session':
      return personOf(payload) === undefined ? 'row' : undefined;
    case 'PushedAuthorizationRequest':
    case 'DeviceCode':
      return isAnonymousClient() ? 'row' : undefined;
    case 'Client':
      // An initial access token has a limit of its own.
      return Provider.ctx?.oidc.entities.InitialAccessToken ? undefined : 'registration';
    default:
      return undefined;
  }
}

function personOf({ accountId, session }: AdapterPayload): string | undefined {
  return accountId ?? session?.accountId;
}

function isAnonymousClient(): boolean {
  const { client } = Provider.ctx?.oidc ?? {};
  const { clientIdIssuedAt } = (client ?? {}) as { clientIdIssuedAt?: number };
  return client?.clientAuthMethod === 'none' || clientIdIssuedAt !== undefined;
}
