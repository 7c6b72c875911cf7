// Where a request comes from and when it happens, as both are recorded with what it does.

/** Where a request comes from. */
export interface Origin {
  readonly ip: string | undefined;
  readonly userAgent: string | undefined;
}

/** When something happens, and from where. */
export interface Occasion {
  readonly now: Date;
  readonly origin: Origin;
}

/** The command line: no request. */
export const commandLine: Origin = { ip: undefined, userAgent: undefined };

const LONGEST = 500; // characters of a User-Agent that are kept

/**
 * The origin of a request. An empty User-Agent is none; of others only ASCII is kept (RFC 9110 §5.5), which every
 * database can store.
 */
export function originOf(request: { readonly ip: string; get(header: string): string }): Origin {
  const userAgent = request
    .get('user-agent')
    .slice(0, LONGEST)
    .replace(/[^\x20-\x7e]/g, '?');
  return { ip: request.ip, userAgent: userAgent === '' ? undefined : userAgent };
}

/** An origin as columns of a row. */
export function originColumns({ ip, userAgent }: Origin): {
  ip: string | null;
  userAgent: string | null;
} {
  return { ip: ip ?? null, userAgent: userAgent ?? null };
}
