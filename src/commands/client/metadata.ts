// What the commands on applications share: checking metadata before anything is written.
import { metadataProblems } from '../../provider/metadata-problems.ts';
import type { OfflineProvider } from '../../provider/offline-provider.ts';
import { clearUris } from '../../provider/redirect-uris.ts';
import { type ClientMetadata, leastSecretLength } from '../../storage/clients.ts';
import { CommandError } from '../run.ts';

export function noClient(id: string): CommandError {
  return new CommandError(`There is no client "${id}".`);
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
  const problems = await metadataProblems(provider, metadata);
  if (problems.length > 0)
    throw new CommandError(
      problems
        .map(({ message, isUnknown }) =>
          isUnknown ? message : `The client's metadata was refused: ${message}`,
        )
        .join('\n'),
    );
  for (const uri of clearUris(metadata))
    process.stderr.write(
      `Warning: ${JSON.stringify(uri)} is not https. Whoever is on the way can take the codes that are sent there (RFC 9700 §2.6).\n`,
    );
}
