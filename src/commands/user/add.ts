// symbolon user add, invite: make accounts, or invite people to make theirs.
import type { Command } from 'commander';
import { checkAccount, createAccount, subInput } from '../../accounts/accounts.ts';
import { joinGroups } from '../../accounts/groups.ts';
import { invite } from '../../accounts/invitations.ts';
import { writtenUsername } from '../../accounts/username.ts';
import { commandLine } from '../../storage/origin.ts';
import { CommandError, asJson, change, date, print, secondsIn, withStorage } from '../run.ts';
import { accountFacts, givenPassword } from './account.ts';

export function addCommand(user: Command): void {
  user
    .command('add')
    .description('add a person; the password is asked for')
    .argument('<email>')
    .option('--name <name>', 'what applications may call the person')
    .option('--admin', 'make the person an administrator')
    .option('--no-verified', 'whether the address is the person’s is not known')
    .option('--username <name>', 'what the person may sign in with as well')
    .option('--group <name...>', 'the groups that the person is in')
    .option('--id <sub>', 'the sub that applications know the person by, kept from elsewhere')
    .option('--password-stdin', 'read the password from standard input')
    .option(...asJson)
    .action(async (email: string, options: AddOptions) => {
      const sub = subInput.optional().safeParse(options.id);
      if (!sub.success) throw new CommandError(`--id: ${sub.error.issues[0]?.message ?? ''}`);
      const password = await givenPassword(options);
      await withStorage(async ({ config, storage }) => {
        const wanted = await checkAccount({ email, name: options.name, password }, config);
        const account = await change(storage, async (database, record) => {
          const { admin = false, verified, id, group = [] } = options;
          if (id !== undefined && (await database.account.findUnique({ where: { id } })))
            throw new CommandError('--id: somebody has this sub already');
          const username = writtenUsername(options.username ?? '');
          const how = { admin, emailVerified: verified, username, id };
          const made = await createAccount(database, wanted, how);
          const detail = { by: 'command line' };
          await record({ type: 'account.added', accountId: made.id, detail });
          await joinGroups(database, { storage, origin: commandLine }, made.id, group);
          return { ...made, groups: [...new Set(group)].sort() };
        });
        print(options.json, accountFacts(account), `Added ${account.email}.`);
      });
    });
}

export function inviteCommand(user: Command): void {
  user
    .command('invite')
    .description('invite a person by a link, which is printed; if mail is on, another is mailed')
    .argument('<email>')
    .option('--name <name>', 'filled in for the person, who may change it')
    .option('--expires-in <seconds>', 'how long the link works', '604800')
    .option(...asJson)
    .action(
      (
        email: string,
        options: { name?: string; expiresIn: string; json?: boolean },
      ): Promise<void> =>
        withStorage(async ({ config, storage }) => {
          const seconds = secondsIn('--expires-in', options.expiresIn);
          const invitation = { email, name: options.name, seconds };
          const { url, expiresAt, isMailed } = await change(storage, async (database, record) => {
            await record({ type: 'account.invited', detail: { by: 'command line' } });
            return invite(database, { config, storage }, invitation);
          });
          print(
            options.json,
            { url, expires_at: expiresAt, mailed: isMailed },
            `${url}\n\nIt works once, until ${date(expiresAt)} UTC. ${
              isMailed
                ? 'The running provider mails another, which also confirms the address.'
                : 'Mail is off (SYMBOLON_SMTP_URL): send it to the person yourself.'
            }`,
          );
        }),
    );
}

interface AddOptions {
  name?: string;
  username?: string;
  group?: string[];
  admin?: boolean;
  verified: boolean;
  id?: string;
  passwordStdin?: boolean;
  json?: boolean;
}
