// Clients in the database. A client's secret is kept as a salted hash, sealed. Only for client_secret_jwt, whose
// assertions are made with the secret itself (OIDC Core §9), the secret is sealed as it is.
import { isDeepStrictEqual } from 'node:util';
import { type AdapterPayload, errors } from 'oidc-provider';
import { type Keyring, sha256 } from '../keys/keyring.ts';
import type { SealedTable } from '../keys/reseal.ts';
import { type ClientSecret, formatSecrets, hashedSecret, parseSecrets } from './client-secrets.ts';
import type { Prisma } from '../generated/client.ts';

// The marker in the row of a client whose metadata is fetched from its id.
export const DOCUMENT = 'client_id_metadata_document';

/** Whether a row stands for a client whose metadata is fetched from its id. */
export function isDocument(metadata: object): boolean {
  return DOCUMENT in metadata;
}

/** Whether a client is kept out for a time: {@link setDisabled}. */
export function isDisabled(metadata: object): boolean {
  return 'disabled' in metadata && metadata.disabled !== undefined;
}

export type ClientMetadata = Record<string, unknown> & { client_id: string };

/** @returns the metadata as the engine wants it; `client_secret` is a hash unless the method needs the secret */
export async function findClient(
  database: Prisma.TransactionClient,
  keyring: Keyring,
  id: string,
): Promise<AdapterPayload | undefined> {
  const row = await database.client.findUnique({ where: { id } });
  return row ? clientOf(keyring, row) : undefined;
}

/** The engine's metadata from a client's row. */
function clientOf(keyring: Keyring, { id, metadata, secret: sealed }: ClientRow) {
  if (isDocument(metadata as object)) return undefined;
  const secret = sealed ? { client_secret: keyring.unseal(clientContext(id), sealed) } : {};
  return { ...(metadata as object), client_id: id, ...secret };
}

/** The engine's metadata from a client's row; undefined for a client whose id is the URL of its metadata. */
export type EngineClient = (row: ClientRow) => AdapterPayload | undefined;

/**
 * The same for the engine, which does not change it: the same row is opened once. The engine hashes a client's JSON at
 * every request to tell clients apart; the JSON is made once as well.
 */
export function createEngineClient(keyring: Keyring): EngineClient {
  const opened = new WeakMap<ClientRow, AdapterPayload>();
  return (row) => {
    const before = opened.get(row);
    if (before) return before;
    const client = clientOf(keyring, row);
    if (!client) return undefined;
    const digest = Buffer.from(sha256(JSON.stringify(client))).toString('base64url');
    Object.defineProperty(client, 'toJSON', { value: () => digest });
    opened.set(row, client);
    return client;
  };
}

interface ClientRow {
  readonly id: string;
  readonly metadata: unknown;
  readonly secret: Uint8Array | null;
}

/** Writes a new client. @throws Prisma's P2002 when the id is taken */
export async function insertClient(
  database: Prisma.TransactionClient,
  keyring: Keyring,
  { client_id: id, client_secret: secret, ...metadata }: ClientMetadata,
): Promise<void> {
  await database.client.create({
    data: {
      id,
      metadata: metadata as Prisma.InputJsonObject,
      secret:
        typeof secret === 'string'
          ? keyring.seal(clientContext(id), storedSecret(secret, metadata))
          : null,
    },
  });
}

/** Makes a row for a client whose id is the URL of its metadata, so that grants can refer to it. */
export async function rememberDocumentClient(
  database: Prisma.TransactionClient,
  id: string,
): Promise<void> {
  const metadata = { [DOCUMENT]: true };
  await database.client.createMany({ data: [{ id, metadata }], skipDuplicates: true });
}

/**
 * Reads a client and keeps it from others' changes until the transaction ends: so changes of one client follow each
 * other, and each begins with what the one before has left. Requests that only use the client do not wait.
 *
 * @returns as {@link findClient}
 */
export async function lockClient(
  database: Prisma.TransactionClient,
  keyring: Keyring,
  id: string,
): Promise<AdapterPayload | undefined> {
  const row = await lockedRow(database, id);
  return row ? clientOf(keyring, row) : undefined;
}

async function lockedRow(
  database: Prisma.TransactionClient,
  id: string,
): Promise<ClientRow | null> {
  await database.$queryRaw`SELECT 1 FROM client WHERE id = ${id} FOR NO KEY UPDATE`;
  return database.client.findUnique({ where: { id } });
}

/** Replaces a client's metadata, after {@link lockClient}; its secrets stay. */
export async function updateClient(
  database: Prisma.TransactionClient,
  { client_id: id, ...metadata }: ClientMetadata,
): Promise<void> {
  await database.client.update({
    where: { id },
    data: { metadata: metadata as Prisma.InputJsonObject },
  });
}

/**
 * Changes the secrets of a client. Two changes at once follow each other.
 *
 * @param work gets the secrets that there are, undefined for a client that has none or whose secret is kept as it is
 * @returns whether there is such a client
 * @throws what `work` throws
 */
export async function changeSecrets(
  database: Prisma.TransactionClient,
  keyring: Keyring,
  id: string,
  work: (
    secrets: readonly ClientSecret[] | undefined,
    metadata: Record<string, unknown>,
  ) => readonly ClientSecret[],
): Promise<boolean> {
  const client = await lockedRow(database, id);
  if (!client) return false;
  const { metadata, secret } = client;
  const before = secret ? parseSecrets(keyring.unseal(clientContext(id), secret)) : undefined;
  const secrets = work(before, metadata as Record<string, unknown>);
  await writeSecret(database, keyring, id, formatSecrets(secrets));
  return true;
}

/** Writes what a client authenticates with, and forgets the uses of what it had before. @param stored undefined: nothing */
export async function writeSecret(
  database: Prisma.TransactionClient,
  keyring: Keyring,
  id: string,
  stored: string | undefined,
): Promise<void> {
  const secret = stored === undefined ? null : keyring.seal(clientContext(id), stored);
  await database.client.update({ where: { id }, data: { secret } });
  const kept = stored === undefined ? [] : (parseSecrets(stored)?.map((one) => one.id) ?? []);
  await database.clientSecretUse.deleteMany({ where: { clientId: id, secretId: { notIn: kept } } });
}

/**
 * Disables a client, or enables it again.
 *
 * @param reason what its developers are told; null: it is enabled
 * @returns whether there is such a client
 */
export async function setDisabled(
  database: Prisma.TransactionClient,
  id: string,
  reason: string | null,
): Promise<boolean> {
  const changed =
    reason === null
      ? await database.$executeRaw`UPDATE client SET metadata = metadata - 'disabled' WHERE id = ${id}`
      : await database.$executeRaw`
          UPDATE client SET metadata = metadata || jsonb_build_object('disabled', ${reason}::text)
          WHERE id = ${id}`;
  return changed > 0;
}

/** The registration is not that by which a change of it was judged. Nothing was written. */
class ChangedMeanwhile extends errors.CustomOIDCProviderError {
  constructor() {
    super('temporarily_unavailable', 'it was changed meanwhile; please read it and try again');
    this.status = this.statusCode = 409;
    this.expose = true;
  }
}

/** What an operator has restricted a client to: it stays, whatever the client leaves out when it changes itself. */
export function restrictionsIn(metadata: object): object {
  const kept = Object.entries(metadata).filter(([name]) => restrictions.has(name));
  return Object.fromEntries(kept);
}

const restrictions = new Set(['allowed_groups', 'disabled', 'minimum_acr', 'resource_scopes']);

/**
 * Writes what a client that registered itself has changed in its registration (RFC 7592).
 *
 * @param before as the request has read it: what it may keep was judged by that
 * @throws {ChangedMeanwhile} when it is not that any more; {errors.InvalidToken} when it is gone
 */
export async function changeRegisteredClient(
  database: Prisma.TransactionClient,
  keyring: Keyring,
  before: object,
  { client_id: id, client_secret: secret, ...metadata }: ClientMetadata,
): Promise<void> {
  const current = await lockClient(database, keyring, id);
  if (!current) throw new errors.InvalidToken('the client was removed meanwhile');
  if (!isDeepStrictEqual(current, before)) throw new ChangedMeanwhile();
  await updateClient(database, { ...metadata, client_id: id });
  if (secret !== current.client_secret)
    await replaceClientSecret(database, keyring, { ...metadata, client_id: id }, secret);
}

/** Replaces all secrets of a client, after {@link lockClient}. @param secret not a text: it has none then */
export async function replaceClientSecret(
  database: Prisma.TransactionClient,
  keyring: Keyring,
  { client_id: id, ...metadata }: ClientMetadata,
  secret: unknown,
): Promise<void> {
  const stored = typeof secret === 'string' ? storedSecret(secret, metadata) : undefined;
  await writeSecret(database, keyring, id, stored);
}

/** How many characters a client secret that somebody chooses must have. */
export function leastSecretLength(metadata: Record<string, unknown>): number {
  // RFC 7518 §3.2: a key of HS256 has 256 bits at least.
  return metadata['token_endpoint_auth_method'] === 'client_secret_jwt' ? 32 : 16;
}

function storedSecret(secret: string, metadata: Record<string, unknown>): string {
  // RFC 7592 §3: a client that registered itself may read its secret again.
  const isReadAgain = metadata['client_id_issued_at'] !== undefined;
  if (isReadAgain || metadata['token_endpoint_auth_method'] === 'client_secret_jwt') return secret;
  return formatSecrets([hashedSecret(secret, Math.floor(Date.now() / 1000))]);
}

/** The record's identity, under which its secret is sealed. */
function clientContext(id: string): string {
  return `client ${id}`;
}

export const sealedClients: SealedTable<string> = {
  name: 'client_secrets',
  table: 'client',
  key: 'id',
  column: 'secret',
  told: 'id',
  outlives: true,
  context: clientContext,
};
