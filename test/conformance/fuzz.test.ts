// Every endpoint with whatever parameters: no error of the provider's own, no redirect to where nobody registered, and
// nothing of the request on a page as markup.
import fc from 'fast-check';
import { parse } from 'node-html-parser';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type TestProvider, startProvider, webClient } from '../support/provider.ts';

const RUNS = process.env['TEST_LONG'] === undefined ? 1000 : 50_000;

let provider: TestProvider;
beforeAll(async () => {
  provider = await startProvider({
    environment: {
      SYMBOLON_ENABLE_CIBA: 'true',
      SYMBOLON_ENABLE_TOKEN_EXCHANGE: 'true',
      SYMBOLON_ENABLE_JWT_BEARER_GRANT: 'true',
      SYMBOLON_ENABLE_PASSWORD_GRANT: 'true',
      SYMBOLON_REGISTRATION: 'open',
      SYMBOLON_AUTHORIZATION_DETAILS_TYPES: 'payment',
    },
    clients: [
      {
        ...webClient,
        grant_types: [
          'authorization_code',
          'refresh_token',
          'client_credentials',
          'password',
          'urn:ietf:params:oauth:grant-type:device_code',
          'urn:ietf:params:oauth:grant-type:jwt-bearer',
          'urn:ietf:params:oauth:grant-type:token-exchange',
          'urn:openid:params:grant-type:ciba',
        ],
        backchannel_token_delivery_mode: 'poll',
        authorization_details_types: ['payment'],
      },
    ],
  });
  await provider.storage.prisma.resource.create({
    data: { id: 'https://api.example', scopes: { read: '' } },
  });
});
afterAll(() => provider.close());

const MARK = 'zq7';
const markup = [
  `<script>${MARK}</script>`,
  `"><img src=x onerror=${MARK}>`,
  `'${MARK}`,
  `javascript:alert(${MARK})`,
];
const nasty = fc.oneof(
  fc.constantFrom(
    '',
    ' ',
    '\u0000',
    'null',
    '[]',
    '{}',
    '{"userinfo":{"name":1}}',
    '{"id_token":null}',
    '[{"type":"payment"}]',
    '-1',
    '1e309',
    '999999999999999999999',
    'a'.repeat(3000),
    '\ud800',
    '%',
    '..%2f..',
    'eyJhbGciOiJub25lIn0.e30.',
    'https://evil.example/',
    '//evil.example',
    'https://app.example@evil.example/',
    ...markup,
  ),
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc.json(),
);
const sensible = new Map<string, string[]>(
  Object.entries({
    client_id: ['web', 'nobody'],
    client_secret: [webClient.client_secret],
    response_type: ['code', 'id_token', 'none'],
    redirect_uri: [webClient.redirect_uris[0] ?? ''],
    post_logout_redirect_uri: webClient.post_logout_redirect_uris,
    scope: ['openid', 'openid offline_access read'],
    resource: ['https://api.example'],
    prompt: ['none', 'login', 'consent'],
    response_mode: ['query', 'fragment', 'form_post', 'jwt'],
    grant_type: [
      'authorization_code',
      'refresh_token',
      'client_credentials',
      'password',
      'urn:ietf:params:oauth:grant-type:device_code',
      'urn:ietf:params:oauth:grant-type:jwt-bearer',
      'urn:ietf:params:oauth:grant-type:token-exchange',
      'urn:openid:params:grant-type:ciba',
    ],
  }),
);
const names = [
  ...sensible.keys(),
  ...'state nonce display max_age ui_locales claims_locales id_token_hint login_hint acr_values claims request request_uri code_challenge code_challenge_method code code_verifier refresh_token token token_type_hint username password assertion client_assertion client_assertion_type subject_token subject_token_type device_code auth_req_id user_code binding_message requested_expiry login_hint_token authorization_details dpop_jkt registration logout xsrf confirm csrf email account duration answer access_token __proto__ constructor'.split(
    ' ',
  ),
];
const parameter = fc
  .constantFrom(...names)
  .chain((name) =>
    fc.tuple(
      fc.constant(name),
      fc.oneof({ weight: 2, arbitrary: fc.constantFrom(...(sensible.get(name) ?? [''])) }, nasty),
    ),
  );
const base: [string, string][] = ['client_id', 'response_type', 'redirect_uri', 'scope'].map(
  (name) => [name, sensible.get(name)?.[0] ?? ''],
);
const request = fc.record({
  path: fc.constantFrom(
    '/authorize',
    '/token',
    '/par',
    '/userinfo',
    '/introspect',
    '/revoke',
    '/device_authorization',
    '/device',
    '/backchannel_authentication',
    '/register',
    '/register/web',
    '/logout',
    '/logout/confirm',
    '/logout/success',
    '/approve',
    '/approve/sign-in',
    '/approve/x',
    '/interaction/x',
    '/interaction/x/sign-in',
    '/setup',
    '/jwks',
    '/.well-known/openid-configuration',
    '/',
  ),
  method: fc.constantFrom('GET', 'POST', 'POST', 'PUT', 'DELETE'),
  isSensible: fc.boolean(),
  parameters: fc.array(parameter, { maxLength: 8 }),
  authorization: fc.option(
    fc.oneof(
      fc.constant(
        `Basic ${Buffer.from(`web:${encodeURIComponent(webClient.client_secret)}`).toString('base64')}`,
      ),
      fc.constantFrom('Basic x', 'Bearer x', 'DPoP x', 'Bearer', 'Basic OjpAOg=='),
    ),
    { nil: undefined },
  ),
  dpop: fc.option(fc.constantFrom('x', 'a.b.c', 'eyJhbGciOiJub25lIn0.e30.'), { nil: undefined }),
  accept: fc.constantFrom('text/html', 'application/json', '*/*', 'application/jwt'),
  isJson: fc.boolean(),
});

test(
  'no 500, no redirect to an unregistered URI, no reflected markup',
  { timeout: 600_000 },
  async () => {
    await fc.assert(
      fc.asyncProperty(
        request,
        async ({ path, method, isSensible, parameters, authorization, dpop, accept, isJson }) => {
          const all = [...(isSensible ? base : []), ...parameters];
          const query = new URLSearchParams(
            all.filter(([, value]) => value.isWellFormed()),
          ).toString();
          const url = `${provider.issuer}${path}`;
          const isForm = method !== 'GET';
          const response = await fetch(isForm ? url : `${url}?${query}`, {
            method,
            redirect: 'manual',
            headers: {
              accept,
              ...(authorization === undefined ? {} : { authorization }),
              ...(dpop === undefined ? {} : { dpop }),
              ...(isForm
                ? {
                    'content-type': isJson
                      ? 'application/json'
                      : 'application/x-www-form-urlencoded',
                  }
                : {}),
            },
            ...(isForm ? { body: isJson ? JSON.stringify(Object.fromEntries(all)) : query } : {}),
          });
          expect(response.status).toBeLessThan(500);
          const location = response.headers.get('location');
          if (location !== null) {
            const target = new URL(location, url);
            const allowed = [
              provider.issuer,
              ...webClient.redirect_uris,
              ...webClient.post_logout_redirect_uris,
            ].some((uri) => target.href === uri || target.href.startsWith(uri));
            expect({ location, allowed }).toEqual({ location, allowed: true });
          }
          const text = await response.text();
          if (!(response.headers.get('content-type') ?? '').includes('html')) return;
          const html = parse(text);
          for (const element of html.querySelectorAll('*')) {
            expect(element.tagName === 'SCRIPT' && element.text.includes(MARK)).toBe(false);
            for (const [name, value] of Object.entries(element.attributes)) {
              expect(name.startsWith('on')).toBe(false);
              if (['href', 'src', 'action'].includes(name))
                expect(value.trim().toLowerCase().startsWith('javascript:')).toBe(false);
            }
          }
          for (const one of markup.slice(0, 2)) expect(text).not.toContain(one);
        },
      ),
      { numRuns: RUNS },
    );
  },
);
