// What people change at /account, while commits fail: each change is made, told and mailed once, by the form that was
// answered with 503 before.
import { parse } from 'node-html-parser';
import type { Agent, Fields, Page } from '../../support/agent.ts';
import { Authenticator } from '../../support/authenticator.ts';
import { person } from '../../support/provider.ts';
import { discover, signIn } from '../../support/relying-party.ts';
import { addApp, addPasskey, appOn, makeRecoveryCodes, optionsOf, thrice } from './factors.ts';
import { type Arrange, type Case, type Fixture, calendar } from './fixture.ts';

type Preparation = (fixture: Fixture, agent: Agent) => Promise<unknown>;

/**
 * A form at /account.
 *
 * @param path the page that it is on
 * @param action of the form
 * @param before what has to be there
 */
const form =
  (path: string, action: RegExp, fields: Fields = {}, before?: Preparation): Arrange =>
  async (fixture) => {
    const agent = fixture.browser();
    await before?.(fixture, agent);
    const page = await agent.open(`/account${path}`);
    return () => agent.submit(page, fields, action);
  };

const sure = { sure: 'yes' };

/** Two applications, one of which wants to know of a sign-out. */
const connected: Preparation = async ({ provider: { issuer }, party }, agent) => {
  await signIn(party, agent);
  await signIn(await discover(issuer, calendar), agent);
};

export const account: Record<string, Case> = {
  'the name': {
    arrange: form('', /\/name$/, { name: 'Ada King' }),
    events: ['name.changed'],
  },
  'the language': {
    arrange: form('', /\/language$/, { locale: 'de' }),
    events: ['language.changed'],
  },
  'a picture': {
    arrange: ({ provider: { issuer }, browser }) => sendPicture(issuer, browser()),
    events: ['picture.changed'],
  },
  'a picture that is removed': {
    arrange: form('', /\/picture\/remove$/, {}, async ({ provider: { issuer } }, agent) =>
      (await sendPicture(issuer, agent))(),
    ),
    events: ['picture.removed'],
  },
  'another address': {
    arrange: form('/email', /\/email$/, { email: 'countess@example.com' }),
    mails: ['email-change'],
  },
  'an address to be confirmed': {
    arrange: form('', /\/email\/verify$/),
    mails: ['verification'],
  },

  // With it end the families, as SYMBOLON_END_FAMILIES_ON says, and every session but a new one.
  'the password': {
    arrange: form(
      '/methods/password',
      /\/password$/,
      { current: person.password, password: 'another battery staple' },
      connected,
    ),
    events: ['family.ended', 'family.ended', 'password.changed'],
    mails: ['password_changed'],
    messages: 1,
  },

  // A challenge is good for one answer, whatever becomes of it: the page is opened anew.
  'a passkey': {
    arrange: async ({ provider, browser }) => {
      const agent = browser();
      const pages = await thrice(() => agent.open('/account/methods'));
      return () => {
        const page = pages.pop() as Page;
        const device = new Authenticator(provider.issuer);
        const passkey = JSON.stringify(device.create(optionsOf(page, 'new')));
        return agent.submit(page, { passkey, name: 'Laptop' }, /\/passkeys$/);
      };
    },
    events: ['passkey.added'],
    mails: ['passkey_added'],
  },
  'the name of a passkey': {
    arrange: form('/methods', /\/passkeys\/.+\/name$/, { name: 'Old laptop' }, addPasskey),
    shows: /Old laptop/,
  },
  'a passkey that is removed': {
    arrange: form('/methods', /\/passkeys\/.+\/remove$/, sure, addPasskey),
    events: ['passkey.removed'],
    mails: ['passkey_removed'],
  },

  // The page makes the secret that it shows: of all that only looks, this alone is a change.
  'the page that shows the secret of an app': {
    arrange: ({ browser }) => {
      const agent = browser();
      return Promise.resolve(() => agent.open('/account/methods/totp'));
    },
    shows: /type this secret/,
  },
  'an app for one-time codes': {
    arrange: async ({ browser }) => {
      const agent = browser();
      const page = await agent.open('/account/methods/totp');
      const code = appOn(page).generate();
      return () => agent.submit(page, { code }, /\/totp$/);
    },
    events: ['totp.added'],
    mails: ['totp_added'],
  },
  'an app that is removed': {
    arrange: form('/methods', /\/totp\/remove$/, sure, addApp),
    events: ['totp.removed'],
    mails: ['totp_removed'],
  },
  'recovery codes': {
    arrange: form('/methods', /\/recovery$/),
    shows: /([0-9A-Z]{4}-){3}[0-9A-Z]{4}/,
    events: ['recovery_codes.made'],
    mails: ['recovery_codes_made'],
  },
  'recovery codes in the place of others': {
    arrange: form('/methods', /\/recovery$/, {}, (_stage, agent) => makeRecoveryCodes(agent)),
    events: ['recovery_codes.made'],
    mails: ['recovery_codes_made'],
  },

  'a connection of an application': {
    arrange: form('/applications', /\/family\//, {}, connected),
    events: ['family.ended'],
  },
  'until when an application stays connected': {
    arrange: form('/applications', /\/until\//, { until: '604800' }, connected),
    events: ['family.end_chosen'],
  },
  'an application': {
    arrange: form('/applications', /\/remove$/, { client: 'web' }, connected),
    events: ['family.ended', 'access.removed'],
  },
  'all applications': {
    arrange: form('/applications', /\/end-all$/, {}, connected),
    events: ['family.ended', 'family.ended', 'access.removed', 'access.removed'],
    messages: 1,
  },

  // Which is the one that the applications hang on.
  'another session': {
    arrange: async (fixture) => {
      const { agent, page } = await besideConnected(fixture);
      const all = page.html.querySelectorAll('form[action*="/sessions/"]:not([action$=-others])');
      const action = all.at(-1)?.getAttribute('action') ?? '';
      return () => agent.submit(page, {}, new RegExp(`${action}$`));
    },
    events: ['session.ended'],
    messages: 1,
  },
  'all other sessions': {
    arrange: async (fixture) => {
      const { agent, page } = await besideConnected(fixture);
      return () => agent.submit(page, {}, /\/end-others$/);
    },
    events: ['session.ended'],
    messages: 1,
  },
};

/** At the sessions, in another browser than the one in which applications were signed in to. */
async function besideConnected(fixture: Fixture) {
  await connected(fixture, fixture.browser());
  const agent = fixture.elsewhere();
  return { agent, page: await agent.open('/account/sessions') };
}

async function sendPicture(issuer: string, agent: Agent) {
  const png = Buffer.from('89504e470d0a1a0a0000000d49484452', 'hex');
  const { html } = await agent.open('/account');
  const body = new FormData();
  body.set('csrf', html.querySelector('input[name=csrf]')?.getAttribute('value') ?? '');
  body.set('picture', new File([png], 'me.png', { type: 'image/png' }));
  const cookie = agent.cookies.map(({ name, value }) => `${name}=${value}`).join('; ');
  return async () => {
    const response = await fetch(`${issuer}/account/picture`, {
      ...{ method: 'POST', redirect: 'manual', body },
      headers: { cookie, accept: 'text/html' },
    });
    const { status, headers } = response;
    return { status, headers, html: parse(await response.text()) };
  };
}
