// symbolon user: adding and looking at people.
import type { Command } from 'commander';
import {
  AccountError,
  checkAccount,
  createAccount,
  findAccountByEmail,
  listAccounts,
} from '../accounts/accounts.ts';
import {
  type ChangeParts,
  acceptedPassword,
  changePassword,
  lockAccount,
  resetFactors,
  signOutEverywhere,
  unlockAccount,
} from '../accounts/changes.ts';
import { factorsOf } from '../accounts/factors.ts';
import { invite } from '../accounts/invitations.ts';
import { type ClaimsConfig, accountClaimTypes, claimTypes } from '../config/claims.ts';
import type { Config } from '../config/config.ts';
import type { Account, Prisma } from '../generated/client.ts';
import { commandLine } from '../storage/origin.ts';
import {
  CommandError,
  askSecret,
  change,
  date,
  jsonFile,
  print,
  secretFromStdin,
  table,
  withStorage,
} from './run.ts';

export function addUserCommands(symbolon: Command): void {
  const user = symbolon.command('user').description('people who can sign in');

  user
    .command('add')
    .description('add a person; the password is asked for')
    .argument('<email>')
    .option('--name <name>', 'what applications may call the person')
    .option('--admin', 'make the person an administrator')
    .option('--password-stdin', 'read the password from standard input')
    .option('--json', 'print JSON for a program to read')
    .action(
      async (
        email: string,
        options: { name?: string; admin?: boolean; passwordStdin?: boolean; json?: boolean },
      ) => {
        const password = options.passwordStdin
          ? await secretFromStdin('password')
          : await askSecret('Password', '--password-stdin');
        await withStorage(async ({ storage }) => {
          try {
            const wanted = await checkAccount({ email, name: options.name, password });
            const account = await change(storage, async (database, record) => {
              const made = await createAccount(database, wanted, { admin: options.admin ?? false });
              const detail = { by: 'command line' };
              await record({ type: 'account.added', accountId: made.id, detail });
              return made;
            });
            print(options.json, shown(account), `Added ${account.email}.`);
          } catch (error) {
            if (error instanceof AccountError)
              throw new CommandError(`${error.field}: ${error.message}`);
            throw error;
          }
        });
      },
    );

  user
    .command('invite')
    .description('invite a person by a link, which is printed, and mailed if mail is on')
    .argument('<email>')
    .option('--name <name>', 'filled in for the person, who may change it')
    .option('--expires-in <seconds>', 'how long the link works', '604800')
    .option('--json', 'print JSON for a program to read')
    .action(
      (
        email: string,
        options: { name?: string; expiresIn: string; json?: boolean },
      ): Promise<void> =>
        withStorage(async ({ config, storage }) => {
          const seconds = Number(options.expiresIn);
          if (!/^[1-9]\d{0,7}$/.test(options.expiresIn))
            throw new CommandError('--expires-in: wants a number of seconds');
          try {
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
                  ? 'The running provider mails it, too.'
                  : 'Mail is off (SYMBOLON_SMTP_URL): send it to the person yourself.'
              }`,
            );
          } catch (error) {
            if (error instanceof AccountError)
              throw new CommandError(`${error.field}: ${error.message}`);
            throw error;
          }
        }),
    );

  user
    .command('update')
    .description('change what is known of a person')
    .argument('<email>')
    .option('--name <name>', 'what applications may call the person; empty for none')
    .option(
      '--email-verified <boolean>',
      'whether the address is known to be theirs: true or false',
    )
    .option('--json', 'print JSON for a program to read')
    .action(
      (
        email: string,
        options: { name?: string; emailVerified?: string; json?: boolean },
      ): Promise<void> => {
        const { name, emailVerified } = options;
        if (emailVerified !== undefined && !['true', 'false'].includes(emailVerified))
          throw new CommandError('--email-verified: wants true or false');
        return withAccount(email, async ({ id }, { storage }) => {
          const changed = await change(storage, async (database, record) => {
            await record({ type: 'account.changed', accountId: id });
            return database.account.update({
              where: { id },
              data: {
                ...(name === undefined ? {} : { name: name.trim() || null }),
                ...(emailVerified === undefined ? {} : { emailVerified: emailVerified === 'true' }),
              },
            });
          });
          print(options.json, shown(changed), `Changed ${changed.email}.`);
        });
      },
    );

  user
    .command('claims')
    .description('show what applications may be told about a person, or change it')
    .argument('<email>')
    .option('--set <file>', 'a JSON file with claims; what it sets to null is removed')
    .option('--json', 'print JSON for a program to read')
    .action((email: string, { set, json }: { set?: string; json?: boolean }) =>
      withAccount(email, async (account, { config, storage }) => {
        let claims = account.claims as Record<string, unknown>;
        if (set !== undefined) {
          const changed = { ...claims, ...claimsIn(await jsonFile('--set', set), config.claims) };
          claims = Object.fromEntries(
            Object.entries(changed).filter(([, value]) => value !== null),
          );
          const { id } = account;
          const data = { claims: claims as Prisma.InputJsonObject };
          await change(storage, async (database, record) => {
            await database.account.update({ where: { id }, data });
            await record({ type: 'account.changed', accountId: id });
          });
        }
        const rows = Object.entries(claims).map(([name, value]) => [
          name,
          typeof value === 'string' ? value : JSON.stringify(value),
        ]);
        print(json, claims, table(['CLAIM', 'VALUE'], rows));
      }),
    );

  user
    .command('list')
    .description('list everyone')
    .option('--json', 'print JSON for a program to read')
    .action(({ json }: { json?: boolean }) =>
      withStorage(async ({ storage: { prisma } }) => {
        const accounts = await listAccounts(prisma);
        const rows = accounts.map((account) => [
          account.email,
          account.name ?? '',
          account.admin ? 'yes' : '',
          date(account.createdAt),
        ]);
        print(json, accounts.map(shown), table(['E-MAIL', 'NAME', 'ADMIN', 'ADDED'], rows));
      }),
    );

  user
    .command('show')
    .description('show one person')
    .argument('<email>')
    .option('--json', 'print JSON for a program to read')
    .action((email: string, { json }: { json?: boolean }) =>
      withAccount(email, (account) => {
        const { admin, ...rest } = shown(account);
        const lines = Object.entries({ ...rest, admin: admin ? 'yes' : 'no' }).map(
          ([name, value]) => [name, String(value ?? '-')],
        );
        print(json, shown(account), table(['', ''], lines).trim());
      }),
    );

  user
    .command('password')
    .description('give a person another password; it is asked for')
    .argument('<email>')
    .option('--password-stdin', 'read the password from standard input')
    .option('--json', 'print JSON for a program to read')
    .action(async (email: string, options: { passwordStdin?: boolean; json?: boolean }) => {
      const password = options.passwordStdin
        ? await secretFromStdin('password')
        : await askSecret('Password', '--password-stdin');
      await withAccount(email, async (account, parts) => {
        const { id } = account;
        const hash = await acceptedPassword(parts.storage, id, password);
        const ended = await change(parts.storage, (database) =>
          changePassword(database, parts, id, hash, 'command line'),
        );
        print(
          options.json,
          { ended },
          `Changed the password of ${account.email}; ${families(ended)} ended.`,
        );
      });
    });

  user
    .command('lock')
    .description('keep a person out: no sign-in, no refresh')
    .argument('<email>')
    .option('--json', 'print JSON for a program to read')
    .action((email: string, { json }: { json?: boolean }) =>
      withAccount(email, async (account, parts) => {
        const ended = await change(parts.storage, (database) =>
          lockAccount(database, parts, account.id),
        );
        print(json, { ended }, `Locked ${account.email}; ${families(ended)} ended.`);
      }),
    );

  user
    .command('unlock')
    .description('let a locked person in again')
    .argument('<email>')
    .option('--json', 'print JSON for a program to read')
    .action((email: string, { json }: { json?: boolean }) =>
      withAccount(email, async (account, parts) => {
        await change(parts.storage, (database) => unlockAccount(database, account.id));
        print(json, {}, `Unlocked ${account.email}.`);
      }),
    );

  user
    .command('factors')
    .description('show what a person signs in with')
    .argument('<email>')
    .option('--json', 'print JSON for a program to read')
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

  user
    .command('reset-factors')
    .description(
      'take every factor but the password from a person who has lost them, and sign them out',
    )
    .argument('<email>')
    .option('--json', 'print JSON for a program to read')
    .action((email: string, { json }: { json?: boolean }) =>
      withAccount(email, async (account, parts) => {
        const { passkeys, totp, recoveryCodes } = await change(parts.storage, (database) =>
          resetFactors(database, parts, account.id),
        );
        print(
          json,
          { passkeys, totp, recovery_codes: recoveryCodes },
          `${account.email} signs in with the password alone now; every browser session ended.`,
        );
      }),
    );

  user
    .command('sign-out')
    .description('sign a person out everywhere: every browser session, every refresh-token family')
    .argument('<email>')
    .option('--json', 'print JSON for a program to read')
    .action((email: string, { json }: { json?: boolean }) =>
      withAccount(email, async (account, parts) => {
        const ended = await change(parts.storage, (database) =>
          signOutEverywhere(database, parts, account.id, 'revoked_by_admin'),
        );
        print(json, { ended }, `Signed ${account.email} out everywhere; ${families(ended)} ended.`);
      }),
    );
}

/** Runs a command on one person's account. */
function withAccount(
  email: string,
  work: (account: Account, parts: ChangeParts & { config: Config }) => Promise<void> | void,
): Promise<void> {
  return withStorage(async ({ storage, config }) => {
    const account = await findAccountByEmail(storage.prisma, email);
    if (!account) throw new CommandError(`There is no account with the e-mail address ${email}.`);
    try {
      await work(account, { storage, config, origin: commandLine });
    } catch (error) {
      if (error instanceof AccountError) throw new CommandError(`${error.field}: ${error.message}`);
      throw error;
    }
  });
}

function families(count: number): string {
  return count === 1 ? 'one refresh-token family' : `${count} refresh-token families`;
}

function shown({ id, email, emailVerified, name, admin, lockedAt, createdAt }: Account) {
  return {
    sub: id,
    email,
    email_verified: emailVerified,
    name,
    admin,
    locked_at: lockedAt,
    created_at: createdAt,
  };
}

// Each claim has a type; one that the settings do not know would never be told to anybody.
function claimsIn(claims: Record<string, unknown>, config: ClaimsConfig): Record<string, unknown> {
  const types = accountClaimTypes(config);
  for (const [name, value] of Object.entries(claims)) {
    const type = types[name];
    if (!type)
      throw new CommandError(
        `${name}: there is no such claim. It is a standard one of OpenID Connect, or one of SYMBOLON_CLAIMS_FILE; the name has "symbolon user update".`,
      );
    if (value !== null && !claimTypes[type].safeParse(value).success)
      throw new CommandError(`${name}: wants ${type}, got ${JSON.stringify(value)}`);
  }
  return claims;
}
