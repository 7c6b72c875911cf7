// A sign-in that fails is written although the request is refused: once, with where it came from; and no more than the
// first of those that come too often.
import { describe, expect, test } from 'vitest';
import { Agent, type Page, signInForm } from '../support/agent.ts';
import { Authenticator } from '../support/authenticator.ts';
import { person } from '../support/provider.ts';
import { authorizationRequest } from '../support/relying-party.ts';
import { post } from '../support/token-endpoint.ts';
import { addApp, addPasskey, makeRecoveryCodes, optionsOf, thrice } from './unchanged/factors.ts';
import { type Answer, type Fixture, signIn, useFixture } from './unchanged/fixture.ts';

const { fixture } = useFixture();
const email = { email: person.email };
const WRONG_RECOVERY_CODE = '0000-0000-0000-0000';

interface Case {
  /** @returns the request, another each time that is wrong */
  readonly arrange: (fixture: Fixture) => Promise<() => Promise<Answer>>;
  readonly status: number;
  readonly event: {
    readonly type: string;
    readonly detail: object;
    /** Set: a client. */
    readonly clientId?: string;
    /** Null: nobody is known. */
    readonly accountId?: null;
    readonly userAgent?: string;
  };
}

const wrongPassword = { reason: 'credentials' };

/** A form on the page of the second factor. */
const secondFactor =
  (code: string): Case['arrange'] =>
  async (all) => {
    const browser = all.browser();
    await addApp(all, browser);
    await makeRecoveryCodes(browser);
    const agent = new Agent(all.provider.issuer);
    const page = await signIn(agent);
    return () => agent.submit(page, { code }, /\/factor/);
  };

const cases: Readonly<Record<string, Case>> = {
  'a wrong password': {
    arrange: async ({ provider: { issuer } }) => {
      const agent = new Agent(issuer);
      const page = await agent.open('/account');
      return () => agent.submit(page, { ...email, password: 'wrong' }, signInForm);
    },
    status: 401,
    event: { type: 'sign_in.failed', detail: wrongPassword },
  },
  'a wrong password for an application': {
    arrange: async ({ provider: { issuer }, party }) => {
      const agent = new Agent(issuer);
      const page = await agent.open((await authorizationRequest(party)).url);
      return () => agent.submit(page, { ...email, password: 'wrong' }, signInForm);
    },
    status: 401,
    event: { type: 'sign_in.failed', clientId: 'web', detail: wrongPassword },
  },
  'the address of nobody': {
    arrange: async ({ provider: { issuer } }) => {
      const agent = new Agent(issuer);
      const page = await agent.open('/account');
      const nobody = { email: 'nobody@example.com', password: 'wrong' };
      return () => agent.submit(page, nobody, signInForm);
    },
    status: 401,
    event: { type: 'sign_in.failed', accountId: null, detail: wrongPassword },
  },
  // Nobody is known by a passkey that is not one of ours.
  'a strange passkey': {
    arrange: async ({ provider: { issuer } }) => {
      const agent = new Agent(issuer);
      const pages = await thrice(() => agent.open('/account'));
      const device = new Authenticator(issuer);
      return () => {
        const page = pages.pop() as Page;
        const passkey = JSON.stringify(device.get(optionsOf(page, 'known')));
        return agent.submit(page, { passkey }, /\/passkey(\?|$)/);
      };
    },
    status: 401,
    event: {
      ...{ type: 'sign_in.failed', accountId: null },
      detail: { method: 'passkey', reason: 'factor.passkey-unknown' },
    },
  },
  'a strange passkey as the second factor': {
    arrange: async (all) => {
      await addPasskey(all, all.browser());
      const { issuer } = all.provider;
      const agent = new Agent(issuer);
      const page = await signIn(agent);
      return () => {
        const passkey = JSON.stringify(new Authenticator(issuer).get(optionsOf(page, 'known')));
        return agent.submit(page, { passkey }, /\/factor/);
      };
    },
    status: 401,
    event: {
      type: 'second_factor.failed',
      detail: { method: 'passkey', reason: 'factor.passkey-unknown' },
    },
  },
  'a wrong code': {
    arrange: secondFactor('000'),
    status: 401,
    event: { type: 'second_factor.failed', detail: { method: 'totp' } },
  },
  'a wrong recovery code': {
    arrange: secondFactor(WRONG_RECOVERY_CODE),
    status: 401,
    event: { type: 'second_factor.failed', detail: { method: 'recovery_code' } },
  },
  'the password grant': {
    arrange: ({ provider: { issuer } }) =>
      Promise.resolve(() =>
        post(`${issuer}/token`, {
          ...{ grant_type: 'password', scope: 'openid' },
          ...{ username: person.email, password: 'wrong' },
        }),
      ),
    status: 400,
    event: {
      ...{ type: 'sign_in.failed', clientId: 'web', userAgent: 'node' },
      detail: { ...wrongPassword, by: 'password' },
    },
  },
};

const events = () =>
  fixture().provider.storage.prisma.auditEvent.findMany({ orderBy: { id: 'asc' } });

/**
 * Runs requests. What is mailed with a refusal is a mistake, but for the word that somebody knows the password.
 *
 * @returns the events that they have written
 */
async function written(
  requests: () => Promise<unknown>,
  mayBeTold = false,
): Promise<Awaited<ReturnType<typeof events>>> {
  const { delivery } = fixture().provider.storage.prisma;
  const [before, mails] = [await events(), await delivery.count()];
  await requests();
  expect([0, mayBeTold ? 1 : 0]).toContain((await delivery.count()) - mails);
  return (await events()).slice(before.length);
}

describe('is written once each time:', () => {
  test.each(Object.entries(cases))('%s', async (_name, { arrange, status, event }) => {
    const { accountId } = fixture().provider;
    const act = await arrange(fixture());
    for (let time = 0; time < 2; time++) {
      const [one, ...more] = await written(async () => {
        expect((await act()).status).toBe(status);
      }, event.type === 'second_factor.failed');
      expect(more).toEqual([]);
      expect(one).toMatchObject({ accountId, clientId: null, userAgent: 'Test browser', ...event });
      expect(one?.ip).toMatch(/^(::1|127\.0\.0\.1)$/);
    }
  });
});

describe('of those that come too often the first is written:', () => {
  const limited = ['a wrong password', 'a wrong password for an application', 'a wrong code'];
  test.each([...limited, 'a wrong recovery code'])('%s', async (name) => {
    const { arrange, event } = cases[name] as Case;
    const act = await arrange(fixture());
    await act();
    // As if there had been so many that the next but one waits for minutes.
    const { prisma } = fixture().provider.storage;
    const guesses = { key: { startsWith: 'n:' } };
    await prisma.attempt.updateMany({ where: guesses, data: { points: 12 } });
    await act();
    const told = await written(async () => {
      for (let time = 0; time < 3; time++) expect((await act()).status).toBe(429);
    });
    const { clientId = null } = event;
    expect(told).toMatchObject([
      { type: 'sign_in.limited', clientId, userAgent: 'Test browser', detail: {} },
    ]);
    expect(told[0]?.accountId).toBe(fixture().provider.accountId);
    expect(told[0]?.ip).toMatch(/^(::1|127\.0\.0\.1)$/);
  });
});
