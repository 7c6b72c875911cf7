// Links that are sent by mail and work once: 256 random bits in the URL, their SHA-256 in the database. Looking at one
// spends nothing, since scanners of mail open every link; what is spent is deleted, so that of two uses at once the
// second finds nothing. A new link voids the older ones for the same purpose and person; but for a sign-up, which
// anybody can begin with anybody's address: there each works for the browser or the password that began it, and the
// first one counts.
import { randomBytes } from 'node:crypto';
import type { Link, Prisma } from '../generated/client.ts';
import { type Keyring, sha256 } from '../keys/keyring.ts';
import type { SealedTable } from '../keys/reseal.ts';

export type LinkPurpose = 'invitation' | 'sign_up' | 'verification' | 'password_reset' | 'email_change';

/** Seconds that a link lives. */
export const linkLife: Record<LinkPurpose, number> = {
  invitation: 604_800,
  sign_up: 86_400,
  verification: 86_400,
  password_reset: 1_800,
  email_change: 86_400,
};

/** The path under which each is opened, below the issuer's. */
const paths: Record<LinkPurpose, string> = {
  invitation: '/invitation',
  sign_up: '/sign-up/confirm',
  verification: '/verify',
  password_reset: '/reset',
  email_change: '/verify',
};

export interface NewLink {
  readonly purpose: LinkPurpose;
  /** Undefined: of somebody who has no account yet. */
  readonly accountId?: string | undefined;
  readonly email: string;
  readonly now: Date;
  /** Its secret, where it was made before; {@link linkToken} */
  readonly token?: string;
  /** See {@link linkLife} */
  readonly expiresAt?: Date;
  /** Kept sealed with it: {@link linkData} */
  readonly data?: object;
}

export function linkToken(): string {
  return randomBytes(32).toString('base64url');
}

export function linkExpiry(purpose: LinkPurpose, now: Date): Date {
  return new Date(now.getTime() + linkLife[purpose] * 1000);
}

/** The address that a person opens. */
export function linkUrl(issuer: string, purpose: LinkPurpose, token: string): string {
  return `${issuer}${paths[purpose]}?token=${token}`;
}

/**
 * Makes a link, and voids the older ones, if it is not for a sign-up.
 *
 * @returns its secret, which is kept nowhere else
 */
export async function makeLink(
  database: Prisma.TransactionClient,
  keyring: Keyring,
  { purpose, accountId, email, now, token = linkToken(), expiresAt, data }: NewLink,
): Promise<string> {
  // A stranger must not void the link that is in the owner's mailbox; how many there are, accounts/mail-limits.ts
  // limits.
  if (purpose !== 'sign_up')
    await database.link.deleteMany({
      where: accountId === undefined ? { purpose, accountId: null, email } : { purpose, accountId },
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

/** Finds a link that could be spent now, and leaves it as it is. */
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

/** Spends a link: whoever deletes it has it. What follows from it belongs into the same transaction. */
export async function spendLink(
  database: Prisma.TransactionClient,
  purposes: readonly LinkPurpose[],
  token: unknown,
  now: Date,
): Promise<Link | undefined> {
  const link = await lookAtLink(database, purposes, token, now);
  if (!link) return undefined;
  const { count } = await database.link.deleteMany({ where: { id: link.id } });
  return count === 1 ? link : undefined;
}

/** What was kept with a link. */
export function linkData(keyring: Keyring, { id, sealed }: Link): unknown {
  return sealed ? JSON.parse(keyring.unseal(linkContext(id), sealed)) : undefined;
}

function isGood({ purpose, expiresAt }: Link, purposes: readonly LinkPurpose[], now: Date): boolean {
  return (purposes as readonly string[]).includes(purpose) && expiresAt > now;
}

/** A link's own identity, under which what is kept with it is sealed. */
function linkContext(id: Uint8Array): string {
  return `link ${Buffer.from(id).toString('base64url')}`;
}

export const sealedLinks: SealedTable<Uint8Array> = {
  name: 'links',
  table: 'link',
  key: 'id',
  column: 'sealed',
  context: linkContext,
};
