// What a unit of work has collected so far, and which of it is written after a success, a refusal or a failure.
import type { AuditEvent } from './audit.ts';
import type { Logout, Mail, Message } from './deliveries.ts';
import type { FamilyUse } from './families/verdict.ts';
import type { Notice } from './notices.ts';
import type { EndReason } from './revocation.ts';
import {
  type ClientWrite,
  type LineEnd,
  type Removal,
  type Save,
  type Spending,
  type Standing,
  type Writes,
  recordKey,
} from './writes.ts';

// These only remember how far a person or a device has come: written even when the request is refused.
const bookkeeping = new Set(['Session', 'Interaction', 'DeviceCode']);

/**
 * How a request has ended. After a success everything is written; after a refusal the bookkeeping, the revocations and
 * the events, mails and notices that tell of the refusal; after an exception those events and mails only.
 */
export type Outcome = 'done' | 'refused' | 'failed';

export class Collected {
  readonly saves = new Map<string, Omit<Save, 'wasFound'>>();
  readonly spendings = new Map<string, Spending>();
  readonly removals = new Map<string, Omit<Removal, 'wasFound'>>();
  readonly grantEnds = new Map<string, EndReason>();
  readonly lineEnds = new Map<string, LineEnd>();
  readonly messages: Message[] = [];
  readonly logouts: Logout[] = [];
  /** Called after the commit. */
  readonly sends = new Set<() => void>();
  readonly mails: { mail: Mail; evenIfRefused: boolean }[] = [];
  readonly notices: { notice: Notice; evenIfRefused: boolean }[] = [];
  readonly events: { event: AuditEvent; evenIfRefused: boolean }[] = [];
  family: FamilyUse | undefined;
  client: ClientWrite | undefined;
  readonly standings: Standing[] = [];

  /** A copy: the original is what a change that fails returns to. */
  copy(): Collected {
    const copies = Object.entries(this).map(([kind, value]: [string, unknown]) => [
      kind,
      value instanceof Map
        ? new Map(value)
        : value instanceof Set
          ? new Set(value)
          : Array.isArray(value)
            ? [...(value as unknown[])]
            : value,
    ]);
    return Object.assign(new Collected(), Object.fromEntries(copies) as Collected);
  }

  /** @param found the keys of the records that the request has read */
  writes(outcome: Outcome, found: ReadonlySet<string>): Writes {
    const { family, client, ...all } = outcome === 'failed' ? this.#refusals() : this;
    const refused = outcome !== 'done';
    const wasFound = ({ model, id }: { model: string; id: string }) =>
      found.has(recordKey(model, id));
    return {
      saves: [...all.saves.values()]
        .filter(({ model }) => !refused || bookkeeping.has(model))
        .map((save) => ({ ...save, wasFound: wasFound(save) })),
      spendings: refused ? [] : [...all.spendings.values()],
      removals: [...all.removals.values()].map((one) => ({ ...one, wasFound: wasFound(one) })),
      grantEnds: [...all.grantEnds].map(([id, reason]) => ({ id, reason })),
      lineEnds: [...all.lineEnds.values()],
      family: isWritten(family, refused) ? family : undefined,
      client: refused ? undefined : client,
      standings: refused ? [] : [...all.standings],
      messages: refused ? [] : [...all.messages],
      logouts: refused ? [] : [...all.logouts],
      mails: all.mails
        .filter(({ evenIfRefused }) => !refused || evenIfRefused)
        .map(({ mail }) => mail),
      notices: all.notices
        .filter(({ evenIfRefused }) => !refused || evenIfRefused)
        .map(({ notice }) => notice),
      events: all.events
        .filter(({ evenIfRefused }) => !refused || evenIfRefused)
        .map(({ event }) => event),
    };
  }

  /** Only what tells of a refusal. */
  #refusals(): Collected {
    const refusals = new Collected();
    refusals.events.push(...this.events);
    refusals.mails.push(...this.mails);
    return refusals;
  }
}

// Of a token that never was one there is nothing to tell, and a stranger could fill the audit with it.
function isWritten(family: FamilyUse | undefined, refused: boolean): boolean {
  if (family?.kind === 'refused') return refused && family.reason !== 'unknown';
  return !refused;
}
