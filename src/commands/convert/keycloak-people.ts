// Keycloak's users (UserRepresentation) as lines for `symbolon user import`. An attribute becomes the claim that a protocol
// mapper of the realm makes of it.
import { Secret } from 'otpauth';
import { z } from 'zod';
import {
  type ClaimType,
  type ClaimsConfig,
  accountClaimTypes,
  claimTypes,
} from '../../config/claims.ts';
import type { Mapper } from './keycloak-clients.ts';
import type { Roles } from './keycloak-roles.ts';
import { groupsIn, hashIn, importable, usernameIn } from './people.ts';

const names = z.array(z.string()).default([]);
const json = z
  .string()
  .transform((text, context): unknown => {
    try {
      return JSON.parse(text);
    } catch {
      context.addIssue('is no JSON');
      return z.NEVER;
    }
  })
  .pipe(z.looseObject({}));

const credentialSchema = z.looseObject({
  type: z.string(),
  secretData: json.optional(),
  credentialData: json.optional(),
});

export const userSchema = z.looseObject({
  id: z.string(),
  username: z.string().default(''),
  email: z.string().optional(),
  emailVerified: z.boolean().default(false),
  enabled: z.boolean().default(true),
  firstName: z.string().default(''),
  lastName: z.string().default(''),
  attributes: z.record(z.string(), z.array(z.string())).default({}),
  credentials: z.array(credentialSchema).default([]),
  requiredActions: names,
  realmRoles: names,
  clientRoles: z.record(z.string(), z.array(z.string())).default({}),
  groups: names,
  federatedIdentities: z.array(z.looseObject({ identityProvider: z.string() })).default([]),
  federationLink: z.string().optional(),
  serviceAccountClientId: z.string().optional(),
});

type User = z.output<typeof userSchema>;
type Credential = z.output<typeof credentialSchema>;
type Say = (remark: string) => void;

/** @returns a function that converts one person; undefined for nobody, after it has said why */
export function createPeople(
  { roles, mappers }: { readonly roles: Roles; readonly mappers: readonly Mapper[] },
  claims: ClaimsConfig,
): (user: User, say: Say) => object | undefined {
  const types = accountClaimTypes(claims);
  const claimOf = new Map(
    mappers
      .filter(({ protocolMapper }) => protocolMapper === 'oidc-usermodel-attribute-mapper')
      .map(({ config }) => [config['user.attribute'], config['claim.name']] as const),
  );

  return (user, say) => {
    if (user.serviceAccountClientId !== undefined) return undefined; // a client's, and nobody
    const { id, username, email, attributes } = user;
    const remark: Say = (text) => {
      say(`user ${username}: ${text}`);
    };
    const person = {
      sub: id,
      email,
      email_verified: user.emailVerified,
      name: [user.firstName, user.lastName].filter((part) => part !== '').join(' '),
      ...usernameIn(username, email, remark),
      ...(attributes['locale']?.[0] ? { locale: attributes['locale'][0] } : {}),
      claims: claimsOf(user, remark),
      groups: groupsIn(roles.of(user), remark),
      locked: !user.enabled,
      ...credentialsOf(user, remark),
    };
    if (!importable(person, claims, remark)) return undefined;
    for (const action of user.requiredActions) remark(`${action}: is not asked for here`);
    for (const { identityProvider } of user.federatedIdentities)
      remark(`the link to ${identityProvider} is not taken`);
    if (user.federationLink !== undefined && !('password_hash' in person))
      remark('the password is in the directory that Keycloak asks, and is not taken');
    return person;
  };

  function claimsOf({ attributes, firstName, lastName }: User, remark: Say): object {
    const found: Record<string, unknown> = {
      ...(firstName === '' ? {} : { given_name: firstName }),
      ...(lastName === '' ? {} : { family_name: lastName }),
    };
    const address = addressOf(attributes);
    if (address) found['address'] = address;
    for (const [attribute, values] of Object.entries(attributes)) {
      if (attribute === 'locale' || attribute in addressParts) continue;
      const claim = claimOf.get(attribute);
      const type = claim === undefined ? undefined : types[claim];
      if (claim === undefined) remark(`the attribute ${attribute} is no claim, and is not taken`);
      else if (type === undefined)
        remark(`the attribute ${attribute} is not taken: there is no claim "${claim}" here`);
      else {
        const value = claimTypes[type].safeParse(valueOf(values, type));
        if (value.success) found[claim] = value.data;
        else remark(`the attribute ${attribute} is not taken: the claim "${claim}" wants ${type}`);
      }
    }
    return found;
  }
}

const addressParts: Readonly<Record<string, string>> = {
  street: 'street_address',
  locality: 'locality',
  region: 'region',
  postal_code: 'postal_code',
  country: 'country',
  formatted: 'formatted',
};

function addressOf(attributes: User['attributes']): object | undefined {
  const parts = Object.entries(addressParts).flatMap(([attribute, part]) => {
    const value = attributes[attribute]?.[0];
    return value === undefined ? [] : [[part, value] as const];
  });
  return parts.length === 0 ? undefined : Object.fromEntries(parts);
}

function valueOf(values: readonly string[], type: ClaimType): unknown {
  const [first = ''] = values;
  if (type === 'string[]') return values;
  if (type === 'string') return first;
  try {
    return JSON.parse(first); // a number, a boolean, an object
  } catch {
    return undefined;
  }
}

function credentialsOf({ credentials }: User, remark: Say): object {
  const found: { password_hash?: string; totp?: string } = {};
  for (const credential of credentials) {
    if (credential.type === 'password') {
      const hash = passwordHash(credential);
      if (hash === undefined) remark('the password is not taken: its hash has another form');
      else Object.assign(found, hashIn(hash, remark));
    } else if (credential.type === 'otp') {
      const secret = totpSecret(credential);
      if (secret === undefined)
        remark(
          'an app for one-time codes is not taken: here codes have six digits, every 30 seconds, by SHA-1',
        );
      else if (found.totp !== undefined) remark('a second app for one-time codes is not taken');
      else found.totp = secret;
    } else remark(`a credential of the type ${credential.type} is not taken`);
  }
  return found;
}

const passwordSchema = z.object({
  secretData: z.looseObject({ value: z.string(), salt: z.string() }),
  credentialData: z.looseObject({
    algorithm: z.string(),
    hashIterations: z.number(),
    additionalParameters: z.record(z.string(), z.array(z.string())).default({}),
  }),
});

/** In PHC string format. */
function passwordHash(credential: Credential): string | undefined {
  const parsed = passwordSchema.safeParse(credential);
  if (!parsed.success) return undefined;
  const { secretData, credentialData } = parsed.data;
  const [salt, hash] = [secretData.salt, secretData.value].map((text) => text.replace(/=+$/, ''));
  const { algorithm, hashIterations: iterations, additionalParameters } = credentialData;
  const digest = { pbkdf2: 'sha1', 'pbkdf2-sha256': 'sha256', 'pbkdf2-sha512': 'sha512' }[
    algorithm
  ];
  if (digest !== undefined) return `$pbkdf2-${digest}$i=${iterations}$${salt}$${hash}`;
  if (algorithm !== 'argon2') return undefined;
  const of = (name: string) => additionalParameters[name]?.[0] ?? '';
  const version = { '1.3': 19 }[of('version')];
  if (version === undefined) return undefined;
  const costs = `m=${of('memory')},t=${iterations},p=${of('parallelism')}`;
  return `$argon2${of('type')}$v=${version}$${costs}$${salt}$${hash}`;
}

const totpSchema = z.object({
  secretData: z.looseObject({ value: z.string() }),
  credentialData: z.looseObject({
    subType: z.literal('totp'),
    digits: z.literal(6),
    period: z.literal(30),
    algorithm: z.literal('HmacSHA1'),
    secretEncoding: z.string().nullish(),
  }),
});

/** In Base32. Keycloak's secret is the text itself, unless it says otherwise. */
function totpSecret(credential: Credential): string | undefined {
  const parsed = totpSchema.safeParse(credential);
  if (!parsed.success) return undefined;
  const { value } = parsed.data.secretData;
  const isBase32 = parsed.data.credentialData.secretEncoding === 'BASE32';
  return isBase32 ? value.replace(/[\s=]/g, '') : Secret.fromUTF8(value).base32.replace(/=+$/, '');
}
