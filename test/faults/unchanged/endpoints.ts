// Endpoints for applications, while commits fail: what they answer with 503 "nothing was changed" is true, and the same
// request succeeds afterwards.
import { randomUUID } from 'node:crypto';
import { SignJWT } from 'jose';
import { buildAuthorizationUrl } from 'openid-client';
import { person, webClient } from '../../support/provider.ts';
import {
  type Tokens,
  authorizationRequest,
  discover,
  signIn,
} from '../../support/relying-party.ts';
import { newFamily, post, refreshAt } from '../../support/token-endpoint.ts';
import {
  API,
  type Answer,
  type Arrange,
  type Case,
  type Fixture,
  bank,
  calendar,
  grants,
  server,
  tv,
} from './fixture.ts';

const scope = 'openid offline_access';

/** A request that is the same each time. */
const posting =
  (
    path: string,
    form: Record<string, string>,
    client: { client_id: string; client_secret?: string } = webClient,
  ): Arrange =>
  ({ provider: { issuer } }) =>
    Promise.resolve(() => post(issuer + path, form, client));

/** Tokens for the calendar, or for another. */
const tokensFor = async (
  { provider, browser }: Fixture,
  parameters?: Record<string, string>,
  client: typeof webClient = calendar,
): Promise<Tokens> => signIn(await discover(provider.issuer, client), browser(), parameters);

export const endpoints: Record<string, Case> = {
  'the password grant': {
    arrange: posting('/token', {
      ...{ grant_type: 'password', scope },
      ...{ username: person.email, password: person.password },
    }),
    events: ['family.started', 'consent'],
  },

  // An assertion is good for one request, whatever becomes of it (RFC 7523 §3): the client makes another.
  'the jwt-bearer grant': {
    arrange: ({ provider: { issuer }, key }) =>
      Promise.resolve(async () => {
        const assertion = await new SignJWT()
          .setProtectedHeader({ alg: 'ES256' })
          .setIssuer('web')
          .setSubject(person.email)
          .setAudience(issuer)
          .setJti(randomUUID())
          .setExpirationTime('1m')
          .sign(key);
        return post(`${issuer}/token`, { grant_type: grants.jwtBearer, assertion, scope });
      }),
    events: ['family.started', 'consent'],
  },

  'an exchange for an opaque token': {
    arrange: async (fixture) => {
      const asked = { scope: 'openid notes:read', resource: API };
      const { access_token: token } = await tokensFor(fixture, asked);
      const form = {
        ...{ grant_type: grants.exchange, resource: API, subject_token: token },
        subject_token_type: 'urn:ietf:params:oauth:token-type:access_token',
      };
      return posting('/token', form, server)(fixture);
    },
    events: ['token.exchanged'],
  },

  'a code': {
    arrange: async ({ party, browser, provider: { issuer } }) => {
      const { url, verifier } = await authorizationRequest(party);
      const { searchParams } = await browser().authorize(url);
      const form = {
        ...{ grant_type: 'authorization_code', code: searchParams.get('code') ?? '' },
        ...{ redirect_uri: party.redirectUri, code_verifier: verifier },
      };
      return () => post(`${issuer}/token`, form);
    },
    events: ['family.started'],
  },

  'a rotation': {
    arrange: async ({ provider: { issuer } }) => {
      const token = await newFamily(issuer);
      return () => refreshAt(issuer, token);
    },
  },

  'a used-up token, which ends its family': {
    arrange: async (fixture) => {
      const { issuer } = fixture.provider;
      const { refresh_token: token = '' } = await tokensFor(fixture);
      await refreshAt(issuer, token, calendar);
      return () => refreshAt(issuer, token, calendar);
    },
    status: 400,
    events: ['family.ended', 'refresh.refused'],
    mails: ['reuse'],
  },

  'a revocation': {
    arrange: async (fixture) => {
      const { issuer } = fixture.provider;
      return posting('/revoke', { token: await newFamily(issuer) })(fixture);
    },
    events: ['family.ended'],
  },

  'a pushed request': {
    arrange: posting('/par', {
      ...{ client_id: 'web', response_type: 'code', scope },
      redirect_uri: webClient.redirect_uris[0] ?? '',
    }),
  },

  'a device that asks for a code': {
    arrange: posting('/device_authorization', { scope }, tv),
  },

  'a question to somebody who is not at their browser': {
    arrange: posting(
      '/backchannel_authentication',
      { scope: 'openid', login_hint: person.email, client_notification_token: 'for-the-bank' },
      bank,
    ),
    mails: ['approval'],
  },

  'an authorization of somebody who is signed in': {
    arrange: async (fixture) => {
      const agent = fixture.browser();
      await signIn(fixture.party, agent);
      const { configuration, redirectUri: redirect_uri } = fixture.party;
      const pkce = { code_challenge: 'x'.repeat(43), code_challenge_method: 'S256' };
      const url = buildAuthorizationUrl(configuration, { redirect_uri, scope, ...pkce });
      return () => agent.open(url);
    },
    shows: /code=/,
  },

  'a client that registers itself': {
    arrange: (fixture) => Promise.resolve(() => register(fixture)),
    status: 201,
    events: ['client.registered'],
  },

  'a client that changes what it has registered': {
    arrange: async (fixture) => {
      const { body } = await register(fixture);
      const { client_id: id } = body;
      return () => send('PUT', body, { client_id: id, ...metadata, client_name: 'Changed' });
    },
    events: ['client.changed'],
  },

  'a client that removes itself': {
    arrange: async (fixture) => {
      const { body } = await register(fixture);
      return () => send('DELETE', body);
    },
    status: 204,
    events: ['client.removed'],
  },
};

const metadata = { redirect_uris: ['https://app.example/callback'] };

function register({ provider: { issuer } }: Fixture): Promise<Registration> {
  return send('POST', { registration_client_uri: `${issuer}/register` }, metadata);
}

interface Registered {
  readonly client_id?: string;
  readonly registration_client_uri: string;
  readonly registration_access_token?: string;
}

type Registration = Answer & { readonly body: Registered };

async function send(
  method: string,
  { registration_client_uri: url, registration_access_token: token }: Registered,
  body?: object,
): Promise<Registration> {
  const response = await fetch(url, {
    method,
    headers: {
      'content-type': 'application/json',
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
    },
    ...(body ? { body: JSON.stringify(body) } : {}),
  });
  const text = await response.text();
  return {
    status: response.status,
    headers: response.headers,
    body: (text === '' ? {} : JSON.parse(text)) as Registered,
  };
}
