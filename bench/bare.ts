// The engine with nothing around it: its own defaults, everything in memory, nothing kept. What it does is the baseline.
import { once } from 'node:events';
import { createServer } from 'node:http';
import { type Adapter, type AdapterPayload, Provider } from 'oidc-provider';
import { type JWK, exportJWK, generateKeyPair } from 'jose';
import Koa from 'koa';
import {
  type ClientId,
  accountId,
  client,
  clients,
  resource,
  staticPath,
  staticText,
} from './settings.ts';

const kept = new Map<string, AdapterPayload>();
const byUid = new Map<string, string>();

class Memory implements Adapter {
  readonly #model: string;

  constructor(model: string) {
    this.#model = model;
  }
  find(id: string) {
    return Promise.resolve(kept.get(`${this.#model}:${id}`));
  }
  findByUid(uid: string) {
    return this.find(byUid.get(uid) ?? '');
  }
  findByUserCode() {
    return Promise.resolve(undefined);
  }
  upsert(id: string, payload: AdapterPayload) {
    kept.set(`${this.#model}:${id}`, payload);
    if (this.#model === 'Session') byUid.set(payload.uid ?? '', id);
    return Promise.resolve();
  }
  consume(id: string) {
    kept.delete(`${this.#model}:${id}`); // keeps nothing: a chain of refreshes would only grow
    return Promise.resolve();
  }
  destroy(id: string) {
    kept.delete(`${this.#model}:${id}`);
    return Promise.resolve();
  }
  revokeByGrantId() {
    return Promise.resolve();
  }
}

const keys = await Promise.all(
  Object.values(clients).map(async (alg): Promise<JWK> => {
    const { privateKey } = await generateKeyPair(alg, { extractable: true });
    return { ...(await exportJWK(privateKey)), alg, use: 'sig', kid: alg };
  }),
);
const port = Number(process.env['PORT']);
const provider = new Provider(`http://localhost:${port}`, {
  adapter: Memory,
  jwks: { keys },
  clients: Object.entries(clients).map(
    ([id, alg]) => ({ ...client, client_id: id, id_token_signed_response_alg: alg }) as never,
  ),
  enabledJWA: { idTokenSigningAlgValues: Object.values(clients) },
  scopes: ['openid', 'offline_access', 'read'],
  claims: { openid: ['sub'], profile: ['name'], email: ['email', 'email_verified'] },
  pkce: { required: () => false },
  rotateRefreshToken: () => true,
  findAccount: (_ctx, id) => ({
    accountId: id,
    claims: () => ({ sub: id, name: 'Ada Lovelace', email: 'ada@example.com' }),
  }),
  loadExistingGrant: ({ oidc }) => oidc.provider.Grant.find(`grant-${oidc.client?.clientId ?? ''}`),
  features: {
    devInteractions: { enabled: false },
    introspection: { enabled: true, allowedPolicy: () => true },
    clientCredentials: { enabled: true },
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo: () => ({
        scope: 'read',
        audience: resource,
        accessTokenFormat: 'jwt',
        jwt: { sign: { alg: 'ES256' } },
      }),
      useGrantedResource: () => true,
    },
  },
  routes: {
    authorization: '/authorize',
    introspection: '/introspect',
    userinfo: '/userinfo',
  },
  ttl: {
    AccessToken: 600,
    AuthorizationCode: 600,
    ClientCredentials: 600,
    Grant: 86_400,
    IdToken: 600,
    Interaction: 600,
    RefreshToken: 86_400,
    Session: 86_400,
  },
});
// What discovery and JWKS are measured against: a static string, and Koa.
const koa = new Koa();
koa.use((ctx) => {
  ctx.type = 'json';
  ctx.body = staticText;
});
const [engine, statically] = [provider.callback(), koa.callback()];
const server = createServer((request, response) => {
  void (request.url === staticPath ? statically : engine)(request, response);
}).listen(port, '127.0.0.1');
await once(server, 'listening');

const grantFor = async (clientId: ClientId) => {
  const grant = new provider.Grant({ accountId, clientId, jti: `grant-${clientId}` } as never);
  grant.addOIDCScope('openid profile email offline_access');
  grant.addResourceScope(resource, 'read');
  return grant.save();
};
for (const id of Object.keys(clients)) await grantFor(id as ClientId);
const family = async (clientId: ClientId, isJwt = false) => {
  const token = new provider.RefreshToken({
    accountId,
    client: await provider.Client.find(clientId),
    grantId: `grant-${clientId}`,
    gty: 'authorization_code',
    scope: `openid profile offline_access${isJwt ? ' read' : ''}`,
    rotations: 0,
    iiat: Math.floor(Date.now() / 1000),
    ...(isJwt ? { resource } : {}),
  } as never);
  return token.save();
};
const families = (clientId: ClientId, isJwt = false) =>
  Promise.all(Array.from({ length: 128 }, () => family(clientId, isJwt)));
const session = new provider.Session();
session.loginAccount({ accountId, loginTs: Math.floor(Date.now() / 1000) });
session.ensureClientContainer('bench');
session.grantIdFor('bench', 'grant-bench');
await session.save(86_400);
const cookie = `${provider.cookieName('session')}=${session.jti}`;

process.send?.({
  cookie,
  opaque: await families('bench'),
  rs256: await families('bench-rs256'),
  jwt: await families('bench', true),
});
