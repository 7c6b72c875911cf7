// The engine's Adapter for refresh tokens: `find` judges the token, and the engine acts on the verdict; `consume` and
// `upsert` note what the engine does. Nothing is written here.
import { type AdapterPayload, type KoaContextWithOIDC, Provider, errors } from 'oidc-provider';
import { mayUse } from '../access.ts';
import { ArtifactAdapter, byOwnClock } from '../artifact-adapter.ts';
import { newLine } from '../artifacts.ts';
import type { FamilyRead } from '../fast/reads.ts';
import { payloadOf } from '../grants.ts';
import { presentedToken, readForRefresh } from '../presented.ts';
import { epoch } from '../storage.ts';
import { type UnitOfWork, currentUnit } from '../unit-of-work.ts';
import {
  type NewToken,
  type RefreshToken,
  formatFirstForm,
  formatRefreshToken,
  newRefreshToken,
} from './token.ts';
import type { RetryLimits } from './retries.ts';
import {
  type FamilyRules,
  type Presented,
  type RefusalReason,
  decide,
  expiresAt,
  judge,
  latestEnd,
  refused,
} from './verdict.ts';

/** The rules that a client may have of its own, from its metadata. Times are in seconds. */
export interface FamilyPolicy {
  /** @param isBound whether the token is bound to a key (RFC 9449, RFC 8705) */
  readonly retryWindow: (metadata: object, isBound: boolean) => number;
  readonly retryLimits: (metadata: object) => RetryLimits;
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
  const unit = currentUnit();
  const { family } = unit;
  if (family?.kind === 'spent') {
    const { token, generation, successor: secret, derivedBy } = family;
    const { salt } = family.family;
    const { familyId } = token;
    return valueOf({ familyId, generation: generation + 1, secret, salt }, derivedBy);
  }
  const token = newRefreshToken(unit.line ?? newLine());
  unit.family = { kind: 'drawn', token };
  return valueOf(token, 0);
}

function valueOf(token: NewToken, derivedBy: number): string {
  const { issuesFirstForm, keyring } = currentUnit().storage;
  return issuesFirstForm() ? formatFirstForm(token) : formatRefreshToken(keyring, token, derivedBy);
}

export class RefreshTokenAdapter extends ArtifactAdapter {
  readonly #policy: FamilyPolicy;

  constructor(policy: FamilyPolicy) {
    super('RefreshToken');
    this.#policy = policy;
  }

  override async find(value: string): Promise<AdapterPayload | undefined> {
    const unit = currentUnit();
    const token = presentedToken(unit.storage.keyring, unit.ahead, value);
    if (token) {
      const payload = await unit.read('RefreshToken', value, () => this.#find(unit, token, value));
      return payload && byOwnClock(unit, payload);
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
    const read = await readForRefresh(fast, unit.ahead, token, client?.clientId ?? '');
    const { family, account } = read;
    unit.ahead.resource = read.resource;
    unit.ahead.family = family;
    if (account) unit.ahead.accounts.set(account.id, account);
    if (!family) {
      if (isRefreshing()) throw new errors.InvalidGrant('unknown');
      return undefined;
    }
    if (family.grant) unit.remember('Grant', family.grant.id, payloadOf(family.grant));
    const groups = account?.groups;
    if (isRefreshing() && client) return this.#presented(unit, family, token, value, groups);
    if (groups && client?.clientId === family.clientId && !mayUse(client, groups)) return undefined;

    // Only the token endpoint honours the retry window and finds replays. At introspection a former token is not
    // active; at revocation it ends its line (RFC 7009 §2.1).
    const verdict = judge(family, token, now(), 0);
    if (['unknown', 'ended', 'expired'].includes(verdict)) return undefined;
    if (route === 'revocation') unit.line = family.id;
    if (verdict === 'catch_up') {
      // As at the token endpoint: idle time is not against it.
      unit.ahead.family = { ...family, idleExpiresAt: latestEnd(family) };
      const rotations = token.proof?.generation;
      return { ...payloadFor(unit.ahead.family, value), rotations };
    }
    return verdict === 'reuse' && route !== 'revocation' ? undefined : payloadFor(family, value);
  }

  /** Judges a token at the token endpoint. */
  #presented(
    unit: UnitOfWork,
    family: FamilyRead,
    token: RefreshToken,
    value: string,
    groups: readonly string[] | undefined,
  ): AdapterPayload {
    const client = engineClient();
    const { keyring, now } = unit.storage;
    const payload = payloadFor(family, value);
    if (family.clientId !== client.clientId) {
      unit.family = refused(family, 'binding_mismatch');
      return payload; // the engine itself refuses it
    }
    const rules = rulesFor(this.#policy, client, payload, groups);
    const decision = decide(family, token, rules, { now: now(), origin: unit.origin }, keyring);
    unit.family = decision;
    if (decision.kind === 'presented')
      return decision.verdict === 'catch_up' ? caughtUp(payload, decision) : payload;
    if (decision.ends === 'nothing') throw new errors.InvalidGrant(decision.reason);
    // The engine revokes the grant of a consumed token: here its line, or the grant. It refuses too wide a scope before
    // that, which must not hide the reuse; and another key, as it should: of a bound token the key is asked for first.
    unit.line = family.id;
    delete engineContext().oidc.params?.['scope'];
    return { ...payload, consumed: epoch(family.rotatedAt ?? family.createdAt) };
  }

  override consume(): Promise<void> {
    const unit = currentUnit();
    const { family } = unit;
    if (family?.kind === 'presented') unit.family = { ...family, kind: 'spent', next: undefined };
    return Promise.resolve();
  }

  override upsert(_id: string, { jti: _value, ...payload }: AdapterPayload): Promise<void> {
    const unit = currentUnit();
    const { family } = unit;
    if (family?.kind === 'spent') {
      unit.family = { ...family, next: payload };
      return Promise.resolve();
    }
    if (family?.kind !== 'drawn')
      throw new TypeError('a refresh token was saved without its value');
    const client = engineClient();
    const { consentExpiresAt } = engineContext().oidc.entities.Grant as {
      consentExpiresAt?: number;
    };
    const now = unit.storage.now().getTime();
    unit.family = {
      kind: 'started',
      token: family.token,
      payload,
      idleExpiresAt: new Date(now + this.#policy.idleTtl(client) * 1000),
      absoluteExpiresAt: new Date(now + this.#policy.absoluteTtl(client) * 1000),
      consentExpiresAt: consentExpiresAt === undefined ? null : new Date(consentExpiresAt * 1000),
      maxFamilies: this.#policy.maxFamilies(client),
    };
    return Promise.resolve();
  }

  // The line is ended by the grant (revokeByGrantId), with its access tokens.
  override destroy(): Promise<void> {
    return Promise.resolve();
  }
}

/** Notes why the engine refuses a token that was found, for a reason of its own. */
export function refusePresented(unit: UnitOfWork, reason: RefusalReason): void {
  const { family } = unit;
  if (family?.kind === 'drawn' || family?.kind === 'started') return;
  // A used-up token without the key that it is bound to ends nothing: nobody has shown to be its holder.
  if (family && (family.kind !== 'refused' || family.ends !== 'nothing'))
    unit.family = refused(family.family, reason);
}

/**
 * What holds for a client's token.
 *
 * @param payload the engine's, of the family
 * @param groups the person's; of nobody that is known the engine refuses the token itself
 */
export function rulesFor(
  policy: FamilyPolicy,
  metadata: object,
  payload: AdapterPayload,
  groups: readonly string[] | undefined,
): FamilyRules {
  const isBound = payload.jkt !== undefined || payload['x5t#S256'] !== undefined;
  return {
    retryWindow: policy.retryWindow(metadata, isBound),
    retryLimits: policy.retryLimits(metadata),
    onReuse: policy.onReuse(metadata),
    idleTtl: policy.idleTtl(metadata),
    goesFarEnough: policy.goesFarEnough(metadata, payload['amr']),
    isAllowed: groups === undefined || mayUse(metadata, groups),
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

/** The payload of a token that the row has forgotten. It was used since, so idle time is not against it. */
function caughtUp(
  payload: AdapterPayload,
  { generation, idleExpiresAt, family }: Presented,
): AdapterPayload {
  const exp = epoch(expiresAt({ ...family, idleExpiresAt }));
  return { ...payload, rotations: generation, exp };
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
