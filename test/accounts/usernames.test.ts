// A username is another name of the same account: to sign in with, and to be shown. Guesses at either are counted together.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { addAccount } from '../../src/accounts/accounts.ts';
import { writtenUsername } from '../../src/accounts/username.ts';
import { Agent } from '../support/agent.ts';
import { type TestProvider, person, startProvider, webClient } from '../support/provider.ts';
import { discover, signIn } from '../support/relying-party.ts';
import { post } from '../support/token-endpoint.ts';

let provider: TestProvider;
beforeAll(async () => {
  provider = await startProvider({
    environment: { SYMBOLON_ENABLE_PASSWORD_GRANT: 'true' },
    clients: [{ ...webClient, grant_types: [...webClient.grant_types, 'password'] }],
  });
});
afterAll(() => provider.close());

const userinfo = async (token: string) => {
  const headers = { authorization: `Bearer ${token}` };
  return (await (await fetch(`${provider.issuer}/userinfo`, { headers })).json()) as object;
};
const update = (data: object) => provider.storage.prisma.account.updateMany({ data });

test('it signs in on the page, in upper or lower case, and is told as preferred_username', async () => {
  const party = await discover(provider.issuer);
  const agent = new Agent(provider.issuer);
  const before = await signIn(party, agent);
  expect(await userinfo(before.access_token)).toMatchObject({ preferred_username: 'ada' });
  await update({ claims: { preferred_username: 'Countess' } });
  expect(await userinfo(before.access_token)).toMatchObject({ preferred_username: 'Countess' });
  await update({ username: 'lovelace' });
  expect(await userinfo(before.access_token)).toMatchObject({ preferred_username: 'lovelace' });
  for (const email of ['lovelace', ' LoveLace ', person.email]) {
    const as = { email, password: person.password };
    const page = await new Agent(provider.issuer).walk(
      `${provider.issuer}/sign-in?to=/account`,
      as,
    );
    expect(page.url.pathname, email).toBe('/account');
  }
});

test('a wrong password tells neither the address nor whether there is such a username', async () => {
  for (const email of ['lovelace', 'nobody']) {
    const agent = new Agent(provider.issuer);
    const page = await agent.walk(`${provider.issuer}/sign-in?to=/account`, {
      ...{ email, password: 'wrong' },
    });
    expect(page.html.querySelector('#email')?.getAttribute('value')).toBe(email);
    expect(page.html.querySelector('[role=alert]')?.text).toContain('is not right');
    expect(page.html.toString()).not.toContain(person.email);
  }
});

test('guesses at it are guesses at the address', async () => {
  await provider.storage.prisma.attempt.deleteMany();
  const guess = async (username: string) =>
    (
      await post(`${provider.issuer}/token`, {
        ...{ grant_type: 'password', username, password: 'wrong', scope: 'openid' },
      })
    ).status;
  const statuses: number[] = [];
  for (let turn = 0; turn < 12; turn++)
    statuses.push(await guess(turn % 2 === 0 ? 'lovelace' : person.email));
  const alone: number[] = [];
  await provider.storage.prisma.attempt.deleteMany();
  for (let turn = 0; turn < 12; turn++) alone.push(await guess(person.email));
  expect(statuses).toEqual(alone);
});

test('it is plain and somebody’s alone', async () => {
  expect(writtenUsername(' Ada.Lovelace ')).toBe('ada.lovelace');
  expect(writtenUsername('')).toBeNull();
  for (const wrong of ['ada@example.com', '-ada', 'a b', 'ä', 'a'.repeat(65), 'a\u0000'])
    expect(() => writtenUsername(wrong), wrong).toThrow('A username has 1 to 64');
  const { prisma } = provider.storage;
  const other = { email: 'grace@example.com', password: person.password };
  const taken = addAccount(prisma, other, { admin: false, username: 'lovelace' });
  await expect(taken).rejects.toMatchObject({ code: 'account.username-taken', field: 'username' });
});
