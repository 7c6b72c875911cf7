// Guessing at an account, from wherever: how many guesses are judged, what the owner is told, and that no stranger keeps
// the owner out.
import { Secret, TOTP } from 'otpauth';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type Try, delayAfter } from '../../src/accounts/counters.ts';
import { TooManyAttempts, createLimits } from '../../src/accounts/limits.ts';
import { setupLink } from '../../src/pages/setup.ts';
import { commandLine } from '../../src/storage/origin.ts';
import { Agent, type Page, signInForm } from '../support/agent.ts';
import { beginTotp, confirmTotp, makeRecoveryCodes } from '../support/changes.ts';
import { type MailServer, startMailServer } from '../support/mail.ts';
import { type TestProvider, person, startProvider, webClient } from '../support/provider.ts';
import { post } from '../support/token-endpoint.ts';

const passwordClient = {
  ...webClient,
  client_id: 'old',
  grant_types: ['password'],
  response_types: [],
  redirect_uris: [],
  post_logout_redirect_uris: [],
};

let server: MailServer;
let provider: TestProvider;
beforeAll(async () => {
  server = await startMailServer();
  provider = await startProvider({
    environment: {
      SYMBOLON_SMTP_URL: server.url,
      SYMBOLON_TRUST_PROXY: 'true',
      SYMBOLON_SIGN_UP: 'open',
      SYMBOLON_ENABLE_PASSWORD_GRANT: 'true',
    },
    clients: [webClient, passwordClient],
  });
});
beforeEach(async () => {
  const { prisma } = provider.storage;
  await prisma.attempt.deleteMany();
  await prisma.totp.deleteMany();
  await prisma.recoveryCode.deleteMany();
  await prisma.auditEvent.deleteMany();
  await prisma.delivery.deleteMany();
  server.mails.length = 0;
});
afterAll(async () => {
  await provider.close();
  await server.close();
});

const from = (ip: string) => new Agent(provider.issuer, undefined, { 'x-forwarded-for': ip });
const addressOf = (index: number) => `198.51.100.${index}`;
const text = (page: Page) => page.html.querySelector('main')?.text.replace(/\s+/g, ' ').trim();
const alertOf = (page: Page) => page.html.querySelector('.alert')?.text;
const heading = (page: Page) => page.html.querySelector('h1')?.text;

let password = person.password;
const enter = (browser: Agent, page: Page, secret = password, email = person.email) =>
  browser.submit(page, { email, password: secret }, signInForm);
async function signIn(browser: Agent, secret = password, email = person.email) {
  const page = await browser.open(`${provider.issuer}/sign-in?to=/account`);
  return enter(browser, page, secret, email);
}
/** The same browser, once its session has ended. */
function later(browser: Agent, ip = '203.0.113.7'): Agent {
  const copy = from(ip);
  for (const cookie of browser.cookies)
    if (cookie.name.endsWith('symbolon_browser')) copy.set(cookie);
  expect(copy.cookies).toHaveLength(1);
  return copy;
}
const isIn = (page: Page) => page.url.pathname === '/account';

const limits = () => createLimits(provider.storage);
const wrong = () => Promise.resolve(undefined);
/** Lets time pass until nobody has to wait any more. */
const afterWaits = () =>
  provider.storage.prisma
    .$executeRaw`UPDATE attempt SET expire = ${Date.now() - 1} WHERE key LIKE 'w:%'`;

/** Keeps those who wait waiting. */
const noTimePasses = () =>
  provider.storage.prisma
    .$executeRaw`UPDATE attempt SET expire = ${Date.now() + 3_600_000} WHERE key LIKE 'w:%'`;

/** Guesses as often as may be, and waits as long as it takes. @returns how many guesses were judged */
async function guess(tries: readonly Try[]): Promise<number> {
  let judged = 0;
  for (const attempt of tries) {
    await afterWaits();
    const count = () => {
      judged++;
      return wrong();
    };
    await limits()
      .judge(attempt, count)
      .catch((error: unknown) => {
        expect(error).toBeInstanceOf(TooManyAttempts);
      });
  }
  return judged;
}
const many = (count: number, one: (index: number) => Try) =>
  Array.from({ length: count }, (_, index) => one(index));
const atPassword = (ip: string, browser?: string, email = person.email): Try => {
  return { what: 'password', account: email, from: { ip, browser } };
};
/** As if strangers had guessed until nothing is judged any more. */
const closePasswords = () => guess(many(100, (index) => atPassword(addressOf(index))));

describe('a password', () => {
  test('of which 24 addresses guess 120: at most a hundred are judged, and the owner is told', async () => {
    const own = from('203.0.113.7');
    expect(isIn(await signIn(own))).toBe(true);
    const ends: Record<string, unknown[]> = {};
    for (const email of [person.email, 'nobody@example.com']) {
      const answers: unknown[] = [];
      for (let address = 0; address < 24; address++) {
        const browser = from(addressOf(address));
        const page = await browser.open(`${provider.issuer}/sign-in`);
        for (let index = 0; index < 5; index++) {
          const answer = await enter(browser, page, `wrong ${index}`, email);
          answers.push([answer.status, alertOf(answer), answer.headers.get('retry-after')]);
        }
      }
      ends[email] = answers;
    }
    // Whether there is such an account, no answer tells.
    expect(ends['nobody@example.com']).toEqual(ends[person.email]);
    const statuses = (ends[person.email] as [number][]).map(([status]) => status);
    expect(statuses.filter((status) => status === 401)).toHaveLength(90);
    expect(statuses.slice(90)).toEqual(Array(30).fill(429));

    const stranger = await signIn(from('192.0.2.1'));
    expect([stranger.status, stranger.headers.get('retry-after')]).toEqual([429, null]);
    expect(alertOf(stranger)).toContain('a browser that you have signed in with before');
    expect(alertOf(stranger)).toContain('Forgot your password?');
    await provider.mailer.send();
    const mails = server.mails.filter(({ headers }) => headers['subject']?.includes('guessing'));
    expect(mails.map(({ to }) => to)).toEqual([[person.email], [person.email]]);
    const [first, last] = mails.sort((one, other) => one.text.length - other.text.length);
    expect(first?.text).toContain('20 times in a row');
    expect(last?.text).toContain('90 times in a row');
    expect(last?.links.map(({ pathname }) => pathname)).toEqual(['/forgot']);
    const types = await provider.storage.prisma.auditEvent.findMany({
      where: { type: 'sign_in.limited', accountId: provider.accountId },
    });
    expect(types).toHaveLength(1);

    // The owner goes past it, and strangers begin anew.
    expect(isIn(await signIn(later(own)))).toBe(true);
    expect(isIn(await signIn(from('192.0.2.1')))).toBe(true);
  }, 300_000); // two hundred passwords are hashed

  test('is never judged more often by whoever waits, nor a week later', async () => {
    expect(await closePasswords()).toBe(90);
    const { prisma } = provider.storage;
    const week = 7 * 86_400_000;
    await prisma.$executeRaw`UPDATE attempt SET expire = expire - ${week}`;
    expect(await guess(many(30, (index) => atPassword(`203.0.113.${index}`)))).toBe(0);
    // A client that passes on what people typed goes past it no more than they do.
    const byClient: Try = {
      what: 'password',
      account: person.email,
      from: { ip: '203.0.113.200', clientId: 'old' },
    };
    expect(await guess([byClient])).toBe(0);
  });

  test('is judged no more often for those who guess at once, fifty times', async () => {
    for (let round = 0; round < 50; round++) {
      await provider.storage.prisma.attempt.deleteMany();
      let judged = 0;
      const count = () => {
        judged++;
        return wrong();
      };
      const tries = many(120, (index) => atPassword(addressOf(index)));
      await Promise.allSettled(tries.map((attempt) => limits().judge(attempt, count)));
      expect(judged).toBe(90);
    }
  });

  test('that is refused leaves no row, and one at an address that nobody has a row for a few days', async () => {
    const { prisma } = provider.storage;
    let judged = 0;
    for (let index = 0; index < 80; index++) {
      await noTimePasses();
      await limits()
        .judge(atPassword('203.0.113.1', undefined, `x${index}@example.com`), () => {
          judged++;
          return wrong();
        })
        .catch(() => undefined);
    }
    expect(judged).toBe(51);
    for (const name of ['password', 'account']) {
      const rows = await prisma.attempt.findMany({ where: { key: { startsWith: `n:${name}:` } } });
      expect(rows).toHaveLength(51);
      for (const { expire } of rows)
        expect(Number(expire) - Date.now()).toBeLessThan(5 * 86_400_000);
    }
  });

  test('is judged ninety times in a year, however slowly', async () => {
    const { prisma } = provider.storage;
    const day = 86_400_000;
    // Just as many as are forgotten by the next time, and more.
    for (const [pause, atOnce] of [
      [5, 1],
      [13, 3],
      [41, 19],
    ] as const) {
      await prisma.attempt.deleteMany();
      let judged = 0;
      for (let passed = 0; passed < 365; passed += pause) {
        judged += await guess(many(atOnce, (index) => atPassword(addressOf(index))));
        await prisma.$executeRaw`UPDATE attempt SET expire = expire - ${BigInt(pause * day)}`;
      }
      expect(judged).toBeLessThanOrEqual(90);
      expect(judged).toBeGreaterThan(70);
    }
  });

  test('taken back while others are counted leaves what they counted, fifty times', async () => {
    for (let round = 0; round < 50; round++) {
      const { attempt } = provider.storage.prisma;
      await attempt.deleteMany();
      const tries = many(12, (index) => atPassword(addressOf(index)));
      await Promise.allSettled(
        tries.map((one, index) =>
          limits().judge(one, () => (index % 2 ? wrong() : Promise.reject(new Error('too busy')))),
        ),
      );
      const left = await attempt.findMany({ where: { key: { startsWith: 'n:' } } });
      const points = (name: string) =>
        left.filter(({ key }) => key.startsWith(`n:${name}:`)).map((row) => row.points);
      expect(points('account')).toEqual([6]);
      expect(points('password')).toEqual(Array(6).fill(1));
    }
  });

  test('that could not be judged is not counted', async () => {
    const attempt = atPassword('203.0.113.1');
    for (let index = 0; index < 100; index++) {
      const busy = limits().judge(attempt, () => Promise.reject(new Error('too busy')));
      await expect(busy).rejects.toThrow('too busy');
    }
    expect((await limits().judge(attempt, wrong)).wrongByStrangers).toBe(1);
  });

  test.each([
    ['at one account', () => person.email, 10],
    ['at any', (index: number) => `x${index}@example.com`, 100],
  ])('is guessed by a /56 and a /48 of IPv6 as by a few addresses, %s', async (_, email, free) => {
    let judged = 0;
    const guessFrom = async (ip: string, index: number) => {
      await noTimePasses();
      await limits()
        .judge(atPassword(ip, undefined, email(index)), () => {
          judged++;
          return wrong();
        })
        .catch(() => undefined);
    };
    for (let index = 0; index < free + 10; index++)
      await guessFrom(`2001:db8:1:${index.toString(16)}::1`, index);
    expect(judged).toBe(free + 1);
    for (let index = 0; index < free + 10; index++)
      await guessFrom(`2001:db8:1:${index.toString(16)}00::1`, index + 1000);
    expect(judged).toBe(2 * free + 1);
  });

  test('with the password grant is as closed', async () => {
    await closePasswords();
    const answer = await post(
      `${provider.issuer}/token`,
      { grant_type: 'password', username: person.email, password, scope: 'openid' },
      passwordClient,
    );
    expect(answer).toMatchObject({ status: 429, body: { error: 'too_many_attempts' } });
  });
});

describe('a browser that the account knows', () => {
  test('has ten guesses and is a stranger then: a hundred in all', async () => {
    expect(await closePasswords()).toBe(90);
    expect(await guess(many(30, () => atPassword('203.0.113.7', 'a stolen cookie')))).toBe(10);
    await provider.storage.prisma.attempt.deleteMany();
    expect(await guess(many(130, () => atPassword('203.0.113.7', 'a stolen cookie')))).toBe(100);
  });

  test('is known to its own account only', async () => {
    const own = from('203.0.113.7');
    await signIn(own);
    await guess(many(100, (index) => atPassword(addressOf(index), undefined, 'bob@example.com')));
    const answer = await signIn(later(own), 'wrong', 'bob@example.com');
    expect(answer.status).toBe(429);
  });

  test('waits for no stranger at the same address, and lets no stranger wait', async () => {
    const own = from('203.0.113.7');
    await signIn(own);
    // The address is noisy, and at this account as well.
    for (let index = 0; index < 70; index++) {
      const email = index % 2 ? `x${index}@example.com` : person.email;
      await limits()
        .judge(atPassword('203.0.113.7', undefined, email), wrong)
        .catch(() => undefined);
    }
    await noTimePasses();
    expect((await signIn(from('203.0.113.7'))).status).toBe(429);
    expect(isIn(await signIn(later(own)))).toBe(true);
  });
});

describe('an owner without a browser that is known', () => {
  test('chooses a new password by mail while strangers guess on, and is let in with it', async () => {
    await closePasswords();
    const browser = from('192.0.2.1');
    const refused = await signIn(browser);
    expect(refused.status).toBe(429);
    const forgot = refused.html.querySelector('a[href*="/forgot"]')?.getAttribute('href') ?? '';
    await browser.submit(await browser.open(new URL(forgot, refused.url)), { email: person.email });
    await provider.mailer.send();
    const link = server.mails
      .flatMap(({ links }) => links)
      .find((one) => one.searchParams.has('token'));
    const reset = await browser.open(link ?? '');
    const chosen = 'quite another password than before';
    expect(heading(await browser.submit(reset, { password: chosen }))).toBe(
      'Your password is changed',
    );
    password = chosen;
    expect(await closePasswords()).toBe(90);
    expect((await signIn(from('192.0.2.2'))).status).toBe(429);
    expect(isIn(await signIn(browser))).toBe(true);
  });

  test('is not let guess codes for having read a mail', async () => {
    const { accountId, storage, config } = provider;
    const parts = { storage, config, origin: commandLine };
    const { secret } = await beginTotp(parts, { id: accountId, email: person.email });
    const code = (step: number) =>
      TOTP.generate({ secret: Secret.fromBase32(secret), timestamp: Date.now() + step * 30_000 });
    await confirmTotp(parts, accountId, code(-1));
    const [recovery = ''] = await makeRecoveryCodes(parts, accountId);
    const atCode: Try = { what: 'code', account: accountId, from: { ip: '203.0.113.1' } };
    expect(await guess(many(120, () => atCode))).toBe(90);

    const browser = from('192.0.2.1');
    await browser.submit(await browser.open(`${provider.issuer}/forgot`), { email: person.email });
    await provider.mailer.send();
    const link = server.mails
      .flatMap(({ links }) => links)
      .findLast((one) => one.searchParams.has('token'));
    const chosen = 'a third password of the same person';
    await browser.submit(await browser.open(link ?? ''), { password: chosen });
    password = chosen;
    const step = await signIn(browser);
    expect(heading(step)).toBe('One more step');
    const refused = await browser.submit(step, { code: code(0) }, /factor/);
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([429, null]);
    expect(text(refused)).toContain('recovery code');
    // A recovery code lets in, and the browser is known from then on, for codes too.
    const other =
      refused.html.querySelector('a[href*="with=recovery"]')?.getAttribute('href') ?? '';
    const form = await browser.open(new URL(other, refused.url));
    expect(isIn(await browser.submit(form, { code: recovery }, /with=recovery/))).toBe(true);
    const next = later(browser);
    const again = await signIn(next);
    expect(isIn(await next.submit(again, { code: code(0) }, /factor/))).toBe(true);
  });
});

describe('mails', () => {
  const ask = async (browser: Agent, email = person.email) =>
    browser.submit(await browser.open(`${provider.issuer}/forgot`), { email });
  const resetLinks = () =>
    server.mails.flatMap(({ links }) => links).filter(({ pathname }) => pathname === '/reset');

  test('that strangers asked for leave the owner one whose link works, and the page says so', async () => {
    for (let index = 0; index < 3; index++) {
      await ask(from(addressOf(index)));
      await provider.mailer.send();
    }
    const browser = from('203.0.113.7');
    const sent = await ask(browser);
    expect(sent.status).toBe(200);
    expect(text(sent)).toContain('no more are sent there for now');
    const unknown = 'nobody@example.com';
    for (let index = 0; index < 3; index++) await ask(from(addressOf(index)), unknown);
    const other = text(await ask(from('203.0.113.8'), unknown));
    expect(other?.replaceAll(unknown, 'X')).toBe(text(sent)?.replaceAll(person.email, 'X'));
    await provider.mailer.send();
    expect(resetLinks()).toHaveLength(3);
    // Up to the last minute in which no more are sent.
    const { prisma } = provider.storage;
    const rows = await prisma.link.findMany({ where: { accountId: provider.accountId } });
    const limit = await prisma.attempt.findFirstOrThrow({
      where: { key: { startsWith: 'mail-to' }, points: { gt: 3 } },
      orderBy: { expire: 'asc' },
    });
    expect(rows.map(({ expiresAt }) => expiresAt.getTime())).toEqual([expect.any(Number)]);
    expect(rows[0]?.expiresAt.getTime()).toBeGreaterThan(Number(limit.expire) - 1000);
    const chosen = 'a fourth password of the same person';
    const page = await browser.open(resetLinks().at(-1) ?? '');
    expect(heading(await browser.submit(page, { password: chosen }))).toBe(
      'Your password is changed',
    );
    password = chosen;
    // Once it is used, there are mails again.
    expect(text(await ask(from('203.0.113.9')))).toContain('is on its way');
    await provider.mailer.send();
    expect(resetLinks()).toHaveLength(4);
  });

  test('are sent to whoever asks with a browser that the account knows, whatever strangers asked for', async () => {
    const own = from('203.0.113.7');
    await signIn(own);
    for (let index = 0; index < 3; index++) await ask(from('203.0.113.7'));
    for (let index = 0; index < 30; index++)
      await ask(from('203.0.113.7'), `x${index}@example.com`);
    expect((await ask(from('203.0.113.7'))).status).toBe(429);
    const before = await provider.storage.prisma.delivery.count();
    expect(text(await ask(own))).toContain('is on its way');
    expect(await provider.storage.prisma.delivery.count()).toBe(before + 1);
    // And no more than three.
    for (let index = 0; index < 5; index++) await ask(own);
    expect(await provider.storage.prisma.delivery.count()).toBe(before + 3);
  });

  test('may be asked for by one network of IPv6 as by a few addresses', async () => {
    const statuses: number[] = [];
    for (let index = 0; index < 140; index++)
      statuses.push(
        (await ask(from(`2001:db8:1:${index.toString(16)}::1`), `x${index}@example.com`)).status,
      );
    expect(statuses.filter((status) => status === 200).length).toBeLessThanOrEqual(120);
  });

  test('to a person who is signed in do not depend on who else is at the address', async () => {
    const own = from('203.0.113.7');
    const { prisma } = provider.storage;
    await prisma.account.updateMany({ data: { emailVerified: false } });
    const account = await signIn(own);
    for (let index = 0; index < 31; index++)
      await ask(from('203.0.113.7'), `x${index}@example.com`);
    const before = await provider.storage.prisma.delivery.count();
    const asked = await own.submit(account, {}, /email\/verify$/);
    expect(text(asked)).toContain('We have sent a link');
    expect(await provider.storage.prisma.delivery.count()).toBe(before + 1);
    for (let index = 0; index < 3; index++) await own.submit(account, {}, /email\/verify$/);
    expect(text(await own.submit(account, {}, /email\/verify$/))).toContain('no more are sent');
  });

  test('for signing up are said not to be sent when they are not', async () => {
    const signUp = async (index: number) => {
      const browser = from(addressOf(index));
      const form = await browser.open(`${provider.issuer}/sign-up`);
      return browser.submit(form, {
        email: 'new@example.com',
        name: '',
        password: 'a long new password',
      });
    };
    // A few strangers keep nobody from signing up; of many, the mailbox is spared.
    for (let index = 0; index < 4; index++)
      for (let again = 0; again < (index === 3 ? 2 : 3); again++)
        expect(text(await signUp(index))).toContain('on its way');
    const refused = await signUp(0);
    expect(text(refused)).toContain('no more are sent there for now');
    expect(text(refused)).not.toContain('on its way');
    expect(heading(refused)).toBe('Too many requests');
    expect(text(await signUp(4))).toContain('on its way');
    expect(text(await signUp(5))).toContain('no more are sent there for now');
  });
});

describe('other limits', () => {
  test('a stranger who guesses at the set-up link keeps no administrator waiting', async () => {
    const fresh = await startProvider({ environment: { SYMBOLON_TRUST_PROXY: 'true' } });
    await fresh.storage.prisma.account.deleteMany();
    let status = 0;
    const administrator = new Agent(fresh.issuer, undefined, { 'x-forwarded-for': '203.0.113.7' });
    for (let index = 0; index < 12; index++)
      ({ status } = await administrator.open(`${fresh.issuer}/setup`, { csrf: 'x' }));
    expect(status).toBe(429);
    const form = await administrator.open(setupLink(fresh.config, fresh.storage.keyring));
    const made = await administrator.submit(form, {
      email: 'root@example.com',
      name: '',
      password: 'the password of the root',
    });
    expect(made.status).toBe(200);
    await fresh.close();
  });

  test('whoever is signed in pairs a device whatever strangers at the address typed', async () => {
    const stranger = from('203.0.113.7');
    const type = async (browser: Agent) => {
      const page = await browser.open(`${provider.issuer}/device`);
      return (await browser.submit(page, { user_code: 'BBBB-BBBB' })).status;
    };
    let status = 0;
    for (let index = 0; index < 12; index++) status = await type(stranger);
    expect(status).toBe(429);
    const own = from('203.0.113.7');
    // The address is no sign-in's: the password is not what is guessed here.
    await signIn(own);
    expect(await type(own)).toBe(200);
    for (let index = 0; index < 12; index++) status = await type(own);
    expect(status).toBe(429);
  });

  test('a longer wait than the longest there is not', () => {
    expect(delayAfter(1000, { free: 5, longest: 900, window: 1 })).toBe(900);
  });
});
