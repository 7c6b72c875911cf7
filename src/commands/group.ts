// symbolon group: groups of people, and who is in them.
import type { Command } from 'commander';
import { listAccounts } from '../accounts/accounts.ts';
import {
  addGroup,
  existingGroup,
  joinGroups,
  leaveGroup,
  listGroups,
  removeGroup,
} from '../accounts/groups.ts';
import { commandLine } from '../storage/origin.ts';
import { asJson, change, countOption, print, table, withStorage } from './run.ts';
import { withAccount } from './user/account.ts';
import { endedAccess } from './user/told.ts';

const origin = commandLine;

export function addGroupCommands(group: Command): void {
  group
    .command('add')
    .description('make a group')
    .argument('<name>')
    .option('--description <text>', 'what it is for')
    .option(...asJson)
    .action((name: string, { description, json }: { description?: string; json?: boolean }) =>
      withStorage(async ({ storage }) => {
        const group = { name, description };
        await change(storage, (database) => addGroup(database, { storage, origin }, group));
        print(json, group, `Added the group ${name}.`);
      }),
    );

  group
    .command('list')
    .description('list the groups, with how many people are in each')
    .option(...asJson)
    .action(({ json }: { json?: boolean }) =>
      withStorage(async ({ storage: { prisma } }) => {
        const groups = await listGroups(prisma);
        const rows = groups.map((one) => [one.name, String(one.members), one.description ?? '']);
        print(json, groups.map(groupFacts), table(['NAME', 'PEOPLE', ''], rows));
      }),
    );

  group
    .command('show')
    .description('show one group: who is in it, and which applications are for it')
    .argument('<name>')
    .option('--limit <number>', 'at most so many people', countOption, 50)
    .option('--after <email>', 'go on after this address, the last of the page before')
    .option(...asJson)
    .action((name: string, { limit, after, json }: ShowOptions) =>
      withStorage(async ({ storage: { prisma } }) => {
        const group = await existingGroup(prisma, name);
        const found = await listAccounts(prisma, { group: name, after, limit: limit + 1 });
        const people = found.slice(0, limit).map(({ email }) => email);
        const members = await prisma.account.count({ where: { groups: { has: name } } });
        const clients = await prisma.client.findMany({
          where: { metadata: { path: ['allowed_groups'], array_contains: [name] } },
          orderBy: { id: 'asc' },
        });
        const applications = clients.map(({ id }) => id);
        const more = found.length > limit ? `\n\nThere are more: --after ${people.at(-1)}` : '';
        print(
          json,
          { ...groupFacts({ ...group, members }), people, applications },
          `${name}${group.description ? `: ${group.description}` : ''}\n` +
            `For its members: ${applications.join(', ') || 'no application in particular'}\n\n` +
            `${members} in it\n${people.map((email) => `  ${email}`).join('\n')}${more}`.trim(),
        );
      }),
    );

  group
    .command('remove')
    .description('remove a group; who may not use an application any more loses it at once')
    .argument('<name>')
    .option(...asJson)
    .action((name: string, { json }: { json?: boolean }) =>
      withStorage(async ({ storage }) => {
        const ended = await change(storage, (database) =>
          removeGroup(database, { storage, origin }, name),
        );
        const { facts, families, applications } = await endedAccess(storage, ended);
        const { members } = ended;
        print(
          json,
          { name, removed: true, members, ...facts },
          `Removed the group ${name}, with ${members} in it; ${families} ended.${applications}`,
        );
      }),
    );

  const member = group.command('member').description('who is in a group');
  member
    .command('add')
    .description('put a person into a group')
    .argument('<name>')
    .argument('<email>')
    .option(...asJson)
    .action((name: string, email: string, { json }: { json?: boolean }) =>
      withAccount(email, async (account, parts) => {
        await change(parts.storage, (database) => joinGroups(database, parts, account.id, [name]));
        print(json, { name, email: account.email }, `${account.email} is in the group ${name}.`);
      }),
    );
  member
    .command('remove')
    .description('take a person out of a group; what they may not use any more ends at once')
    .argument('<name>')
    .argument('<email>')
    .option(...asJson)
    .action((name: string, email: string, { json }: { json?: boolean }) =>
      withAccount(email, async (account, parts) => {
        const ended = await change(parts.storage, (database) =>
          leaveGroup(database, parts, account.id, name),
        );
        const { facts, families, applications } = await endedAccess(parts.storage, ended);
        print(
          json,
          { name, email: account.email, ...facts },
          `${account.email} is not in the group ${name} any more; ${families} ended.${applications}`,
        );
      }),
    );
}

function groupFacts(group: {
  readonly name: string;
  readonly description: string | null;
  readonly members: number;
  readonly createdAt: Date;
}) {
  const { name, description, members, createdAt } = group;
  return { name, description, members, created_at: createdAt };
}

interface ShowOptions {
  limit: number;
  after?: string;
  json?: boolean;
}
