// symbolon user password, lock, unlock, sign-out: whether and how a person can sign in.
import type { Command } from 'commander';
import {
  acceptedPassword,
  changePassword,
  lockAccount,
  signOutEverywhere,
  unlockAccount,
} from '../../accounts/changes.ts';
import { forgetGuesses } from '../../accounts/limits.ts';
import { asJson, change, print } from '../run.ts';
import { givenPassword, withAccount } from './account.ts';
import { endedAccess } from './told.ts';

export function passwordCommand(user: Command): void {
  user
    .command('password')
    .description('give a person another password; it is asked for')
    .argument('<email>')
    .option('--password-stdin', 'read the password from standard input')
    .option(...asJson)
    .action(async (email: string, options: { passwordStdin?: boolean; json?: boolean }) => {
      const password = await givenPassword(options);
      await withAccount(email, async (account, parts) => {
        const { id } = account;
        const hash = await acceptedPassword(parts.storage, parts.config, id, password);
        const ended = await change(parts.storage, (database) =>
          changePassword(database, parts, id, hash, 'command line'),
        );
        const { facts, families, applications } = await endedAccess(parts.storage, ended);
        const text = `Changed the password of ${account.email}; ${families} ended.${applications}`;
        print(options.json, facts, text);
      });
    });
}

export function lockCommand(user: Command): void {
  user
    .command('lock')
    .description('keep a person out: no sign-in, no refresh')
    .argument('<email>')
    .option(...asJson)
    .action((email: string, { json }: { json?: boolean }) =>
      withAccount(email, async (account, parts) => {
        const ended = await change(parts.storage, (database) =>
          lockAccount(database, parts, account.id),
        );
        const { facts, families, applications } = await endedAccess(parts.storage, ended);
        print(json, facts, `Locked ${account.email}; ${families} ended.${applications}`);
      }),
    );
}

export function unlockCommand(user: Command): void {
  user
    .command('unlock')
    .description('let a locked person in again, also when too many have guessed at the account')
    .argument('<email>')
    .option(...asJson)
    .action((email: string, { json }: { json?: boolean }) =>
      withAccount(email, async (account, parts) => {
        const { id, email: address } = account;
        await change(parts.storage, async (database) => {
          await unlockAccount(database, parts, id);
          await forgetGuesses(database, parts.storage.keyring, { password: address, code: id });
        });
        print(json, {}, `Unlocked ${account.email}.`);
      }),
    );
}

export function signOutCommand(user: Command): void {
  user
    .command('sign-out')
    .description('sign a person out everywhere: every browser session, every refresh-token family')
    .argument('<email>')
    .option(...asJson)
    .action((email: string, { json }: { json?: boolean }) =>
      withAccount(email, async (account, parts) => {
        const ended = await change(parts.storage, (database) =>
          signOutEverywhere(database, parts, account.id, 'revoked_by_admin'),
        );
        const { facts, families, applications } = await endedAccess(parts.storage, ended);
        const text = `Signed ${account.email} out everywhere; ${families} ended.${applications}`;
        print(json, facts, text);
      }),
    );
}
