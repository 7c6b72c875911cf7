// The settings of clients: what they may do, how they are registered, the signing keys and the claims.
import { z } from 'zod';
import { readClaimsFile } from '../claims.ts';
import { signingAlgorithms } from '../signing-algorithms.ts';
import { type Section, flag, integer, oneOf, reading } from './setting.ts';

export const clients = {
  jwtBearerGrant: {
    variable: 'SYMBOLON_ENABLE_JWT_BEARER_GRANT',
    ...flag,
    help: 'Whether clients registered with the grant `urn:ietf:params:oauth:grant-type:jwt-bearer` may use it (RFC 7523 §2.1).',
  },
  passwordGrant: {
    variable: 'SYMBOLON_ENABLE_PASSWORD_GRANT',
    ...flag,
    help: 'Whether clients registered with the grant `password` may use it. RFC 9700 §2.4: it MUST NOT be used. For migrations only.',
  },
  tokenExchange: {
    variable: 'SYMBOLON_ENABLE_TOKEN_EXCHANGE',
    ...flag,
    help: 'Whether clients registered with the grant `urn:ietf:params:oauth:grant-type:token-exchange` may use it (RFC 8693), as their metadata allows.',
  },
  registration: {
    variable: 'SYMBOLON_REGISTRATION',
    ...oneOf(['off', 'token', 'open'], 'off'),
    help: 'Who may register clients at `/register` (RFC 7591): nobody, whoever has an initial access token (`symbolon client invite`), or anybody. An initial access token vouches for its client, also where anybody may register; see [Who vouches for a client](clients.md#who-vouches-for-a-client).',
  },
  unusedClientDays: {
    variable: 'SYMBOLON_UNUSED_CLIENT_DAYS',
    schema: integer(1, 3650).default(30),
    wants: 'a number of days from 1 to 3650',
    help: 'After how long a client that registered itself without an invitation is deleted when nobody has signed in with it, or no access that people gave it is left.',
  },
  clientIdMetadataDocuments: {
    variable: 'SYMBOLON_ENABLE_CLIENT_ID_METADATA_DOCUMENTS',
    ...flag,
    help: 'Whether a client may be an https URL at which its metadata is found (OAuth Client ID Metadata Document, draft 02).',
  },
  encryption: {
    variable: 'SYMBOLON_ENABLE_ENCRYPTION',
    ...flag,
    help: 'Whether clients may have ID tokens and other signed answers encrypted for their keys.',
  },
  authorizationDetailsTypes: {
    variable: 'SYMBOLON_AUTHORIZATION_DETAILS_TYPES',
    schema: z
      .string()
      .regex(/^[\w:./-]+(,[\w:./-]+)*$/)
      .transform((value) => value.split(','))
      .default([]),
    wants: 'names separated by commas',
    help: 'The types of rich authorization requests that clients may make (RFC 9396); the consent page shows what is asked for.',
    fallback: 'rich authorization requests are off',
  },
  requirePkce: {
    variable: 'SYMBOLON_REQUIRE_PKCE',
    ...flag,
    help: 'Whether every client must use PKCE (RFC 7636); public clients always must.',
  },
  signingAlgorithms: {
    variable: 'SYMBOLON_SIGNING_ALGORITHMS',
    schema: z
      .string()
      .transform((value) => [...new Set(value.split(',').map((name) => name.trim()))])
      .pipe(z.array(z.enum(signingAlgorithms)))
      .refine((names) => names.includes('RS256'))
      .default(['RS256', 'ES256', 'PS256']),
    wants: `names of \`${signingAlgorithms.join('`, `')}\`, separated by commas, \`RS256\` among them (OpenID Connect Discovery §3)`,
    help: 'The algorithms that tokens may be signed with: each has keys, and clients and resources may ask for it. Older libraries cannot read a JWKS with EdDSA keys. An algorithm that is not listed keeps its keys while a registered client or resource uses it.',
    fallback: '`RS256,ES256,PS256`',
  },
  keyRotationDays: {
    variable: 'SYMBOLON_KEY_ROTATION_DAYS',
    schema: integer(1, 3650).default(90),
    wants: 'a number of days from 1 to 3650',
    help: 'How long a key signs before the next one does.',
  },
  claims: {
    variable: 'SYMBOLON_CLAIMS_FILE',
    schema: z
      .string()
      .min(1)
      .transform(reading(readClaimsFile, 'a file as docs/clients.md describes it'))
      .optional(),
    wants: 'the path of a file',
    help: 'A JSON file with scopes and claims of your own, and with what goes into tokens; see [Claims](clients.md#claims-and-scopes-of-your-own).',
    fallback: 'the standard claims, and those that [files](files.md) describe',
  },
} satisfies Section;
