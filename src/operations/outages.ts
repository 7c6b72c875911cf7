// Why something does not work, told once: a line at its beginning, one a minute for each cause while it lasts, with how
// often it was met since, and one when it is over. An outage under load does not flood the log.
import type { Log } from './log.ts';

/** Why something failed, without anything that a person or a client has sent. */
export interface Cause {
  /** SQLSTATE, the system's error code, or Prisma's. Not named `code`: the log keeps values of that name out. */
  readonly cause: string | undefined;
  readonly reason: string;
}

export interface Outages {
  /**
   * Counts a failure, and tells it when its cause is new or a minute has passed.
   *
   * @param details are logged with the line
   */
  note(error: unknown, details?: object): Cause;
  /** Notes that it works. It is over when nothing has failed for a second. */
  works(): void;
}

const INTERVAL = 60_000; // milliseconds between two lines about one cause
const QUIET = 1_000; // milliseconds without a failure

/**
 * @param words the messages of the log: `failed` at error, `over` at warn
 * @param now milliseconds
 */
export function createOutages(
  log: Pick<Log, 'error' | 'warn'>,
  words: { readonly failed: string; readonly over: string },
  now: () => number = () => performance.now(),
): Outages {
  const told = new Map<string, { at: number; since: number }>();
  let begin: number | undefined;
  let last = 0;
  let failures = 0;
  return {
    note(error, details = {}) {
      const cause = causeOf(error);
      begin ??= now();
      last = now();
      failures++;
      const key = cause.cause ?? cause.reason;
      const line = told.get(key);
      if (line && now() - line.at < INTERVAL) line.since++;
      else {
        log.error({ ...cause, failures: (line?.since ?? 0) + 1, ...details }, words.failed);
        told.set(key, { at: now(), since: 0 });
      }
      return cause;
    },
    works() {
      if (begin === undefined || now() - last < QUIET) return;
      log.warn({ failures, seconds: Math.round((last - begin) / 1000) }, words.over);
      begin = undefined;
      failures = 0;
      told.clear();
    },
  };
}

/** The outages that requests meet: whoever is answered 503. */
export function requestOutages(log: Pick<Log, 'error' | 'warn'>): Outages {
  return createOutages(log, {
    failed: 'requests cannot be answered (503)',
    over: 'requests are answered again',
  });
}

/** What `repeat` reports to: the failures of work that is repeated, each told once. */
export function reportOutages(log: Log, work: string) {
  const words = { failed: `${work} failed`, over: `${work} works again` };
  const outages = createOutages(log, words);
  return {
    onError: (error: unknown) => void outages.note(error, { err: error }),
    onDone: () => {
      outages.works();
    },
  };
}

/** The first cause of an error: what the system or the database has said. */
export function causeOf(error: unknown): Cause {
  const chain = [...causes(error)];
  const first = chain.findLast(({ cause }) => cause !== undefined) ?? chain.at(-1);
  const reason = first?.reason ?? String(error);
  return { cause: first?.cause ?? codeOf(reason), reason };
}

interface Link {
  readonly code?: unknown;
  readonly message?: unknown;
  readonly cause?: unknown;
  readonly errors?: unknown;
  readonly meta?: { readonly driverAdapterError?: unknown };
  // PostgreSQL's own error, as Prisma's driver adapter hands it on.
  readonly originalCode?: unknown;
  readonly originalMessage?: unknown;
  readonly kind?: unknown;
  readonly port?: unknown;
}

/** An error and those that have led to it. */
function* causes(error: unknown, depth = 0): Generator<Cause> {
  if (typeof error !== 'object' || error === null || depth > 8) return;
  const link = error as Link;
  const text = [link.originalMessage, link.message].find(isText);
  const code = [link.originalCode, socketCode(link), link.code].find(
    (one) => typeof one === 'string',
  );
  if (text !== undefined || code !== undefined)
    yield { cause: code, reason: oneLine(text ?? code ?? '') };
  yield* causes(link.meta?.driverAdapterError, depth + 1);
  if (Array.isArray(link.errors)) yield* causes(link.errors[0], depth + 1);
  yield* causes(link.cause, depth + 1);
}

/** The system's code, which Prisma's driver adapter has made a kind of. */
function socketCode({ kind, port }: Link): string | undefined {
  switch (kind) {
    case 'DatabaseNotReachable':
      return port === undefined ? 'ENOTFOUND' : 'ECONNREFUSED';
    case 'ConnectionClosed':
      return 'ECONNRESET';
    case 'SocketTimeout':
      return 'ETIMEDOUT';
    default:
      return undefined;
  }
}

const isText = (value: unknown): value is string => typeof value === 'string' && value !== '';

// Prisma puts the call and its lines before what has happened.
const oneLine = (text: string): string => text.trim().split('\n').at(-1)?.trim() ?? '';

// The driver's own errors have no code: the system's for the same.
function codeOf(reason: string): string | undefined {
  if (/timeout|timed out/i.test(reason)) return 'ETIMEDOUT';
  if (/connection (was )?(terminated|closed)|connection error|server has closed/i.test(reason))
    return 'ECONNRESET';
  return undefined;
}
