// Clients that nobody here vouches for: what they may say of themselves (RFC 7591 §5, OIDC Registration §9.1), and where
// they may have a browser sent (RFC 9700 §4.11.2).
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { insertClient } from '../../src/storage/clients.ts';
import { commandLine } from '../../src/storage/origin.ts';
import { runUnit } from '../../src/storage/unit-of-work.ts';
import { type Json, Party, type PartyClient, answerOf, pkce } from '../conformance/party.ts';
import { Agent } from '../support/agent.ts';
import { type TestProvider, person, startProvider, webClient } from '../support/provider.ts';

const redirect = 'https://evil.example/callback';
const links = ['client_uri', 'logo_uri', 'policy_uri', 'tos_uri', 'initiate_login_uri'];

let provider: TestProvider;
beforeAll(async () => {
  provider = await startProvider({ environment: { SYMBOLON_REGISTRATION: 'open' } });
});
afterAll(() => provider.close());

const register = async (metadata: Json, token?: string) =>
  answerOf(
    await fetch(`${provider.issuer}/register`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      },
      body: JSON.stringify({ redirect_uris: [redirect], ...metadata }),
    }),
  );
const manage = async (registration: Json, metadata?: Json) =>
  answerOf(
    await fetch(String(registration['registration_client_uri']), {
      method: metadata ? 'PUT' : 'GET',
      headers: {
        authorization: `Bearer ${String(registration['registration_access_token'])}`,
        'content-type': 'application/json',
      },
      ...(metadata ? { body: JSON.stringify(metadata) } : {}),
    }),
  );
const editable = ({
  registration_client_uri: _uri,
  registration_access_token: _token,
  client_id_issued_at: _issued,
  client_secret_expires_at: _expires,
  ...metadata
}: Json): Json => metadata;
const invitation = async () => {
  let token = '';
  await runUnit(provider.storage, commandLine, async () => {
    const { InitialAccessToken } = provider.engine.provider;
    token = await new InitialAccessToken({ expiresIn: 60 }).save();
  });
  return token;
};
const registered = async (metadata: Json = {}, token?: string) => {
  const { status, body } = await register(metadata, token);
  expect({ status, body }).toMatchObject({ status: 201 });
  return Object.assign(new Party(provider, body as unknown as PartyClient), {
    registration: body,
  });
};
const refused = async (metadata: Json) => {
  const { status, body } = await register(metadata);
  expect({ status, error: body['error'] }).toEqual({
    status: 400,
    error: 'invalid_client_metadata',
  });
  return String(body['error_description']);
};

describe('what a stranger says of itself', () => {
  test.each(links)('%s lies on the host that it redirects to', async (name) => {
    for (const host of [
      'accounts.google.com',
      'evil.example.google.com',
      'www.evil.example',
      'evil.example@accounts.google.com',
      'evil.example.',
    ])
      expect(await refused({ [name]: `https://${host}/x` })).toContain(name);
    const { registration } = await registered({ [name]: 'https://evil.example/x' });
    expect(registration[name]).toBe('https://evil.example/x');
  });

  test('with several hosts there is none that its links could lie on', async () => {
    const redirect_uris = [redirect, 'https://accounts.google.com/x'];
    for (const name of links) await refused({ redirect_uris, [name]: 'https://evil.example/' });
    for (const name of links)
      await refused({ redirect_uris, [name]: 'https://accounts.google.com/' });
    await registered({ redirect_uris });
  });

  test('an application on the person’s own device has no host: its links are left out', async () => {
    for (const redirect_uris of [
      ['http://localhost:4000/callback'],
      ['http://127.0.0.1:4000/callback', 'https://accounts.google.com/x'],
      ['com.example.app:/callback'],
    ]) {
      const said = Object.fromEntries(links.map((name) => [name, 'https://accounts.google.com/']));
      const native = { application_type: 'native', token_endpoint_auth_method: 'none' };
      const { registration } = await registered({ ...said, ...native, redirect_uris });
      for (const name of links) expect(registration).not.toHaveProperty(name);
    }
  });

  test('after signing out it may only send to a host that it redirects to', async () => {
    await refused({ post_logout_redirect_uris: ['https://accounts.google.com/'] });
    await registered({ post_logout_redirect_uris: ['https://evil.example/bye'] });
  });

  test('a name is trimmed, loses what cannot be seen, and is neither empty nor long', async () => {
    const hidden = '\u202e\u2066\u200b\u200d\u00ad\ufeff\u{e0041}';
    const { registration } = await registered({ client_name: ` Not${hidden}es \u202e\n today\t` });
    expect(registration['client_name']).toBe('Notes today');
    for (const client_name of [' ', `${hidden}\n`, '\u3164', '\u2800', 'x'.repeat(101)])
      expect(await refused({ client_name })).toContain('client_name');
    const longest = '\u{1f600}'.repeat(100);
    expect((await registered({ client_name: longest })).registration['client_name']).toBe(longest);
  });

  test('the same at a change of the registration (RFC 7592)', async () => {
    const { registration } = await registered();
    for (const more of [{ client_uri: 'https://accounts.google.com/' }, { client_name: '\u202e' }])
      expect((await manage(registration, { ...editable(registration), ...more })).status).toBe(400);
  });

  test('names in other languages are not kept at all', async () => {
    const { registration } = await registered({ 'client_name#fr': 'Google\u202e' });
    expect(Object.keys(registration).join(' ')).not.toContain('#');
  });
});

describe('who vouches for a client', () => {
  const wide = { client_uri: 'https://elsewhere.example/', client_name: 'Elsewhere' };

  test('nobody for one that registers itself, whatever it says', async () => {
    expect(await refused({ vouched_for: true })).toContain('vouched_for');
    const { registration } = await registered();
    const changed = { ...editable(registration), vouched_for: true };
    expect((await manage(registration, changed)).body).not.toHaveProperty('vouched_for');
  });

  test('whoever handed out an initial access token, in open registration, too', async () => {
    const { registration } = await registered(wide, await invitation());
    expect(registration).toMatchObject({ ...wide, vouched_for: true });
    expect((await register(wide, 'made-up')).status).toBe(401);
  });

  test('until the client changes what it says of itself', async () => {
    const { registration } = await registered(wide, await invitation());
    const same = await manage(registration, editable(registration));
    expect(same.body).toMatchObject({ ...wide, vouched_for: true });
    const renamed = { ...editable(same.body), client_name: 'Google' };
    expect((await manage(same.body, renamed)).status).toBe(400); // a stranger’s links
    const changed = await manage(same.body, { ...renamed, client_uri: undefined });
    expect(changed.status).toBe(200);
    expect(changed.body).not.toHaveProperty('vouched_for');
  });
});

describe('a browser in which nobody is signed in is not sent to a stranger', () => {
  const mistakes = {
    'an unknown prompt': { prompt: 'nothing' },
    'prompt=none': { prompt: 'none' },
    'prompt=none, by form': { prompt: 'none', response_mode: 'form_post' },
    'prompt=none, signed': { prompt: 'none', response_mode: 'jwt' },
    'prompt=none, signed and by form': { prompt: 'none', response_mode: 'form_post.jwt' },
    'a response type that it has not': { response_type: 'code id_token' },
    'a wrong maximum age': { max_age: 'x' },
    'wrong claims': { claims: '{' },
    'a request object': { request: 'x.y.z' },
  };

  test.each(Object.entries(mistakes))('%s', async (_what, parameters) => {
    const party = await registered({ client_name: 'Google' });
    const page = await party.refused(party.request(parameters));
    expect(page.html.querySelector('form')).toBeNull();
    expect(page.html.text).toContain('Google');
    expect(page.html.text).toContain('evil.example');
    expect(page.html.text).toContain('registered itself');
  });

  test('nor with a pushed request', async () => {
    const party = await registered();
    const pushed = await party.post('/par', {
      ...Object.fromEntries(party.request({ prompt: 'none' }).searchParams),
    });
    expect(pushed.body).toHaveProperty('request_uri');
    const url = new URL(`${provider.issuer}/authorize`);
    url.searchParams.set('client_id', party.client.client_id);
    url.searchParams.set('request_uri', String(pushed.body['request_uri']));
    await party.refused(url);
  });

  test('nor by the button that leaves the sign-in', async () => {
    const party = await registered({ client_name: 'Google' });
    const page = await party.agent.open(party.request());
    expect(page.html.text).not.toContain('Go back to Google');
    const left = await party.agent.submit(page, {}, /\/cancel$/);
    expect(left.away).toBeUndefined();
    expect(left.status).toBe(400);
    expect(left.html.text).toContain('You did not sign in');
  });

  test('nor by an application’s scheme, nor to a program of this machine', async () => {
    for (const uri of ['com.example.app:/callback', 'http://127.0.0.1:4000/callback']) {
      const native = { application_type: 'native', token_endpoint_auth_method: 'none' };
      const party = await registered({ ...native, redirect_uris: [uri] });
      const { code_challenge } = pkce();
      await party.refused(
        party.request({ prompt: 'none', code_challenge, code_challenge_method: 'S256' }),
      );
    }
  });

  test('nor by signing out', async () => {
    const bye = 'https://evil.example/bye';
    const party = await registered({ post_logout_redirect_uris: [bye] });
    const url = new URL(`${provider.issuer}/logout`);
    url.searchParams.set('client_id', party.client.client_id);
    url.searchParams.set('post_logout_redirect_uri', bye);
    const nobody = await party.agent.open(url);
    const gone = await party.agent.submit(nobody, {});
    expect(gone.away).toBeUndefined();
    expect(gone.html.text).toContain('You are signed out');

    await party.tokens();
    const asked = await party.agent.open(url);
    expect(asked.html.text).toContain('evil.example');
    const back = await party.agent.submit(asked, { logout: 'yes' }, /confirm/);
    expect(back.away?.href).toBe(bye);
  });

  test('but is once somebody has signed in, until that is over', async () => {
    const party = await registered();
    await party.authorize();
    expect(await party.authorize({ prompt: 'nothing' })).toHaveProperty('error');
    expect(await party.authorize({ prompt: 'none', scope: 'openid email' })).toMatchObject({
      error: 'consent_required',
    });
    // A person who signed in and then says no has chosen to go back.
    const other = await registered();
    const consent = await party.agent.open(other.request());
    const denied = await party.agent.submit(consent, {}, /\/cancel$/);
    expect(denied.away?.searchParams.get('error')).toBe('access_denied');

    const where = { id: provider.accountId };
    const signedOutAt = new Date(Date.now() + 1000);
    await provider.storage.prisma.account.update({ where, data: { signedOutAt } });
    await party.refused(party.request({ prompt: 'none' }));
    await party.refused(party.request({ prompt: 'nothing' }));
    await provider.storage.prisma.account.update({ where, data: { signedOutAt: null } });
  });

  test('a client that somebody vouches for gets its answers', async () => {
    const invited = await registered({}, await invitation());
    expect(await invited.authorize({ prompt: 'none' })).toMatchObject({ error: 'login_required' });
    const ours = new Party(provider, webClient);
    expect(await ours.authorize({ prompt: 'none' })).toMatchObject({ error: 'login_required' });
    // An operator who has looked at one that registered itself.
    const { registration } = await registered();
    const { client_id: id, ...metadata } = registration;
    const known = { ...metadata, client_id: `${String(id)}-known`, vouched_for: true };
    await insertClient(provider.storage.prisma, provider.storage.keyring, known);
    const looked = new Party(provider, known as unknown as PartyClient);
    expect(await looked.authorize({ prompt: 'none' })).toMatchObject({ error: 'login_required' });
  });
});

test('the sign-in form of a stranger works as any other’s', async () => {
  const party = await registered();
  const agent = new Agent(provider.issuer);
  const away = await agent.authorize(party.request(), person);
  expect(away.searchParams.get('code')).not.toBeNull();
});
