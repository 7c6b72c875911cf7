// What a database cannot store - NUL, or a character that its encoding lacks - is a person's mistake: pages say so in
// their form or with a sentence (422), programs get invalid_request, the command line a sentence. Never an outage.
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { migrate } from '../../src/database/migrate.ts';
import { Agent } from '../support/agent.ts';
import { type TestDatabase, createDatabase } from '../support/database.ts';
import { run } from '../support/process.ts';
import {
  type TestProvider,
  person,
  secret,
  startProvider,
  webClient,
} from '../support/provider.ts';
import { newFamily, post, refreshAt } from '../support/token-endpoint.ts';

// Each starts processes.
vi.setConfig({ testTimeout: 180_000, hookTimeout: 180_000 });

let provider: TestProvider;
let latin: TestDatabase;
beforeAll(async () => {
  latin = await createDatabase("template0 ENCODING 'LATIN1' LOCALE 'C'");
  await migrate(latin.url);
  provider = await startProvider({
    database: latin,
    environment: { SYMBOLON_ENABLE_PASSWORD_GRANT: 'true' },
    clients: [{ ...webClient, grant_types: [...webClient.grant_types, 'password'] }],
  });
});
afterAll(() => provider.close());

const messages = { nul: 'Ada\0', emoji: 'Ada 🌍', polish: 'Łukasz' };

describe('pages', () => {
  test.each(Object.values(messages))('a name like %j is refused in its form', async (name) => {
    const agent = new Agent(provider.issuer);
    const form = await agent.open(`${provider.issuer}/account`);
    const page = await agent.submit(form, { email: person.email, password: person.password });
    const answer = await agent.submit(page, { name }, /name$/);
    expect(answer.status).toBe(422);
    expect(answer.html.text).toContain('has a character that cannot be stored here');
    expect(answer.html.querySelector('form[action$="/account/name"]')).not.toBeNull();
    const { prisma } = provider.storage;
    expect(await prisma.auditEvent.count({ where: { type: 'name.changed' } })).toBe(0);
    expect((await prisma.account.findFirstOrThrow()).name).toBe(person.name);
  });

  test('a name that the encoding has is kept', async () => {
    const agent = new Agent(provider.issuer);
    const form = await agent.open(`${provider.issuer}/account`);
    const page = await agent.submit(form, { email: person.email, password: person.password });
    await agent.submit(page, { name: 'Zoë' }, /name$/);
    const { prisma } = provider.storage;
    expect((await prisma.account.findFirstOrThrow()).name).toBe('Zoë');
    await prisma.account.updateMany({ data: { name: person.name } });
    await prisma.auditEvent.deleteMany();
  });

  test('an address with NUL at the sign-in', async () => {
    const agent = new Agent(provider.issuer);
    const form = await agent.open(`${provider.issuer}/account`);
    const answer = await agent.submit(form, { email: 'a\0@example.com', password: 'x' });
    expect(answer.status).toBe(422);
  });
});

describe('programs', () => {
  test('the token endpoint says invalid_request', async () => {
    const forms: Record<string, string>[] = [
      { grant_type: 'refresh_token', refresh_token: 'a\0b.c' },
      { grant_type: 'password', username: 'a\0@example.com', password: 'x' },
      { grant_type: 'password', username: 'Ł@example.com', password: 'x' },
    ];
    for (const form of forms) {
      const { status, body } = await post(`${provider.issuer}/token`, form);
      expect([400, 401]).toContain(status);
      expect(['invalid_request', 'invalid_grant']).toContain(body.error);
    }
    const { status, body } = await post(
      `${provider.issuer}/token`,
      { grant_type: 'refresh_token', refresh_token: 'x' },
      { client_id: 'a\0b' },
    );
    expect(status).toBeLessThan(500);
    expect(body.error).toMatch(/^invalid_(request|client)$/);
  });

  test('a User-Agent in any encoding does not stand in the way', async () => {
    const token = await newFamily(provider.issuer);
    const response = await fetch(`${provider.issuer}/token`, {
      method: 'POST',
      headers: {
        authorization: `Basic ${Buffer.from(`${webClient.client_id}:${encodeURIComponent(webClient.client_secret)}`).toString('base64')}`,
        'user-agent': 'Zo\u00eb\u0080 1.0',
      },
      body: new URLSearchParams({ grant_type: 'refresh_token', refresh_token: token }),
    });
    expect(response.status).toBe(200);
    const { prisma } = provider.storage;
    expect((await prisma.refreshFamily.findFirstOrThrow()).lastUsedUserAgent).toBe('Zo?? 1.0');
    const { refresh_token: next = '' } = (await response.json()) as { refresh_token?: string };
    expect((await refreshAt(provider.issuer, next)).status).toBe(200);
  });
});

test('the command line says it in a sentence', async () => {
  const settings = { DATABASE_URL: latin.url, SYMBOLON_SECRET: secret };
  for (const args of [
    ['user', 'add', 'l@example.com', '--name', messages.polish, '--password-stdin'],
    ['client', 'add', 'lodz', '--name', messages.polish, '--redirect-uri', 'https://a.example/cb'],
  ]) {
    const { code, stderr } = await run(['src/cli.ts', ...args], settings, 'correct horse battery');
    expect(code).toBe(1);
    expect(stderr).toMatch(/has a character that/);
    expect(stderr).not.toMatch(/prisma/i);
  }
});
