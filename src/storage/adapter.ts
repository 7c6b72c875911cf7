// The engine's Adapter: every call goes to the request's unit of work, nothing is written here. When the engine
// asks for a refresh token, the family's verdict is given (RFC 9700 §4.14.2) and the engine acts on it.
import {
  type Adapter,
  type AdapterPayload,
  type KoaContextWithOIDC,
  Provider,
  errors,
} from 'oidc-provider';
import { artifactId, lookups, openArtifact } from './artifacts.ts';
import { engineClient } from './clients.ts';
import { answered } from './errors.ts';
import { payloadOf } from './grants.ts';
import { hotPathOf } from './fast/fast.ts';
import type { ClientRead, RefreshRead } from './fast/reads.ts';
import {
  type RefreshToken,
  expiresAt,
  formatRefreshToken,
  isSecret,
  judge,
  newRefreshToken,
  parseRefreshToken,
  successors,
} from './families/token.ts';
import { type Refusal, refusalReason } from './families/verdict.ts';
import type { EndReason } from './revocation.ts';
import { type UnitOfWork, currentUnit, epoch, keyOf } from './unit-of-work.ts';

/** What a client may have a rule of its own for; each takes the client's metadata. Times are in seconds. */
export interface FamilyPolicy {
  /** @param isBound whether the token is bound to a key (RFC 9449, RFC 8705) */
  readonly retryWindow: (metadata: object, isBound: boolean) => number;
  readonly onReuse: (metadata: object) => 'revoke_family' | 'revoke_grant' | 'refuse';
  readonly idleTtl: (metadata: object) => number;
  readonly absoluteTtl: (metadata: object) => number;
  readonly maxFamilies: (metadata: object) => number | undefined;
  /** Whether a sign-in, by its `amr`, goes as far as the client wants by now. */
  readonly goesFarEnough: (metadata: object, amr: unknown) => boolean;
}

// What else than a refresh token a client may present to these endpoints.
const mayBePresented: Record<string, readonly string[]> = {
  token: ['AuthorizationCode'],
  introspection: ['AccessToken', 'ClientCredentials'],
  revocation: ['AccessToken', 'ClientCredentials'],
};

/** Makes the engine's adapter factory. */
export function createAdapter(policy: FamilyPolicy): (model: string) => Adapter {
  return (model) => {
    if (model === 'RefreshToken') return new RefreshTokenAdapter(policy);
    if (model === 'Client') return new ClientAdapter();
    return new ArtifactAdapter(model);
  };
}

/**
 * The value of the refresh token that is about to be saved: the successor of the one being spent, or the first
 * of a new family. The engine's `RefreshToken.prototype.generateTokenId`.
 */
export function nextRefreshToken(): string {
  const { rotation } = currentUnit();
  if (!rotation) return formatRefreshToken(newRefreshToken());
  return formatRefreshToken({ familyId: rotation.presented.familyId, secret: rotation.successor });
}

class ArtifactAdapter implements Adapter {
  readonly #model: string;

  constructor(model: string) {
    this.#model = model;
  }

  find(id: string): Promise<AdapterPayload | undefined> {
    const unit = currentUnit();
    const { pool, keyring } = unit.storage;
    return unit.read(this.#model, id, async () => {
      if (this.#model === 'Grant') {
        const grant = await hotPathOf(pool).grant(id);
        return grant && payloadOf(grant);
      }
      const asked = unit.artifacts.get(keyOf(this.#model, id));
      const { found } = await (asked ?? hotPathOf(pool).artifact(artifactId(this.#model, id)));
      if (!found) return undefined;
      // What belongs to it is asked for next.
      const { artifact, grant, client, account, session } = found;
      unit.session ??= session;
      if (grant) unit.remember('Grant', grant.id, payloadOf(grant));
      if (account) unit.accounts.set(account.id, account);
      if (client && artifact.clientId !== null) {
        const metadata = engineClient(keyring, client);
        if (metadata) unit.remember('Client', artifact.clientId, metadata);
      }
      return openArtifact(keyring, artifact);
    });
  }

  findByUid(uid: string): Promise<AdapterPayload | undefined> {
    return this.#findByLookup(uid, (payload) => payload.uid === uid);
  }

  findByUserCode(userCode: string): Promise<AdapterPayload | undefined> {
    return this.#findByLookup(userCode, (payload) => payload.userCode === userCode);
  }

  async #findByLookup(
    value: string,
    fits: (payload: AdapterPayload) => boolean,
  ): Promise<AdapterPayload | undefined> {
    const unit = currentUnit();
    const { pool, keyring } = unit.storage;
    const written = unit.written(this.#model, fits);
    if (written) return written;
    const session = unit.session && openArtifact(keyring, unit.session);
    if (session && fits(session)) return session;
    const kept = lookups(keyring, this.#model, value);
    const found = await answered(() => hotPathOf(pool).lookUp(this.#model, kept));
    return found && openArtifact(keyring, found);
  }

  upsert(id: string, payload: AdapterPayload, expiresIn?: number): Promise<void> {
    const unit = currentUnit();
    const seconds = expiresIn === undefined ? payload.exp : epoch(unit.storage.now()) + expiresIn;
    if (seconds === undefined) throw new TypeError(`${this.#model} was saved without an expiry`);
    const expiresAt = new Date(seconds * 1000);
    unit.save({ model: this.#model, id, payload, expiresAt, isUnattended: isRefreshing() });
    return Promise.resolve();
  }

  async consume(id: string): Promise<void> {
    const payload = await this.find(id);
    currentUnit().consume(this.#model, id, payload?.grantId);
  }

  destroy(id: string): Promise<void> {
    if (this.#model === 'Grant') return this.revokeByGrantId(id);
    currentUnit().destroy(this.#model, id);
    return Promise.resolve();
  }

  revokeByGrantId(grantId: string): Promise<void> {
    const unit = currentUnit();
    if (!unit.endsAlone) unit.revokeGrant(grantId, endReason());
    return Promise.resolve();
  }
}

class RefreshTokenAdapter extends ArtifactAdapter {
  readonly #policy: FamilyPolicy;

  constructor(policy: FamilyPolicy) {
    super('RefreshToken');
    this.#policy = policy;
  }

  override async find(value: string): Promise<AdapterPayload | undefined> {
    const token = parseRefreshToken(value);
    if (!token) {
      if (isRefreshing()) throw new errors.InvalidGrant('unknown');
      return undefined;
    }
    const unit = currentUnit();
    return unit.read('RefreshToken', value, () => this.#judged(unit, token, value));
  }

  async #judged(
    unit: UnitOfWork,
    token: RefreshToken,
    value: string,
  ): Promise<AdapterPayload | undefined> {
    const { keyring } = unit.storage;
    const now = unit.storage.now();
    const { oidc } = engineContext();
    const { client } = oidc;
    const read = await readForRefresh(unit, token.familyId, client?.clientId ?? '');
    const { family, account } = read;
    unit.resource = read.resource;
    if (account) unit.accounts.set(account.id, account);
    if (!family) {
      if (!isRefreshing()) return undefined;
      const { clientId = '' } = client ?? {};
      const never = { id: token.familyId, accountId: null, clientId };
      throw refused(unit, { family: never, reason: 'unknown' });
    }
    if (family.grant) unit.remember('Grant', family.grant.id, payloadOf(family.grant));
    const payload: AdapterPayload = {
      ...(family.payload as AdapterPayload),
      jti: value,
      exp: epoch(expiresAt(family)),
    };

    if (!isRefreshing() || !client) {
      // Only the token endpoint honours the retry window, and only it can find a replay. A former secret is not
      // active at introspection; at revocation it ends its family (RFC 7009 §2.1).
      const alive = !['ended', 'expired'].includes(judge(family, token.secret, now, 0));
      return alive && (oidc.route === 'revocation' || isSecret(token.secret, family.currentHash))
        ? payload
        : undefined;
    }

    if (family.clientId !== client.clientId) {
      unit.refusal = { family, reason: 'binding_mismatch' };
      return payload; // which the engine refuses by itself
    }
    const isBound = payload.jkt !== undefined || payload['x5t#S256'] !== undefined;
    const verdict = judge(family, token.secret, now, this.#policy.retryWindow(client, isBound));
    const wouldRefresh = verdict === 'rotate' || verdict === 'retry';
    if (wouldRefresh && !this.#policy.goesFarEnough(client, payload['amr']))
      throw refused(unit, { family, reason: 'level_too_low' });
    const idleExpiresAt = new Date(now.getTime() + this.#policy.idleTtl(client) * 1000);
    switch (verdict) {
      case 'rotate': {
        const [successor, ...otherSuccessors] = successors(keyring, token, family.generation + 1);
        const secrets = { presented: token, successor, otherSuccessors };
        unit.presented = { verdict, family, ...secrets, idleExpiresAt };
        return payload;
      }
      case 'retry': {
        const successor = successors(keyring, token, family.generation).find((secret) =>
          isSecret(secret, family.currentHash),
        );
        // Without one it was derived under a secret that this process no longer has.
        if (successor === undefined)
          throw refused(unit, { family, reason: 'rotated_beyond_window' });
        const secrets = { presented: token, successor, otherSuccessors: [] };
        unit.presented = { verdict, family, ...secrets, idleExpiresAt };
        return payload;
      }
      case 'reuse':
      case 'ended':
      case 'expired': {
        const refusal = { family, reason: refusalReason(family, token.secret, now) };
        const isReplay = verdict === 'reuse' && this.#policy.onReuse(client) !== 'refuse';
        if (!isReplay) throw refused(unit, refusal);
        unit.refusal = refusal;
        unit.endsAlone = this.#policy.onReuse(client) === 'revoke_family';
        return { ...payload, consumed: epoch(family.rotatedAt ?? family.createdAt) };
      }
    }
  }

  override upsert(id: string, { jti: _value, ...payload }: AdapterPayload): Promise<void> {
    const unit = currentUnit();
    if (unit.rotation) {
      unit.rotation.next = payload;
      return Promise.resolve();
    }
    const token = parseRefreshToken(id);
    const { client, entities } = engineContext().oidc;
    if (!token || !client) throw new TypeError('a refresh token was saved without form or client');
    const { consentExpiresAt } = entities.Grant as { consentExpiresAt?: number };
    const now = unit.storage.now().getTime();
    unit.start = {
      token,
      payload,
      idleExpiresAt: new Date(now + this.#policy.idleTtl(client) * 1000),
      absoluteExpiresAt: new Date(now + this.#policy.absoluteTtl(client) * 1000),
      consentExpiresAt: consentExpiresAt === undefined ? null : new Date(consentExpiresAt * 1000),
      maxFamilies: this.#policy.maxFamilies(client),
    };
    return Promise.resolve();
  }

  override consume(): Promise<void> {
    const unit = currentUnit();
    unit.rotation = unit.presented;
    return Promise.resolve();
  }

  override destroy(id: string): Promise<void> {
    const token = parseRefreshToken(id);
    const unit = currentUnit();
    if (token) unit.endFamily(token.familyId, endReason(), unit.endsAlone);
    return Promise.resolve();
  }
}

class ClientAdapter extends ArtifactAdapter {
  constructor() {
    super('Client');
  }

  override find(id: string): Promise<AdapterPayload | undefined> {
    const unit = currentUnit();
    const { keyring } = unit.storage;
    return unit.read('Client', id, async () => {
      const client = await readClient(unit, id);
      return client && engineClient(keyring, client);
    });
  }

  override upsert(_id: string, payload: AdapterPayload): Promise<void> {
    const { client_id: id, ...metadata } = payload as AdapterPayload & { client_id: string };
    const isNew = Provider.ctx?.oidc.route === 'registration';
    currentUnit().client = { isNew, metadata: { client_id: id, ...metadata } };
    return Promise.resolve();
  }

  override destroy(id: string): Promise<void> {
    currentUnit().removedClient = id;
    return Promise.resolve();
  }
}

/** A client; one that still has to authenticate together with what it presents, which is looked for next. */
async function readClient(unit: UnitOfWork, id: string): Promise<ClientRead | undefined> {
  const hotPath = hotPathOf(unit.storage.pool);
  const { refreshToken, artifacts } = presented();
  if (refreshToken) return (await readForRefresh(unit, refreshToken.familyId, id)).client;
  if (artifacts.length === 0) return hotPath.client(id);
  const reads = artifacts.map(({ model, value }) => {
    const read = hotPath.artifact(artifactId(model, value), id);
    unit.artifacts.set(keyOf(model, value), read);
    return read;
  });
  const [first] = await Promise.all(reads);
  return first?.presenter;
}

interface Presented {
  readonly refreshToken?: RefreshToken;
  readonly artifacts: readonly { readonly model: string; readonly value: string }[];
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
  if (parsed) return { refreshToken: parsed, artifacts: [] };
  return { artifacts: mayBe.map((model) => ({ model, value })) };
}

/** One read for the client, the family, its grant and its person; see fast/fast.ts. */
function readForRefresh(
  unit: UnitOfWork,
  familyId: string,
  clientId: string,
): Promise<RefreshRead> {
  const { refresh } = unit;
  if (refresh?.familyId === familyId && refresh.clientId === clientId) return refresh.read;
  const read = hotPathOf(unit.storage.pool).read(familyId, clientId);
  unit.refresh = { familyId, clientId, read };
  return read;
}

function engineContext(): KoaContextWithOIDC {
  const ctx = Provider.ctx;
  if (!ctx) throw new Error('a refresh token was used outside a request of the engine');
  return ctx;
}

function isRefreshing(): boolean {
  return Provider.ctx?.oidc.route === 'token';
}

function refused(unit: UnitOfWork, refusal: Refusal): errors.InvalidGrant {
  unit.refusal = refusal;
  return new errors.InvalidGrant(refusal.reason);
}

function endReason(): EndReason {
  switch (Provider.ctx?.oidc.route) {
    case 'token':
      return 'reuse';
    case 'revocation':
      return 'revoked_by_client';
    default:
      return 'revoked_by_user';
  }
}
