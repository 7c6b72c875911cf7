// Judges histories of a cluster, as Jepsen does: pure, and afterwards. An operation took effect at some moment between
// its request and its answer; one without an answer may have done so, then or never.
import { generationOf } from '../faults/clients.ts';
import type { Failure, Lost, Operation } from './history.ts';

export interface Circumstances {
  readonly processes: readonly string[];
  readonly failures: readonly Failure[];
  /** None in synchronous mode. */
  readonly lost: readonly Lost[];
  /** Milliseconds that a process may take to find the new primary. */
  readonly grace: number;
}

export interface Verdict {
  /** What must not be, in sentences. */
  readonly faults: readonly string[];
  /** Acknowledged revocations that the database may have forgotten, and those that it has: in asynchronous mode only. */
  readonly revocationsAtRisk: number;
  readonly revocationsForgotten: number;
  /** Families of which the database has forgotten the beginning: in asynchronous mode only. */
  readonly familiesForgotten: number;
}

/**
 * - A refresh token that was acknowledged is answered, until somebody asks for the end of its family or presents a token
 *   that is used up.
 * - One line lives: a token has one successor, and once that was followed by another, it is not answered any more.
 * - After an acknowledged revocation nothing of the family is answered; what was refused as ended never lives again.
 * - 503 while there is no primary, and `grace` longer; then every process answers again.
 *
 * What the database has forgotten excuses a revoked family that lives, a used-up token that is answered, and a family that
 * is unknown, if what was forgotten was acknowledged in a time of `lost`. It never excuses a refused token or two lines.
 */
export function judge(history: readonly Operation[], circumstances: Circumstances): Verdict {
  const { lost } = circumstances;
  const mayBeForgotten = ({ asked, came }: Operation, by = Infinity) =>
    lost.some(({ from, to }) => came > from && asked < to && from < by);
  const faults: string[] = [];
  let [revocationsAtRisk, revocationsForgotten, familiesForgotten] = [0, 0, 0];
  const families = Map.groupBy(history, ({ family }) => family);
  families.delete('');
  for (const [family, all] of families) {
    const told = (fault: string, { asked, presented }: Operation) => {
      const generation = presented?.startsWith('symr_')
        ? ` generation ${generationOf(presented)}`
        : '';
      faults.push(`${family}${generation}, asked at ${Math.round(asked)}: ${fault}`);
    };
    const of = (kind: Operation['kind'], answer?: Operation['answer']) =>
      all.filter((one) => one.kind === kind && (answer === undefined || one.answer === answer));
    const given = of('refresh', 'given');
    const [begun] = of('begin', 'given');

    // One successor of each token.
    const tokens = new Map<number, string>();
    for (const one of [...of('begin', 'given'), ...given]) {
      const token = one.given ?? '';
      const generation = generationOf(token);
      if (one.presented !== undefined && generation !== generationOf(one.presented) + 1)
        told(`its successor is of generation ${generation}`, one);
      const other = tokens.get(generation);
      if (other !== undefined && other !== token)
        told(`it forked: two tokens of generation ${generation}`, one);
      tokens.set(generation, token);
    }

    // What is used up is not answered any more.
    const byGeneration = given.map((one) => [generationOf(one.presented ?? ''), one] as const);
    for (const [generation, one] of byGeneration) {
      const further = byGeneration.filter(
        ([later, other]) => later > generation && other.came < one.asked,
      );
      if (further.some(([, other]) => !mayBeForgotten(other, one.came)))
        told('it was answered although its successor was used', one);
    }

    // What has ended stays so.
    const revoked = of('revoke', 'done');
    const ends = [...revoked, ...of('refresh', 'refused').filter(isEnd)];
    let isForgotten = false;
    for (const one of [...given, ...of('introspect', 'given')]) {
      const before = ends.filter(({ came }) => came <= one.asked);
      if (before.length === 0) continue;
      if (before.every((end) => mayBeForgotten(end, one.came))) isForgotten = true;
      else
        told(
          `${one.kind === 'refresh' ? 'it was answered' : 'its access token was active'} after the end of its family`,
          one,
        );
    }
    if (revoked.some((one) => mayBeForgotten(one))) {
      revocationsAtRisk++;
      if (isForgotten) revocationsForgotten++;
    }

    // What lives is answered.
    const replays = of('refresh').filter((one) =>
      byGeneration.some(
        ([later, other]) => later > generationOf(one.presented ?? '') && other.asked < one.asked,
      ),
    );
    const endings = [...of('revoke'), ...replays];
    let isUnknown = false;
    for (const one of of('refresh', 'refused')) {
      if (endings.some(({ asked }) => asked <= one.came)) continue;
      if (begun && mayBeForgotten(begun, one.came) && !isEnd(one)) isUnknown = true;
      else told(`it was refused: ${one.reason ?? ''}`, one);
    }
    if (isUnknown) familiesForgotten++;
  }
  return {
    faults: [...faults, ...unanswered(history, circumstances)],
    revocationsAtRisk,
    revocationsForgotten,
    familiesForgotten,
  };
}

/** Whether a refusal says that the family has ended. */
const isEnd = ({ reason = '' }: Operation): boolean => /^(revoked_by|reuse|in_step)/.test(reason);

function unanswered(
  history: readonly Operation[],
  { processes, failures, grace }: Circumstances,
): string[] {
  const faults = history
    .filter(
      ({ asked, came, answer }) =>
        answer === 'unavailable' &&
        !failures.some(({ from, primaryAgain }) => came >= from && asked <= primaryAgain + grace),
    )
    .map(
      ({ kind, process, asked, came }) =>
        `${process}, asked to ${kind} at ${Math.round(asked)}: no answer at ${Math.round(came)}, while there was a primary`,
    );
  for (const { kind, primaryAgain, until } of failures)
    for (const process of processes)
      if (
        !history.some(
          (one) =>
            one.process === process &&
            one.answer !== 'unavailable' &&
            one.asked > primaryAgain &&
            one.came < until,
        )
      )
        faults.push(`${process} did not answer any more after the primary was ${kind}`);
  return faults;
}
