// What the commands on applications share: checking metadata before anything is written.
import { errors } from 'oidc-provider';
import type { OfflineProvider } from '../../provider/offline-provider.ts';
import type { OwnMetadata } from '../../provider/own-metadata.ts';
import { clearUris } from '../../provider/redirect-uris.ts';
import { type ClientMetadata, leastSecretLength } from '../../storage/clients.ts';
import { CommandError } from '../run.ts';

export function noClient(id: string): CommandError {
  return new CommandError(`There is no client "${id}".`);
}

/** The groups whose members alone may use an application. */
export function groupsOf(metadata: Record<string, unknown>): readonly string[] {
  return (metadata as OwnMetadata).allowed_groups ?? [];
}

/** @throws {CommandError} when a secret that somebody has chosen is too short for its use */
export function assertLongEnough(secret: string, metadata: Record<string, unknown>): void {
  const least = leastSecretLength(metadata);
  if (secret.length < least)
    throw new CommandError(
      `client_secret: has ${secret.length} characters; at least ${least} are wanted, at random. Leave --secret-stdin out, and one is made.`,
    );
}

/** Metadata without what is null, which stands for removed. */
export function withoutNulls(metadata: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(metadata).filter(([, value]) => value !== null));
}

/** @throws {CommandError} when a file has what it cannot change */
export function refuseFixed(metadata: Record<string, unknown>): void {
  for (const name of ['client_id', 'client_secret']) {
    if (name in metadata)
      throw new CommandError(
        `${name}: is not taken from the metadata file; give it on the command line when the client is added.`,
      );
  }
}

/** @throws {CommandError} saying what of the metadata is wrong, or unknown, and which setting would change that */
export async function validate(provider: OfflineProvider, metadata: ClientMetadata): Promise<void> {
  try {
    const unknown = await provider.validate(metadata);
    if (unknown.length > 0) {
      const missing = await provider.missingSettings(metadata, unknown);
      throw new CommandError(unknown.map((name) => whyUnknown(name, missing)).join('\n'));
    }
    for (const uri of clearUris(metadata))
      process.stderr.write(
        `Warning: ${JSON.stringify(uri)} is not https. Whoever is on the way can take the codes that are sent there (RFC 9700 §2.6).\n`,
      );
  } catch (error) {
    if (!(error instanceof errors.OIDCProviderError)) throw error;
    const [missing] = await provider.missingSettings(metadata, []);
    const help = missing ? ` It would be accepted with the setting ${missing.setting}.` : '';
    const why = error.error_description ?? error.message;
    throw new CommandError(`The client's metadata was refused: ${why}.${help}`);
  }
}

type Missing = Awaited<ReturnType<OfflineProvider['missingSettings']>>;

function whyUnknown(name: string, missing: Missing): string {
  const settings = missing.filter(({ member }) => member === name).map(({ setting }) => setting);
  return settings.length === 0
    ? `${name}: not known as client metadata.`
    : `${name}: not known as client metadata while ${settings.join(' and ')} is not set.`;
}
