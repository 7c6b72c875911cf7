// One unit of work per request: a record is read once, and reads see the request's own writes; writes are collected and
// committed together before the response leaves (commit.ts), and never after. What issues or spends is committed only
// with a success; what revokes is committed with a refusal too.
import { AsyncLocalStorage } from 'node:async_hooks';
import type { AdapterPayload } from 'oidc-provider';
import type { Prisma } from '../generated/client.ts';
import type { AuditEvent } from './audit.ts';
import { Collected, type Outcome } from './collected.ts';
import { commit, inTransaction, write } from './commit.ts';
import type { Logout, Mail, Message } from './deliveries.ts';
import { StorageUnavailable, answered, unlessUnavailable } from './errors.ts';
import type { FamilyUse } from './families/verdict.ts';
import type { Notice } from './notices.ts';
import type { Actor, Occasion, Origin } from './origin.ts';
import { type ReadAhead, nothingAhead } from './presented.ts';
import type { EndReason } from './revocation.ts';
import { type Storage, epoch } from './storage.ts';
import {
  type ClientWrite,
  type LineEnd,
  type Save,
  type Standing,
  type Writes,
  recordKey,
} from './writes.ts';

const units = new AsyncLocalStorage<UnitOfWork>();

/**
 * Runs a request as one unit of work, and commits it once the answer is made.
 *
 * @param isRefused asked after the work: whether the answer is a refusal
 * @throws {LostRace | StorageUnavailable} from the commit; then nothing was written, except what a lost race revokes
 */
export async function runUnit(
  storage: Storage,
  origin: Origin,
  work: () => Promise<unknown>,
  isRefused: () => boolean = () => false,
): Promise<void> {
  const unit = new UnitOfWork(storage, origin);
  try {
    await units.run(unit, () => unlessUnavailable(work));
  } catch (error) {
    if (!(error instanceof StorageUnavailable)) await unit.end('failed');
    throw error;
  }
  await unit.end(isRefused() ? 'refused' : 'done');
}

/** The unit of work of the request that is being served. */
export function currentUnit(): UnitOfWork {
  const unit = units.getStore();
  if (!unit) throw new Error('storage was used outside a unit of work');
  return unit;
}

/** Where the request that is being served comes from; undefined when none is, on the command line. */
export function requestOrigin(): Origin | undefined {
  return units.getStore()?.origin;
}

export class UnitOfWork {
  readonly storage: Storage;
  readonly origin: Origin;
  /** What was read ahead: the engine asks for it next. */
  readonly ahead: ReadAhead = nothingAhead();
  /** The line of the code or access token that is exchanged, or of the access token that is revoked. */
  line: string | undefined;
  readonly #reads = new Map<string, Promise<AdapterPayload | undefined>>();
  readonly #found = new Set<string>();
  #collected = new Collected();
  #isRefused = false;
  #isClosed = false;

  constructor(storage: Storage, origin: Origin) {
    this.storage = storage;
    this.origin = { ...origin };
  }

  /** Notes who acts in this request, as soon as that is known. The last one counts, for everything that is not written yet. */
  actsAs(actor: Actor): void {
    Object.assign(this.origin, { actor });
  }

  /** Reads one record: the request's own write of it if there is one, else the database, once. */
  async read(
    model: string,
    id: string,
    query: () => Promise<AdapterPayload | undefined>,
  ): Promise<AdapterPayload | undefined> {
    const { removals, saves, grantEnds, spendings } = this.#collected;
    const key = recordKey(model, id);
    if (removals.has(key)) return undefined;
    const saved = saves.get(key);
    if (!saved && !this.#reads.has(key)) this.#reads.set(key, answered(query));
    const payload = saved?.payload ?? (await this.#reads.get(key));
    if (payload === undefined) return undefined;
    if (!saved) this.#found.add(key);
    if (payload.grantId !== undefined && grantEnds.has(payload.grantId)) return undefined;
    // A copy: the engine changes what it is given, except clients.
    const copy = model === 'Client' ? payload : copyOf(payload);
    return spendings.has(key) ? { ...copy, consumed: epoch(this.storage.now()) } : copy;
  }

  /** Keeps a record that was read together with another. */
  remember(model: string, id: string, payload: AdapterPayload): void {
    const key = recordKey(model, id);
    if (!this.#reads.has(key)) this.#reads.set(key, Promise.resolve(payload));
  }

  /** A record that this request itself has written. @returns undefined when none fits */
  written(model: string, fits: (payload: AdapterPayload) => boolean): AdapterPayload | undefined {
    for (const save of this.#collected.saves.values())
      if (save.model === model && fits(save.payload)) return copyOf(save.payload);
    return undefined;
  }

  /** Whether a record was in the database when this request read it. */
  hasRead(model: string, id: string): boolean {
    return this.#found.has(recordKey(model, id));
  }

  save(save: Omit<Save, 'json' | 'wasFound'>): void {
    const { removals, saves } = this.#open();
    const key = recordKey(save.model, save.id);
    removals.delete(key);
    const json = JSON.stringify(save.payload);
    // As the database would return it: without undefined members, not shared with the caller.
    saves.set(key, { ...save, json, payload: JSON.parse(json) as AdapterPayload });
  }

  consume(model: string, id: string, grantId: string | undefined): void {
    this.#open().spendings.set(recordKey(model, id), { model, id, grantId });
  }

  destroy(model: string, id: string): void {
    const { saves, removals } = this.#open();
    const key = recordKey(model, id);
    saves.delete(key);
    removals.set(key, { model, id });
  }

  revokeGrant(grantId: string, reason: EndReason): void {
    this.#open().grantEnds.set(grantId, reason);
  }

  endLine(end: LineEnd): void {
    this.#open().lineEnds.set(end.id, end);
  }

  /** The line of the tokens that the request issues. */
  get lineOfTokens(): string | undefined {
    const { family } = this;
    return family && 'family' in family ? family.family.id : this.line;
  }

  /** What this request does with a refresh-token family. */
  get family(): FamilyUse | undefined {
    return this.#collected.family;
  }

  set family(use: FamilyUse | undefined) {
    this.#open().family = use;
  }

  writeClient(write: ClientWrite): void {
    this.#open().client = write;
  }

  /** Issues only if the account is as it was when its person was found to be who they are. */
  requireUnchanged({ id, signedOutAt, groups }: Standing): void {
    this.#open().standings.push({ id, signedOutAt, groups });
  }

  /**
   * Has a message delivered to a relying party after the commit.
   *
   * @param send called after the commit, so that the message is sent at once
   */
  deliver(message: Message, send: () => void): void {
    const { messages, sends } = this.#open();
    messages.push(message);
    sends.add(send);
  }

  /** Has an application told after the commit that a person is signed out. @param send as in {@link deliver} */
  signOut(logout: Logout, send: () => void): void {
    const { logouts, sends } = this.#open();
    logouts.push(logout);
    sends.add(send);
  }

  /**
   * Has a mail sent after the commit.
   *
   * @param evenIfRefused whether it is sent after a refusal or a failure too
   */
  mail(mail: Mail, { evenIfRefused = false } = {}): void {
    this.#open().mails.push({ mail, evenIfRefused });
  }

  /**
   * Tells a person by mail what happened to the account, after the commit.
   *
   * @param evenIfRefused whether it is told after a refusal too
   */
  notice(notice: Notice, { evenIfRefused = false } = {}): void {
    this.#open().notices.push({ notice, evenIfRefused });
  }

  /**
   * Records an event in the audit, with the commit.
   *
   * @param evenIfRefused whether it is written after a refusal or a failure too
   */
  audit(event: AuditEvent, { evenIfRefused = false } = {}): void {
    this.#open().events.push({ event, evenIfRefused });
  }

  /** Marks the answer as a refusal although its status does not say so. */
  refuse(): void {
    this.#isRefused = true;
  }

  /**
   * Does a change of the caller's own and commits it, in one transaction with what the unit has collected before and
   * collects during `work`. Then the unit is closed.
   *
   * @param work may throw: then the change is undone, and the unit is as it was before
   */
  async change<T>(work: (database: Prisma.TransactionClient) => Promise<T>): Promise<T> {
    const before = this.#open();
    this.#collected = before.copy();
    const occasion = this.#occasion();
    try {
      const result = await inTransaction(this.storage, async (database) => {
        const done = await work(database);
        this.#isClosed = true;
        await write(database, this.storage, this.#writes('done'), occasion);
        return done;
      });
      this.#send();
      return result;
    } catch (error) {
      this.#collected = before;
      this.#isClosed = false;
      throw error;
    }
  }

  /**
   * Commits what was collected, unless {@link change} has done so, and closes the unit.
   *
   * @throws {LostRace} when another request was first; {@link StorageUnavailable}
   */
  async end(ended: Outcome): Promise<void> {
    if (this.#isClosed) return;
    const outcome = ended === 'done' && this.#isRefused ? 'refused' : ended;
    const writes = this.#writes(outcome);
    this.#isClosed = true;
    await commit(this.storage, writes, this.#occasion());
    if (outcome === 'done') this.#send();
  }

  #occasion(): Occasion {
    return { now: this.storage.now(), origin: this.origin };
  }

  /** @throws {Error} after the commit: the write would be lost */
  #open(): Collected {
    if (this.#isClosed)
      throw new Error(
        'the unit of work is committed: what is saved afterwards would be lost. Await it before the answer is made.',
      );
    return this.#collected;
  }

  #writes(outcome: Outcome): Writes {
    return this.#collected.writes(outcome, this.#found);
  }

  /** Starts the delivery of the messages that were committed. */
  #send(): void {
    for (const send of this.#collected.sends) send();
  }
}

/** A deep copy of a JSON value. */
function copyOf<T>(value: T): T {
  if (value === null || typeof value !== 'object') return value;
  if (Array.isArray(value)) return value.map(copyOf) as T;
  const copy = { ...value };
  for (const name in copy) copy[name] = copyOf(copy[name]);
  return copy;
}
