// How an artifact is sealed.
import type { Keyring } from '../keys/keyring.ts';

/** The record's identity, under which it is sealed. */
export function artifactContext(id: Uint8Array): string {
  return `artifact ${Buffer.from(id).toString('base64url')}`;
}

/** The engine's payload, as it was sealed. @throws {SealError} when it was sealed under no secret of the keyring */
export function unsealArtifact(keyring: Keyring, id: Uint8Array, sealed: Uint8Array): unknown {
  return JSON.parse(keyring.unseal(artifactContext(id), sealed));
}
