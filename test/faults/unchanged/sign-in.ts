// Signing in, and what a person allows, while commits fail: nobody is signed in, told of it or asked again for nothing,
// and the same form does it once the database is back.
import { vi } from 'vitest';
import { Agent, type Page, signInForm } from '../../support/agent.ts';
import { person } from '../../support/provider.ts';
import { authorizationRequest, discover } from '../../support/relying-party.ts';
import { post } from '../../support/token-endpoint.ts';
import { addApp, addPasskey, makeRecoveryCodes, optionsOf, thrice } from './factors.ts';
import {
  type Arrange,
  type Case,
  type Fixture,
  bank,
  calendar,
  credentials,
  signIn,
  tv,
} from './fixture.ts';

export const signIns: Record<string, Case> = {
  'a sign-in for a page of our own': {
    arrange: async ({ provider }) => {
      const agent = new Agent(provider.issuer);
      const page = await agent.open('/account');
      return () => agent.submit(page, credentials, signInForm);
    },
    events: ['sign_in'],
    mails: ['new_device'],
  },

  'a sign-in within an authorization request': {
    arrange: async ({ provider, party }) => {
      const agent = new Agent(provider.issuer);
      const page = await agent.open((await authorizationRequest(party)).url);
      return () => agent.submit(page, credentials, signInForm);
    },
    events: ['sign_in'],
    mails: ['new_device'],
  },

  // A challenge is good for one answer, whatever becomes of it (WebAuthn §13.4.3): the page is opened anew.
  'a sign-in with a passkey': {
    arrange: async (fixture) => {
      const device = await addPasskey(fixture, fixture.browser());
      const agent = new Agent(fixture.provider.issuer);
      const pages = await thrice(() => agent.open('/account'));
      return () => {
        const page = pages.pop() as Page;
        const passkey = JSON.stringify(device.get(optionsOf(page, 'known')));
        return agent.submit(page, { passkey }, /\/passkey(\?|$)/);
      };
    },
    events: ['sign_in'],
    mails: ['new_device'],
  },

  // Nor is a one-time code good for two answers (RFC 6238 §5.2): the app shows another.
  'a sign-in with a second factor': {
    arrange: async (fixture) => {
      const app = await addApp(fixture, fixture.browser());
      const agent = new Agent(fixture.provider.issuer);
      const page = await signIn(agent);
      vi.useFakeTimers({ toFake: ['Date'], now: Date.now() });
      const codes = [-30, 0, 30].map((seconds) =>
        app.generate({ timestamp: Date.now() + seconds * 1000 }),
      );
      return () => agent.submit(page, { code: codes.shift() ?? '' }, /\/factor/);
    },
    events: ['sign_in'],
    mails: ['new_device'],
  },

  // The code is spent by a transaction of its own, which fails as well.
  'a sign-in with a recovery code': {
    arrange: async (fixture) => {
      const browser = fixture.browser();
      await addApp(fixture, browser);
      const [code = ''] = await makeRecoveryCodes(browser);
      const agent = new Agent(fixture.provider.issuer);
      const page = await signIn(agent);
      const asked = await agent.open(`${page.url.href}&with=recovery`);
      return () => agent.submit(asked, { code }, /\/factor/);
    },
    events: ['recovery_codes.used', 'sign_in'],
    mails: ['new_device'],
  },

  consent: {
    arrange: async ({ party, browser }) => {
      const agent = browser();
      const page = await agent.open((await authorizationRequest(party)).url);
      return () => agent.submit(page, {}, /\/consent$/);
    },
    events: ['consent'],
  },

  // The answer to the consent leads here.
  'the way back to the application': {
    arrange: async ({ party, browser }) => {
      const agent = browser();
      const page = await agent.open((await authorizationRequest(party)).url);
      const next = await allow(agent, page);
      return () => agent.open(next);
    },
    shows: /code=/,
  },

  'consent for a device': {
    arrange: async (fixture) => {
      const { agent, page } = await atDevice(fixture);
      return () => agent.submit(page, {}, /\/consent$/);
    },
    events: ['consent', 'device.approved'],
  },

  'a device that is connected': {
    arrange: async (fixture) => {
      const { agent, page } = await atDevice(fixture);
      const next = await allow(agent, page);
      return () => agent.open(next);
    },
    shows: /Your device is connected/,
    events: ['device.approved'],
  },

  'an approval': {
    arrange: (fixture) => approval(fixture, 'allow'),
    events: ['consent'],
    messages: 1,
  },
  'a refusal': {
    arrange: (fixture) => approval(fixture, 'deny'),
    events: ['consent.refused'],
    messages: 1,
  },

  'a sign-out': {
    arrange: async (fixture) => {
      const agent = fixture.browser();
      const calendars = await discover(fixture.provider.issuer, calendar);
      const { url, finish } = await authorizationRequest(calendars);
      await finish(await agent.authorize(url));
      const page = await agent.open('/logout');
      return () => agent.submit(page, { logout: 'yes' });
    },
    shows: /You are signed out/,
    events: ['sign_out'],
    messages: 1,
  },
};

const approval = async (
  { provider: { issuer }, browser }: Fixture,
  answer: string,
): ReturnType<Arrange> => {
  const form = {
    ...{ scope: 'openid', login_hint: person.email },
    client_notification_token: 'for-the-bank',
  };
  await post(`${issuer}/backchannel_authentication`, form, bank);
  const agent = browser();
  const page = await agent.open('/approve');
  return () => agent.submit(page, { answer }, /\/approve\/.+/);
};

/** At the consent for a television. */
async function atDevice({ provider: { issuer }, browser }: Fixture) {
  const scope = { scope: 'openid offline_access' };
  const { body } = await post(`${issuer}/device_authorization`, scope, tv);
  const { user_code = '' } = body as { user_code?: string };
  const agent = browser();
  const entered = await agent.submit(await agent.open('/device'), { user_code });
  return { agent, page: await agent.submit(entered, {}) };
}

/** Allows what is needed and no more. @returns where the answer leads, which is not opened */
function allow(agent: Agent, { html, url }: Page): Promise<URL> {
  const form = html.querySelector('form[action$="/consent"]');
  if (!form) throw new Error(`no consent is asked for at ${url.href}`);
  const csrf = form.querySelector('input[name=csrf]')?.getAttribute('value') ?? '';
  return agent.post(new URL(form.getAttribute('action') ?? '', url), { csrf });
}
