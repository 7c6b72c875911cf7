// What Auth0 exports: users (a job's file of a line of JSON each, with the fields of docs/coming-from-auth0.md), the hashes
// of their passwords (a file from Auth0's support), and applications (Management API, GET /api/v2/clients, or the clients of
// a file of auth0-deploy-cli).
import { z } from 'zod';
import type { ClaimsConfig } from '../../config/claims.ts';
import { deviceCode } from '../../provider/grant-types.ts';
import { CommandError } from '../run.ts';
import { hashIn, importable, usernameIn } from './people.ts';
import type { Conversion, ConvertedClient, Remark, Source } from './source.ts';
import { leastSecret } from './secrets.ts';

type Say = (remark: string) => void;

const userSchema = z.looseObject({
  user_id: z.string(),
  email: z.string().optional(),
  email_verified: z.boolean().default(false),
  name: z.string().optional(),
  given_name: z.string().optional(),
  family_name: z.string().optional(),
  nickname: z.string().optional(),
  picture: z.string().optional(),
  phone_number: z.string().optional(),
  phone_verified: z.boolean().optional(),
  username: z.string().optional(),
  blocked: z.boolean().default(false),
  user_metadata: z.looseObject({}).optional(),
  app_metadata: z.looseObject({}).optional(),
  multifactor: z.array(z.string()).default([]),
  identities: z.array(z.looseObject({ provider: z.string() })).default([]),
});

const hashSchema = z.looseObject({
  _id: z.looseObject({ $oid: z.string() }),
  alt_id: z.string().optional(),
  passwordHash: z.string(),
});

const clientSchema = z.looseObject({
  client_id: z.string().optional(),
  client_secret: z.string().optional(),
  name: z.string(),
  global: z.boolean().default(false),
  app_type: z.string().optional(),
  is_first_party: z.boolean().default(false),
  logo_uri: z.string().optional(),
  callbacks: z.array(z.string()).default([]),
  allowed_logout_urls: z.array(z.string()).default([]),
  grant_types: z.array(z.string()).default([]),
  token_endpoint_auth_method: z.string().default('client_secret_basic'),
  initiate_login_uri: z.string().optional(),
  jwt_configuration: z.looseObject({ alg: z.string().optional() }).default({}),
  oidc_logout: z
    .looseObject({ backchannel_logout_urls: z.array(z.string()).default([]) })
    .default({ backchannel_logout_urls: [] }),
  organization_usage: z.string().optional(),
});

type User = z.output<typeof userSchema>;
type Client = z.output<typeof clientSchema>;

/** @param claims the claims that people may have here @throws {CommandError} when a file has something else */
export function convertAuth0(sources: readonly Source[], claims: ClaimsConfig): Conversion {
  const [people, clients, remarks]: [object[], ConvertedClient[], Remark[]] = [[], [], []];
  const entries = sources.flatMap((source) =>
    entriesOf(source).map((value, index) => ({ source, value, index })),
  );
  const hashes = new Map<string, string>();
  for (const { value } of entries) {
    const { success, data } = hashSchema.safeParse(value);
    if (success) hashes.set(`auth0|${data.alt_id ?? data._id.$oid}`, data.passwordHash);
  }
  for (const { source, value, index } of entries) {
    if (hashSchema.safeParse(value).success) continue;
    const user = userSchema.safeParse(value);
    const client = clientSchema.safeParse(value);
    const at = (id: string, text: string) => {
      remarks.push({ file: source.file, line: source.lineOf(JSON.stringify(id)), text });
    };
    if (user.success) {
      const person = convertUser(user.data, hashes, claims, (text) => {
        at(user.data.user_id, `user ${user.data.email ?? user.data.user_id}: ${text}`);
      });
      if (person) people.push(person);
    } else if (client.success) {
      const { name, client_id: id = name } = client.data;
      const converted = convertClient(client.data, (text) => {
        at(id, `client ${name}: ${text}`);
      });
      if (converted) clients.push(converted);
    } else
      throw new CommandError(
        `${source.file}: entry ${index + 1} is no user (user_id), no password hash (_id, passwordHash) and no application (name, callbacks) of Auth0.`,
      );
  }
  const used = new Set(people.map((person) => (person as { sub: string }).sub));
  for (const sub of hashes.keys())
    if (!used.has(sub)) {
      const source = sources.find(({ value }) => JSON.stringify(value).includes(sub.slice(6)));
      const line = source?.lineOf(JSON.stringify(sub.slice(6))) ?? 1;
      remarks.push({
        file: source?.file ?? '',
        line,
        text: `a password hash: there is no user ${sub}`,
      });
    }
  return { people, clients, groups: [], remarks };
}

function entriesOf({ value }: Source): unknown[] {
  if (Array.isArray(value)) return value;
  const { clients, users } = value as { clients?: unknown; users?: unknown };
  if (Array.isArray(clients) || Array.isArray(users))
    return [users, clients].filter(Array.isArray).flat();
  return [value];
}

function convertUser(
  user: User,
  hashes: ReadonlyMap<string, string>,
  claims: ClaimsConfig,
  remark: Say,
): object | undefined {
  const { user_id: sub, email } = user;
  const hash = hashes.get(sub);
  const standard = {
    given_name: user.given_name,
    family_name: user.family_name,
    nickname: user.nickname,
    picture: user.picture,
    phone_number: user.phone_number,
    phone_number_verified: user.phone_verified,
  };
  const person = {
    sub,
    email,
    email_verified: user.email_verified,
    // Auth0 writes the address where there is no name.
    ...(user.name === undefined || user.name === email ? {} : { name: user.name }),
    ...usernameIn(user.username, email, remark),
    claims: Object.fromEntries(Object.entries(standard).filter(([, value]) => value !== undefined)),
    locked: user.blocked,
    ...hashIn(hash, remark),
  };
  if (!importable(person, claims, remark)) return undefined;
  if (hash === undefined && sub.startsWith('auth0|'))
    remark('there is no hash of the password: the person asks for a new one by mail');
  const others = [...new Set(user.identities.map(({ provider }) => provider))];
  for (const provider of others.filter((one) => one !== 'auth0'))
    remark(`signing in with ${provider} is not taken`);
  if (user.multifactor.length > 0)
    remark(
      `the second factor (${user.multifactor.join(', ')}) is not taken: Auth0 exports no secrets`,
    );
  for (const name of ['user_metadata', 'app_metadata'] as const)
    for (const member of Object.keys(user[name] ?? {}))
      remark(`${name}.${member} is not taken: see claims and groups`);
  return person;
}

const grantNames: Readonly<Record<string, string>> = {
  authorization_code: 'authorization_code',
  refresh_token: 'refresh_token',
  client_credentials: 'client_credentials',
  [deviceCode]: deviceCode,
};

function convertClient(client: Client, remark: Say): ConvertedClient | undefined {
  if (client.global) return undefined; // Auth0's own settings
  const { client_id: id, token_endpoint_auth_method: method } = client;
  if (id === undefined) {
    remark(
      'not taken, since the file has no client_id: take the applications from the Management API',
    );
    return undefined;
  }
  const grants = client.grant_types.flatMap((grant) => grantNames[grant] ?? []);
  for (const grant of client.grant_types.filter((one) => !(one in grantNames)))
    remark(`the grant ${grant} is not taken`);
  const uris = (what: string, all: readonly string[]) =>
    all.filter((uri) => {
      if (!uri.includes('*')) return true;
      remark(`the ${what} ${uri} is not taken: register each as it is, without *`);
      return false;
    });
  const isCode = grants.includes('authorization_code');
  const [logout, ...more] = client.oidc_logout.backchannel_logout_urls;
  if (more.length > 0) remark('one back-channel logout URL is taken, and no more');
  const { alg } = client.jwt_configuration;
  if (alg === 'HS256') remark('ID tokens are signed with a key of the provider, not with HS256');
  if (client.organization_usage === 'require') remark('organizations are not taken');
  const isKnown = ['none', 'client_secret_basic', 'client_secret_post'].includes(method);
  if (!isKnown) remark(`its authentication (${method}) is not taken: see clients.md`);
  const after = uris('logout URL', client.allowed_logout_urls);
  const given = {
    client_id: id,
    client_name: client.name,
    application_type: client.app_type === 'native' ? 'native' : undefined,
    logo_uri: client.logo_uri || undefined,
    redirect_uris: isCode ? uris('callback', client.callbacks) : [],
    post_logout_redirect_uris: after.length > 0 ? after : undefined,
    backchannel_logout_uri: logout,
    initiate_login_uri: client.initiate_login_uri || undefined,
    grant_types: grants,
    response_types: isCode ? ['code'] : [],
    token_endpoint_auth_method: isKnown ? method : 'client_secret_basic',
    client_secret:
      method === 'none'
        ? undefined
        : leastSecret(client.client_secret, 'client_secret_basic', remark),
    first_party: client.is_first_party ? true : undefined,
  };
  return Object.fromEntries(
    Object.entries(given).filter(([, value]) => value !== undefined),
  ) as unknown as ConvertedClient;
}
