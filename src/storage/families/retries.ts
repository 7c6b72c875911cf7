// Retries of a family: how often its former token was answered again, and whether somebody walks along with a copy. An
// honest client loses an answer now and then; whoever uses a copy as often as its owner is late in every generation.
import type { Occasion } from '../origin.ts';

/** Kept with the family (`refresh_family.retries`). Empty while no token was answered again. */
export type Retries = Readonly<{
  /** How often a former token was answered again. */
  readonly count?: number;
  /** The last time (RFC 3339), and from where. */
  readonly at?: string;
  readonly ip?: string | null;
  readonly user_agent?: string | null;
  /** The last generations in a row with a late retry. */
  readonly late?: Run;
  /** The same, of those with a late retry from another device than the first answer went to. */
  readonly elsewhere?: Run;
}>;

type Run = Readonly<{
  /** The last of them. */
  readonly generation: number;
  readonly length: number;
}>;

/** From when a retry counts as late, and how many generations in a row may have one. */
export interface RetryLimits {
  /** Seconds after the first answer. */
  readonly lateAfter: number;
  /** 0: any number. */
  readonly maxElsewhere: number;
  /** The same when the device looks like the one of the first answer. 0: any number. */
  readonly maxAlike: number;
}

/** The first answer: of which generation, when, and with which device. */
export interface FirstAnswer {
  readonly generation: number;
  readonly rotatedAt: Date | null;
  readonly lastUsedUserAgent: string | null;
  readonly retries: unknown;
}

/** The retries of a family with one more. */
export function withRetry(
  first: FirstAnswer,
  { now, origin }: Occasion,
  { lateAfter }: Pick<RetryLimits, 'lateAfter'>,
): Retries {
  const { generation } = first;
  const before = first.retries as Retries;
  const { ip = null, userAgent = null } = origin;
  const isLate = now.getTime() - (first.rotatedAt?.getTime() ?? 0) > lateAfter * 1000;
  const isElsewhere = userAgent !== first.lastUsedUserAgent;
  return {
    ...before,
    ...{ count: (before.count ?? 0) + 1, at: now.toISOString(), ip, user_agent: userAgent },
    ...(isLate && { late: longer(before.late, generation) }),
    ...(isLate && isElsewhere && { elsewhere: longer(before.elsewhere, generation) }),
  };
}

/** Whether a family with these retries is used by two, each of whom is answered. */
export function isInStep(
  { late, elsewhere }: Retries,
  { maxElsewhere, maxAlike }: Omit<RetryLimits, 'lateAfter'>,
): boolean {
  const reached = (run: Run | undefined, most: number) => most > 0 && (run?.length ?? 0) >= most;
  return reached(elsewhere, maxElsewhere) || reached(late, maxAlike);
}

/**
 * Whom one more late retry of the present generation would give away.
 *
 * @returns with any device, with another than the first answer's only, or with none
 */
export function whoWouldBeInStep(
  first: FirstAnswer,
  limits: RetryLimits,
): 'anybody' | 'another_device' | 'nobody' {
  const { rotatedAt, lastUsedUserAgent } = first;
  const now = new Date((rotatedAt?.getTime() ?? 0) + limits.lateAfter * 1000 + 1);
  const isWith = (userAgent: string | undefined) =>
    isInStep(withRetry(first, { now, origin: { ip: undefined, userAgent } }, limits), limits);
  if (isWith(lastUsedUserAgent ?? undefined)) return 'anybody';
  return isWith(`not ${lastUsedUserAgent ?? ''}`) ? 'another_device' : 'nobody';
}

function longer(run: Run | undefined, generation: number): Run {
  if (run?.generation === generation) return run;
  return { generation, length: run?.generation === generation - 1 ? run.length + 1 : 1 };
}
