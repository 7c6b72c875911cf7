// The checker of a cluster's histories finds what must not be, in histories that were made to have it, and finds nothing
// in those that are as they may be.
import { describe, expect, test } from 'vitest';
import { judge } from './checker.ts';
import type { Failure, Lost, Operation } from './history.ts';

const token = (generation: number, line = '') => `symr_f.${generation}.secret${generation}${line}`;

interface Given extends Partial<Operation> {
  readonly at: number;
}

/** Each takes 10 ms, from `at` on, if nothing else is said. */
const one = (kind: Operation['kind'], answer: Operation['answer'], { at, ...more }: Given) => ({
  ...{ kind, answer, family: 'f', process: 'p', asked: at, came: at + 10 },
  ...more,
});
const begin = (at: number) => one('begin', 'given', { at, given: token(0) });
const refresh = (at: number, generation: number, more: Partial<Operation> = {}) =>
  one('refresh', 'given', {
    ...{ at, presented: token(generation), given: token(generation + 1) },
    ...more,
  });
const refused = (at: number, generation: number, reason: string) =>
  one('refresh', 'refused', { at, presented: token(generation), reason });
const lostAnswer = (at: number, generation: number, came = at + 10) =>
  one('refresh', 'unavailable', { at, came, presented: token(generation) });
const revoke = (at: number, generation: number, answer: 'done' | 'unavailable' = 'done') =>
  one('revoke', answer, { at, presented: token(generation) });
const introspect = (at: number, answer: 'given' | 'refused') =>
  one('introspect', answer, { at, presented: 'access' });

const failure: Failure = { kind: 'killed', from: 1_000, primaryAgain: 2_000, until: 5_000 };
const afterwards = refresh(3_000, 0, { family: 'g' });

const judged = (
  history: readonly Operation[],
  { failures = [] as Failure[], lost = [] as Lost[] } = {},
) => judge(history, { processes: ['p'], failures, lost, grace: 100 });
const faultsOf = (...given: Parameters<typeof judged>) => judged(...given).faults;

describe('what may be', () => {
  test.each<[string, Operation[]]>([
    ['a chain', [begin(0), refresh(20, 0), refresh(40, 1), refresh(60, 2)]],
    ['a token twice at once', [begin(0), refresh(20, 0), refresh(21, 0), refresh(40, 1)]],
    ['a retry', [begin(0), refresh(20, 0), refresh(500, 0), refresh(520, 1)]],
    ['the end', [begin(0), refresh(20, 0), revoke(40, 1), refused(60, 1, 'revoked_by_client: …')]],
    ['a refresh beside the revocation', [begin(0), revoke(20, 0), refresh(25, 0)]],
    [
      'a refusal beside the revocation',
      [begin(0), revoke(20, 0), refused(25, 0, 'revoked_by_client')],
    ],
    [
      'inactive after the end',
      [begin(0), introspect(20, 'given'), revoke(40, 0), introspect(60, 'refused')],
    ],
    [
      'a used-up token ends its family',
      [
        ...[begin(0), refresh(20, 0), refresh(40, 1), refresh(60, 2)],
        ...[refused(80, 1, 'reuse: …'), refused(100, 3, 'reuse: …')],
      ],
    ],
  ])('%s', (_name, history) => {
    expect(faultsOf(history)).toEqual([]);
  });

  test('a revocation without an answer may take effect, or not', () => {
    const asked = one('revoke', 'unavailable', { at: 1_100, presented: token(1) });
    const more = [refused(3_100, 1, 'revoked_by_client: …'), afterwards];
    const failures = [failure];
    expect(faultsOf([begin(0), refresh(20, 0), asked, ...more], { failures })).toEqual([]);
    expect(
      faultsOf([begin(0), refresh(20, 0), asked, refresh(3_100, 1), afterwards], { failures }),
    ).toEqual([]);
  });

  test('no answer while there is no primary, to what was asked before it is back', () => {
    const history = [begin(0), lostAnswer(990, 0), lostAnswer(2_050, 0), refresh(3_000, 0)];
    expect(faultsOf(history, { failures: [failure] })).toEqual([]);
  });
});

describe('what must not be', () => {
  test.each<[string, RegExp, Operation[]]>([
    [
      'a token is refused',
      /f generation 1, .* it was refused: gone/,
      [begin(0), refresh(20, 0), refused(40, 1, 'gone')],
    ],
    ['the first token is refused', /it was refused/, [begin(0), refused(20, 0, 'unknown')]],
    [
      'a token whose answer was lost is refused',
      /it was refused: reuse/,
      [begin(0), lostAnswer(1_000, 0), refused(3_000, 0, 'reuse: …')],
    ],
    [
      'it forked',
      /two tokens of generation 1/,
      [begin(0), refresh(20, 0), refresh(21, 0, { given: token(1, 'b') })],
    ],
    [
      'it forked after a retry',
      /two tokens of generation 2/,
      [begin(0), refresh(20, 0), refresh(40, 1), refresh(900, 1, { given: token(2, 'b') })],
    ],
    [
      'a generation is left out',
      /of generation 2/,
      [begin(0), refresh(20, 0, { given: token(2) })],
    ],
    [
      'a used-up token is answered',
      /although its successor was used/,
      [begin(0), refresh(20, 0), refresh(40, 1), refresh(60, 0)],
    ],
    [
      'a revoked family is answered',
      /it was answered after the end/,
      [begin(0), revoke(20, 0), refresh(40, 0)],
    ],
    [
      'a revoked family is answered with what was issued beside the revocation',
      /it was answered after the end/,
      [begin(0), revoke(20, 0), refresh(25, 0), refresh(60, 1)],
    ],
    [
      'an access token is active after the revocation',
      /access token was active after the end/,
      [begin(0), revoke(20, 0), introspect(40, 'given')],
    ],
    [
      'what was refused as ended lives again',
      /it was answered after the end/,
      [begin(0), revoke(20, 0, 'unavailable'), refused(40, 0, 'revoked_by_client'), refresh(60, 0)],
    ],
  ])('%s', (_name, fault, history) => {
    const faults = faultsOf([...history, afterwards], { failures: [{ ...failure, from: 0 }] });
    expect(faults).toEqual([expect.stringMatching(fault)]);
  });

  test('no answer while there is a primary', () => {
    for (const lost of [lostAnswer(900, 0), lostAnswer(2_200, 0), lostAnswer(2_101, 0, 13_000)])
      expect(faultsOf([begin(0), lost, afterwards], { failures: [failure] })).toEqual([
        expect.stringMatching(/^p, asked to refresh at .* while there was a primary$/),
      ]);
  });

  test('a process does not answer any more', () => {
    const history = [begin(0), refresh(1_500, 0), refresh(6_000, 1)];
    expect(faultsOf(history, { failures: [failure] })).toEqual([
      'p did not answer any more after the primary was killed',
    ]);
  });
});

describe('what an asynchronous standby had not everything of', () => {
  const lost = [{ from: 900, to: 1_000 }];
  const failures = [failure];

  test('a revocation of then may be forgotten, and is counted', () => {
    const lives = [begin(0), revoke(950, 0), refresh(3_000, 0)];
    const verdict = judged(lives, { failures, lost });
    expect(verdict).toMatchObject({ faults: [], revocationsAtRisk: 1, revocationsForgotten: 1 });
    const ended = [begin(0), revoke(950, 0), refused(3_000, 0, 'revoked_by_client')];
    expect(judged(ended, { failures, lost })).toMatchObject({
      ...{ faults: [], revocationsAtRisk: 1, revocationsForgotten: 0 },
    });
  });

  test('not one of before or after', () => {
    for (const at of [880, 1_100, 2_500])
      expect(faultsOf([begin(0), revoke(at, 0), refresh(3_000, 0)], { failures, lost })).toEqual([
        expect.stringMatching(/after the end/),
      ]);
  });

  test('not before it can have been forgotten', () => {
    const history = [begin(0), revoke(910, 0), refresh(925, 0), afterwards];
    const later = [
      { from: 905, to: 1_000 },
      { from: 940, to: 1_000 },
    ];
    expect(faultsOf(history, { failures, lost: later.slice(1) })).not.toEqual([]);
  });

  test('once it was seen to be kept, it stays', () => {
    const history = [
      begin(0),
      revoke(950, 0),
      refused(2_900, 0, 'revoked_by_client'),
      refresh(3_000, 0),
    ];
    expect(faultsOf(history, { failures, lost })).toEqual([expect.stringMatching(/after the end/)]);
  });

  test('a family of then may be unknown, and is counted; one of before may not', () => {
    const unknown = [begin(950), refused(3_000, 0, 'unknown')];
    expect(judged([...unknown], { failures, lost })).toMatchObject({
      ...{ faults: [], familiesForgotten: 1 },
    });
    expect(faultsOf([begin(880), refused(3_000, 0, 'unknown')], { failures, lost })).not.toEqual(
      [],
    );
  });

  test('a used-up token whose use was forgotten may be answered; nothing forks for that', () => {
    const history = [begin(0), refresh(20, 0), refresh(950, 1), refresh(3_000, 0)];
    expect(faultsOf(history, { failures, lost })).toEqual([]);
    const forked = [...history, refresh(3_100, 0, { given: token(1, 'b') })];
    expect(faultsOf(forked, { failures, lost })).toEqual([expect.stringMatching(/forked/)]);
  });

  test('a chain that lives is never refused, whatever was forgotten', () => {
    const history = [begin(0), refresh(20, 0), refresh(950, 1), refused(3_000, 2, 'reuse: …')];
    expect(faultsOf(history, { failures, lost })).toEqual([
      expect.stringMatching(/it was refused/),
    ]);
  });
});
