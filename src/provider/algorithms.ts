// The JOSE algorithms (RFC 7518, RFC 8037) that are supported for each use.
import type { Configuration } from 'oidc-provider';
import { signingAlgorithms } from '../keys/signing-keys.ts';

// Symmetric ones would need plain client secrets, which are stored as hashes.
const encryptionAlgorithms = ['RSA-OAEP', 'RSA-OAEP-256', 'ECDH-ES'] as const;
const contentEncryption = ['A128CBC-HS256', 'A128GCM', 'A256CBC-HS512', 'A256GCM'] as const;

export function algorithms(): NonNullable<Configuration['enabledJWA']> {
  return {
    idTokenSigningAlgValues: [...signingAlgorithms],
    userinfoSigningAlgValues: [...signingAlgorithms],
    introspectionSigningAlgValues: [...signingAlgorithms],
    authorizationSigningAlgValues: [...signingAlgorithms],
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
