// One-time codes of an app (TOTP, RFC 6238): six digits every 30 seconds, with one step of tolerance on either side.
// Each step is accepted once (§5.2), however many processes are asked at once.
import { Secret, TOTP } from 'otpauth';
import { renderSVG } from 'uqr';
import type { Account, Prisma } from '../generated/client.ts';
import type { SealedTable } from '../keys/reseal.ts';
import { answered } from '../storage/errors.ts';
import { FactorError, type FactorParts, recordChange } from './factors.ts';
import { forgetGuesses } from './limits.ts';

const PERIOD = 30; // seconds
const WINDOW = 1; // steps on either side
const UNCONFIRMED = 3_600_000; // milliseconds that a secret waits for its first code

export interface TotpParts extends FactorParts {
  readonly config: { readonly issuer: string };
}

/** What an app is set up with. */
export interface TotpSetup {
  /** Base32, to be typed. */
  readonly secret: string;
  /** `otpauth://totp/…`, for an app on the same device. */
  readonly uri: string;
  /** The same as a QR code: an SVG image, black on white. */
  readonly qr: string;
}

/**
 * Makes the secret that an app is set up with. It is no factor until {@link confirmTotp} has seen a code. Within an
 * hour the same secret is returned again.
 *
 * @throws {FactorError} when the person has an app already
 */
export async function beginTotp(
  database: Prisma.TransactionClient,
  { storage, config }: Pick<TotpParts, 'storage' | 'config'>,
  account: Pick<Account, 'id' | 'email'>,
): Promise<TotpSetup> {
  const { keyring, now } = storage;
  const { id: accountId } = account;
  const sealed = keyring.seal(totpContext(accountId), new Secret({ size: 20 }).base32);
  const old = new Date(now().getTime() - UNCONFIRMED);
  const where = { accountId, confirmedAt: null, createdAt: { lt: old } };
  await database.totp.deleteMany({ where });
  await database.totp.createMany({
    data: [{ accountId, sealed, createdAt: now() }],
    skipDuplicates: true,
  });
  const row = await database.totp.findUniqueOrThrow({ where: { accountId } });
  if (row.confirmedAt) throw new FactorError('factor.totp-exists');
  const secret = keyring.unseal(totpContext(accountId), row.sealed);
  const issuer = new URL(config.issuer).host;
  const uri = new TOTP({
    issuer,
    label: account.email,
    secret: Secret.fromBase32(secret),
  }).toString();
  return { secret, uri, qr: renderSVG(uri, { ecc: 'M', border: 4 }) };
}

/**
 * Checks the first code of an app: from now on the app is a factor.
 *
 * @throws {FactorError} when the code is wrong, or there is nothing to confirm
 */
export async function confirmTotp(
  database: Prisma.TransactionClient,
  parts: FactorParts,
  accountId: string,
  code: string,
): Promise<void> {
  // Accounts are locked first: whoever ends its sign-ins does so as well.
  await database.$queryRaw`SELECT FROM account WHERE id = ${accountId} FOR UPDATE`;
  const row = await database.totp.findUnique({ where: { accountId } });
  if (!row || row.confirmedAt) throw new FactorError('factor.totp-not-begun');
  const step = stepOf(parts, row, code);
  if (step === undefined) throw new FactorError('factor.code-wrong');
  const { count } = await database.totp.updateMany({
    where: { accountId, confirmedAt: null, sealed: row.sealed },
    data: { confirmedAt: parts.storage.now(), lastStep: step },
  });
  if (count === 0) throw new FactorError('factor.totp-not-begun'); // begun anew, or confirmed meanwhile
  await forgetGuesses(database, parts.storage.keyring, { code: accountId }); // they were at another app's codes
  await recordChange(database, parts, { type: 'totp.added', accountId });
}

/** The row of an app that somebody has used elsewhere. @param secret Base32 */
export function totpRow(
  { keyring, now }: Pick<FactorParts['storage'], 'keyring' | 'now'>,
  accountId: string,
  secret: string,
) {
  const [sealed, at] = [keyring.seal(totpContext(accountId), secret), now()];
  return { accountId, sealed, createdAt: at, confirmedAt: at };
}

/** Spends a code of the person's app. @returns whether it is right and was not used before */
export async function verifyTotp(
  parts: Pick<TotpParts, 'storage'>,
  accountId: string,
  code: string,
): Promise<boolean> {
  const { prisma } = parts.storage;
  const row = await answered(() => prisma.totp.findUnique({ where: { accountId } }));
  if (!row?.confirmedAt) return false;
  const step = stepOf(parts, row, code);
  if (step === undefined) return false;
  const { count } = await answered(() =>
    prisma.totp.updateMany({
      where: { accountId, sealed: row.sealed, lastStep: { lt: step } },
      data: { lastStep: step },
    }),
  );
  return count === 1;
}

/** @returns whether the person had an app */
export async function removeTotp(
  database: Prisma.TransactionClient,
  parts: FactorParts,
  accountId: string,
): Promise<boolean> {
  const { count } = await database.totp.deleteMany({ where: { accountId } });
  if (count === 0) return false;
  await recordChange(database, parts, { type: 'totp.removed', accountId });
  return true;
}

// The time step of a code; undefined when it belongs to none that is near.
function stepOf(
  { storage: { keyring, now } }: Pick<TotpParts, 'storage'>,
  { accountId, sealed }: Prisma.TotpGetPayload<object>,
  code: string,
): bigint | undefined {
  const token = code.replace(/\s/g, '');
  if (!/^\d{6}$/.test(token)) return undefined;
  const timestamp = now().getTime();
  const totp = new TOTP({
    secret: Secret.fromBase32(keyring.unseal(totpContext(accountId), sealed)),
  });
  const delta = totp.validate({ token, timestamp, window: WINDOW });
  return delta === null ? undefined : BigInt(TOTP.counter({ period: PERIOD, timestamp }) + delta);
}

/** The record's identity, under which the secret is sealed. */
function totpContext(accountId: string): string {
  return `totp ${accountId}`;
}

export const sealedTotp: SealedTable<string> = {
  name: 'one_time_codes',
  table: 'totp',
  key: 'account_id',
  column: 'sealed',
  told: 'account_id',
  context: totpContext,
};
