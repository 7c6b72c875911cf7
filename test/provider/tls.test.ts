// The provider's own TLS listeners: one for everybody, one that asks for client certificates (RFC 8705).
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createHash, randomUUID, X509Certificate } from 'node:crypto';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ConnectionOptions, connect as dial, getCiphers } from 'node:tls';
import { SignJWT, exportJWK, generateKeyPair } from 'jose';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { connect } from '../../src/database/open.ts';
import { Keyring } from '../../src/keys/keyring.ts';
import { insertClient } from '../../src/storage/clients.ts';
import { type TestDatabase, createDatabase } from '../support/database.ts';
import { type ProviderProcess, freePort, startProcess } from '../support/process.ts';
import { secret, webClient } from '../support/provider.ts';
import { tls } from '../support/tls.ts';

let database: TestDatabase;
let provider: ProviderProcess;
let folder: string;
let issuer: string;
let mtlsPort: number;

const service = {
  ...webClient,
  client_secret: undefined,
  grant_types: ['client_credentials'],
  response_types: [],
  redirect_uris: [],
  post_logout_redirect_uris: [],
  tls_client_certificate_bound_access_tokens: true,
};

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'symbolon-tls-'));
  const file = async (name: string, content: string) => {
    await writeFile(join(folder, name), content);
    return join(folder, name);
  };
  database = await createDatabase();
  const port = await freePort();
  mtlsPort = await freePort();
  issuer = `https://localhost:${port}`;
  provider = await startProcess({
    PORT: String(port),
    DATABASE_URL: database.url,
    SYMBOLON_SECRET: secret,
    SYMBOLON_ISSUER: issuer,
    SYMBOLON_TLS_CERT: await file('cert.pem', tls.serverCertificate),
    SYMBOLON_TLS_KEY: await file('key.pem', tls.serverKey),
    SYMBOLON_MTLS_PORT: String(mtlsPort),
    SYMBOLON_TLS_CLIENT_CA: await file('ca.pem', tls.ca),
    // A proxy's headers as well, which nobody who speaks TLS with us may send.
    SYMBOLON_TRUST_PROXY: 'true',
    SYMBOLON_TLS_CLIENT_CERT_HEADER: 'x-client-cert',
    SYMBOLON_TLS_CLIENT_VERIFY_HEADER: 'x-client-verify',
  });
  const prisma = connect(database.url);
  const certificate = new X509Certificate(tls.clientCertificate);
  const jwk = await exportJWK(certificate.publicKey);
  const keyring = new Keyring([secret]);
  await insertClient(prisma, keyring, {
    ...service,
    client_id: 'by-authority',
    token_endpoint_auth_method: 'tls_client_auth',
    tls_client_auth_san_dns: 'notes.example.com',
  });
  await insertClient(prisma, keyring, {
    ...service,
    client_id: 'self-signed',
    token_endpoint_auth_method: 'self_signed_tls_client_auth',
    jwks: { keys: [{ ...jwk, x5c: [certificate.raw.toString('base64')] }] },
  });
  await insertClient(prisma, keyring, {
    ...service,
    client_id: 'by-assertion',
    client_secret: secret,
    tls_client_certificate_bound_access_tokens: false,
    token_endpoint_auth_method: 'client_secret_jwt',
    client_assertion_audience: 'token_endpoint',
  });
  await insertClient(prisma, keyring, {
    ...service,
    client_id: 'by-dpop',
    tls_client_certificate_bound_access_tokens: false,
    token_endpoint_auth_method: 'tls_client_auth',
    tls_client_auth_san_dns: 'notes.example.com',
  });
  await insertClient(prisma, keyring, {
    ...webClient,
    client_id: 'device',
    client_secret: undefined,
    token_endpoint_auth_method: 'none',
    grant_types: ['urn:ietf:params:oauth:grant-type:device_code'],
    response_types: [],
    redirect_uris: [],
  });
  await prisma.$disconnect();
});
afterAll(async () => {
  await provider.end();
  await database.drop();
  await rm(folder, { recursive: true });
});

function call(
  port: number,
  path: string,
  form?: Record<string, string>,
  withCertificate = true,
  headers: Record<string, string> = {},
): Promise<{ status: number; body: Record<string, unknown> }> {
  return new Promise((resolve, reject) => {
    const sent = request(
      {
        host: 'localhost',
        port,
        path,
        method: form ? 'POST' : 'GET',
        ca: tls.ca,
        agent: false,
        headers: {
          ...(form ? { 'content-type': 'application/x-www-form-urlencoded' } : {}),
          ...headers,
        },
        ...(withCertificate ? { key: tls.clientKey, cert: tls.clientCertificate } : {}),
      },
      (response) => {
        let text = '';
        response.on('data', (chunk) => (text += String(chunk)));
        response.on('end', () => {
          resolve({
            status: response.statusCode ?? 0,
            body: JSON.parse(text) as Record<string, unknown>,
          });
        });
      },
    );
    sent.on('error', reject);
    sent.end(form ? new URLSearchParams(form).toString() : undefined);
  });
}
const issuerPort = () => Number(new URL(issuer).port);
const token = (id: string, port = mtlsPort, withCertificate = true) =>
  call(port, '/token', { grant_type: 'client_credentials', client_id: id }, withCertificate);

test('discovery tells where certificates are asked for', async () => {
  const { body } = await call(issuerPort(), '/.well-known/openid-configuration', undefined, false);
  expect(body).toMatchObject({
    issuer,
    token_endpoint: `${issuer}/token`,
    tls_client_certificate_bound_access_tokens: true,
    mtls_endpoint_aliases: { token_endpoint: `https://localhost:${mtlsPort}/token` },
  });
  expect(body['token_endpoint_auth_methods_supported']).toEqual(
    expect.arrayContaining(['tls_client_auth', 'self_signed_tls_client_auth']),
  );
});

test.each(['by-authority', 'self-signed'])(
  '%s: authenticated by its certificate, and its token is bound to it',
  async (id) => {
    const { status, body } = await token(id);
    expect({ status, body }).toMatchObject({ status: 200, body: { token_type: 'Bearer' } });
    const introspected = await call(mtlsPort, '/introspect', {
      client_id: id,
      token: String(body['access_token']),
    });
    const thumbprint = createHash('sha256')
      .update(new X509Certificate(tls.clientCertificate).raw)
      .digest('base64url');
    expect(introspected.body['cnf']).toEqual({ 'x5t#S256': thumbprint });
  },
);

test('without a certificate, or at the port that asks for none, nobody is authenticated', async () => {
  expect((await token('by-authority', mtlsPort, false)).body['error']).toBe('invalid_client');
  expect((await token('by-authority', issuerPort())).body['error']).toBe('invalid_client');
});

describe('at the port that asks for certificates, endpoints are named by it', () => {
  const own = (path: string) => `https://localhost:${mtlsPort}${path}`;
  const theIssuers = (path: string) => `${issuer}${path}`;

  async function proof(htu: string): Promise<Record<string, string>> {
    const { privateKey, publicKey } = await generateKeyPair('ES256');
    const dpop = await new SignJWT({ htm: 'POST', htu, jti: randomUUID() })
      .setProtectedHeader({ alg: 'ES256', typ: 'dpop+jwt', jwk: await exportJWK(publicKey) })
      .setIssuedAt()
      .sign(privateKey);
    return { dpop };
  }

  test('in a DPoP proof (RFC 9449 §4.3)', async () => {
    const form = { grant_type: 'client_credentials', client_id: 'by-dpop' };
    const at = async (name: string) =>
      (await call(mtlsPort, '/token', form, true, await proof(name))).body;
    expect(await at(own('/token'))).toMatchObject({ token_type: 'DPoP' });
    expect(await at(theIssuers('/token'))).toMatchObject({ error: 'invalid_dpop_proof' });
  });

  test('in the audience of an assertion that names the token endpoint', async () => {
    const asked = async (port: number, path: string, aud: string) => {
      const assertion = await new SignJWT({ jti: randomUUID() })
        .setProtectedHeader({ alg: 'HS256' })
        .setIssuer('by-assertion')
        .setSubject('by-assertion')
        .setAudience(aud)
        .setIssuedAt()
        .setExpirationTime('1 minute')
        .sign(new TextEncoder().encode(secret));
      const form = {
        ...{ grant_type: 'client_credentials', token: 'x', client_id: 'by-assertion' },
        client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
        client_assertion: assertion,
      };
      return (await call(port, path, form)).status;
    };
    // Of a client whose library names the token endpoint: this listener's, and nothing else.
    for (const path of ['/token', '/introspect']) {
      expect(await asked(mtlsPort, path, own('/token'))).toBe(200);
      for (const aud of [issuer, theIssuers('/token'), own('/introspect')])
        expect([aud, path, await asked(mtlsPort, path, aud)]).toEqual([aud, path, 401]);
    }
    expect(await asked(issuerPort(), '/token', own('/token'))).toBe(401);
    expect(await asked(issuerPort(), '/token', theIssuers('/token'))).toBe(200);
  });

  test('but not what people open, nor the discovery document', async () => {
    const [here, there] = await Promise.all(
      [mtlsPort, issuerPort()].map((port) => call(port, '/.well-known/openid-configuration')),
    );
    expect(here?.body).toEqual(there?.body);
    const { body } = await call(mtlsPort, '/device_authorization', { client_id: 'device' });
    expect(body['verification_uri']).toBe(theIssuers('/device'));
  });
});

test('a certificate in a header proves nothing at our own listeners', async () => {
  const headers = {
    'x-client-cert': encodeURIComponent(tls.clientCertificate),
    'x-client-verify': 'SUCCESS',
  };
  for (const id of ['by-authority', 'self-signed'])
    for (const port of [mtlsPort, issuerPort()]) {
      const form = { grant_type: 'client_credentials', client_id: id };
      const { body } = await call(port, '/token', form, false, headers);
      expect({ id, port, error: body['error'] }).toEqual({ id, port, error: 'invalid_client' });
    }
});

test('both ports offer forward secrecy and authenticated encryption only (RFC 9325 §4.2)', async () => {
  for (const port of [issuerPort(), mtlsPort]) {
    const offered = new Set<string>();
    for (const name of getCiphers().filter((one) => !one.startsWith('tls_'))) {
      const cipher = name.toUpperCase();
      const suite = await negotiated(port, {
        ciphers: `${cipher}:@SECLEVEL=0`,
        maxVersion: 'TLSv1.2',
      });
      if (suite !== undefined) offered.add(suite);
    }
    expect([...offered].sort()).toEqual([
      'ECDHE-ECDSA-AES128-GCM-SHA256',
      'ECDHE-ECDSA-AES256-GCM-SHA384',
      'ECDHE-ECDSA-CHACHA20-POLY1305',
    ]);
    expect(await negotiated(port, { minVersion: 'TLSv1.3' })).toMatch(/^TLS_/);
    const old = { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'ALL:@SECLEVEL=0' } as const;
    expect(await negotiated(port, old)).toBeUndefined();
  }
});

/** The suite that a connection gets; undefined when there is none. */
function negotiated(port: number, options: ConnectionOptions): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = dial({ host: 'localhost', port, rejectUnauthorized: false, ...options }, () => {
      resolve(socket.getCipher().name);
      socket.destroy();
    });
    socket.on('error', () => {
      resolve(undefined);
    });
  });
}
