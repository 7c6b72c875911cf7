// Reading ahead: a client that still has to authenticate is read together with what it presents, which the engine asks
// for next; what comes along with a record is kept for the request until it is asked for.
import { Provider } from 'oidc-provider';
import { artifactId } from './artifacts.ts';
import type { Fast } from './fast/fast.ts';
import type { ClientRead } from './fast/known-clients.ts';
import type {
  AccountRead,
  ArtifactRead,
  RefreshRead,
  ResourceRead,
  ArtifactRow,
} from './fast/reads.ts';
import { parseRefreshToken } from './families/token.ts';
import { recordKey } from './writes.ts';

/** What was read together with something else. */
export interface ReadAhead {
  /** What the request presents, by model and id, while it is read together with its client. */
  readonly artifacts: Map<string, Promise<ArtifactRead>>;
  /** People who came along, by id. */
  readonly accounts: Map<string, AccountRead>;
  /** A session that came along with what ends with it. */
  session: ArtifactRow | undefined;
  /** What was read for a refresh: the client, the family with its grant, the person. */
  refresh: { familyId: string; clientId: string; read: Promise<RefreshRead> } | undefined;
  /** A resource server that came along. */
  resource: ResourceRead | undefined;
}

export function nothingAhead(): ReadAhead {
  return {
    artifacts: new Map(),
    accounts: new Map(),
    session: undefined,
    refresh: undefined,
    resource: undefined,
  };
}

// What else than a refresh token a client may present to these endpoints.
const mayBePresented: Record<string, readonly string[]> = {
  token: ['AuthorizationCode'],
  introspection: ['AccessToken', 'ClientCredentials'],
  revocation: ['AccessToken', 'ClientCredentials'],
};

interface Presented {
  readonly familyId?: string;
  readonly artifacts: readonly { readonly model: string; readonly value: string }[];
}

/** A client; one that still has to authenticate together with what it presents. */
export async function readClient(
  fast: Fast,
  ahead: ReadAhead,
  id: string,
): Promise<ClientRead | undefined> {
  const { familyId, artifacts } = presented();
  if (familyId !== undefined) return (await readForRefresh(fast, ahead, familyId, id)).client;
  if (artifacts.length === 0) return fast.client(id);
  const reads = artifacts.map(({ model, value }) => {
    const read = fast.artifact(artifactId(model, value), id);
    ahead.artifacts.set(recordKey(model, value), read);
    return read;
  });
  const [first] = await Promise.all(reads);
  return first?.presenter;
}

/** One read for the client, the family, its grant and its person; asked for again, it is the same. */
export function readForRefresh(
  fast: Fast,
  ahead: ReadAhead,
  familyId: string,
  clientId: string,
): Promise<RefreshRead> {
  const { refresh } = ahead;
  if (refresh?.familyId === familyId && refresh.clientId === clientId) return refresh.read;
  const read = fast.readForRefresh(familyId, clientId);
  ahead.refresh = { familyId, clientId, read };
  return read;
}

/** What the request presents to an endpoint at which its client has not authenticated yet. */
function presented(): Presented {
  const { route = '', params, client } = Provider.ctx?.oidc ?? {};
  const { refresh_token: refreshToken, code, token } = params ?? {};
  const mayBe = client ? undefined : mayBePresented[route];
  if (!mayBe) return { artifacts: [] };
  const value = route === 'token' ? (refreshToken ?? code) : token;
  if (typeof value !== 'string') return { artifacts: [] };
  const parsed = parseRefreshToken(value);
  if (parsed) return { familyId: parsed.familyId, artifacts: [] };
  return { artifacts: mayBe.map((model) => ({ model, value })) };
}
