// What the engine has written in requests of nobody in particular is limited by the network that they come from, so that
// no stranger fills the database: interactions and sessions of people who have not signed in, requests and codes of
// clients that do not authenticate or registered themselves, and registrations. What is large counts for several.
import { type AdapterPayload, type KoaContextWithOIDC, Provider } from 'oidc-provider';
import { type RowKind, TooManyRequests, createRowLimits } from '../accounts/row-limits.ts';
import type { Admit } from '../storage/artifact-adapter.ts';
import type { Storage } from '../storage/storage.ts';
import { strangerAmong } from './strangers.ts';

const ROW = 4096; // bytes that count as one

/** Makes the adapter's {@link Admit}, which throws {@link TooManyRequests}. */
export function admitAnonymous({
  storage,
  knownBrowser,
}: {
  readonly storage: Pick<Storage, 'pool' | 'keyring'>;
  /** The key of a browser that some account knows. */
  readonly knownBrowser?: ((ctx: KoaContextWithOIDC) => string | undefined) | undefined;
}): Admit {
  const limits = createRowLimits(storage);
  return async (model, payload) => {
    const { ctx } = Provider;
    const kind = kindOf(model, payload);
    if (kind === undefined || !ctx) return;
    const rows = Math.ceil(JSON.stringify(payload).length / ROW);
    // A browser that has had too much is a stranger, too.
    const browser = kind === 'row' ? knownBrowser?.(ctx) : undefined;
    if (browser !== undefined && (await limits.take('known', browser, rows)) === 0) return;
    const seconds = await limits.take(kind, ctx.ip, rows);
    if (seconds === 0) return;
    ctx.set('Retry-After', String(seconds));
    throw new TooManyRequests(seconds);
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
    case 'ReplayDetection':
      return isStranger() && signsAssertions() ? 'row' : undefined;
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

function isStranger(): boolean {
  const { client } = Provider.ctx?.oidc ?? {};
  return client !== undefined && strangerAmong(client) !== undefined;
}

function signsAssertions(): boolean {
  return Provider.ctx?.oidc.client?.clientAuthMethod === 'private_key_jwt';
}

function isAnonymousClient(): boolean {
  const { client } = Provider.ctx?.oidc ?? {};
  const { clientIdIssuedAt } = (client ?? {}) as { clientIdIssuedAt?: number };
  return client?.clientAuthMethod === 'none' || clientIdIssuedAt !== undefined;
}
