// Checking a password, a passkey and a second factor: what is written down with a refusal, and what is counted.
import { Secret, TOTP } from 'otpauth';
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { FactorError, type Method } from '../../src/accounts/factors.ts';
import { FairQueue } from '../../src/accounts/fair-queue.ts';
import { TooManyAttempts, createLimits } from '../../src/accounts/limits.ts';
import { authenticationOptions, registrationOptions } from '../../src/accounts/passkeys.ts';
import {
  checkPasskey,
  checkPassword,
  checkSecondFactor,
  recordSignIn,
} from '../../src/accounts/sign-in.ts';
import { runUnit } from '../../src/storage/unit-of-work.ts';
import { Agent, signInForm } from '../support/agent.ts';
import { Authenticator } from '../support/authenticator.ts';
import { addPasskey, beginTotp, confirmTotp, makeRecoveryCodes } from '../support/changes.ts';
import { type TestProvider, person, startProvider, webClient } from '../support/provider.ts';
import { post } from '../support/token-endpoint.ts';

const origin = { ip: '203.0.113.7', userAgent: 'Test browser' };
const from = { ip: origin.ip };
const clientId = webClient.client_id;
const binding = 'interaction x';
const passwordClient = { ...webClient, grant_types: ['password'], redirect_uris: [] };

let provider: TestProvider;
let accountId: string;
beforeAll(async () => {
  provider = await startProvider({
    environment: { SYMBOLON_ENABLE_PASSWORD_GRANT: 'true' },
    clients: [{ ...passwordClient, response_types: [], post_logout_redirect_uris: [] }],
  });
  ({ accountId } = provider);
});
beforeEach(async () => {
  const { prisma } = provider.storage;
  for (const table of ['attempt', 'passkey', 'totp', 'recoveryCode', 'delivery'] as const)
    await (prisma[table] as { deleteMany(): Promise<unknown> }).deleteMany();
  await prisma.auditEvent.deleteMany();
});
afterAll(() => provider.close());

const parts = () => {
  const { storage, config } = provider;
  return { storage, config, limits: createLimits(storage), origin };
};

/** A request that is refused when a check refuses. @returns what was refused, or what the check gave */
async function request<T>(check: () => Promise<T>): Promise<T | Error> {
  let result: T | Error | undefined;
  const work = async () => {
    result = await check().catch((error: unknown) => error as Error);
  };
  await runUnit(provider.storage, origin, work, () => result instanceof Error);
  return result as T | Error;
}

const withPassword = (password: string, email = person.email) =>
  request(() => checkPassword(parts(), { email, password, from, clientId }));
const methods: Method[] = ['passkey', 'totp', 'recovery_code'];
const withCode = (code: string, accepted = methods) =>
  request(() =>
    checkSecondFactor(parts(), { accountId, methods: accepted, code, binding, from, clientId }),
  );

async function events() {
  const rows = await provider.storage.prisma.auditEvent.findMany({ orderBy: { id: 'asc' } });
  return rows.map(({ type, accountId, clientId, detail, ip }) => {
    return { type, accountId, clientId, detail, ip };
  });
}
const event = (type: string, detail: object, whose: string | null = accountId) => {
  return { type, accountId: whose, clientId, detail, ip: origin.ip };
};
/** How many guesses are counted, by kind. */
async function counts() {
  const rows = await provider.storage.prisma.attempt.findMany();
  const guesses = rows.filter(({ key, points }) => key.startsWith('n:') && points > 0);
  return guesses.map(({ key, points }) => `${key.split(':')[1] ?? ''} ${points}`).sort();
}

/** As if there had been so many guesses that after the next one somebody waits for minutes. */
async function guessedOften() {
  const { attempt } = provider.storage.prisma;
  await attempt.updateMany({ where: { key: { startsWith: 'n:' } }, data: { points: 12 } });
}

async function setUpTotp() {
  const { secret } = await beginTotp(parts(), { id: accountId, email: person.email });
  const code = (step: number) =>
    TOTP.generate({
      secret: Secret.fromBase32(secret),
      timestamp: Date.now() + step * 30_000,
    });
  await confirmTotp(parts(), accountId, code(-1));
  await provider.storage.prisma.auditEvent.deleteMany();
  return code;
}

async function setUpPasskey() {
  const device = new Authenticator(provider.issuer);
  const account = { id: accountId, email: person.email, name: null };
  const response = device.create(await registrationOptions(parts(), account, binding));
  await request(() => addPasskey(parts(), accountId, { binding, response }));
  await provider.storage.prisma.auditEvent.deleteMany();
  return device;
}

describe('a password', () => {
  test('that is wrong is written down although the request is refused', async () => {
    expect(await withPassword('wrong')).toMatchObject({ code: 'sign-in.wrong' });
    expect(await withPassword('wrong', 'nobody@example.com')).toBeInstanceOf(FactorError);
    const detail = { reason: 'credentials' };
    expect(await events()).toEqual([
      event('sign_in.failed', detail),
      event('sign_in.failed', detail, null),
    ]);
  });

  test('is written down when the request throws, too', async () => {
    const email = person.email;
    const work = () => checkPassword(parts(), { email, password: 'wrong', from, clientId });
    await expect(runUnit(provider.storage, origin, work)).rejects.toBeInstanceOf(FactorError);
    expect(await events()).toHaveLength(1);
  });

  test('that is right takes its guess back, and those before it', async () => {
    await withPassword('wrong');
    await withPassword('wrong');
    expect(await counts()).toEqual(['account 2', 'address 2', 'password 2']);
    expect(await withPassword(person.password)).toMatchObject({ id: accountId });
    expect(await counts()).toEqual(['address 2']);
    expect((await events()).map(({ type }) => type)).toEqual(['sign_in.failed', 'sign_in.failed']);
  });

  test('that comes too early is not judged, and that is written down once', async () => {
    await withPassword('wrong');
    await guessedOften();
    await withPassword('wrong');
    await provider.storage.prisma.auditEvent.deleteMany();
    for (let guess = 0; guess < 3; guess++)
      expect(await withPassword(person.password)).toBeInstanceOf(TooManyAttempts);
    expect(await events()).toEqual([event('sign_in.limited', {})]);
  });

  test('is counted by whoever guesses', async () => {
    const email = person.email;
    for (const own of [{}, { browser: 'known' }, { clientId: 'proxy' }])
      await request(() =>
        checkPassword(parts(), { email, password: 'wrong', from: { ...from, ...own } }),
      );
    const [account, ...others] = await counts();
    expect(account).toBe('account 2'); // all but the known browser's
    expect(others).toEqual(['address 1', 'browser 1', 'password 1', 'password 1']);
  });

  test('waits with the others of its account, however the address is written', async () => {
    const queued = vi.spyOn(FairQueue.prototype, 'push');
    for (const email of [person.email, person.email.toUpperCase(), ` ${person.email}`])
      await request(() =>
        checkPassword(parts(), { email, password: 'wrong', from: { ...from, browser: 'known' } }),
      );
    expect(queued.mock.calls.map(([lane]) => lane)).toEqual(Array(3).fill(person.email));
    queued.mockRestore();
  });
});

describe('a passkey alone', () => {
  test('that is not accepted is written down although the request is refused', async () => {
    for (const response of ['{}', 'no JSON']) {
      const refusal = await request(() => checkPasskey(parts(), { response, binding, clientId }));
      expect(refusal).toMatchObject({ code: 'factor.passkey-unknown' });
    }
    const detail = { method: 'passkey', reason: 'factor.passkey-unknown' };
    const failed = event('sign_in.failed', detail, null);
    expect(await events()).toEqual([failed, failed]);
  });

  test('signs in with its user verified, and where its challenge was given to', async () => {
    const device = await setUpPasskey();
    const answer = async (at: string, behaviour = {}) => {
      const options = await authenticationOptions(parts(), { binding });
      const response = JSON.stringify(device.get(options, behaviour));
      return request(() => checkPasskey(parts(), { response, binding: at }));
    };
    expect(await answer(binding, { verifiesUser: false })).toBeInstanceOf(FactorError);
    expect(await answer('interaction y')).toBeInstanceOf(FactorError);
    expect(await answer(binding)).toMatchObject({
      account: { id: accountId },
      amr: ['hwk', 'mfa'],
    });
    expect(await counts()).toEqual([]);
  });
});

describe('a second factor', () => {
  test('that is wrong is written down although the request is refused', async () => {
    await setUpTotp();
    expect(await withCode('000000')).toMatchObject({ code: 'factor.code-wrong' });
    expect(await withCode('0000-0000-0000-0000')).toMatchObject({
      code: 'factor.recovery-code-wrong',
    });
    const passkey = { accountId, methods, passkey: '{}', code: '', binding, from, clientId };
    expect(await request(() => checkSecondFactor(parts(), passkey))).toMatchObject({
      code: 'factor.passkey-unknown',
    });
    expect(await events()).toEqual([
      event('second_factor.failed', { method: 'totp' }),
      event('second_factor.failed', { method: 'recovery_code' }),
      event('second_factor.failed', { method: 'passkey', reason: 'factor.passkey-unknown' }),
    ]);
  });

  test('that is right takes its guess back, and those before it', async () => {
    const code = await setUpTotp();
    const [recoveryCode = ''] = await makeRecoveryCodes(parts(), accountId);
    await withCode('000000');
    await withCode('0000-0000-0000-0000');
    expect(await counts()).toEqual(['address 1', 'code 1', 'recovery_code 1']);
    expect(await withCode(code(0))).toEqual(['otp']);
    expect(await counts()).toEqual(['address 1', 'recovery_code 1']);
    expect(await withCode(recoveryCode)).toEqual(['otp']);
    expect(await counts()).toEqual(['address 1']);
  });

  test('that comes too early is not judged, and that is written down once', async () => {
    const code = await setUpTotp();
    await withCode('000000');
    await guessedOften();
    await withCode('000000');
    await provider.storage.prisma.auditEvent.deleteMany();
    for (let guess = 0; guess < 3; guess++)
      expect(await withCode(code(0))).toBeInstanceOf(TooManyAttempts);
    expect(await events()).toEqual([event('sign_in.limited', {})]);
  });

  test('that is not accepted here is refused although it is right', async () => {
    const code = await setUpTotp();
    const [recoveryCode = ''] = await makeRecoveryCodes(parts(), accountId);
    expect(await withCode(code(0), ['passkey'])).toBeInstanceOf(FactorError);
    expect(await withCode(recoveryCode, ['passkey', 'totp'])).toBeInstanceOf(FactorError);
    const device = await setUpPasskey();
    const answer = async (accepted: Method[], whose = accountId) => {
      const options = await authenticationOptions(parts(), { binding, accountId });
      const passkey = JSON.stringify(device.get(options, { verifiesUser: false }));
      const attempt = { accountId: whose, methods: accepted, passkey, code: '', binding, from };
      return request(() => checkSecondFactor(parts(), attempt));
    };
    expect(await answer(['totp'])).toMatchObject({ code: 'factor.code-wrong' });
    expect(await answer(methods, 'somebody else')).toBeInstanceOf(FactorError);
    expect(await answer(methods)).toEqual(['hwk']);
    // None of them was spent by being refused.
    expect(await withCode(code(0))).toEqual(['otp']);
    expect(await withCode(recoveryCode)).toEqual(['otp']);
  });
});

describe('a sign-in', () => {
  const record = (isNewBrowser: boolean, isRefused: boolean) =>
    runUnit(
      provider.storage,
      origin,
      () => {
        recordSignIn({ accountId, clientId, amr: ['pwd'], isNewBrowser });
        return Promise.resolve();
      },
      () => isRefused,
    );
  const mails = () => provider.storage.prisma.delivery.count();

  test('is written down, and told of a new browser alone', async () => {
    await record(false, false);
    expect([await events(), await mails()]).toEqual([[event('sign_in', { amr: ['pwd'] })], 0]);
    await record(true, false);
    expect([(await events()).length, await mails()]).toEqual([2, 1]);
  });

  test('that ends in a refusal is neither', async () => {
    await record(true, true);
    expect([await events(), await mails()]).toEqual([[], 0]);
  });
});

test('the page and the password grant write the same kinds of event, and the grant says that it does', async () => {
  const { issuer, storage } = provider;
  const page = async (password: string) => {
    const browser = new Agent(issuer);
    const form = await browser.open(`${issuer}/sign-in`);
    return browser.submit(form, { email: person.email, password }, signInForm);
  };
  const grant = (password: string) =>
    post(
      `${issuer}/token`,
      { grant_type: 'password', username: person.email, password, scope: 'openid' },
      webClient,
    );
  const writtenBy = async (way: (password: string) => Promise<{ status: number }>) => {
    await storage.prisma.attempt.deleteMany();
    await storage.prisma.auditEvent.deleteMany();
    await way('wrong');
    await guessedOften();
    await way('wrong');
    for (let guess = 0; guess < 2; guess++) expect((await way('wrong')).status).toBe(429);
    return events();
  };
  const byPage = await writtenBy(page);
  const byGrant = await writtenBy(grant);
  const kinds = ['sign_in.failed', 'sign_in.failed', 'sign_in.limited'];
  expect(byPage.map(({ type }) => type)).toEqual(kinds);
  expect(byGrant.map(({ type }) => type)).toEqual(kinds);
  expect(byPage.every(({ accountId: whose }) => whose === accountId)).toBe(true);
  expect(byGrant.every(({ accountId: whose }) => whose === accountId)).toBe(true);
  expect(byGrant[0]).toMatchObject({
    clientId,
    detail: { reason: 'credentials', by: 'password' },
  });
  expect(byGrant.at(-1)).toMatchObject({ clientId, detail: { by: 'password' } });
});
