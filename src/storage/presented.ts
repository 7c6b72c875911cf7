// Reading ahead: a client that still has to authenticate is read with the token or code that it presents, since
// the engine asks for that next. What was read with a record is kept for the request until the engine asks for it.
import { Provider } from 'oidc-provider';
import { artifactId } from './artifacts.ts';
import type { Fast } from './fast/fast.ts';
import type { ClientRead } from './fast/known-clients.ts';
import type {
  AccountRead,
  ArtifactRead,
  FamilyRead,
  RefreshRead,
  ResourceRead,
  ArtifactRow,
} from './fast/reads.ts';
import { type RefreshToken, parseRefreshToken } from './families/token.ts';
import { type Keyring, sha256 } from '../keys/keyring.ts';
import { recordKey } from './writes.ts';

/** What was read together with something else. */
export interface ReadAhead {
  /** The codes and tokens that are being read together with their client, by model and id. */
  readonly artifacts: Map<string, Promise<ArtifactRead>>;
  /** Accounts, by id. */
  readonly accounts: Map<string, AccountRead>;
  /** The session that an artifact ends with. */
  session: ArtifactRow | undefined;
  /** The refresh token that is presented: the tag of its value takes an HMAC. */
  presented: { value: string; token: RefreshToken | undefined } | undefined;
  /** What was read for a refresh: the client, the family with its grant, the person. */
  refresh: { token: RefreshToken; clientId: string; read: Promise<RefreshRead> } | undefined;
  /** The family of the refresh token that is presented. */
  family: FamilyRead | undefined;
  /** The resource server that a refreshed token is for. */
  resource: ResourceRead | undefined;
}

export function nothingAhead(): ReadAhead {
  return {
    artifacts: new Map(),
    accounts: new Map(),
    session: undefined,
    presented: undefined,
    refresh: undefined,
    family: undefined,
    resource: undefined,
  };
}

// What a client may present to these endpoints, besides a refresh token.
const mayBePresented: Record<string, readonly string[]> = {
  token: ['AuthorizationCode'],
  introspection: ['AccessToken', 'ClientCredentials'],
  revocation: ['AccessToken', 'ClientCredentials'],
};

interface Presented {
  readonly token?: RefreshToken;
  readonly artifacts: readonly { readonly model: string; readonly value: string }[];
}

/** Reads a client; one that still has to authenticate together with what it presents. */
export async function readClient(
  { fast, keyring }: { readonly fast: Fast; readonly keyring: Keyring },
  ahead: ReadAhead,
  id: string,
): Promise<ClientRead | undefined> {
  const { token, artifacts } = presented(keyring, ahead);
  if (token) return (await readForRefresh(fast, ahead, token, id)).client;
  if (artifacts.length === 0) return fast.client(id);
  const reads = artifacts.map(({ model, value }) => {
    const read = fast.artifact(artifactId(model, value), id);
    ahead.artifacts.set(recordKey(model, value), read);
    return read;
  });
  const [first] = await Promise.all(reads);
  return first?.presenter;
}

/** Takes a refresh token apart, once in a request. @returns undefined when the value has not its form */
export function presentedToken(
  keyring: Keyring,
  ahead: ReadAhead,
  value: string,
): RefreshToken | undefined {
  if (ahead.presented?.value !== value)
    ahead.presented = { value, token: parseRefreshToken(keyring, value) };
  return ahead.presented.token;
}

/** Reads the client, the family, its grant and its person at once. Within a request the same read is not repeated. */
export function readForRefresh(
  fast: Fast,
  ahead: ReadAhead,
  token: RefreshToken,
  clientId: string,
): Promise<RefreshRead> {
  const { refresh } = ahead;
  if (refresh && isSameToken(refresh.token, token) && refresh.clientId === clientId)
    return refresh.read;
  const { familyId, secret, proof } = token;
  const secretHash = proof ? undefined : sha256(secret);
  const read = fast.readForRefresh({ familyId, secretHash, clientId });
  ahead.refresh = { token, clientId, read };
  return read;
}

/** The token or code that the request presents, while its client has not authenticated yet. */
function presented(keyring: Keyring, ahead: ReadAhead): Presented {
  const { route = '', params, client } = Provider.ctx?.oidc ?? {};
  const { refresh_token: refreshToken, code, token } = params ?? {};
  const mayBe = client ? undefined : mayBePresented[route];
  if (!mayBe) return { artifacts: [] };
  const value = route === 'token' ? (refreshToken ?? code) : token;
  if (typeof value !== 'string') return { artifacts: [] };
  const parsed = presentedToken(keyring, ahead, value);
  if (parsed) return { token: parsed, artifacts: [] };
  return { artifacts: mayBe.map((model) => ({ model, value })) };
}

function isSameToken(one: RefreshToken, other: RefreshToken): boolean {
  return one.familyId === other.familyId && one.secret === other.secret;
}
