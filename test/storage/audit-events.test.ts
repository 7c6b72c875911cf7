// Every change and every end leaves an event that says what changed: through real commands and pages.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { PUBLISHED_BEFORE } from '../../src/keys/signing-keys.ts';
import { Agent } from '../support/agent.ts';
import { run } from '../support/process.ts';
import {
  type TestProvider,
  person,
  secret,
  startProvider,
  webClient,
} from '../support/provider.ts';
import { authorizationRequest, discover, signIn } from '../support/relying-party.ts';
import { post } from '../support/token-endpoint.ts';

const tv = {
  ...webClient,
  client_id: 'tv',
  grant_types: ['urn:ietf:params:oauth:grant-type:device_code', 'refresh_token'],
  redirect_uris: [],
  response_types: [],
};
let provider: TestProvider;
let folder: string;
let ada: string;

beforeAll(async () => {
  provider = await startProvider({ clients: [webClient, tv] });
  ada = provider.accountId;
  folder = await mkdtemp(join(tmpdir(), 'symbolon-events-'));
});
beforeEach(() => provider.storage.prisma.auditEvent.deleteMany());
afterEach(() => {
  vi.useRealTimers();
});
afterAll(async () => {
  await provider.close();
  await rm(folder, { recursive: true });
});

const agent = () => new Agent(provider.issuer);
const events = () => provider.storage.prisma.auditEvent.findMany({ orderBy: { id: 'asc' } });
const told = async () =>
  (await events()).map(({ type, accountId, clientId, actorKind, detail }) => {
    const about = [accountId === ada ? 'ada' : accountId, clientId].filter((one) => one !== null);
    return [type, about.join(' '), actorKind, detail];
  });

describe('commands', { timeout: 120_000 }, () => {
  const environment = () => ({ DATABASE_URL: provider.databaseUrl, SYMBOLON_SECRET: secret });
  async function symbolon(args: string): Promise<void> {
    const { code, stderr } = await run(['src/cli.ts', ...args.split(' ')], environment());
    expect({ args, code, stderr }).toEqual({ args, code: 0, stderr: '' });
  }
  async function file(content: object): Promise<string> {
    const path = join(folder, `${Math.random()}.json`);
    await writeFile(path, JSON.stringify(content));
    return path;
  }

  // Nobody has signed in: nothing ends with it.
  test.each<[string, string, object]>([
    [`user lock ${person.email}`, 'account.locked', {}],
    [`user unlock ${person.email}`, 'account.unlocked', {}],
    [`user sign-out ${person.email}`, 'account.signed_out', { families: 0 }],
    [`family revoke --user ${person.email}`, 'access.removed', { by: 'command line' }],
    [
      `user update ${person.email} --name Lady --email-verified true`,
      'account.changed',
      {
        changed: {
          name: { from: person.name, to: 'Lady' },
          email_verified: { from: false, to: true },
        },
      },
    ],
  ])('%s', async (args, type, detail) => {
    await symbolon(args);
    expect(await told()).toEqual([[type, 'ada', 'operator', detail]]);
  });

  test('user claims', async () => {
    await symbolon(`user claims ${person.email} --set ${await file({ nickname: 'A' })}`);
    const detail = { changed: { nickname: { from: null, to: 'A' } } };
    expect(await told()).toEqual([['account.changed', 'ada', 'operator', detail]]);
  });

  test('client update; no secret is told', async () => {
    const metadata = await file({ client_name: 'Notes 2', contacts: ['a@example.com'] });
    await symbolon(`client update web --metadata ${metadata}`);
    const changed = {
      client_name: { from: 'Notes', to: 'Notes 2' },
      contacts: { from: null, to: ['a@example.com'] },
    };
    expect(await told()).toEqual([['client.changed', 'web', 'operator', { changed }]]);
  });

  test('resource add, family revoke --client, key rotate', async () => {
    await symbolon('resource add https://notes.example/ --scope notes=Read');
    await symbolon('family revoke --client web');
    await symbolon('key rotate --now');
    const told_ = await told();
    expect(told_.slice(0, 2)).toEqual([
      [
        'resource.added',
        '',
        'operator',
        { resource: 'https://notes.example/', format: 'jwt', scopes: ['notes'] },
      ],
      ['access.removed', 'web', 'operator', { by: 'command line' }],
    ]);
    const [rotated, added] = told_.slice(2);
    const kids = Array.from({ length: 3 }, () => expect.stringMatching(/^[\w-]{43}$/) as string);
    expect(rotated).toEqual(['key.rotated', '', 'operator', { kids, now: true }]);
    expect(added).toEqual(['key.added', '', 'operator', { kids }]);
  });
});

test('keys that take over by themselves', async () => {
  vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 2 * PUBLISHED_BEFORE });
  const days = provider.config.keyRotationDays * 86_400_000;
  vi.setSystemTime(Date.now() + days);
  await provider.keyRotation.look();
  expect((await told()).map(([type, , actor]) => [type, actor])).toEqual([
    ['key.added', 'system'],
    ['key.rotated', 'system'],
    ['key.removed', 'system'],
  ]);
});

describe('in the browser', () => {
  test('a name and a language', async () => {
    const browser = agent();
    const { email, password } = person;
    let page = await browser.open(`${provider.issuer}/account`);
    page = await browser.submit(page, { email, password });
    const former = (await provider.storage.prisma.account.findFirstOrThrow()).name;
    page = await browser.submit(page, { name: 'Ada King' }, /\/name$/);
    await browser.submit(page, { locale: 'fr' }, /\/language$/);
    expect((await told()).slice(1)).toEqual([
      ['name.changed', 'ada', 'person', { changed: { name: { from: former, to: 'Ada King' } } }],
      ['language.changed', 'ada', 'person', { changed: { locale: { from: null, to: 'fr' } } }],
    ]);
    await provider.storage.prisma.account.updateMany({ data: { locale: null } });
  });

  test('a refused consent, a token given back, a sign-out', async () => {
    const party = await discover(provider.issuer);
    const browser = agent();
    const { url } = await authorizationRequest(party);
    const { email, password } = person;
    let page = await browser.submit(await browser.open(url), { email, password }, /sign-in$/);
    page = await browser.submit(page, {}, /cancel$/);
    expect(page.away?.searchParams.get('error')).toBe('access_denied');
    const tokens = await signIn(party, browser, { scope: 'openid' });
    await post(`${provider.issuer}/revoke`, { token: tokens.access_token });
    page = await browser.open(`${provider.issuer}/logout`);
    await browser.submit(page, { logout: 'yes' });
    expect((await told()).map((event) => event.slice(0, 3))).toEqual([
      ['sign_in', 'ada web', 'person'],
      ['consent.refused', 'ada web', 'person'],
      ['consent', 'ada web', 'person'],
      ['token.revoked', 'web', 'client'],
      ['sign_out', 'ada', 'person'],
    ]);
  });

  test('a device that is let in, and one that is not', async () => {
    const start = async () => {
      const { body } = await post(
        `${provider.issuer}/device_authorization`,
        { scope: 'openid' },
        tv,
      );
      return body as unknown as { user_code: string; verification_uri: string };
    };
    const browser = agent();
    const { email, password } = person;
    const first = await start();
    const confirm = async ({ user_code: code, verification_uri: uri }: typeof first) =>
      browser.submit(await browser.open(uri), { user_code: code });
    let page = await browser.submit(await confirm(first), {});
    page = await browser.submit(page, { email, password }, /sign-in$/);
    await browser.submit(page, {}, /consent$/);
    await browser.submit(await confirm(await start()), { abort: 'yes' });
    expect((await told()).slice(2)).toEqual([
      ['device.approved', 'ada tv', 'person', { by: 'device' }],
      ['consent.refused', 'ada tv', 'person', { by: 'device' }],
    ]);
  });
});
