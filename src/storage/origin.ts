// Where a request comes from, who acts in it, and when it happens, as all are recorded with what it does.
import { randomUUID } from 'node:crypto';
import { userInfo } from 'node:os';

/** The kinds of actor. */
export const actorKinds = ['person', 'client', 'operator', 'administrator', 'system'] as const;

/** Who does something. */
export interface Actor {
  /**
   * A `person` by the account's id, a `client` by its own, an `operator` at the command line by the system's user name,
   * an `administrator` by the account's id, the `system` by the name of the work that it does by itself.
   */
  readonly kind: (typeof actorKinds)[number];
  readonly id: string;
}

/** Where a request comes from. */
export interface Origin {
  readonly ip: string | undefined;
  readonly userAgent: string | undefined;
  /** Not set: nobody who is known. */
  readonly actor?: Actor | undefined;
  /** What its answer and the log name it by; of the command line, one for each command. */
  readonly requestId?: string | undefined;
}

/** When something happens, and from where. */
export interface Occasion {
  readonly now: Date;
  readonly origin: Origin;
}

/** The command line: no request, but the user of this machine that runs it. */
export const commandLine: Origin = {
  ip: undefined,
  userAgent: undefined,
  actor: { kind: 'operator', id: systemUser() },
  requestId: randomUUID(),
};

/** What a process does by itself. @param work its name, such as `sweep` */
export function bySystem(work: string): Origin {
  return { ip: undefined, userAgent: undefined, actor: { kind: 'system', id: work } };
}

// In a container the user may have no name.
function systemUser(): string {
  try {
    return userInfo().username;
  } catch {
    return `uid ${process.getuid?.() ?? '?'}`;
  }
}

const LONGEST = 500; // characters of a User-Agent that are kept

/**
 * The origin of a request. An empty User-Agent is none; of others only ASCII is kept (RFC 9110 §5.5), which every
 * database can store.
 */
export function originOf(request: {
  readonly ip: string;
  readonly state: { readonly requestId?: string };
  get(header: string): string;
}): Origin {
  const userAgent = request
    .get('user-agent')
    .slice(0, LONGEST)
    .replace(/[^\x20-\x7e]/g, '?');
  const { requestId } = request.state;
  return { ip: request.ip, userAgent: userAgent === '' ? undefined : userAgent, requestId };
}

/** Where an origin is, as columns of a row. */
export function originColumns({ ip, userAgent }: Origin): {
  ip: string | null;
  userAgent: string | null;
} {
  return { ip: ip ?? null, userAgent: userAgent ?? null };
}

/** An origin as columns of an event: where, who, and in which request. */
export function eventColumns(origin: Origin) {
  const { actor, requestId } = origin;
  return {
    ...originColumns(origin),
    actorKind: actor?.kind ?? null,
    actorId: actor?.id ?? null,
    requestId: requestId ?? null,
  };
}
