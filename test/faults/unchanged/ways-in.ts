// The ways to an account, while commits fail: signing up, an invitation, a forgotten password, links in mails, and the
// first administrator. A link is not spent by what was not done.
import { createHash } from 'node:crypto';
import { answerRequest } from '../../../src/mail/requests.ts';
import { setupLink } from '../../../src/pages/setup.ts';
import { takeDeliveries } from '../../../src/storage/deliveries.ts';
import { Agent, type Fields } from '../../support/agent.ts';
import { person } from '../../support/provider.ts';
import { type Arrange, type Case, type Fixture } from './fixture.ts';

const newcomer = {
  email: 'grace@example.com',
  name: 'Grace Hopper',
  password: 'a nanosecond of wire',
};
const delivery = ['delivery']; // all that is written is the mail

/** A form of somebody who is not signed in. */
const form =
  (path: string, fields: Fields): Arrange =>
  async ({ provider: { issuer } }) => {
    const agent = new Agent(issuer);
    const page = await agent.open(path);
    return () => agent.submit(page, fields);
  };

export const waysIn: Record<string, Case> = {
  'a sign-up': {
    arrange: form('/sign-up', newcomer),
    on: delivery,
    mails: ['ask-sign-up'],
  },
  'a sign-up that is confirmed': {
    arrange: async (fixture) => {
      const agent = new Agent(fixture.provider.issuer);
      await agent.submit(await agent.open('/sign-up'), newcomer);
      const page = await agent.open(`/sign-up/confirm?token=${await linkSecret(fixture)}`);
      return () => agent.submit(page, {});
    },
    events: ['account.added'],
  },
  'an invitation': {
    arrange: async (fixture) => {
      const token = 'the secret of the invitation';
      await fixture.provider.storage.prisma.link.create({
        data: {
          id: new Uint8Array(createHash('sha256').update(token).digest()),
          ...{ purpose: 'invitation', email: newcomer.email },
          expiresAt: new Date(Date.now() + 60_000),
        },
      });
      const { name, password } = newcomer;
      return form(`/invitation?token=${encodeURIComponent(token)}`, { name, password })(fixture);
    },
    events: ['account.added'],
  },

  'a forgotten password': {
    arrange: form('/forgot', { email: person.email }),
    on: delivery,
    mails: ['ask-reset'],
  },
  'a password that is chosen anew': {
    arrange: async (fixture) => {
      const agent = new Agent(fixture.provider.issuer);
      await agent.submit(await agent.open('/forgot'), { email: person.email });
      const page = await agent.open(`/reset?token=${await linkSecret(fixture)}`);
      return () => agent.submit(page, { password: 'another battery staple' });
    },
    events: ['password.changed'],
    mails: ['password_changed'],
  },

  'an address that is confirmed': {
    arrange: async (fixture) => {
      const agent = fixture.browser();
      await agent.submit(await agent.open('/account'), {}, /\/email\/verify$/);
      const page = await agent.open(`/verify?token=${await linkSecret(fixture)}`);
      return () => agent.submit(page, {});
    },
    events: ['account.changed'],
  },
  'another address that is confirmed': {
    arrange: async (fixture) => {
      const agent = fixture.browser();
      const asked = await agent.open('/account/email');
      await agent.submit(asked, { email: 'countess@example.com' }, /\/email$/);
      const page = await agent.open(`/verify?token=${await linkSecret(fixture)}`);
      return () => agent.submit(page, {});
    },
    events: ['account.changed'],
    mails: ['email_changed'],
  },

  'the first administrator': {
    arrange: async (fixture) => {
      const { config, storage } = fixture.provider;
      await storage.prisma.account.deleteMany();
      return form(setupLink(config, storage.keyring), newcomer)(fixture);
    },
    events: ['account.added'],
  },
};

/** The secret of the link in the mail that was asked for last, as it is when the mail is sent. */
async function linkSecret({ provider: { storage } }: Fixture): Promise<string> {
  const { prisma, keyring, now } = storage;
  for (const taken of await takeDeliveries(prisma, keyring, 'mail', now())) {
    const mail = await answerRequest(storage, taken);
    if (mail && 'token' in mail.values) return mail.values.token;
  }
  throw new Error('no mail with a link was asked for');
}
