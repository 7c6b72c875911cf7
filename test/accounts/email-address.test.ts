// E-mail addresses: which are accepted, and that an internationalised domain finds its account in both of its forms, in
// every place that compares.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { AccountError, accountInput, addAccount } from '../../src/accounts/accounts.ts';
import { asciiAddress } from '../../src/accounts/email-address.ts';
import { Agent } from '../support/agent.ts';
import { invite } from '../support/changes.ts';
import { type MailServer, startMailServer } from '../support/mail.ts';
import { type TestProvider, startProvider, webClient } from '../support/provider.ts';
import { authorizationRequest, discover } from '../support/relying-party.ts';
import { post } from '../support/token-endpoint.ts';

const read = (typed: string) => accountInput.shape.email.safeParse(typed);

test.each([
  ['a&b@example.com', 'a&b@example.com'],
  ['a/b=c%d@example.com', 'a/b=c%d@example.com'],
  ["!#$%&'*+/=?^_`{|}~-@example.com", "!#$%&'*+/=?^_`{|}~-@example.com"],
  [' Ada.Lovelace@EXAMPLE.com ', 'ada.lovelace@example.com'],
  [`${'x'.repeat(64)}@example.com`, `${'x'.repeat(64)}@example.com`],
  ['ada@Bücher.example', 'ada@bücher.example'],
  ['ada@xn--bcher-kva.example', 'ada@xn--bcher-kva.example'],
  ['ada@例え。テスト', 'ada@例え.テスト'],
])('%s is an address', (typed, kept) => {
  expect(read(typed).data).toBe(kept);
});

test.each([
  `${'x'.repeat(65)}@example.com`,
  `x@${'a'.repeat(60)}.${'b'.repeat(60)}.${'c'.repeat(60)}.${'d'.repeat(60)}.${'e'.repeat(10)}`,
])('%s is too long', (typed) => {
  expect(read(typed).error?.issues[0]?.message).toBe('account.email-too-long');
});

test.each([
  ...['', 'ada', 'ada@', '@example.com', 'ada@example', 'a b@example.com', 'a@b@example.com'],
  ...['.ada@example.com', 'ada.@example.com', 'a..b@example.com', 'ä@example.com', 'ada@-x.com'],
  ...[
    'ada@example..com',
    'ada@exa_mple.com',
    'ada@192.168.1.1',
    'ada@[192.168.1.1]',
    'ada@x.com/y',
  ],
  ...[
    '"a"@example.com',
    'a,b@example.com',
    '<a@example.com>',
    'ada@bü%63her.example',
    'ada@xn--ü.de',
  ],
])('%s is none', (typed) => {
  expect(read(typed).success).toBe(false);
});

describe('an account whose address has an internationalised domain', () => {
  const written = 'ada@bücher.example';
  const ascii = 'ada@xn--bcher-kva.example';
  const forms = [written, ascii, 'Ada@BÜCHER.example', 'ada@bu\u0308cher.example'];
  const password = 'nanoseconds of wire';
  const CIBA = 'urn:openid:params:grant-type:ciba';
  const bank = {
    ...webClient,
    ...{
      client_id: 'bank',
      grant_types: [CIBA, 'password'],
      response_types: [],
      redirect_uris: [],
    },
    ...{ post_logout_redirect_uris: [], backchannel_token_delivery_mode: 'poll' },
  };
  let server: MailServer;
  let provider: TestProvider;
  beforeAll(async () => {
    server = await startMailServer();
    provider = await startProvider({
      environment: {
        SYMBOLON_SMTP_URL: server.url,
        SYMBOLON_SIGN_UP: 'open',
        SYMBOLON_ENABLE_CIBA: 'true',
        SYMBOLON_ENABLE_PASSWORD_GRANT: 'true',
      },
      clients: [webClient, bank],
    });
    await addAccount(provider.storage.prisma, { email: written, password }, { admin: false });
  });
  afterAll(async () => {
    await provider.close();
    await server.close();
  });
  const mailed = async () => {
    await provider.mailer.send();
    return server.mails.splice(0);
  };

  test.each(forms)('signs in with %j, and sees it as it was written', async (email) => {
    const agent = new Agent(provider.issuer);
    const page = await agent.open(`${provider.issuer}/account`);
    const inside = await agent.submit(page, { email, password });
    expect(inside.url.pathname).toBe('/account');
    expect(inside.html.text).toContain(written);
    const party = await discover(provider.issuer);
    const hinted = await authorizationRequest(party, { login_hint: email });
    const asked = await agent.open(hinted.url);
    expect(asked.html.querySelector('h1')?.text).not.toBe('Which account?');
    await mailed();
  });

  test.each(forms)('gets its mail, at the ASCII domain, for %j', async (email) => {
    await provider.storage.prisma.attempt.deleteMany();
    const agent = new Agent(provider.issuer);
    await agent.submit(await agent.open(`${provider.issuer}/forgot`), { email });
    const [mail, ...others] = await mailed();
    expect(mail?.raw).toContain(`To: ${ascii}`);
    expect(others).toEqual([]);
    await agent.submit(await agent.open(`${provider.issuer}/sign-up`), { email, password });
    const [taken] = await mailed();
    expect(taken?.headers['subject']).toContain('already');
  });

  test.each(forms)('is the one that CIBA and the password grant mean by %j', async (email) => {
    await provider.storage.prisma.attempt.deleteMany();
    const asked = await post(
      `${provider.issuer}/backchannel_authentication`,
      { scope: 'openid', login_hint: email },
      bank,
    );
    expect(asked.status).toBe(200);
    const form = { grant_type: 'password', username: email, password, scope: 'openid' };
    expect((await post(`${provider.issuer}/token`, form, bank)).status).toBe(200);
    await mailed();
  });

  test('has its address alone, in whatever form', async () => {
    for (const email of forms) {
      const again = addAccount(provider.storage.prisma, { email, password }, { admin: false });
      await expect(again).rejects.toBeInstanceOf(AccountError);
      await expect(invite(provider, { email, seconds: 60 })).rejects.toThrow('already');
    }
    expect(forms.map(asciiAddress)).toEqual(forms.map(() => ascii));
  });
});
