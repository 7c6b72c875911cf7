// The life of a person, from the command line: added, changed, found, exported, deleted.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { sealEvents } from '../../src/storage/audit/seal.ts';
import { verifyEvents } from '../../src/storage/audit/verify.ts';
import { saveNotice } from '../../src/storage/notices.ts';
import { Agent } from '../support/agent.ts';
import { commandsWith } from '../support/commands.ts';
import { type TestProvider, person, secret, startProvider } from '../support/provider.ts';
import { discover, refreshTokenOf, signIn } from '../support/relying-party.ts';
import { refreshAt } from '../support/token-endpoint.ts';

let provider: TestProvider;
beforeAll(async () => {
  provider = await startProvider();
});
afterAll(() => provider.close());

const { symbolon, said } = commandsWith(() => ({
  DATABASE_URL: provider.databaseUrl,
  SYMBOLON_SECRET: secret,
}));
async function json<T = Record<string, unknown>>(args: string, input?: string): Promise<T> {
  return JSON.parse(await said(args, input)) as T;
}
const password = 'nanoseconds of wire, many';

describe('commands', { timeout: 60_000 }, () => {
  test('add keeps a sub from elsewhere; an operator’s word on the address counts', async () => {
    const add = 'user add grace@example.com --password-stdin --json';
    expect(await json(`${add} --id auth0|5f7c8`, password)).toMatchObject({
      sub: 'auth0|5f7c8',
      email_verified: true,
    });
    const taken = await symbolon(
      'user add other@example.com --password-stdin --id auth0|5f7c8',
      password,
    );
    expect(taken.stderr).toContain('--id: somebody has this sub already');
    const odd = await symbolon(`user add o@example.com --password-stdin --id ${'x'.repeat(256)}`);
    expect(odd.stderr).toContain('--id: wants');
    const without = 'user add joan@example.com --no-verified --password-stdin --json';
    expect(await json(without, password)).toMatchObject({ email_verified: false });
  });

  test('update changes the address, and who is an administrator', async () => {
    const update = 'user update grace@example.com --json';
    expect(await json(`${update} --email Hopper@Example.com --admin`)).toMatchObject({
      ...{ email: 'hopper@example.com', email_verified: true, admin: true },
    });
    expect(await json('user update hopper@example.com --no-admin --json')).toMatchObject({
      admin: false,
    });
    const taken = await symbolon(`user update hopper@example.com --email ${person.email}`);
    expect(taken.stderr).toContain('email:');
    const mails = await provider.storage.prisma.delivery.count({ where: { channel: 'mail' } });
    expect(mails).toBe(1); // to the former address
  });

  test('list is a page, and finds', async () => {
    const subs = async (args: string) =>
      (await json<{ email: string }[]>(`user list --json ${args}`)).map(({ email }) => email);
    expect(await subs('--limit 2')).toEqual(['ada@example.com', 'hopper@example.com']);
    expect(await subs('--after hopper@example.com')).toEqual(['joan@example.com']);
    expect(await subs('--search OPPER')).toEqual(['hopper@example.com']);
    expect(await subs('--search lovelace')).toEqual(['ada@example.com']);
    expect(await subs('--search auth0|5f7c8')).toEqual(['hopper@example.com']);
    expect(await subs('--search %')).toEqual([]); // not a pattern
    expect((await symbolon('user list --limit 1')).stdout).toContain('--after ada@example.com');
  });

  test('whoever leaves leaves nothing behind but what happened', async () => {
    const { prisma, keyring } = provider.storage;
    const { accountId } = provider;
    const agent = new Agent(provider.issuer);
    const tokens = await signIn(await discover(provider.issuer), agent);
    await prisma.picture.create({
      data: { accountId, type: 'image/png', content: new Uint8Array([1, 2]) },
    });
    const origin = { ip: '203.0.113.9', userAgent: 'x' };
    const notice = { kind: 'signed_out_everywhere', accountId, now: new Date(), origin } as const;
    await saveNotice(prisma, keyring, notice);
    await symbolon(`user update ${person.email} --name Countess`);
    await sealEvents({ prisma, keyring, now: () => new Date() });

    const all = await json(`user export ${person.email}`);
    const told = JSON.stringify(all);
    for (const part of ['sub', 'grants', 'families', 'sessions', 'events', 'picture'])
      expect(all).toHaveProperty(part);
    expect(all).toMatchObject({ name: 'Countess', password: true, picture: { content: 'AQI=' } });
    expect(told).toContain('Test browser');
    expect(told).not.toMatch(/argon2|Hash|salt|sealed/);

    expect(await json(`user show ${person.email} --json`)).toMatchObject({
      ...{ sub: accountId, password: true, passkeys: 0, totp: false, sessions: 1, families: 1 },
      ...{ applications: ['web'], last_sign_in: expect.any(String) as string, locked_at: null },
    });
    expect((await symbolon(`user show ${person.email}`)).stdout).toMatch(/applications +web\n/);

    const unasked = await symbolon(`user delete ${person.email}`);
    expect(unasked.stderr).toContain('--yes');
    expect(await json(`user delete ${person.email} --yes --json`)).toMatchObject({
      ...{ deleted: true, sub: accountId, ended: 1, applications: { told: 0, waiting: 0 } },
    });

    const where = { accountId };
    expect(await prisma.account.count({ where: { id: accountId } })).toBe(0);
    for (const count of [
      prisma.artifact.count({ where }),
      prisma.grant.count({ where }),
      prisma.picture.count({ where }),
      prisma.link.count({ where }),
    ])
      expect(await count).toBe(0);
    expect(await prisma.delivery.count({ where: { channel: 'mail' } })).toBe(1); // another’s
    const rows = [
      await prisma.auditEvent.findMany({ where }),
      await prisma.refreshFamily.findMany({ where, omit: { payload: true } }),
    ];
    const text = JSON.stringify(rows, (_, value: unknown) =>
      typeof value === 'bigint' ? String(value) : value,
    );
    expect(text).toContain('account.deleted');
    expect(text).not.toMatch(/Countess|Lovelace|ada@example|Test browser|127\.0\.0\.1|::1/);
    const sealed = { prisma, keyring, now: () => new Date() };
    expect((await verifyEvents(sealed, 86_400)).problems).toEqual([]); // the seals hold
    const { body } = await refreshAt(provider.issuer, refreshTokenOf(tokens));
    expect(body.error_description).toMatch(/^account_deleted: /);
    const page = await agent.open(`${provider.issuer}/account`);
    expect(page.html.querySelector('h1')?.text).toBe('Sign in');
  });
});
