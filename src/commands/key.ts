// symbolon key: the keys that sign tokens.
import type { Command } from 'commander';
import { keySchedule } from '../app.ts';
import { keyStates, rotateKeys } from '../keys/signing-keys.ts';
import { recordKeys } from '../storage/audit/keys.ts';
import { commandLine } from '../storage/origin.ts';
import { CommandError, asJson, change, date, print, table, withStorage } from './run.ts';

export function addKeyCommands(key: Command): void {
  key
    .command('list')
    .description('list every key: next, current or retired')
    .option(...asJson)
    .action(({ json }: { json?: boolean }) =>
      withStorage(async ({ config, storage }) => {
        const { prisma, now } = storage;
        const keys = await prisma.signingKey.findMany({
          orderBy: [{ alg: 'asc' }, { createdAt: 'asc' }],
          select: { kid: true, alg: true, createdAt: true, signsFrom: true, retiredAt: true },
        });
        const states = keyStates(keys, now(), keySchedule(config));
        const shown = keys.map(({ kid, alg, createdAt, signsFrom }) => ({
          kid,
          alg,
          state: states.get(kid) ?? 'gone',
          published: createdAt,
          signs_from: signsFrom,
        }));
        const rows = shown.map(({ kid, alg, state, published, signs_from: from }) => [
          kid,
          alg,
          state,
          date(published),
          from ? date(from) : '',
        ]);
        print(json, shown, table(['KID', 'ALG', 'STATE', 'PUBLISHED', 'SIGNS FROM'], rows));
      }),
    );

  key
    .command('rotate')
    .description('have the next keys sign, as soon as everybody can know them')
    .option('--now', 'at once, also when they were published only lately')
    .option(...asJson)
    .action(({ now: atOnce = false, json }: { now?: boolean; json?: boolean }) =>
      withStorage(async ({ config, storage }) => {
        const { prisma, keyring, now } = storage;
        const schedule = keySchedule(config);
        const record = recordKeys({ now: now(), origin: commandLine }, { now: atOnce });
        const rotated = await rotateKeys(prisma, keyring, now(), schedule, atOnce, record);
        const rows = rotated.map(({ kid, alg, signsFrom }) => [kid, alg, date(signsFrom)]);
        print(json, rotated, table(['KID', 'ALG', 'SIGNS FROM'], rows));
      }),
    );

  key
    .command('remove')
    .description('withdraw a retired key: what it has signed is not valid any more')
    .argument('<kid>')
    .option(...asJson)
    .action((kid: string, { json }: { json?: boolean }) =>
      withStorage(async ({ config, storage }) => {
        const { prisma, now } = storage;
        const keys = await prisma.signingKey.findMany();
        const state = keyStates(keys, now(), keySchedule(config)).get(kid);
        if (state === undefined) throw new CommandError(`There is no key "${kid}".`);
        if (state === 'current' || state === 'next')
          throw new CommandError(`The key signs, or will: "symbolon key rotate --now" first.`);
        await change(storage, async (database, record) => {
          await database.signingKey.delete({ where: { kid } });
          await record({ type: 'key.removed', detail: { kids: [kid] } });
        });
        print(json, { kid, removed: true }, `Removed ${kid}.`);
      }),
    );
}
