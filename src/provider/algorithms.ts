// The JOSE algorithms (RFC 7518, RFC 8037) that are supported for each use.
import type { Configuration } from 'oidc-provider';
import { type SigningAlgorithm, signingAlgorithms } from '../config/signing-algorithms.ts';

// Symmetric ones would need plain client secrets, which are stored as hashes.
const encryptionAlgorithms = ['RSA-OAEP', 'RSA-OAEP-256', 'ECDH-ES'] as const;
const contentEncryption = ['A128CBC-HS256', 'A128GCM', 'A256CBC-HS512', 'A256GCM'] as const;

/** @param ours what the provider's own keys sign with; clients sign with what they like */
export function algorithms(
  ours: readonly SigningAlgorithm[],
): NonNullable<Configuration['enabledJWA']> {
  return {
    idTokenSigningAlgValues: [...ours],
    userinfoSigningAlgValues: [...ours],
    introspectionSigningAlgValues: [...ours],
    authorizationSigningAlgValues: [...ours],
    requestObjectSigningAlgValues: [...signingAlgorithms],
    clientAuthSigningAlgValues: ['HS256', ...signingAlgorithms],
    dPoPSigningAlgValues: ['ES256', 'PS256', 'EdDSA'],
    idTokenEncryptionAlgValues: [...encryptionAlgorithms],
    idTokenEncryptionEncValues: [...contentEncryption],
    userinfoEncryptionAlgValues: [...encryptionAlgorithms],
    userinfoEncryptionEncValues: [...contentEncryption],
    introspectionEncryptionAlgValues: [...encryptionAlgorithms],
    introspectionEncryptionEncValues: [...contentEncryption],
    authorizationEncryptionAlgValues: [...encryptionAlgorithms],
    authorizationEncryptionEncValues: [...contentEncryption],
    requestObjectEncryptionAlgValues: [],
    requestObjectEncryptionEncValues: [],
  };
}
