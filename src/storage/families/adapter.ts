// The engine's Adapter for refresh tokens: `find` judges the token, and the engine acts on the verdict; `consume` and
// `upsert` note what the engine does. Nothing is written here.
import { type AdapterPayload, type KoaContextWithOIDC, Provider, errors } from 'oidc-provider';
import { ArtifactAdapter, endReason } from '../artifact-adapter.ts';
import type { FamilyRead } from '../fast/reads.ts';
import { payloadOf } from '../grants.ts';
import { readForRefresh } from '../presented.ts';
import { epoch } from '../storage.ts';
import { type UnitOfWork, currentUnit } from '../unit-of-work.ts';
import {
  type RefreshToken,
  formatRefreshToken,
  isSecret,
  newRefreshToken,
  parseRefreshToken,
} from './token.ts';
import {
  type FamilyRules,
  type Refusal,
  type RefusalReason,
  decide,
  expiresAt,
  judge,
  leavesGrant,
  refused,
} from './verdict.ts';

/** The rules that a client may have of its own, from its metadata. Times are in seconds. */
export interface FamilyPolicy {
  /** @param isBound whether the token is bound to a key (RFC 9449, RFC 8705) */
  readonly retryWindow: (metadata: object, isBound: boolean) => number;
  readonly onReuse: (metadata: object) => FamilyRules['onReuse'];
  readonly idleTtl: (metadata: object) => number;
  readonly absoluteTtl: (metadata: object) => number;
  readonly maxFamilies: (metadata: object) => number | undefined;
  /** Whether a sign-in's `amr` reaches the level that the client requires now. */
  readonly goesFarEnough: (metadata: object, amr: unknown) => boolean;
}

/**
 * The value of the refresh token that is about to be saved: the successor of the one being spent, or the first one of a
 * new family. Replaces the engine's `RefreshToken.prototype.generateTokenId`.
 */
export function nextRefreshToken(): string {
  const { family } = currentUnit();
  if (family?.kind !== 'spent') return formatRefreshToken(newRefreshToken());
  return formatRefreshToken({ familyId: family.token.familyId, secret: family.successor });
}

export class RefreshTokenAdapter extends ArtifactAdapter {
  readonly #policy: FamilyPolicy;

  constructor(policy: FamilyPolicy) {
    super('RefreshToken');
    this.#policy = policy;
  }

  override async find(value: string): Promise<AdapterPayload | undefined> {
    const token = parseRefreshToken(value);
    if (token) {
      const unit = currentUnit();
      return unit.read('RefreshToken', value, () => this.#find(unit, token, value));
    }
    if (isRefreshing()) throw new errors.InvalidGrant('unknown');
    return undefined;
  }

  async #find(
    unit: UnitOfWork,
    token: RefreshToken,
    value: string,
  ): Promise<AdapterPayload | undefined> {
    const { fast, now } = unit.storage;
    const { client, route } = engineContext().oidc;
    const clientId = client?.clientId ?? '';
    const read = await readForRefresh(fast, unit.ahead, token.familyId, clientId);
    const { family, account } = read;
    unit.ahead.resource = read.resource;
    if (account) unit.ahead.accounts.set(account.id, account);
    if (!family) {
      if (!isRefreshing()) return undefined;
      const never = { id: token.familyId, accountId: null, clientId };
      throw refuse(unit, refused(never, 'unknown'));
    }
    if (family.grant) unit.remember('Grant', family.grant.id, payloadOf(family.grant));
    const payload = payloadFor(family, value);
    if (isRefreshing() && client) return this.#presented(unit, family, token, payload);

    // Only the token endpoint honours the retry window and finds replays. At introspection a former secret is not
    // active; at revocation it ends its family (RFC 7009 §2.1).
    const isAlive = !['ended', 'expired'].includes(judge(family, token.secret, now(), 0));
    const counts = route === 'revocation' || isSecret(token.secret, family.currentHash);
    return isAlive && counts ? payload : undefined;
  }

  /** Judges a token at the token endpoint. */
  #presented(
    unit: UnitOfWork,
    family: FamilyRead,
    token: RefreshToken,
    payload: AdapterPayload,
  ): AdapterPayload {
    const client = engineClient();
    const { keyring, now } = unit.storage;
    if (family.clientId !== client.clientId) {
      unit.family = refused(family, 'binding_mismatch');
      return payload; // the engine itself refuses it
    }
    const rules = rulesFor(this.#policy, client, payload);
    const decision = decide(family, token, rules, now(), keyring);
    unit.family = decision;
    if (decision.kind === 'presented') return payload;
    if (decision.ends === 'nothing') throw new errors.InvalidGrant(decision.reason);
    // The engine revokes the grant of a consumed token.
    return { ...payload, consumed: epoch(family.rotatedAt ?? family.createdAt) };
  }

  override consume(): Promise<void> {
    const unit = currentUnit();
    const { family } = unit;
    if (family?.kind === 'presented') unit.family = { ...family, kind: 'spent', next: undefined };
    return Promise.resolve();
  }

  override upsert(id: string, { jti: _value, ...payload }: AdapterPayload): Promise<void> {
    const unit = currentUnit();
    const { family } = unit;
    if (family?.kind === 'spent') {
      unit.family = { ...family, next: payload };
      return Promise.resolve();
    }
    const token = parseRefreshToken(id);
    if (!token) throw new TypeError('a refresh token was saved without its form');
    const client = engineClient();
    const { consentExpiresAt } = engineContext().oidc.entities.Grant as {
      consentExpiresAt?: number;
    };
    const now = unit.storage.now().getTime();
    unit.family = {
      kind: 'started',
      token,
      payload,
      idleExpiresAt: new Date(now + this.#policy.idleTtl(client) * 1000),
      absoluteExpiresAt: new Date(now + this.#policy.absoluteTtl(client) * 1000),
      consentExpiresAt: consentExpiresAt === undefined ? null : new Date(consentExpiresAt * 1000),
      maxFamilies: this.#policy.maxFamilies(client),
    };
    return Promise.resolve();
  }

  override destroy(id: string): Promise<void> {
    const token = parseRefreshToken(id);
    const unit = currentUnit();
    const alone = leavesGrant(unit.family);
    if (token) unit.endFamily({ id: token.familyId, reason: endReason(), alone });
    return Promise.resolve();
  }
}

/** Notes why the engine refuses a token that was found, for a reason of its own. */
export function refusePresented(unit: UnitOfWork, reason: RefusalReason): void {
  const { family } = unit;
  if (family?.kind === 'presented' || family?.kind === 'spent')
    unit.family = refused(family.family, reason);
}

/** What holds for a client's token. @param payload the engine's, of the family */
export function rulesFor(
  policy: FamilyPolicy,
  metadata: object,
  payload: AdapterPayload,
): FamilyRules {
  const isBound = payload.jkt !== undefined || payload['x5t#S256'] !== undefined;
  return {
    retryWindow: policy.retryWindow(metadata, isBound),
    onReuse: policy.onReuse(metadata),
    idleTtl: policy.idleTtl(metadata),
    goesFarEnough: policy.goesFarEnough(metadata, payload['amr']),
  };
}

/** The engine's payload of a family's token. */
function payloadFor(family: FamilyRead, value: string): AdapterPayload {
  return {
    ...(family.payload as AdapterPayload),
    jti: value,
    exp: epoch(expiresAt(family)),
  };
}

function refuse(
  unit: UnitOfWork,
  decision: { readonly kind: 'refused' } & Refusal,
): errors.InvalidGrant {
  unit.family = decision;
  return new errors.InvalidGrant(decision.reason);
}

function engineContext(): KoaContextWithOIDC {
  const ctx = Provider.ctx;
  if (!ctx) throw new Error('a refresh token was used outside a request of the engine');
  return ctx;
}

function engineClient(): NonNullable<KoaContextWithOIDC['oidc']['client']> {
  const { client } = engineContext().oidc;
  if (!client) throw new TypeError('a refresh token was used without a client');
  return client;
}

function isRefreshing(): boolean {
  return Provider.ctx?.oidc.route === 'token';
}
