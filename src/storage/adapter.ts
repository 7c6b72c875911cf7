// The engine's Adapter: every call goes to the request's unit of work, nothing is written here. When the engine
// asks for a refresh token, the family's verdict is given (RFC 9700 §4.14.2) and the engine acts on it.
import {
  type Adapter,
  type AdapterPayload,
  type KoaContextWithOIDC,
  Provider,
} from 'oidc-provider';
import { findArtifact, findArtifactByLookup } from './artifacts.ts';
import { findClient } from './clients.ts';
import { answered } from './errors.ts';
import { findFamily } from './families.ts';
import { findGrant, payloadOf } from './grants.ts';
import {
  type RefreshToken,
  formatRefreshToken,
  isSecret,
  judge,
  newRefreshToken,
  parseRefreshToken,
  successors,
} from './refresh-token.ts';
import type { EndReason } from './revocation.ts';
import { type UnitOfWork, currentUnit, epoch } from './unit-of-work.ts';

/** What a client may have a rule of its own for; both take the client's metadata and return seconds. */
export interface FamilyPolicy {
  retryWindow(metadata: object): number;
  absoluteTtl(metadata: object): number;
}

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
    const { prisma, keyring } = unit.storage;
    return unit.read(this.#model, id, () =>
      this.#model === 'Grant'
        ? findGrant(prisma, id)
        : findArtifact(prisma, keyring, this.#model, id),
    );
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
    const { prisma, keyring } = unit.storage;
    const written = unit.written(this.#model, fits);
    return (
      written ?? (await answered(() => findArtifactByLookup(prisma, keyring, this.#model, value)))
    );
  }

  upsert(id: string, payload: AdapterPayload, expiresIn?: number): Promise<void> {
    const unit = currentUnit();
    const seconds = expiresIn === undefined ? payload.exp : epoch(unit.storage.now()) + expiresIn;
    if (seconds === undefined) throw new TypeError(`${this.#model} was saved without an expiry`);
    unit.save({ model: this.#model, id, payload, expiresAt: new Date(seconds * 1000) });
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
    currentUnit().revokeGrant(grantId, endReason());
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
    if (!token) return undefined;
    const unit = currentUnit();
    return unit.read('RefreshToken', value, () => this.#judged(unit, token, value));
  }

  async #judged(
    unit: UnitOfWork,
    token: RefreshToken,
    value: string,
  ): Promise<AdapterPayload | undefined> {
    const { prisma, keyring, now } = unit.storage;
    const family = await findFamily(prisma, token.familyId);
    if (!family) return undefined;
    if (family.grant) unit.remember('Grant', family.grant.id, payloadOf(family.grant));
    const payload: AdapterPayload = { ...(family.payload as AdapterPayload), jti: value };

    const { oidc } = engineContext();
    if (oidc.route !== 'token') {
      // Only the token endpoint honours the retry window, and only it can find a replay. A former secret is not
      // active at introspection; at revocation it ends its family (RFC 7009 §2.1).
      const alive = !['ended', 'expired'].includes(judge(family, token.secret, now(), 0));
      return alive && (oidc.route === 'revocation' || isSecret(token.secret, family.currentHash))
        ? payload
        : undefined;
    }

    const verdict = judge(
      family,
      token.secret,
      now(),
      oidc.client ? this.#policy.retryWindow(oidc.client) : 0,
    );
    const { generation } = family;
    switch (verdict) {
      case 'rotate':
        unit.presented = {
          verdict,
          presented: token,
          generation,
          successor: successors(keyring, token, generation + 1)[0],
        };
        return payload;
      case 'retry': {
        const successor = successors(keyring, token, generation).find((secret) =>
          isSecret(secret, family.currentHash),
        );
        if (successor === undefined) return undefined; // derived under a secret that this process no longer has
        unit.presented = { verdict, presented: token, generation, successor };
        return payload;
      }
      case 'reuse':
        return { ...payload, consumed: epoch(family.rotatedAt ?? family.createdAt) };
      case 'ended':
      case 'expired':
        return undefined;
    }
  }

  override upsert(id: string, { jti: _value, ...payload }: AdapterPayload): Promise<void> {
    const unit = currentUnit();
    const token = parseRefreshToken(id);
    if (!token || payload.exp === undefined)
      throw new TypeError('a refresh token was saved without its form or expiry');
    const idleExpiresAt = new Date(payload.exp * 1000);
    if (unit.rotation) {
      unit.rotation.next = { payload, idleExpiresAt };
    } else {
      const { client } = engineContext().oidc;
      if (!client || payload.iiat === undefined)
        throw new TypeError('a refresh token was saved without a client');
      const absoluteExpiresAt = new Date((payload.iiat + this.#policy.absoluteTtl(client)) * 1000);
      unit.start = { token, payload, idleExpiresAt, absoluteExpiresAt };
    }
    return Promise.resolve();
  }

  override consume(): Promise<void> {
    const unit = currentUnit();
    unit.rotation = unit.presented;
    return Promise.resolve();
  }

  override destroy(id: string): Promise<void> {
    const token = parseRefreshToken(id);
    if (token) currentUnit().endFamily(token.familyId, endReason());
    return Promise.resolve();
  }
}

class ClientAdapter extends ArtifactAdapter {
  constructor() {
    super('Client');
  }

  override find(id: string): Promise<AdapterPayload | undefined> {
    const unit = currentUnit();
    return unit.read('Client', id, () => findClient(unit.storage.prisma, unit.storage.keyring, id));
  }
}

function engineContext(): KoaContextWithOIDC {
  const ctx = Provider.ctx;
  if (!ctx) throw new Error('a refresh token was used outside a request of the engine');
  return ctx;
}

function endReason(): EndReason {
  const oidc = Provider.ctx?.oidc;
  switch (oidc?.route) {
    case 'token':
      return oidc.params?.['grant_type'] === 'refresh_token' ? 'reuse' : 'code_reuse';
    case 'revocation':
      return 'revoked_by_client';
    case 'end_session_confirm':
      return 'signed_out';
    default:
      return 'revoked';
  }
}
