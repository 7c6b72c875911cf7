// symbolon user factors, reset-factors: the factors that a person signs in with.
import type { Command } from 'commander';
import { resetFactors } from '../../accounts/changes.ts';
import { factorsOf } from '../../accounts/factors.ts';
import { asJson, change, date, print, table } from '../run.ts';
import { withAccount } from './account.ts';
import { endedAccess } from './told.ts';

export function factorsCommand(user: Command): void {
  user
    .command('factors')
    .description('show what a person signs in with')
    .argument('<email>')
    .option(...asJson)
    .action((email: string, { json }: { json?: boolean }) =>
      withAccount(email, async ({ id }, { storage: { prisma } }) => {
        const { password, totp, recoveryCodes } = await factorsOf(prisma, id);
        const passkeys = (
          await prisma.passkey.findMany({ where: { accountId: id }, orderBy: { createdAt: 'asc' } })
        ).map(({ name, synced, createdAt, lastUsedAt }) => ({
          name,
          synced,
          created_at: createdAt,
          last_used_at: lastUsedAt,
        }));
        const rows = [
          ['password', password ? 'yes' : 'no', ''],
          ...passkeys.map(({ name, synced, last_used_at: used }) => [
            'passkey',
            `${name}${synced ? ' (synchronised)' : ''}`,
            date(used),
          ]),
          ['one-time codes', totp ? 'yes' : 'no', ''],
          ['recovery codes', `${recoveryCodes} left`, ''],
        ];
        print(
          json,
          { password, passkeys, totp, recovery_codes: recoveryCodes },
          table(['FACTOR', '', 'LAST USED'], rows),
        );
      }),
    );
}

export function resetFactorsCommand(user: Command): void {
  user
    .command('reset-factors')
    .description(
      'take every factor but the password from a person who has lost them, and sign them out',
    )
    .argument('<email>')
    .option(...asJson)
    .action((email: string, { json }: { json?: boolean }) =>
      withAccount(email, async (account, parts) => {
        const { had, ...ended } = await change(parts.storage, (database) =>
          resetFactors(database, parts, account.id),
        );
        const { passkeys, totp, recoveryCodes } = had;
        const { facts, applications } = await endedAccess(parts.storage, ended);
        print(
          json,
          { passkeys, totp, recovery_codes: recoveryCodes, applications: facts.applications },
          `${account.email} signs in with the password alone now; every browser session ended.${applications}`,
        );
      }),
    );
}
