// The engine with nothing around it: its own defaults, everything in memory, nothing kept. What it does is the baseline.
import { once } from 'node:events';
import { createServer } from 'node:http';
import { type Adapter, type AdapterPayload, Provider } from 'oidc-provider';
import { type JWK, exportJWK, generateKeyPair } from 'jose';
import Koa from 'koa';
import { accountId, client, resource, staticPath, staticText } from './settings.ts';

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

const { privateKey } = await generateKeyPair('ES256', { extractable: true });
const key: JWK = { ...(await exportJWK(privateKey)), alg: 'ES256', use: 'sig', kid: 'bench' };
const port = Number(process.env['PORT']);
const provider = new Provider(`http://localhost:${port}`, {
  adapter: Memory,
  jwks: { keys: [key] },
  clients: [{ ...client, client_id: 'bench' } as never],
  clientDefaults: { id_token_signed_response_alg: 'ES256' },
  enabledJWA: { idTokenSigningAlgValues: ['ES256'] },
  scopes: ['openid', 'offline_access', 'read'],
  claims: { openid: ['sub'], profile: ['name'], email: ['email', 'email_verified'] },
  pkce: { required: () => false },
  rotateRefreshToken: () => true,
  findAccount: (_ctx, id) => ({
    accountId: id,
    claims: () => ({ sub: id, name: 'Ada Lovelace', email: 'ada@example.com' }),
  }),
  loadExistingGrant: ({ oidc }) => oidc.provider.Grant.find('grant'),
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

const clientId = 'bench';
const grant = new provider.Grant({ accountId, clientId, jti: 'grant' } as never);
grant.addOIDCScope('openid profile email offline_access');
grant.addResourceScope(resource, 'read');
await grant.save();
const found = await provider.Client.find(clientId);
const family = async (isJwt: boolean) => {
  const token = new provider.RefreshToken({
    accountId,
    client: found,
    grantId: 'grant',
    gty: 'authorization_code',
    scope: `openid profile offline_access${isJwt ? ' read' : ''}`,
    rotations: 0,
    iiat: Math.floor(Date.now() / 1000),
    ...(isJwt ? { resource } : {}),
  } as never);
  return token.save();
};
const session = new provider.Session();
session.loginAccount({ accountId, loginTs: Math.floor(Date.now() / 1000) });
session.ensureClientContainer(clientId);
session.grantIdFor(clientId, 'grant');
await session.save(86_400);
const cookie = `${provider.cookieName('session')}=${session.jti}`;

process.send?.({
  cookie,
  opaque: await Promise.all(Array.from({ length: 128 }, () => family(false))),
  jwt: await Promise.all(Array.from({ length: 128 }, () => family(true))),
});
