// Refresh tokens through the real HTTP server, with openid-client as the relying party.
import { decodeJwt } from 'jose';
import * as client from 'openid-client';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Agent } from '../support/agent.ts';
import { type TestProvider, publicClient, startProvider, webClient } from '../support/provider.ts';
import { type RelyingParty, discover, errorOf, refresh, refreshTokenOf, signIn } from '../support/relying-party.ts';

let provider: TestProvider;
let web: RelyingParty;
let spa: RelyingParty;
let clock = 0; // milliseconds that the provider's storage is ahead

beforeAll(async () => {
  provider = await startProvider({ now: () => new Date(Date.now() + clock) });
  web = await discover(provider.issuer);
  spa = await discover(provider.issuer, publicClient);
});
afterAll(() => provider.close());

const family = (token: string) =>
  provider.storage.prisma.refreshFamily.findUniqueOrThrow({ where: { id: token.split('.')[0] ?? '' } });

describe('rotation', () => {
  test('every use gives a new token, a later ID token and a working access token', async () => {
    const first = await signIn(web, new Agent(provider.issuer));
    const second = await refresh(web, refreshTokenOf(first));
    expect(second.refresh_token).toMatch(/^[\w-]{22}\.[\w-]{43}$/);
    expect(second.refresh_token).not.toBe(first.refresh_token);
    const [before, after] = [first, second].map((tokens) => decodeJwt(tokens.id_token ?? ''));
    expect(after).toMatchObject({ iss: before?.iss, sub: before?.sub, aud: before?.aud, auth_time: before?.['auth_time'] });
    const userinfo = await client.fetchUserInfo(web.configuration, second.access_token, provider.accountId);
    expect(userinfo).toMatchObject({ email: 'ada@example.com', name: 'Ada Lovelace' });
    expect((await family(refreshTokenOf(first))).generation).toBe(1);
  });
});
