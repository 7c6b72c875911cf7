// Artifacts: the engine's short-lived records, found by the SHA-256 of the value that their bearer holds.
// Their payload is sealed, since some hold a value that the engine needs back (a session's id, a device code).
import { randomBytes } from 'node:crypto';
import type { AdapterPayload } from 'oidc-provider';
import { type Keyring, sha256 } from '../keys/keyring.ts';
import type { SealedTable } from '../keys/reseal.ts';
import type { Prisma, PrismaClient } from '../generated/client.ts';
import type { ArtifactRow } from './fast/reads.ts';
import type { IssuedArtifact } from './fast/writes.ts';
import { artifactContext, unsealArtifact } from './sealed-artifact.ts';
import type { Save } from './writes.ts';

// The models that the engine revokes by their grant: they cannot exist without it.
export const grantable: ReadonlySet<string> = new Set([
  'AccessToken',
  'AuthorizationCode',
  'DeviceCode',
  'BackchannelAuthenticationRequest',
  'PreAuthorizedCode',
]);

/** The primary key of the artifact that this value stands for. */
export function artifactId(model: string, value: string): Uint8Array<ArrayBuffer> {
  return sha256(`${model}:${value}`);
}

/**
 * The id of the line that a code starts: 128 bits that follow from the code, so that it is known whom it belongs to when
 * the code comes again. It never starts with a hyphen, which a command line would take for an option.
 *
 * @param model of a code: an authorization code, a device code, a request of CIBA
 */
export function lineOf(model: string, value: string): string {
  return sha256(`line of ${model}:${value}`).toString('base64url', 0, 16).replace(/^-/, '_');
}

/** The id of a line that no code starts. */
export function newLine(): string {
  return lineOf('RefreshToken', randomBytes(32).toString('base64url'));
}

/** @param value the value that the artifact's bearer holds, such as a session's id */
export async function findArtifact(
  database: Prisma.TransactionClient,
  keyring: Keyring,
  model: string,
  value: string,
): Promise<AdapterPayload | undefined> {
  const row = await database.artifact.findUnique({ where: { id: artifactId(model, value) } });
  return row ? openArtifact(keyring, row) : undefined;
}

/**
 * A person's sessions, or the requests that wait for their answer: not consumed, not expired, the oldest first.
 *
 * @param most how many at most
 */
export async function findArtifactsOf(
  prisma: PrismaClient,
  keyring: Keyring,
  model: string,
  accountId: string,
  now: Date,
  most = 50,
): Promise<AdapterPayload[]> {
  const rows = await prisma.artifact.findMany({
    where: { model, accountId, consumedAt: null, expiresAt: { gt: now } },
    orderBy: { expiresAt: 'asc' },
    take: most,
  });
  return rows.map((row) => openArtifact(keyring, row));
}

/** Writes an artifact, new or changed. @param line of an access token: the line that it belongs to */
export async function saveArtifact(
  database: Prisma.TransactionClient,
  keyring: Keyring,
  save: Save,
  line?: string,
): Promise<void> {
  const { model, payload } = save;
  const { id, ...kept } = sealedArtifact(keyring, save);
  const changing = { grantId: grantable.has(model) ? (payload.grantId ?? null) : null, ...kept };
  await database.artifact.upsert({
    where: { id },
    create: {
      id,
      model,
      clientId: payload.clientId ?? null,
      familyId: model === 'AccessToken' ? (line ?? null) : null,
      lookup: lookupOf(keyring, model, payload) ?? null,
      session: sessionOf(keyring, payload),
      ...changing,
    },
    update: changing,
  });
}

/** The columns of an artifact that change when it is written again. */
export function sealedArtifact(keyring: Keyring, save: Save) {
  const { model, payload, json, expiresAt } = save;
  const id = artifactId(model, save.id);
  return {
    id,
    // A request that waits for a person's answer is found by the person.
    accountId: isWaiting(save) ? (payload.accountId ?? null) : null,
    sealed: keyring.seal(artifactContext(id), json),
    expiresAt,
  };
}

/** A code or an opaque access token, as the ordinary writes take it (fast/writes.ts). */
export function issuedArtifact(keyring: Keyring, save: Save): IssuedArtifact {
  const { clientId = null } = save.payload;
  const session = sessionOf(keyring, save.payload);
  return { ...sealedArtifact(keyring, save), clientId, session };
}

function isWaiting({ model, payload: { grantId, error } }: Save): boolean {
  return (
    model !== 'BackchannelAuthenticationRequest' || (grantId === undefined && error === undefined)
  );
}

/** The engine's payload of an artifact. */
export function openArtifact(keyring: Keyring, row: ArtifactRow): AdapterPayload {
  const payload = unsealArtifact(keyring, row.id, row.sealed) as AdapterPayload;
  if (row.consumedAt) payload.consumed = Math.floor(row.consumedAt.getTime() / 1000);
  return payload;
}

/**
 * The keyed hash by which a session is found by uid, a device code by user code, an interaction by the pushed request
 * that it is for.
 */
export function lookupOf(
  keyring: Keyring,
  model: string,
  { uid, userCode, parJti }: AdapterPayload & { readonly parJti?: string },
): Uint8Array<ArrayBuffer> | undefined {
  const values: Record<string, string | undefined> = {
    Session: uid,
    DeviceCode: userCode,
    Interaction: parJti,
  };
  const value = values[model];
  return value === undefined ? undefined : lookups(keyring, model, value)[0];
}

/** The lookup of the session that an artifact ends with, so that both are read at once. */
export function sessionOf(
  keyring: Keyring,
  { expiresWithSession, sessionUid }: AdapterPayload,
): Uint8Array<ArrayBuffer> | null {
  if (expiresWithSession !== true || sessionUid === undefined) return null;
  return lookups(keyring, 'Session', sessionUid)[0];
}

/**
 * The keyed hashes of a uid or a user code, one for each secret, the current one first. A user code is so short that it
 * could be guessed from a plain hash.
 */
export function lookups(
  keyring: Keyring,
  model: string,
  value: string,
): [Uint8Array<ArrayBuffer>, ...Uint8Array<ArrayBuffer>[]] {
  return keyring.macs('lookup', `${model}:${value}`).map((mac) => new Uint8Array(mac)) as [
    Uint8Array<ArrayBuffer>,
    ...Uint8Array<ArrayBuffer>[],
  ];
}

export const sealedArtifacts: SealedTable<Uint8Array> = {
  name: 'artifacts',
  table: 'artifact',
  key: 'id',
  column: 'sealed',
  told: 'model',
  context: artifactContext,
  others(keyring, { model }, text) {
    const payload = JSON.parse(text) as AdapterPayload;
    const lookup = lookupOf(keyring, model as string, payload);
    return { session: sessionOf(keyring, payload), ...(lookup && { lookup }) };
  },
};
