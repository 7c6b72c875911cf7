// Factors of the person of the fixture, set up by its pages: an app for one-time codes, a passkey, recovery codes.
import { Secret, TOTP } from 'otpauth';
import type { Agent, Page } from '../../support/agent.ts';
import { Authenticator } from '../../support/authenticator.ts';
import type { Fixture } from './fixture.ts';

const methods = '/account/methods';

/** The app that a page shows the secret for. */
export function appOn(page: Page): TOTP {
  const secret = page.html.querySelector('p.code')?.text.replace(/\s/g, '') ?? '';
  return new TOTP({ secret: Secret.fromBase32(secret) });
}

/** Sets an app up, as if long ago: no code of these minutes was used. */
export async function addApp({ provider }: Fixture, agent: Agent): Promise<TOTP> {
  const page = await agent.open(`${methods}/totp`);
  const app = appOn(page);
  await agent.submit(page, { code: app.generate() }, /\/totp$/);
  await provider.storage.prisma.totp.updateMany({ data: { lastStep: 0 } });
  return app;
}

/** What a page asks an authenticator. */
export function optionsOf(page: Page, is: 'new' | 'known') {
  const selector = is === 'new' ? '[data-passkey-is=new]' : '[data-passkey]';
  const options = page.html.querySelector(selector)?.getAttribute('data-passkey') ?? '';
  return JSON.parse(options) as { challenge: string; user: { id: string } };
}

export async function addPasskey({ provider }: Fixture, agent: Agent): Promise<Authenticator> {
  const page = await agent.open(methods);
  const device = new Authenticator(provider.issuer);
  const passkey = JSON.stringify(device.create(optionsOf(page, 'new')));
  await agent.submit(page, { passkey, name: 'Laptop' }, /\/passkeys$/);
  return device;
}

export async function makeRecoveryCodes(agent: Agent): Promise<string[]> {
  const page = await agent.submit(await agent.open(methods), {}, /\/recovery$/);
  return page.html.querySelectorAll('.codes code').map(({ text }) => text);
}

/** Opens a page once for each time that a request is made whose form is good for one. */
export async function thrice(open: () => Promise<Page>): Promise<Page[]> {
  return [await open(), await open(), await open()];
}
