// Passkeys (WebAuthn): adding them to an account, and signing in with them. A credential belongs to one account. Alone
// it is enough only when the device has verified its user. One whose counter goes back may have been copied and is
// refused.
import type {
  AuthenticationResponseJSON,
  PublicKeyCredentialCreationOptionsJSON,
  PublicKeyCredentialRequestOptionsJSON,
  RegistrationResponseJSON,
} from '@simplewebauthn/server';
import { errors } from 'oidc-provider';
import { deviceInWords } from '../devices.ts';
import type { Account, Passkey, Prisma } from '../generated/client.ts';
import type { Language } from '../languages.ts';
import { shortened, visibleName } from '../names.ts';
import { answered, isTaken } from '../storage/errors.ts';
import type { Storage } from '../storage/storage.ts';
import { currentUnit } from '../storage/unit-of-work.ts';
import { authenticatorName } from './authenticator-names.ts';
import { createChallenge, spendChallenge } from './challenges.ts';
import { FactorError, type FactorParts, recordChange } from './factors.ts';

export interface PasskeyParts extends FactorParts {
  readonly storage: Storage;
  readonly config: { readonly issuer: string };
}

// Two hundred modules, for certificates of every kind: loaded when the first passkey is asked for.
const webauthn = () => import('@simplewebauthn/server');

const MOST = 20; // passkeys of one person

/** A person's passkeys, the oldest first. */
export function listPasskeys(
  { storage }: Pick<PasskeyParts, 'storage'>,
  accountId: string,
): Promise<Passkey[]> {
  return storage.prisma.passkey.findMany({ where: { accountId }, orderBy: { createdAt: 'asc' } });
}

/**
 * The options with which the browser makes a passkey.
 *
 * @param binding the session that the answer must come from
 */
export async function registrationOptions(
  { storage, config }: Pick<PasskeyParts, 'storage' | 'config'>,
  account: Pick<Account, 'id' | 'email' | 'name'>,
  binding: string,
): Promise<PublicKeyCredentialCreationOptionsJSON> {
  const existing = await listPasskeys({ storage }, account.id);
  const { generateRegistrationOptions } = await webauthn();
  return generateRegistrationOptions({
    rpName: new URL(config.issuer).host,
    rpID: new URL(config.issuer).hostname,
    userID: new TextEncoder().encode(account.id),
    userName: account.email,
    userDisplayName: account.name ?? account.email,
    challenge: createChallenge(storage, { kind: 'registration', binding }),
    excludeCredentials: existing.map(({ id, transports }) => ({ id, transports })),
    // Discoverable, so that no name need be typed. A key that is only a second factor need not verify its user.
    authenticatorSelection: { residentKey: 'required', userVerification: 'preferred' },
  });
}

/**
 * Verifies the passkey that the browser has made, and spends its challenge. Within a unit of work.
 *
 * @param answer `response` is the browser's JSON; without a `name` the passkey is named after its authenticator, or
 * else after the device, in the person's language
 * @throws {FactorError} when it is not accepted
 */
export async function verifyNewPasskey(
  parts: PasskeyParts,
  accountId: string,
  answer: {
    readonly binding: string;
    readonly response: unknown;
    readonly name?: string;
    readonly language: Language;
  },
): Promise<Passkey> {
  const { storage, origin: from } = parts;
  const { origin, hostname } = new URL(parts.config.issuer);
  const { verifyRegistrationResponse } = await webauthn();
  const verified = await refusedUnless(() =>
    verifyRegistrationResponse({
      response: answer.response as RegistrationResponseJSON,
      expectedChallenge: challengeOf(storage, 'registration', answer.binding),
      expectedOrigin: origin,
      expectedRPID: hostname,
      expectedType: 'webauthn.create',
      requireUserVerification: false,
    }),
  );
  if (!verified.verified) throw new FactorError('factor.passkey-refused');
  const { credential, credentialDeviceType, aaguid } = verified.registrationInfo;
  const name =
    nameOf(answer.name) ??
    authenticatorName(aaguid) ??
    deviceInWords(answer.language, from.userAgent);
  return {
    id: credential.id,
    accountId,
    publicKey: new Uint8Array(credential.publicKey),
    counter: BigInt(credential.counter),
    transports: transportsOf(credential.transports),
    synced: credentialDeviceType === 'multiDevice',
    name,
    createdAt: storage.now(),
    lastUsedAt: null,
  };
}

/**
 * Adds a passkey that was verified.
 *
 * @throws {FactorError} when the person has too many, or the passkey is registered already
 */
export async function addPasskey(
  database: Prisma.TransactionClient,
  parts: FactorParts,
  passkey: Passkey,
): Promise<void> {
  const { accountId, name } = passkey;
  // One at a time per person, so that they are counted correctly.
  await database.$queryRaw`SELECT FROM account WHERE id = ${accountId} FOR UPDATE`;
  if ((await database.passkey.count({ where: { accountId } })) >= MOST)
    throw new FactorError('factor.too-many-passkeys');
  try {
    await database.passkey.create({ data: passkey });
  } catch (error) {
    if (isTaken(error)) throw new FactorError('factor.passkey-taken');
    throw error;
  }
  await recordChange(database, parts, { type: 'passkey.added', accountId, name });
}

/** @returns whether the person has such a passkey */
export async function renamePasskey(
  database: Prisma.TransactionClient,
  accountId: string,
  id: string,
  name: string,
): Promise<boolean> {
  const given = nameOf(name);
  if (given === undefined) throw new FactorError('factor.name-missing');
  const { count } = await database.passkey.updateMany({
    where: { id, accountId },
    data: { name: given },
  });
  return count === 1;
}

/** @returns whether the person had such a passkey */
export async function removePasskey(
  database: Prisma.TransactionClient,
  parts: FactorParts,
  accountId: string,
  id: string,
): Promise<boolean> {
  const found = await database.passkey.findFirst({ where: { id, accountId } });
  const { count } = await database.passkey.deleteMany({ where: { id, accountId } });
  if (!found || count === 0) return false;
  await recordChange(database, parts, { type: 'passkey.removed', accountId, name: found.name });
  return true;
}

/**
 * The options with which the browser signs a person in.
 *
 * @param accountId whose passkeys are asked for, if the person is known; else any that the browser finds
 */
export async function authenticationOptions(
  { storage, config }: Pick<PasskeyParts, 'storage' | 'config'>,
  { binding, accountId }: { readonly binding: string; readonly accountId?: string | undefined },
): Promise<PublicKeyCredentialRequestOptionsJSON> {
  const allowed = accountId === undefined ? [] : await listPasskeys({ storage }, accountId);
  const { generateAuthenticationOptions } = await webauthn();
  return generateAuthenticationOptions({
    rpID: new URL(config.issuer).hostname,
    challenge: createChallenge(storage, { kind: 'authentication', binding }),
    allowCredentials: allowed.map(({ id, transports }) => ({ id, transports })),
    userVerification: accountId === undefined ? 'required' : 'preferred',
  });
}

export interface PasskeySignIn {
  readonly account: Account;
  readonly passkey: Passkey;
  /** RFC 8176. */
  readonly amr: string[];
}

/**
 * Verifies the browser's answer. Within a unit of work.
 *
 * @param answer with an `accountId` it is the second factor of that account, else the whole sign-in
 * @throws {FactorError} when it is not accepted
 */
export async function verifyPasskey(
  { storage, config }: Pick<PasskeyParts, 'storage' | 'config'>,
  answer: {
    readonly binding: string;
    readonly response: unknown;
    readonly accountId?: string | undefined;
  },
): Promise<PasskeySignIn> {
  const { prisma, now } = storage;
  const { origin, hostname } = new URL(config.issuer);
  const response = answer.response as AuthenticationResponseJSON;
  const id = (response as { id?: unknown } | null)?.id;
  const found = await answered(() =>
    prisma.passkey.findUnique({
      where: { id: typeof id === 'string' ? id : '' },
      include: { account: true },
    }),
  );
  if (!found || found.account.lockedAt) throw new FactorError('factor.passkey-unknown');
  const { account, ...passkey } = found;
  const isSecond = answer.accountId !== undefined;
  if (isSecond && account.id !== answer.accountId) throw new FactorError('factor.passkey-unknown');

  const { verifyAuthenticationResponse } = await webauthn();
  const { verified, authenticationInfo } = await refusedUnless(() =>
    verifyAuthenticationResponse({
      response,
      expectedChallenge: challengeOf(storage, 'authentication', answer.binding),
      expectedOrigin: origin,
      expectedRPID: hostname,
      expectedType: 'webauthn.get',
      requireUserVerification: !isSecond,
      // The counter is compared below, where simultaneous answers are told apart.
      credential: { id: passkey.id, publicKey: passkey.publicKey, counter: 0 },
    }),
  );
  if (!verified) throw new FactorError('factor.passkey-refused');
  // §7.2, step 6: a person who was not known before is named by the credential.
  const handle = Buffer.from(response.response.userHandle ?? '', 'base64url').toString();
  if (handle !== account.id && !(isSecond && handle === ''))
    throw new FactorError('factor.passkey-refused');

  // §7.2, step 22: a counter, if there is one, only rises.
  const counter = BigInt(authenticationInfo.newCounter);
  const where: Prisma.PasskeyWhereInput = {
    id: passkey.id,
    counter: counter === 0n ? 0n : { lt: counter },
  };
  const data = { counter, lastUsedAt: now() };
  const { count } = await answered(() => prisma.passkey.updateMany({ where, data }));
  if (count === 0) {
    const detail = { method: 'passkey', reason: 'counter', name: passkey.name };
    const event = { type: 'second_factor.failed', accountId: account.id, detail } as const;
    currentUnit().audit(event, { evenIfRefused: true });
    throw new FactorError('factor.passkey-refused');
  }
  const amr = [passkey.synced ? 'swk' : 'hwk'];
  if (authenticationInfo.userVerified) amr.push('mfa');
  return { account, passkey, amr };
}

function challengeOf(
  storage: Storage,
  kind: 'registration' | 'authentication',
  binding: string,
): (challenge: string) => Promise<boolean> {
  return async (challenge) => {
    await spendChallenge(storage, { kind, binding }, challenge);
    return true;
  };
}

// The library refuses with plain errors.
async function refusedUnless<T>(verify: () => Promise<T>): Promise<T> {
  try {
    return await verify();
  } catch (cause) {
    if (cause instanceof FactorError || cause instanceof errors.OIDCProviderError) throw cause;
    throw new FactorError('factor.passkey-refused', { cause });
  }
}

function nameOf(name: string | undefined): string | undefined {
  const visible = shortened(visibleName(name ?? ''));
  return visible === '' ? undefined : visible;
}

// The browser's hints how to reach the authenticator are given back to it; nothing else is kept.
function transportsOf(transports: unknown): string[] {
  const known = ['ble', 'cable', 'hybrid', 'internal', 'nfc', 'smart-card', 'usb'];
  return Array.isArray(transports) ? known.filter((one) => transports.includes(one)) : [];
}
