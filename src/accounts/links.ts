// Links that are sent by mail and work once: 256 random bits in the URL, their SHA-256 in the database. Looking at a
// link does not spend it, since mail scanners open every link; a spent link is deleted, so that of two simultaneous
// uses the second finds nothing. A new link voids older ones for the same purpose and person. A sign-up is the
// exception, since anybody can begin one with anybody's address: each of its links works for the browser or the
// password that began it, and the first one used counts.
import { randomBytes } from 'node:crypto';
import type { Link, Prisma } from '../generated/client.ts';
import { type Keyring, sha256 } from '../keys/keyring.ts';
import type { SealedTable } from '../keys/reseal.ts';
import { asciiAddress, unicodeAddress } from './email-address.ts';

export type LinkPurpose =
  'invitation' | 'sign_up' | 'verification' | 'password_reset' | 'email_change';

/** Lifetime of a link, in seconds. */
export const linkLife: Record<LinkPurpose, number> = {
  invitation: 604_800,
  sign_up: 86_400,
  verification: 86_400,
  password_reset: 3_600, // as long as no more are sent (mail-limits.ts)
  email_change: 86_400,
};

/** The path of each purpose, below the issuer's. */
const paths: Record<LinkPurpose, string> = {
  invitation: '/invitation',
  sign_up: '/sign-up/confirm',
  verification: '/verify',
  password_reset: '/reset',
  email_change: '/verify',
};

export interface NewLink {
  readonly purpose: LinkPurpose;
  /** Undefined for a person who has no account yet. */
  readonly accountId?: string | undefined;
  readonly email: string;
  readonly now: Date;
  /** Its secret, if it was made before by {@link linkToken}. */
  readonly token?: string;
  /** By default after {@link linkLife}. */
  readonly expiresAt?: Date;
  /** Stored sealed with the link; {@link linkData} reads it. */
  readonly data?: object;
  /** Whether older ones stay. A sign-up's always do. */
  readonly isFurther?: boolean;
}

/** The secret of a new link: 256 random bits, base64url. */
export function linkToken(): string {
  return randomBytes(32).toString('base64url');
}

/** When a link that is made now expires. */
export function linkExpiry(purpose: LinkPurpose, now: Date): Date {
  return new Date(now.getTime() + linkLife[purpose] * 1000);
}

/** The URL of a link. */
export function linkUrl(baseUrl: string, purpose: LinkPurpose, token: string): string {
  return `${baseUrl}${paths[purpose]}?token=${token}`;
}

/** Makes a link, and voids older ones unless they stay. @returns its secret, which is stored nowhere */
export async function makeLink(
  database: Prisma.TransactionClient,
  keyring: Keyring,
  { purpose, accountId, email, now, token = linkToken(), expiresAt, data, isFurther }: NewLink,
): Promise<string> {
  // A stranger must not void the link in the owner's mailbox; accounts/mail-limits.ts limits how many there are.
  if (purpose !== 'sign_up' && !isFurther)
    await database.link.deleteMany({
      where:
        accountId === undefined
          ? { purpose, accountId: null, email: { in: formsOf(email) } }
          : { purpose, accountId },
    });
  const id = sha256(token);
  await database.link.create({
    data: {
      id,
      purpose,
      accountId: accountId ?? null,
      email,
      sealed: data ? keyring.seal(linkContext(id), JSON.stringify(data)) : null,
      createdAt: now,
      expiresAt: expiresAt ?? linkExpiry(purpose, now),
    },
  });
  return token;
}

/** Finds a link that could be spent now, without spending it. */
export async function lookAtLink(
  database: Prisma.TransactionClient,
  purposes: readonly LinkPurpose[],
  token: unknown,
  now: Date,
): Promise<Link | undefined> {
  if (typeof token !== 'string') return undefined;
  const link = await database.link.findUnique({ where: { id: sha256(token) } });
  return link && isGood(link, purposes, now) ? link : undefined;
}

/** Spends a link by deleting it. What follows from it belongs in the same transaction. */
export async function spendLink(
  database: Prisma.TransactionClient,
  purposes: readonly LinkPurpose[],
  token: unknown,
  now: Date,
): Promise<Link | undefined> {
  const link = await lookAtLink(database, purposes, token, now);
  if (!link) return undefined;
  // Accounts are locked first: whoever ends its sign-ins does so as well, and then voids its links.
  if (link.accountId !== null)
    await database.$queryRaw`SELECT FROM account WHERE id = ${link.accountId} FOR UPDATE`;
  const { count } = await database.link.deleteMany({ where: { id: link.id } });
  return count === 1 ? link : undefined;
}

/** Voids the other invitations of an address: its account was made. */
export async function voidInvitations(
  database: Prisma.TransactionClient,
  { email }: Pick<Link, 'email'>,
): Promise<void> {
  await database.link.deleteMany({
    where: { purpose: 'invitation', accountId: null, email: { in: formsOf(email ?? '') } },
  });
}

// An address is the same with its domain in ASCII and in Unicode.
function formsOf(email: string): string[] {
  return [email, asciiAddress(email), unicodeAddress(email)];
}

/** The data stored with a link. */
export function linkData(keyring: Keyring, { id, sealed }: Link): unknown {
  return sealed ? JSON.parse(keyring.unseal(linkContext(id), sealed)) : undefined;
}

function isGood(
  { purpose, expiresAt }: Link,
  purposes: readonly LinkPurpose[],
  now: Date,
): boolean {
  return (purposes as readonly string[]).includes(purpose) && expiresAt > now;
}

/** The link's identity, under which its data is sealed. */
function linkContext(id: Uint8Array): string {
  return `link ${Buffer.from(id).toString('base64url')}`;
}

export const sealedLinks: SealedTable<Uint8Array> = {
  name: 'links',
  table: 'link',
  key: 'id',
  column: 'sealed',
  told: 'email',
  context: linkContext,
};
