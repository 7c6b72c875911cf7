// One sign-in is one line: what came of one authorization ends together, and alone, though two of one browser to one
// client share a grant (RFC 6749 §1.3, RFC 7009, RFC 9700 §4.14.2).
import * as client from 'openid-client';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Agent } from '../support/agent.ts';
import { type TestProvider, person, startProvider, webClient } from '../support/provider.ts';
import {
  type RelyingParty,
  type Tokens,
  authorizationRequest,
  discover,
  errorOf,
  refresh,
  refreshTokenOf,
} from '../support/relying-party.ts';
import { familyIdOf } from '../support/token-endpoint.ts';

let provider: TestProvider;
let party: RelyingParty;

beforeAll(async () => {
  provider = await startProvider({ clients: [{ ...webClient, refresh_token_retry_window: 0 }] });
  party = await discover(provider.issuer);
});
afterAll(() => provider.close());

interface SignIn {
  readonly tokens: Tokens;
  /** Exchanges its code again. */
  readonly replayCode: () => Promise<unknown>;
}

async function signIn(agent: Agent, parameters: Record<string, string>): Promise<SignIn> {
  const request = await authorizationRequest(party, parameters);
  const callback = await agent.authorize(request.url);
  const tokens = await request.finish(callback);
  return { tokens, replayCode: () => errorOf(request.finish(callback)) };
}

const userinfo = ({ access_token: token }: Tokens) =>
  client.fetchUserInfo(party.configuration, token, provider.accountId);

async function isAlive({ tokens }: SignIn): Promise<void> {
  await userinfo(tokens);
  if (tokens.refresh_token !== undefined)
    await userinfo(await refresh(party, tokens.refresh_token));
}

async function isOver({ tokens }: SignIn): Promise<void> {
  await expect(userinfo(tokens)).rejects.toThrow();
  if (tokens.refresh_token !== undefined)
    expect(await errorOf(refresh(party, tokens.refresh_token))).toMatchObject({
      error: 'invalid_grant',
    });
}

const offline = { scope: 'openid profile email offline_access' };
const online = { scope: 'openid profile email' };
const ways: Record<string, Record<string, string>> = {
  'with offline access': offline,
  'with offline access and prompt=login': { ...offline, prompt: 'login' },
  'without offline access': online,
  'without offline access, with prompt=login': { ...online, prompt: 'login' },
};

const endings: Record<string, (one: SignIn) => Promise<unknown>> = {
  'its access token is revoked': ({ tokens }) =>
    client.tokenRevocation(party.configuration, tokens.access_token),
  'its code is replayed': ({ replayCode }) => replayCode(),
};
const offlineEndings: typeof endings = {
  ...endings,
  'its refresh token is revoked': ({ tokens }) =>
    client.tokenRevocation(party.configuration, refreshTokenOf(tokens)),
  'its refresh token is replayed': async ({ tokens }) => {
    await refresh(party, refreshTokenOf(tokens));
    await errorOf(refresh(party, refreshTokenOf(tokens)));
  },
};

describe.each(Object.entries(ways))('%s', (_way, parameters) => {
  const all = parameters['scope'] === offline.scope ? offlineEndings : endings;
  test.each(Object.keys(all))('%s: the other sign-in of the browser goes on', async (name) => {
    const end = all[name] as (one: SignIn) => Promise<unknown>;
    for (const which of ['first', 'second']) {
      const agent = new Agent(provider.issuer);
      const first = await signIn(agent, parameters);
      const second = await signIn(agent, parameters);
      const [ended, other] = which === 'first' ? [first, second] : [second, first];
      await end(ended);
      await isOver(ended);
      await isAlive(other);
      // The consent stays: nobody is asked again.
      const silent = await authorizationRequest(party, { ...parameters, prompt: 'none' });
      const callback = await agent.authorize(silent.url);
      expect(callback.searchParams.get('error')).toBeNull();
      await silent.finish(callback);
    }
  });
});

test('the person disconnects one: the other goes on, and so does a sign-in without offline access', async () => {
  const agent = new Agent(provider.issuer);
  const one = await signIn(agent, offline);
  const two = await signIn(agent, offline);
  const three = await signIn(agent, online);
  const page = await agent.walk(`${provider.issuer}/account/applications`, person);
  const csrf = page.html.querySelector('input[name=csrf]')?.getAttribute('value') ?? '';
  const end = ({ tokens }: SignIn) =>
    agent.open(
      `${provider.issuer}/account/applications/family/${familyIdOf(refreshTokenOf(tokens))}`,
      { csrf },
    );
  await end(one);
  await isOver(one);
  await isAlive(three);
  await userinfo(two.tokens);
  await end(two);
  await isOver(two);
  await isAlive(three);
});
