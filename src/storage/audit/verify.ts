// Checks the seals of the audit: whether anything that was sealed has been removed, altered or added since.
import { Prisma } from '../../generated/client.ts';
import { installationSecret } from '../../keys/installation-secrets.ts';
import { type SealParts, digestOf, hashOf } from './seal.ts';

export interface Verification {
  /** What is wrong, in words. */
  readonly problems: string[];
  readonly checkpoints: number;
  readonly events: number;
  /** Events that no checkpoint covers yet. */
  readonly unsealed: number;
  /** The last checkpoint. */
  readonly head: { readonly number: bigint; readonly hash: string };
}

/**
 * Checks every checkpoint that is there, beside whatever goes on.
 *
 * @param retention seconds after which the sweep removes events: a beginning that is missing was its work if it is older
 * @param expected hashes that must be among the checkpoints, as they were told when they were made
 */
export async function verifyEvents(
  { prisma, keyring, now }: SealParts,
  retention: number,
  expected: readonly string[] = [],
): Promise<Verification> {
  const key = await installationSecret(prisma, keyring, 'audit');
  const head = await prisma.auditHead.findUnique({ where: { id: 1 } });
  const upTo = head?.number ?? 0n;
  const found: { number: bigint; problem: string }[] = [];
  const missing = new Set(expected);
  let [checkpoints, events] = [0, 0];
  let last: { number: bigint; hash: string; last: bigint } | undefined;
  let number = (await firstNumber()) ?? upTo + 1n;
  for (; number <= upTo; number += 1n) {
    const note = (problem: string) => found.push({ number, problem });
    // Both at one time: the sweep removes a checkpoint together with its events.
    const [checkpoint, covered] = await prisma.$transaction(
      async (database) => {
        const one = await database.auditCheckpoint.findUnique({ where: { number } });
        const between = one && { position: { gte: one.first, lte: one.last } };
        return [
          one,
          between
            ? await database.auditEvent.findMany({
                where: between,
                orderBy: [{ position: 'asc' }, { id: 'asc' }],
              })
            : [],
        ] as const;
      },
      { isolationLevel: Prisma.TransactionIsolationLevel.RepeatableRead },
    );
    if (!checkpoint) {
      note(`checkpoint ${number} is missing`);
      last = undefined;
      continue;
    }
    const { hash, ...sealed } = checkpoint;
    missing.delete(hash);
    if (hashOf(key, sealed) !== hash) note(`checkpoint ${number} was altered`);
    if (last && (sealed.previous !== last.hash || sealed.first !== last.last + 1n))
      note(`checkpoint ${number} does not follow checkpoint ${last.number}`);
    if (!last && checkpoints === 0) checkBeginning(sealed, note);
    const range = `events ${sealed.first} to ${sealed.last} (checkpoint ${number}, ${sealed.at.toISOString()})`;
    const expectedCount = Number(sealed.last - sealed.first) + 1;
    const positions = new Set(covered.map(({ position }) => position));
    if (positions.size < expectedCount)
      note(`${range}: ${expectedCount - positions.size} removed${gapIn(sealed, positions)}`);
    else if (covered.length > expectedCount)
      note(`${range}: ${covered.length - expectedCount} added`);
    else if (digestOf(key, covered) !== sealed.digest) note(`${range}: altered`);
    last = { number, hash, last: sealed.last };
    checkpoints += 1;
    events += covered.length;
  }
  const atEnd = { number: upTo + 1n };
  if (head && upTo > 0n && last?.hash !== head.hash)
    found.push({ ...atEnd, problem: `the last checkpoint is not ${upTo}, as it was made` });
  for (const hash of missing)
    found.push({ ...atEnd, problem: `there is no checkpoint with the hash ${hash}` });
  const first = (await firstNumber()) ?? 0n;
  const { _min: start } = await prisma.auditCheckpoint.aggregate({ _min: { first: true } });
  const strange = await prisma.auditEvent.count({
    where: { position: { not: 0n, lt: start.first ?? (head?.sealed ?? 0n) + 1n } },
  });
  if (strange > 0)
    found.push({ ...atEnd, problem: `${strange} events belong to no checkpoint that there is` });
  const unsealed = await prisma.auditEvent.count({
    where: { OR: [{ position: 0n }, { position: { gt: head?.sealed ?? 0n } }] },
  });
  return {
    // What the sweep has removed meanwhile is not missing.
    problems: found.filter((one) => one.number >= first).map(({ problem }) => problem),
    ...{ checkpoints, events, unsealed },
    head: { number: upTo, hash: head?.hash ?? '' },
  };

  async function firstNumber(): Promise<bigint | null> {
    const { _min: least } = await prisma.auditCheckpoint.aggregate({ _min: { number: true } });
    return least.number;
  }

  function checkBeginning(
    { number: first, before }: { number: bigint; before: Date | null },
    note: (problem: string) => void,
  ): void {
    if (first === 1n || before === null) return;
    if (before.getTime() > now().getTime() - retention * 1000)
      note(
        `the checkpoints before ${first} are missing, with events until ${before.toISOString()}: they were removed, or the retention was shorter then`,
      );
  }
}

function gapIn(
  { first, last }: { first: bigint; last: bigint },
  there: ReadonlySet<bigint>,
): string {
  for (let position = first; position <= last; position += 1n)
    if (!there.has(position)) return `, the first is ${position}`;
  return '';
}
