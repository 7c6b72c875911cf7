// The engine's Adapter for artifacts and grants. Every call goes to the request's unit of work; nothing is written
// here.
import { type Adapter, type AdapterPayload, Provider } from 'oidc-provider';
import { assertMayUse, mayUse } from './access.ts';
import { artifactId, grantable, lineOf, lookups, openArtifact } from './artifacts.ts';
import { isDisabled } from './clients.ts';
import { answered } from './errors.ts';
import type { ArtifactFound } from './fast/reads.ts';
import { payloadOf } from './grants.ts';
import type { EndReason } from './revocation.ts';
import { epoch } from './storage.ts';
import { type UnitOfWork, currentUnit } from './unit-of-work.ts';
import { recordKey } from './writes.ts';

// What starts a line.
const codes = new Set(['AuthorizationCode', 'DeviceCode', 'BackchannelAuthenticationRequest']);

const tokens = new Set(['AccessToken', 'ClientCredentials']);

/**
 * Asked before a record is written that was not there before.
 *
 * @throws when this request may not make one
 */
export type Admit = (model: string, payload: AdapterPayload) => Promise<void>;

/** An {@link Admit} without limits. */
export const admitAll: Admit = () => Promise.resolve();

export class ArtifactAdapter implements Adapter {
  readonly #model: string;
  readonly #admit: Admit;

  constructor(model: string, admit: Admit = admitAll) {
    this.#model = model;
    this.#admit = admit;
  }

  async find(id: string): Promise<AdapterPayload | undefined> {
    const unit = currentUnit();
    const { fast } = unit.storage;
    const { route } = Provider.ctx?.oidc ?? {};
    if (route === 'token' && codes.has(this.#model)) unit.line = lineOf(this.#model, id);
    const payload = await unit.read(this.#model, id, async () => {
      if (this.#model === 'Grant') {
        const grant = await fast.grant(id);
        return grant && payloadOf(grant);
      }
      const asked = unit.ahead.artifacts.get(recordKey(this.#model, id));
      const { found } = await (asked ?? fast.artifact(artifactId(this.#model, id)));
      if (route === 'revocation' && found) unit.line = found.artifact.familyId ?? undefined;
      return found && this.#opened(unit, found);
    });
    return payload && byOwnClock(unit, payload);
  }

  /** The payload of an artifact. What was read with it is kept for the engine's next questions. */
  #opened(unit: UnitOfWork, found: ArtifactFound): AdapterPayload | undefined {
    const { keyring, engineClient } = unit.storage;
    const { artifact, grant, client, account, session } = found;
    unit.ahead.session ??= session;
    if (grant) unit.remember('Grant', grant.id, payloadOf(grant));
    if (account) unit.ahead.accounts.set(account.id, account);
    const metadata = client && engineClient(client);
    if (metadata && artifact.clientId !== null)
      unit.remember('Client', artifact.clientId, metadata);
    // What was issued by a request that had begun before the person left the groups.
    if (metadata && account && grantable.has(this.#model)) {
      if (codes.has(this.#model)) assertMayUse(metadata, account.groups);
      if (!mayUse(metadata, account.groups)) return undefined;
    }
    // A resource server must not serve an application that is kept out; which may still give back what it has.
    if (client && isDisabled(client.metadata) && tokens.has(this.#model) && !isRevoking())
      return undefined;
    return openArtifact(keyring, artifact);
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
    const { fast, keyring } = unit.storage;
    const written = unit.written(this.#model, fits);
    if (written) return byOwnClock(unit, written);
    const session = unit.ahead.session && openArtifact(keyring, unit.ahead.session);
    if (session && fits(session)) return byOwnClock(unit, session);
    const kept = lookups(keyring, this.#model, value);
    const found = await answered(() => fast.lookUp(this.#model, kept));
    return found && byOwnClock(unit, openArtifact(keyring, found));
  }

  async upsert(id: string, saved: AdapterPayload, expiresIn?: number): Promise<void> {
    const unit = currentUnit();
    const payload = shifted(saved, unit.storage.shift());
    const seconds = expiresIn === undefined ? payload.exp : epoch(unit.storage.now()) + expiresIn;
    if (seconds === undefined) throw new TypeError(`${this.#model} was saved without an expiry`);
    const expiresAt = new Date(seconds * 1000);
    const isUnattended = Provider.ctx?.oidc.route === 'token';
    if (!unit.hasRead(this.#model, id)) await this.#admit(this.#model, payload);
    unit.save({ model: this.#model, id, payload, expiresAt, isUnattended });
  }

  async consume(id: string): Promise<void> {
    const payload = await this.find(id);
    currentUnit().consume(this.#model, id, payload?.grantId);
  }

  destroy(id: string): Promise<void> {
    if (this.#model === 'Grant') return this.revokeByGrantId(id);
    const unit = currentUnit();
    unit.destroy(this.#model, id);
    const { route, client } = Provider.ctx?.oidc ?? {};
    if (route === 'revocation') unit.audit({ type: 'token.revoked', clientId: client?.clientId });
    return Promise.resolve();
  }

  revokeByGrantId(grantId: string): Promise<void> {
    const unit = currentUnit();
    const { line, family } = unit;
    const { route } = Provider.ctx?.oidc ?? {};
    const ofLine = route === 'token' || route === 'revocation';
    // A code or token that comes again, or a token that is revoked, ends what came of its own authorization, not what
    // other authorizations got from the same grant, unless the client wants that.
    if (!ofLine || (family?.kind === 'refused' && family.ends === 'grant'))
      unit.revokeGrant(grantId, endReason());
    else if (line !== undefined) unit.endLine({ id: line, grantId, reason: endReason() });
    return Promise.resolve();
  }
}

/** What the engine is given: it compares the expiry with the process's clock, and the database's decides. */
export function byOwnClock(unit: UnitOfWork, payload: AdapterPayload): AdapterPayload {
  return shifted(payload, -unit.storage.shift());
}

function shifted(payload: AdapterPayload, seconds: number): AdapterPayload {
  if (seconds === 0 || payload.exp === undefined) return payload;
  return { ...payload, exp: payload.exp + seconds };
}

function isRevoking(): boolean {
  return Provider.ctx?.oidc.route === 'revocation';
}

/** Why something ends, by the endpoint that the request is for. */
export function endReason(): EndReason {
  switch (Provider.ctx?.oidc.route) {
    case 'token': {
      const { family } = currentUnit();
      return family?.kind === 'refused' && family.reason === 'in_step' ? 'in_step' : 'reuse';
    }
    case 'revocation':
      return 'revoked_by_client';
    default:
      return 'revoked_by_user';
  }
}
