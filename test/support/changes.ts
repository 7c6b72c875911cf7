// Changes of accounts and of their factors, each in a transaction of its own, as a command makes them.
import { commandLine } from '../../src/storage/origin.ts';
import * as addresses from '../../src/accounts/addresses.ts';
import * as changes from '../../src/accounts/changes.ts';
import type { FactorParts } from '../../src/accounts/factors.ts';
import * as invitations from '../../src/accounts/invitations.ts';
import * as passkeys from '../../src/accounts/passkeys.ts';
import * as recoveryCodes from '../../src/accounts/recovery-codes.ts';
import * as totp from '../../src/accounts/totp.ts';
import type { Config } from '../../src/config/config.ts';
import type { Account, Passkey, Prisma } from '../../src/generated/client.ts';
import { english } from '../../src/languages.ts';
import type { Storage } from '../../src/storage/storage.ts';

type Database = Prisma.TransactionClient;
type Parts = Parameters<typeof changes.changePassword>[1] & {
  readonly config: Pick<Config, 'issuer' | 'theme'>;
};

interface WithDatabase {
  readonly storage: Pick<Storage, 'prisma'>;
  /** What else is done in the transaction. */
  readonly also?: (database: Database) => Promise<unknown>;
}

function inTransaction<T>(
  { storage, also }: WithDatabase,
  work: (database: Database) => Promise<T>,
): Promise<T> {
  return storage.prisma.$transaction(async (database) => {
    const done = await work(database);
    await also?.(database);
    return done;
  });
}

export async function changePassword(
  parts: Parts,
  id: string,
  password: string,
  also?: WithDatabase['also'],
): Promise<number> {
  const hash = await changes.acceptedPassword(parts.storage, parts.config, id, password);
  const { families } = await inTransaction(
    { storage: parts.storage, ...(also ? { also } : {}) },
    (database) => changes.changePassword(database, parts, id, hash),
  );
  return families;
}

export const lockAccount = async (parts: Parts, id: string) => {
  const lock = (database: Database) => changes.lockAccount(database, parts, id);
  return (await inTransaction(parts, lock)).families;
};

export const unlockAccount = (parts: Pick<Parts, 'storage'>, id: string) =>
  inTransaction(parts, (database) =>
    changes.unlockAccount(database, { origin: commandLine, ...parts }, id),
  );

export const signOutEverywhere = async (
  parts: Omit<Parts, 'config'>,
  id: string,
  reason: 'revoked_by_user' | 'revoked_by_admin',
) => {
  const end = (database: Database) => changes.signOutEverywhere(database, parts, id, reason);
  return (await inTransaction(parts, end)).families;
};

export const resetFactors = async (parts: Omit<Parts, 'config'>, id: string) => {
  const reset = (database: Database) => changes.resetFactors(database, parts, id);
  return (await inTransaction(parts, reset)).had;
};

export const beginTotp = (
  parts: { readonly storage: Storage; readonly config: Config },
  account: Pick<Account, 'id' | 'email'>,
) => inTransaction(parts, (database) => totp.beginTotp(database, parts, account));

export const confirmTotp = (parts: FactorParts & WithDatabase, accountId: string, code: string) =>
  inTransaction(parts, (database) => totp.confirmTotp(database, parts, accountId, code));

export const removeTotp = (parts: FactorParts & WithDatabase, accountId: string) =>
  inTransaction(parts, (database) => totp.removeTotp(database, parts, accountId));

export const makeRecoveryCodes = (parts: FactorParts & WithDatabase, accountId: string) =>
  inTransaction(parts, (database) => recoveryCodes.makeRecoveryCodes(database, parts, accountId));

/** Within a unit of work. */
export async function addPasskey(
  parts: passkeys.PasskeyParts,
  accountId: string,
  answer: Omit<Parameters<typeof passkeys.verifyNewPasskey>[2], 'language'>,
): Promise<Passkey> {
  const passkey = await passkeys.verifyNewPasskey(parts, accountId, {
    ...answer,
    language: english(),
  });
  await inTransaction(parts, (database) => passkeys.addPasskey(database, parts, passkey));
  return passkey;
}

export const removePasskey = (parts: FactorParts & WithDatabase, accountId: string, id: string) =>
  inTransaction(parts, (database) => passkeys.removePasskey(database, parts, accountId, id));

export const askForVerification = (storage: Storage, account: Account) =>
  inTransaction({ storage }, (database) =>
    addresses.askForVerification(database, storage, account),
  );

export const askForEmailChange = (storage: Storage, account: Account, wanted: string) =>
  inTransaction({ storage }, (database) =>
    addresses.askForEmailChange(database, storage, account, wanted),
  );

export const invite = (
  parts: { readonly config: Config; readonly storage: Storage },
  invitation: invitations.Invitation,
) => inTransaction(parts, (database) => invitations.invite(database, parts, invitation));
