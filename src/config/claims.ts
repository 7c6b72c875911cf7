// The installation's own scopes and claims, from the file named by SYMBOLON_CLAIMS_FILE or from those that were applied:
// accounts' claims besides the standard ones, and the claims in tokens. Scopes release claims; tokens get those that are
// listed and the person has granted.
import { readFileSync } from 'node:fs';
import { z } from 'zod';

/** The types of accounts' claims. */
export const claimTypes = {
  string: z.string().max(2000),
  number: z.number(),
  boolean: z.boolean(),
  'string[]': z.array(z.string().max(2000)).max(1000),
  object: z.record(z.string(), z.unknown()),
} as const;

export type ClaimType = keyof typeof claimTypes;

/** The scopes of OIDC Core §5.4 and §11. */
export const standardScopes = ['openid', 'offline_access', 'profile', 'email', 'address', 'phone'];

/** The scope, and its claim, that tells a person's groups. */
export const GROUPS = 'groups' as const;

/**
 * Whether groups are told as people are in them. A file from before there were any may have a scope or a claim of that
 * name; then that stays what it was.
 */
export function tellsGroups({ scopes }: ClaimsConfig): boolean {
  return !(GROUPS in scopes) && !Object.values(scopes).some(({ claims }) => GROUPS in claims);
}

/** The claims of OIDC Core §5.1 that accounts can have, by the scope that releases them (§5.4). */
export const standardClaims = {
  profile: {
    given_name: 'string',
    family_name: 'string',
    middle_name: 'string',
    nickname: 'string',
    preferred_username: 'string',
    profile: 'string',
    picture: 'string',
    website: 'string',
    gender: 'string',
    birthdate: 'string',
    zoneinfo: 'string',
    locale: 'string',
  },
  address: { address: 'object' },
  phone: { phone_number: 'string', phone_number_verified: 'boolean' },
} as const satisfies Record<string, Record<string, ClaimType>>;

// Claims with a meaning of their own in tokens and answers (RFC 7519 §4.1, OIDC Core §2, RFC 9068 §2.2).
const reserved = new Set(
  'iss sub aud exp nbf iat jti azp nonce auth_time acr amr sid at_hash c_hash s_hash cnf client_id scope act may_act active token_type events name email email_verified updated_at'.split(
    ' ',
  ),
);

const name = z.string().regex(/^[\w:./-]{1,100}$/);
const claimName = name.refine((claim) => !reserved.has(claim), 'is a claim of the protocol itself');

const scope = z.strictObject({
  title: z.string().min(1).max(200),
  detail: z.string().max(500).optional(),
  claims: z.record(claimName, z.enum(Object.keys(claimTypes) as [ClaimType])).default({}),
});

/** The installation's own scopes and claims, as files have them. */
export const claimsSchema = z
  .strictObject({
    scopes: z.record(name, scope).default({}),
    access_token: z.array(z.string()).default([]),
    id_token: z.array(z.string()).default([]),
  })
  .superRefine(({ scopes, access_token: access, id_token: id }, context) => {
    const known = new Set([
      'name',
      'email',
      'email_verified',
      GROUPS,
      ...Object.values(standardClaims).flatMap((claims) => Object.keys(claims)),
      ...Object.values(scopes).flatMap(({ claims }) => Object.keys(claims)),
    ]);
    for (const claim of [...access, ...id].filter((one) => !known.has(one)))
      context.addIssue(`no scope releases the claim "${claim}"`);
    for (const scope of standardScopes)
      if (scope in scopes) context.addIssue(`"${scope}" is a scope of the standard`);
  });

export type ClaimsConfig = z.output<typeof claimsSchema>;

/** Nothing of the installation's own. */
export const standardOnly: ClaimsConfig = { scopes: {}, access_token: [], id_token: [] };

/** @throws {Error} when the file cannot be read or has mistakes: the message says which */
export function readClaimsFile(path: string): ClaimsConfig {
  const result = claimsSchema.safeParse(JSON.parse(readFileSync(path, 'utf8')));
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  throw new Error(`${issue?.path.join('.') ?? ''}: ${issue?.message ?? ''}`);
}

/** What is wrong with claims of an account, in English, for an administrator. @returns undefined when nothing is */
export function claimsProblem(
  claims: Readonly<Record<string, unknown>>,
  config: ClaimsConfig,
): string | undefined {
  const types = accountClaimTypes(config);
  for (const [name, value] of Object.entries(claims)) {
    const type = types[name];
    // One that the settings do not know would never be released.
    if (!type)
      return `${name}: there is no such claim. It is a standard one of OpenID Connect, or one of SYMBOLON_CLAIMS_FILE or of files that were applied; the name has "symbolon user update".`;
    if (value !== null && !claimTypes[type].safeParse(value).success)
      return `${name}: wants ${type}, got ${JSON.stringify(value)}`;
  }
  return undefined;
}

/** The type of every claim in an account's `claims`. */
export function accountClaimTypes(config: ClaimsConfig): Record<string, ClaimType> {
  return Object.assign(
    {},
    ...Object.values(standardClaims),
    ...Object.values(config.scopes).map(({ claims }) => claims),
  ) as Record<string, ClaimType>;
}
