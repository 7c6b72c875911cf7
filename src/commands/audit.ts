// symbolon audit: reads the audit in its order, follows it, and checks its seals.
import { once } from 'node:events';
import { setTimeout as pause } from 'node:timers/promises';
import { type Command, InvalidArgumentError, Option } from 'commander';
import type { AuditEvent, PrismaClient } from '../generated/client.ts';
import { type EventType, eventTypes, ocsfClassOf } from '../storage/audit/types.ts';
import { placeEvents } from '../storage/audit/order.ts';
import { type EventFilter, beforeLast, readEvents } from '../storage/audit/read.ts';
import { verifyEvents } from '../storage/audit/verify.ts';
import { StorageUnavailable, unlessUnavailable } from '../storage/errors.ts';
import { type Actor, actorKinds } from '../storage/origin.ts';
import { CommandError, asJson, existingAccount, print, withStorage } from './run.ts';

const LAST = 50; // events that are shown when no beginning is named
const EVERY = 1_000; // milliseconds between two looks

interface Options {
  since?: Date;
  until?: Date;
  type?: EventType[];
  user?: string;
  client?: string;
  family?: string;
  actor?: { kind: Actor['kind']; id?: string };
  after?: bigint;
  limit?: number;
  follow?: boolean;
  json?: boolean;
}

export function addAuditCommands(audit: Command): void {
  audit
    .enablePositionalOptions() // those behind `verify` are its own
    .option('--since <time>', 'only events since: 15m, 2h, 1d, or 2026-11-28T14:30:00Z', timeOption)
    .option('--until <time>', 'only events before', timeOption)
    .addOption(
      new Option(
        '--type <type...>',
        'only events of these types (docs/audit.md lists them)',
      ).choices(Object.keys(eventTypes)),
    )
    .option('--user <email>', 'only what happened to this person; of who was removed, the id (sub)')
    .option('--client <client_id>', 'only what this application was part of')
    .option('--family <id>', 'only what happened to this refresh-token family')
    .option(
      '--actor <kind[:id]>',
      `only what was done by: ${actorKinds.join(', ')}, or one of them, as in client:web`,
      actorOption,
    )
    .option('--after <cursor>', 'only events after this one, the last that was read', cursorOption)
    .option(
      '--limit <number>',
      `at most so many (default: all; without --since and --after the last ${LAST})`,
      countOption,
    )
    .option('--follow', 'go on with what happens from now on, until it is interrupted')
    .option('--json', 'print one JSON object a line, for a program to read')
    .action((options: Options) =>
      withStorage(async ({ storage: { prisma } }) => {
        if (options.follow && options.until)
          throw new CommandError('--follow and --until exclude each other.');
        await show(prisma, options);
      }),
    );

  audit
    .command('verify')
    .description('check the seals: whether an event or a checkpoint was removed, altered or added')
    .option(
      '--expect <hash...>',
      'a checkpoint’s hash, as the server’s log told it: the checkpoint must be there',
    )
    .option(...asJson)
    .action(({ expect, json }: { expect?: string[]; json?: boolean }) =>
      withStorage(async ({ config, storage }) => {
        const retention = config.auditRetentionDays * 86_400;
        const found = await verifyEvents(storage, retention, expect);
        const { problems, checkpoints, events, unsealed, head } = found;
        const [number, { hash }] = [Number(head.number), head];
        const counted = `${events} events in ${checkpoints} checkpoints, the last ${number}, ${hash}; ${unsealed} are not sealed yet.`;
        print(
          json,
          { intact: problems.length === 0, ...found, head: { number, hash } },
          problems.length === 0 ? `Intact: ${counted}` : `${problems.join('\n')}\n\n${counted}`,
        );
        if (problems.length > 0) process.exitCode = 1;
      }),
    );
}

/** Prints the events, and with `follow` those that come, each once. */
async function show(prisma: PrismaClient, options: Options): Promise<void> {
  const { user, after, limit, follow = false, json = false, ...rest } = options;
  const { type: types, client: clientId, family, actor, since, until } = rest;
  const filter: EventFilter = {
    ...{ types, since, until, clientId, actor },
    familyId: family?.replace(/^symr_/, '').split('.')[0],
    accountId: user?.includes('@') ? (await existingAccount(prisma, user)).id : user,
  };
  const stopping = new AbortController();
  const stop = () => {
    stopping.abort();
  };
  if (follow) for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, stop);
  process.stdout.on('error', stop); // nobody reads any more
  const isStopped = () => stopping.signal.aborted;

  let upTo = await placeEvents(prisma);
  if (after !== undefined && after > upTo)
    throw new CommandError(
      `--after: the audit ends at ${upTo}. Was the database restored since the cursor was read? What came after it then is gone; begin again with --since.`,
    );
  const isTail = after === undefined && since === undefined;
  let read =
    after ?? (isTail ? await beforeLast(prisma, filter, { upTo, most: limit ?? LAST }) : 0n);
  for (let left = limit ?? Infinity; !isStopped();) {
    for await (const event of readEvents(prisma, filter, { after: read, upTo, most: left })) {
      if (isStopped()) return;
      read = event.position;
      left -= 1;
      await write(json ? JSON.stringify(facts(event)) : line(event));
    }
    if (left <= 0 || !follow) break;
    read = upTo;
    upTo = await nextEvents(prisma, read, stopping.signal);
  }
  if (limit !== undefined && !isTail && !follow && !json)
    process.stderr.write(`--after ${read} goes on from here.\n`);
}

/** Waits for events after a position. A database that is away for a time is asked again. @returns the last position */
async function nextEvents(
  prisma: PrismaClient,
  read: bigint,
  stopping: AbortSignal,
): Promise<bigint> {
  for (let isAway = false; ;) {
    await pause(EVERY, undefined, { signal: stopping }).catch(() => undefined);
    if (stopping.aborted) return read;
    try {
      const upTo = await unlessUnavailable(() => placeEvents(prisma));
      if (upTo < read)
        throw new CommandError('The database was restored: it has forgotten events. Begin again.');
      if (upTo > read) return upTo;
      isAway = false;
    } catch (error) {
      if (!(error instanceof StorageUnavailable)) throw error;
      if (!isAway) process.stderr.write('The database does not answer; it is asked again.\n');
      isAway = true;
    }
  }
}

async function write(text: string): Promise<void> {
  if (!process.stdout.write(`${text}\n`))
    await once(process.stdout, 'drain').catch(() => undefined);
}

/** An event for a program. `cursor` is what `--after` takes. */
function facts(event: AuditEvent) {
  const { position, at, type, actorKind, actorId, requestId, accountId, clientId } = event;
  return {
    cursor: String(position),
    at,
    type,
    ocsf_class_uid: ocsfClassOf(type),
    actor: actorKind === null ? null : { kind: actorKind, id: actorId },
    request_id: requestId,
    account_id: accountId,
    client_id: clientId,
    family_id: event.familyId,
    ip: event.ip,
    user_agent: event.userAgent,
    detail: event.detail,
  };
}

/** An event for a person, in a line. */
function line(event: AuditEvent): string {
  const { position, at, type, actorKind, actorId, accountId, clientId, familyId, ip } = event;
  const members = Object.entries({
    by: actorKind === null ? undefined : `${actorKind}:${actorId ?? ''}`,
    account: accountId,
    client: clientId,
    family: familyId,
    ip,
    request: event.requestId,
    ...(event.detail as object),
  }).filter(([, value]) => value !== null && value !== undefined);
  const shown = members.map(([name, value]) => `${name}=${plain(value)}`);
  return [String(position).padStart(8), at.toISOString(), type, ...shown].join('  ');
}

// Text from outside must neither control the terminal nor look like another member.
function plain(value: unknown): string {
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  return /^[\x21-\x7e]+$/.test(text) && typeof value === 'string'
    ? text
    : JSON.stringify(value).replace(/[\u007f-\u009f\u2028\u2029\u202a-\u202e]/g, '\ufffd');
}

const units = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 } as const;

function timeOption(text: string): Date {
  const [, count, unit] = /^(\d{1,6})([smhdw])$/.exec(text) ?? [];
  if (count !== undefined)
    return new Date(Date.now() - Number(count) * units[unit as keyof typeof units]);
  const isTime = /^\d{4}-\d\d-\d\d([Tt ]\d\d:\d\d(:\d\d(\.\d+)?)?([Zz]|[+-]\d\d:\d\d)?)?$/.test(
    text,
  );
  const time = new Date(text);
  if (!isTime || Number.isNaN(time.getTime()))
    throw new InvalidArgumentError('A time looks like 15m, 2h, 1d or 2026-11-28T14:30:00Z.');
  return time;
}

function actorOption(text: string): Options['actor'] {
  const [given = '', ...rest] = text.split(':');
  const kind = actorKinds.find((one) => one === given);
  if (!kind)
    throw new InvalidArgumentError(`An actor is ${actorKinds.join(', ')}, or as client:web.`);
  return rest.length === 0 ? { kind } : { kind, id: rest.join(':') };
}

function cursorOption(text: string): bigint {
  if (!/^\d{1,18}$/.test(text))
    throw new InvalidArgumentError('A cursor is the number that an event begins with.');
  return BigInt(text);
}

function countOption(text: string): number {
  const count = Number(text);
  if (!Number.isInteger(count) || count < 1)
    throw new InvalidArgumentError('It is a number from 1.');
  return count;
}
