// A refresh with every method of client authentication.
import { generateKeyPairSync } from 'node:crypto';
import { exportJWK } from 'jose';
import * as client from 'openid-client';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Agent } from '../support/agent.ts';
import { certificates } from '../support/certificates.ts';
import { type TestProvider, startProvider, webClient } from '../support/provider.ts';
import { authorizationRequest, errorOf, refreshTokenOf } from '../support/relying-party.ts';
import { familyIdOf } from '../support/token-endpoint.ts';

let provider: TestProvider;
beforeAll(async () => {
  provider = await startProvider({
    environment: {
      SYMBOLON_TRUST_PROXY: 'true',
      SYMBOLON_TLS_CLIENT_CERT_HEADER: 'X-Client-Cert',
      SYMBOLON_TLS_CLIENT_VERIFY_HEADER: 'X-Client-Verify',
    },
  });
});
afterAll(() => provider.close());

/** Signs in, refreshes twice, and retries once: with this client, in this way. */
async function wholeWay(
  metadata: { client_id: string } & Record<string, unknown>,
  authentication: client.ClientAuth,
  headers: Record<string, string> = {},
) {
  await provider.addClient({ ...webClient, client_secret: undefined, ...metadata });
  const configuration = await client.discovery(
    new URL(provider.issuer),
    metadata.client_id,
    undefined,
    authentication,
    { execute: [client.allowInsecureRequests] },
  );
  configuration[client.customFetch] = (url, options) =>
    fetch(url, { ...options, headers: { ...options.headers, ...headers } });
  const party = { configuration, redirectUri: webClient.redirect_uris[0] ?? '' };
  const { url, finish } = await authorizationRequest(party);
  const first = refreshTokenOf(await finish(await new Agent(provider.issuer).authorize(url)));
  const second = refreshTokenOf(await client.refreshTokenGrant(configuration, first));
  expect((await client.refreshTokenGrant(configuration, first)).refresh_token).toBe(second);
  await client.refreshTokenGrant(configuration, second);
  return { configuration, token: second };
}

const secret = 'a client secret that is long enough';

test('a certificate in the header of a peer that is no trusted proxy is none', async () => {
  const grant = { grant_types: ['client_credentials'], response_types: [], redirect_uris: [] };
  const pem = certificates.notes;
  for (const [trusted, status] of [
    ['127.0.0.0/8,::1', 200],
    ['192.0.2.1, 10.0.0.0/8', 401],
  ] as const) {
    const guarded = await startProvider({
      environment: {
        SYMBOLON_TRUST_PROXY: trusted,
        SYMBOLON_TLS_CLIENT_CERT_HEADER: 'X-Client-Cert',
        SYMBOLON_TLS_CLIENT_VERIFY_HEADER: 'X-Client-Verify',
      },
      clients: [
        {
          ...{ ...webClient, ...grant, client_id: 'machine', client_secret: undefined },
          token_endpoint_auth_method: 'tls_client_auth',
          tls_client_auth_san_dns: 'notes.example.com',
        },
      ],
    });
    const answer = await fetch(`${guarded.issuer}/token`, {
      method: 'POST',
      headers: { 'x-client-cert': encodeURIComponent(pem), 'x-client-verify': 'SUCCESS' },
      body: new URLSearchParams({ grant_type: 'client_credentials', client_id: 'machine' }),
    });
    expect([trusted, answer.status]).toEqual([trusted, status]);
    await guarded.close();
  }
});

test('none', () =>
  wholeWay({ client_id: 'none', token_endpoint_auth_method: 'none' }, client.None()));
test('client_secret_basic', () =>
  wholeWay({ client_id: 'basic', client_secret: secret }, client.ClientSecretBasic(secret)));
test('client_secret_post', () =>
  wholeWay(
    { client_id: 'post', client_secret: secret, token_endpoint_auth_method: 'client_secret_post' },
    client.ClientSecretPost(secret),
  ));
test('client_secret_jwt', () =>
  wholeWay(
    { client_id: 'jwt', client_secret: secret, token_endpoint_auth_method: 'client_secret_jwt' },
    client.ClientSecretJwt(secret),
  ));

test('a wrong secret is refused, also the stored hash', async () => {
  await provider.addClient({ ...webClient, client_id: 'guessed', client_secret: secret });
  const row = await provider.storage.prisma.client.findUniqueOrThrow({ where: { id: 'guessed' } });
  const hash = provider.storage.keyring.unseal('client guessed', row.secret ?? new Uint8Array());
  for (const wrong of ['wrong', '', `${secret} `, hash]) {
    const answer = await fetch(`${provider.issuer}/token`, {
      method: 'POST',
      headers: {
        authorization: `Basic ${Buffer.from(`guessed:${encodeURIComponent(wrong)}`).toString('base64')}`,
      },
      body: new URLSearchParams({ grant_type: 'refresh_token', refresh_token: 'x' }),
    });
    expect(((await answer.json()) as { error: string }).error).not.toBe('invalid_grant');
  }
});

test('private_key_jwt, and an assertion works once', async () => {
  const { privateKey, publicKey } = await crypto.subtle.generateKey(
    { name: 'ECDSA', namedCurve: 'P-256' },
    true,
    ['sign', 'verify'],
  );
  const jwks = { keys: [{ ...(await exportJWK(publicKey)), use: 'sig' }] };
  let assertion: string | undefined;
  const { configuration, token } = await wholeWay(
    { client_id: 'keyed', jwks, token_endpoint_auth_method: 'private_key_jwt' },
    client.PrivateKeyJwt(privateKey),
  );
  configuration[client.customFetch] = (url, options) => {
    const body = new URLSearchParams(options.body as unknown as string);
    if (assertion !== undefined) body.set('client_assertion', assertion);
    assertion ??= body.get('client_assertion') ?? '';
    return fetch(url, { ...options, body });
  };
  const next = await client.refreshTokenGrant(configuration, token);
  const replayed = await errorOf(client.refreshTokenGrant(configuration, refreshTokenOf(next)));
  expect(replayed.error).toBe('invalid_client');
});

describe('mutual TLS, behind a proxy', () => {
  const headers = (cert: string, verify = 'SUCCESS') => ({
    'x-client-cert': encodeURIComponent(cert),
    'x-client-verify': verify,
  });

  test('tls_client_auth by a name that the proxy has verified', async () => {
    const cert = certificates.notes;
    const metadata = {
      client_id: 'tls',
      token_endpoint_auth_method: 'tls_client_auth',
      tls_client_auth_san_dns: 'notes.example.com',
    };
    const { configuration, token } = await wholeWay(
      metadata,
      client.TlsClientAuth(),
      headers(cert),
    );
    for (const wrong of [headers(cert, 'FAILED'), headers(certificates.other), {}]) {
      configuration[client.customFetch] = (url, options) =>
        fetch(url, { ...options, headers: { ...options.headers, ...wrong } });
      expect((await errorOf(client.refreshTokenGrant(configuration, token))).error).toBe(
        'invalid_client',
      );
    }
    await wholeWay(
      {
        ...metadata,
        client_id: 'tls-dn',
        tls_client_auth_san_dns: undefined,
        tls_client_auth_subject_dn: 'CN=notes,O=Notes,C=DE',
      },
      client.TlsClientAuth(),
      headers(cert),
    );
  });

  test('self_signed_tls_client_auth by a registered certificate', async () => {
    const cert = certificates.self;
    const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const x5c = [cert.replace(/-----[^-]+-----|\s/g, '')];
    const jwks = { keys: [{ ...(await exportJWK(publicKey)), x5c }] };
    const { configuration, token } = await wholeWay(
      { client_id: 'self-signed', jwks, token_endpoint_auth_method: 'self_signed_tls_client_auth' },
      client.TlsClientAuth(),
      headers(cert, 'FAILED'),
    );
    configuration[client.customFetch] = (url, options) =>
      fetch(url, {
        ...options,
        headers: { ...options.headers, ...headers(certificates.stranger) },
      });
    expect((await errorOf(client.refreshTokenGrant(configuration, token))).error).toBe(
      'invalid_client',
    );
  });

  test('a public client’s family is bound to its certificate', async () => {
    const cert = certificates.phone;
    const { configuration, token } = await wholeWay(
      {
        client_id: 'bound',
        token_endpoint_auth_method: 'none',
        tls_client_certificate_bound_access_tokens: true,
      },
      client.None(),
      headers(cert),
    );
    for (const wrong of [headers(certificates.thief), {}]) {
      configuration[client.customFetch] = (url, options) =>
        fetch(url, { ...options, headers: { ...options.headers, ...wrong } });
      expect((await errorOf(client.refreshTokenGrant(configuration, token))).error).toBe(
        'invalid_grant',
      );
    }
    const row = await provider.storage.prisma.refreshFamily.findUniqueOrThrow({
      where: { id: familyIdOf(token) },
    });
    expect(row).toMatchObject({ endedAt: null, generation: 2 });
  });
});
