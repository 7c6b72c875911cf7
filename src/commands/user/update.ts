// symbolon user update, claims: a person's data.
import type { Command } from 'commander';
import { taken } from '../../accounts/accounts.ts';
import { changeAddress } from '../../accounts/addresses.ts';
import { type ClaimsConfig, claimsProblem } from '../../config/claims.ts';
import type { Prisma } from '../../generated/client.ts';
import { claimsOf } from '../../storage/claims-policy.ts';
import { whatChanged } from '../../storage/audit/changed.ts';
import { writtenUsername } from '../../accounts/username.ts';
import { isTaken } from '../../storage/errors.ts';
import { CommandError, asJson, change, jsonFile, print, table } from '../run.ts';
import { accountFacts, withAccount } from './account.ts';

export function updateCommand(user: Command): void {
  user
    .command('update')
    .description('change what is known of a person')
    .argument('<email>')
    .option('--name <name>', 'what applications may call the person; empty for none')
    .option('--email <address>', 'another address; it counts as verified unless you say otherwise')
    .option('--username <name>', 'what the person may sign in with as well; empty for none')
    .option('--admin', 'make the person an administrator')
    .option('--no-admin', 'make the person none')
    .option(
      '--email-verified <boolean>',
      'whether the address is known to be theirs: true or false',
    )
    .option(...asJson)
    .action(
      (
        email: string,
        options: {
          name?: string;
          email?: string;
          username?: string;
          admin?: boolean;
          emailVerified?: string;
          json?: boolean;
        },
      ): Promise<void> => {
        const { name, username, admin, emailVerified } = options;
        if (emailVerified !== undefined && !['true', 'false'].includes(emailVerified))
          throw new CommandError('--email-verified: wants true or false');
        return withAccount(email, async (account, { storage, origin }) => {
          const { id } = account;
          const changed = await change(storage, async (database, record) => {
            if (options.email !== undefined)
              await changeAddress(database, { storage, origin }, account, options.email);
            const data = {
              ...(name === undefined ? {} : { name: name.trim() || null }),
              ...(username === undefined ? {} : { username: writtenUsername(username) }),
              ...(admin === undefined ? {} : { admin }),
              ...(emailVerified === undefined ? {} : { emailVerified: emailVerified === 'true' }),
            };
            const after = await database.account
              .update({ where: { id }, data })
              .catch((error: unknown) => {
                throw isTaken(error) ? taken(error) : error;
              });
            const detail = whatChanged(accountFacts(account), accountFacts(after));
            await record({ type: 'account.changed', accountId: id, detail });
            return after;
          });
          print(options.json, accountFacts(changed), `Changed ${changed.email}.`);
        });
      },
    );
}

export function claimsCommand(user: Command): void {
  user
    .command('claims')
    .description('show what applications may be told about a person, or change it')
    .argument('<email>')
    .option('--set <file>', 'a JSON file with claims; what it sets to null is removed')
    .option(...asJson)
    .action((email: string, { set, json }: { set?: string; json?: boolean }) =>
      withAccount(email, async (account, parts) => {
        const { storage } = parts;
        let claims = account.claims as Record<string, unknown>;
        if (set !== undefined) {
          const changed = { ...claims, ...claimsIn(await jsonFile('--set', set), claimsOf(parts)) };
          claims = Object.fromEntries(
            Object.entries(changed).filter(([, value]) => value !== null),
          );
          const { id } = account;
          const data = { claims: claims as Prisma.InputJsonObject };
          await change(storage, async (database, record) => {
            await database.account.update({ where: { id }, data });
            const detail = whatChanged(account.claims as object, claims);
            await record({ type: 'account.changed', accountId: id, detail });
          });
        }
        const rows = Object.entries(claims).map(([name, value]) => [
          name,
          typeof value === 'string' ? value : JSON.stringify(value),
        ]);
        print(json, claims, table(['CLAIM', 'VALUE'], rows));
      }),
    );
}

function claimsIn(claims: Record<string, unknown>, config: ClaimsConfig): Record<string, unknown> {
  const problem = claimsProblem(claims, config);
  if (problem !== undefined) throw new CommandError(problem);
  return claims;
}
