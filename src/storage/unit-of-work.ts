// One unit of work per request: reads go to the database once and see the request's own writes; writes are
// collected and committed in one transaction before the response leaves. What issues or spends is committed
// only with a success; what revokes is committed with the refusal too. Locks are taken in one order: grants,
// then artifacts, then the refresh family, so that units cannot deadlock each other.
import { AsyncLocalStorage } from 'node:async_hooks';
import { type AdapterPayload, errors } from 'oidc-provider';
import type { Pool } from 'pg';
import type { Keyring } from '../keys/keyring.ts';
import type { Prisma, PrismaClient } from '../generated/client.ts';
import { artifactId, findArtifact, issueOf, saveArtifact, sealedArtifact } from './artifacts.ts';
import { type ClientMetadata, saveRegisteredClient } from './clients.ts';
import { type Mail, type Message, saveDeliveries, saveMail } from './deliveries.ts';
import { LostRace, answered, isGone, unlessUnavailable } from './errors.ts';
import { saveGrant } from './grants.ts';
import {
  type Rotation,
  type Start,
  awaitTurn,
  findFamily,
  rotateFamily,
  startFamily,
  touchFamily,
} from './families/row.ts';
import { hotPathOf } from './fast/fast.ts';
import type {
  AccountRead,
  ArtifactRead,
  RefreshRead,
  ResourceRead,
  SealedArtifact,
} from './fast/reads.ts';
import { type Refusal, lifeEnd, recordRefusal } from './families/verdict.ts';
import {
  type EndReason,
  type Origin,
  endFamily,
  endFamilyAlone,
  revokeClient,
  revokeGrant,
} from './revocation.ts';

export interface Storage {
  readonly prisma: PrismaClient;
  /** Connections for statements that are prepared by name: those of the hot path. */
  readonly pool: Pool;
  readonly keyring: Keyring;
  /** The clock; tests set it. */
  readonly now: () => Date;
}

export interface Save {
  readonly model: string;
  readonly id: string;
  readonly payload: AdapterPayload;
  /** The payload as it is kept. */
  readonly json: string;
  readonly expiresAt: Date;
  /** Whether an application makes it by itself: then the request does not tell where the person is. */
  readonly isUnattended?: boolean;
}

interface Reference {
  readonly model: string;
  readonly id: string;
  readonly grantId: string | undefined;
}

// What only remembers where a person or a device is: kept even when the request is refused.
const bookkeeping = new Set(['Session', 'Interaction', 'DeviceCode']);

// What a person answers on a device of their own.
const answeredOnce = new Set(['DeviceCode', 'BackchannelAuthenticationRequest']);

const units = new AsyncLocalStorage<UnitOfWork>();

/**
 * Runs a request as one unit of work, and commits it when it has made its answer.
 *
 * @param isRefused asked after the work: whether the answer is a refusal
 * @throws {LostRace | StorageUnavailable} from the commit; then nothing of the unit was written, except what
 * a lost race revokes
 */
export async function runUnit(
  storage: Storage,
  origin: Origin,
  work: () => Promise<unknown>,
  isRefused: () => boolean = () => false,
): Promise<void> {
  const unit = new UnitOfWork(storage, origin);
  await units.run(unit, () => unlessUnavailable(work));
  await unit.commit(unit.refused || isRefused());
}

/** The unit of work of the request that is being served. */
export function currentUnit(): UnitOfWork {
  const unit = units.getStore();
  if (!unit) throw new Error('storage was used outside a unit of work');
  return unit;
}

export class UnitOfWork {
  readonly storage: Storage;
  readonly origin: Origin;
  /** Set by whoever knows that the answer is a refusal although its status does not say so. */
  refused = false;
  /** The refresh token that this request has presented and may spend. */
  presented: Rotation | undefined;
  /** The same, once it is being spent. */
  rotation: Rotation | undefined;
  /** Why the refresh token that this request has presented is refused. */
  refusal: Refusal | undefined;
  /** Whether a family that this request ends leaves its grant to others. */
  endsAlone = false;
  /** The refresh-token family that this request starts. */
  start: Start | undefined;
  /** A client that registers itself, or changes what it has registered. */
  client: { isNew: boolean; metadata: ClientMetadata } | undefined;
  /** A client that removes itself, with everything that was issued to it. */
  removedClient: string | undefined;
  /** What this request presents besides, while it is read together with its client. */
  readonly artifacts = new Map<string, Promise<ArtifactRead>>();
  /** A session that came along with what it holds. */
  session: SealedArtifact | undefined;
  /** What was read for a refresh: the client, the family with its grant, the person. */
  refresh: { familyId: string; clientId: string; read: Promise<RefreshRead> } | undefined;
  /** People who came along with what was read. */
  readonly accounts = new Map<string, AccountRead>();
  /** A resource server that came along likewise. */
  resource: ResourceRead | undefined;
  readonly #messages: Message[] = [];
  readonly #mails: Mail[] = [];
  readonly #afterCommit: (() => void)[] = [];
  readonly #reads = new Map<string, Promise<AdapterPayload | undefined>>();
  readonly #found = new Set<string>();
  readonly #saves = new Map<string, Save>();
  readonly #consumed = new Map<string, Reference>();
  readonly #destroyed = new Map<string, { model: string; id: string }>();
  readonly #revokedGrants = new Map<string, EndReason>();
  readonly #endedFamilies = new Map<string, { reason: EndReason; alone: boolean }>();

  constructor(storage: Storage, origin: Origin) {
    this.storage = storage;
    this.origin = origin;
  }

  /** Reads one record: the request's own write of it if there is one, else the database, once. */
  async read(
    model: string,
    id: string,
    query: () => Promise<AdapterPayload | undefined>,
  ): Promise<AdapterPayload | undefined> {
    const key = keyOf(model, id);
    if (this.#destroyed.has(key)) return undefined;
    const saved = this.#saves.get(key);
    if (!saved && !this.#reads.has(key)) this.#reads.set(key, answered(query));
    const payload = saved?.payload ?? (await this.#reads.get(key));
    if (payload === undefined) return undefined;
    if (!saved) this.#found.add(key);
    if (payload.grantId !== undefined && this.#revokedGrants.has(payload.grantId)) return undefined;
    // A copy: the engine changes what it is given, but for clients.
    const copy = model === 'Client' ? payload : (copied(payload) as AdapterPayload);
    return this.#consumed.has(key) ? { ...copy, consumed: epoch(this.storage.now()) } : copy;
  }

  /** Tells the unit of a record that came along with another. */
  remember(model: string, id: string, payload: AdapterPayload): void {
    const key = keyOf(model, id);
    if (!this.#reads.has(key)) this.#reads.set(key, Promise.resolve(payload));
  }

  /** A record that this request itself has written and that fits. */
  written(model: string, fits: (payload: AdapterPayload) => boolean): AdapterPayload | undefined {
    for (const save of this.#saves.values())
      if (save.model === model && fits(save.payload)) return copied(save.payload) as AdapterPayload;
    return undefined;
  }

  save(save: Omit<Save, 'json'>): void {
    const key = keyOf(save.model, save.id);
    this.#destroyed.delete(key);
    const json = JSON.stringify(save.payload);
    // As the database would give it back: without undefined members, shared with nobody.
    this.#saves.set(key, { ...save, json, payload: JSON.parse(json) as AdapterPayload });
  }

  consume(model: string, id: string, grantId: string | undefined): void {
    this.#consumed.set(keyOf(model, id), { model, id, grantId });
  }

  destroy(model: string, id: string): void {
    this.#saves.delete(keyOf(model, id));
    this.#destroyed.set(keyOf(model, id), { model, id });
  }

  revokeGrant(grantId: string, reason: EndReason): void {
    this.#revokedGrants.set(grantId, reason);
  }

  /**
   * Has a message delivered to a relying party, once the unit is committed.
   *
   * @param send told that it is, so that it is sent now rather than soon
   */
  deliver(message: Message, send: () => void): void {
    this.#messages.push(message);
    this.#afterCommit.push(send);
  }

  /** Has a mail sent to a person, once the unit is committed. */
  mail(mail: Mail): void {
    this.#mails.push(mail);
  }

  /** @param alone whether its grant stays, for other families that hang on it */
  endFamily(familyId: string, reason: EndReason, alone = false): void {
    this.#endedFamilies.set(familyId, { reason, alone });
  }

  /**
   * Writes what was collected, in one transaction.
   *
   * @param refused whether the request was refused: then only bookkeeping and revocations are written
   * @throws {LostRace} when another request was first; {@link StorageUnavailable}
   */
  async commit(refused: boolean): Promise<void> {
    const saves = [...this.#saves.values()]
      .filter(({ model }) => !refused || bookkeeping.has(model))
      .sort((a, b) => lockOrder(a) - lockOrder(b));
    const consumed = refused ? [] : [...this.#consumed.values()];
    const rotation = refused ? undefined : this.rotation;
    const touched = refused || this.rotation ? undefined : this.presented;
    const start = refused ? undefined : this.start;
    const refusal = refused ? this.refusal : undefined;
    const client = refused ? undefined : this.client;
    const removedClient = refused ? undefined : this.removedClient;
    const messages = refused ? [] : this.#messages;
    const mails = refused ? [] : this.#mails;
    const now = this.storage.now();
    const size =
      saves.length +
      consumed.length +
      messages.length +
      mails.length +
      this.#destroyed.size +
      this.#revokedGrants.size +
      this.#endedFamilies.size +
      [rotation, touched, start, refusal, client, removedClient].filter(Boolean).length;
    if (size === 0) return;

    if (rotation && size === 1 + saves.length && (await this.#rotateAtOnce(rotation, saves, now)))
      return;
    if (start || consumed.length > 0) {
      const isAll = size === saves.length + consumed.length + (start ? 1 : 0);
      if (isAll && (await this.#exchangeAtOnce(consumed, saves, start, now))) return;
    }
    if (size === 2 && (await this.#authorizeAtOnce(saves))) return;
    const { prisma, keyring } = this.storage;
    const { origin } = this;
    const familyId = rotation?.family.id ?? touched?.family.id ?? start?.token.familyId;
    const write = async (database: Prisma.TransactionClient): Promise<void> => {
      if (start?.maxFamilies !== undefined)
        await awaitTurn(database, start.payload.accountId ?? '');
      for (const [grantId, reason] of [...this.#revokedGrants].sort(byKey)) {
        await revokeGrant(database, grantId, { reason, now, origin, keyring });
      }
      if (client) await saveRegisteredClient(database, this.storage.keyring, client);
      if (removedClient !== undefined) {
        await revokeClient(database, removedClient, { reason: 'client_removed', now, origin });
        await database.client.deleteMany({ where: { id: removedClient } });
      }
      for (const save of saves) {
        await this.#assertStillThere(database, save);
        if (save.model === 'Grant') await saveGrant(database, save, origin);
        else await saveArtifact(database, this.storage.keyring, save, familyId);
      }
      if (start) await startFamily(database, start, now, origin);
      for (const { model, id } of this.#destroyed.values()) {
        const { count } = await database.artifact.deleteMany({
          where: { id: artifactId(model, id) },
        });
        // A session takes another id when a person has signed in; one that was ended meanwhile must not come back.
        const isReplaced = model === 'Session' && saves.some((save) => save.model === 'Session');
        if (count === 0 && isReplaced && this.#found.has(keyOf(model, id))) throw sessionEnded();
      }
      for (const reference of consumed) await this.#consume(database, reference);
      for (const [id, { reason, alone }] of this.#endedFamilies) {
        await (alone ? endFamilyAlone : endFamily)(database, id, { reason, now, origin, keyring });
      }
      if (rotation) await rotateFamily(database, rotation, now, origin);
      if (touched) await touchFamily(database, touched, now, origin);
      if (refusal) await recordRefusal(database, refusal, now, origin);
      await saveDeliveries(database, keyring, messages, now);
      for (const mail of mails) await saveMail(database, keyring, mail, now);
    };

    try {
      await answered(() => prisma.$transaction(write));
    } catch (error) {
      const lost = isGone(error) ? new LostRace('the grant was revoked meanwhile') : error;
      if (lost instanceof LostRace) await this.#record(lost, now);
      throw lost;
    }
    if (messages.length > 0) for (const act of this.#afterCommit) act();
  }

  /** The ordinary refresh, in one statement. @returns whether it was one, and was not overtaken */
  async #rotateAtOnce(rotation: Rotation, saves: readonly Save[], now: Date): Promise<boolean> {
    const { verdict, next, family } = rotation;
    const [save, ...others] = saves;
    if (verdict !== 'rotate' || !next || others.length > 0 || family.grantId === null) return false;
    if (save && save.model !== 'AccessToken') return false;
    const { pool, keyring } = this.storage;
    const issue = save && issueOf(keyring, save);
    const write = { rotation, next, issue, now, origin: this.origin };
    return answered(() => hotPathOf(pool).rotate(write));
  }

  /** The ordinary exchange of a code, in one statement. @returns see above */
  async #exchangeAtOnce(
    consumed: readonly Reference[],
    saves: readonly Save[],
    start: Start | undefined,
    now: Date,
  ): Promise<boolean> {
    const [code, ...more] = consumed;
    const [save, ...others] = saves;
    if (code?.model !== 'AuthorizationCode' || code.grantId === undefined) return false;
    if (more.length > 0 || others.length > 0 || start?.maxFamilies !== undefined) return false;
    if (start && start.payload.grantId !== code.grantId) return false;
    if (save && (save.model !== 'AccessToken' || save.payload.grantId !== code.grantId))
      return false;
    const { pool, keyring } = this.storage;
    const write = {
      code: artifactId(code.model, code.id),
      grantId: code.grantId,
      issue: save && issueOf(keyring, save),
      start,
      now,
      origin: this.origin,
    };
    return answered(() => hotPathOf(pool).exchange(write));
  }

  /** The ordinary authorization of somebody who is signed in, likewise. @returns see above */
  async #authorizeAtOnce(saves: readonly Save[]): Promise<boolean> {
    const code = saves.find(({ model }) => model === 'AuthorizationCode');
    const session = saves.find(({ model }) => model === 'Session');
    if (!code || !session || !this.#found.has(keyOf('Session', session.id))) return false;
    const { grantId } = code.payload;
    if (grantId === undefined) return false;
    const { pool, keyring } = this.storage;
    const write = {
      session: sealedArtifact(keyring, session),
      code: issueOf(keyring, code),
      grantId,
    };
    return answered(() => hotPathOf(pool).authorize(write));
  }

  /** What follows from a lost race: a code that was spent twice ends its grant, a refused refresh has a reason. */
  async #record({ spentGrantId }: LostRace, now: Date): Promise<void> {
    const { prisma, keyring } = this.storage;
    const { origin, presented } = this;
    if (spentGrantId !== undefined) {
      await answered(() =>
        prisma.$transaction((database) =>
          revokeGrant(database, spentGrantId, { reason: 'reuse', now, origin, keyring }),
        ),
      );
    }
    if (!presented) return;
    await answered(async () => {
      const family = await findFamily(prisma, presented.family.id);
      if (!family) return;
      // It lives on: whoever else has the token has used it, and its successor, while this request was on its way.
      const reason = lifeEnd(family, now) ?? 'rotated_beyond_window';
      await recordRefusal(prisma, { family, reason }, now, origin);
    });
  }

  /** What this request has read and changes must not have ended meanwhile: writing it would bring it back. */
  async #assertStillThere(database: Prisma.TransactionClient, save: Save): Promise<void> {
    if (!this.#found.has(keyOf(save.model, save.id))) return;
    if (save.model === 'Session') {
      const id = artifactId(save.model, save.id);
      const rows = await database.$queryRaw<unknown[]>`
        SELECT 1 FROM artifact WHERE id = ${id} FOR NO KEY UPDATE`;
      if (rows.length === 0) throw sessionEnded();
    }
    if (answeredOnce.has(save.model)) await this.#assertUnanswered(database, save);
    if (save.model === 'Grant') {
      const rows = await database.$queryRaw<unknown[]>`
        SELECT 1 FROM "grant" WHERE id = ${save.id} FOR NO KEY UPDATE`;
      if (rows.length === 0) throw new LostRace('the grant was revoked meanwhile');
    }
  }

  /**
   * What waits for a person's answer is answered once, by somebody who is still signed in: of two answers at once the
   * second finds the first, and a sign-out everywhere comes before or after.
   */
  async #assertUnanswered(database: Prisma.TransactionClient, save: Save): Promise<void> {
    const id = artifactId(save.model, save.id);
    await database.$queryRaw`SELECT 1 FROM artifact WHERE id = ${id} FOR UPDATE`;
    const current = await findArtifact(database, this.storage.keyring, save.model, save.id);
    if (!current || current['consumed'] !== undefined || isAnswered(current)) {
      throw new errors.InvalidRequest('this was answered already, or it is too late');
    }
    const { accountId, authTime } = save.payload as { accountId?: string; authTime?: number };
    if (accountId === undefined || authTime === undefined || !isAnswered(save.payload)) return;
    const [account] = await database.$queryRaw<{ over: boolean }[]>`
      SELECT locked_at IS NOT NULL OR coalesce(signed_out_at >= to_timestamp(${authTime}), false) AS over
      FROM account WHERE id = ${accountId} FOR SHARE`;
    if (account?.over !== false) throw sessionEnded();
  }

  async #consume(
    database: Prisma.TransactionClient,
    { model, id, grantId }: Reference,
  ): Promise<void> {
    const { count } = await database.artifact.updateMany({
      where: { id: artifactId(model, id), consumedAt: null },
      data: { consumedAt: this.storage.now() },
    });
    // Of two requests that spend one code at once, the second finds it spent: RFC 6749 §4.1.2.
    if (count > 0) return;
    if (model === 'PushedAuthorizationRequest') {
      throw new errors.InvalidRequestUri('request_uri was already used');
    }
    throw new LostRace(`${model} was already used`, grantId);
  }
}

// A person's answer: a grant or a refusal.
function isAnswered({ grantId, error }: AdapterPayload): boolean {
  return grantId !== undefined || error !== undefined;
}

function sessionEnded(): errors.SessionNotFound {
  return new errors.SessionNotFound('session ended meanwhile');
}

export function epoch(date: Date): number {
  return Math.floor(date.getTime() / 1000);
}

// Of what came out of JSON.
function copied(value: unknown): unknown {
  if (value === null || typeof value !== 'object') return value;
  if (Array.isArray(value)) return value.map(copied);
  const copy: Record<string, unknown> = { ...value };
  for (const name in copy) copy[name] = copied(copy[name]);
  return copy;
}

/** By what a record is known to its unit of work. */
export function keyOf(model: string, id: string): string {
  return `${model} ${id}`;
}

// Grants, then what refers to one, then the rest.
function lockOrder({ model, payload }: Save): number {
  if (model === 'Grant') return 0;
  return payload.grantId === undefined ? 2 : 1;
}

function byKey([a]: [string, unknown], [b]: [string, unknown]): number {
  return a < b ? -1 : 1;
}
