// A provider whose commits fail when a test says so, and what is in its database. A commit is made to fail by
// PostgreSQL itself: a deferred trigger on each table raises an error at COMMIT, also of a single statement. What tells
// of a change - the audit, mails, messages - has no such trigger: whatever writes it beside the change is found out.
import { type KeyPairKeyObjectResult, generateKeyPairSync } from 'node:crypto';
import { exportJWK } from 'jose';
import pg from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest';
import type { EventType } from '../../../src/storage/audit.ts';
import { type Mail, deliveryContext } from '../../../src/storage/deliveries.ts';
import { Agent, type Page } from '../../support/agent.ts';
import { type TestProvider, person, startProvider, webClient } from '../../support/provider.ts';
import { type RelyingParty, discover } from '../../support/relying-party.ts';
import { type Row, type Rows, restoreRows, rowsOf } from '../../support/rows.ts';

export const API = 'https://notes.example/api';
export const grants = {
  ciba: 'urn:openid:params:grant-type:ciba',
  device: 'urn:ietf:params:oauth:grant-type:device_code',
  exchange: 'urn:ietf:params:oauth:grant-type:token-exchange',
  jwtBearer: 'urn:ietf:params:oauth:grant-type:jwt-bearer',
};
const headless = {
  ...{ client_secret: webClient.client_secret, redirect_uris: [], response_types: [] },
};
/** A television. */
export const tv = { ...headless, client_id: 'tv', grant_types: [grants.device, 'refresh_token'] };
/** Asks people who are not at their browser, and is told of their answer. */
export const bank = {
  ...headless,
  ...{ client_id: 'bank', grant_types: [grants.ciba] },
  backchannel_token_delivery_mode: 'ping',
  backchannel_client_notification_endpoint: 'https://localhost:9/answered',
};
/** A resource server that exchanges tokens. */
export const server = {
  ...headless,
  ...{ client_id: 'server', grant_types: [grants.exchange] },
  ...{ token_exchange_from: [API], token_exchange_to: [API] },
};
/** Is told when a session ends, and wants a used-up token never to be answered again. */
export const calendar = {
  ...webClient,
  ...{ client_id: 'calendar', refresh_token_retry_window: 0 },
  redirect_uris: ['http://localhost:4002/callback'],
  backchannel_logout_uri: 'https://localhost:9/logged-out',
};

export interface Fixture {
  readonly provider: TestProvider;
  readonly party: RelyingParty;
  /** The key with which the client `web` asserts. */
  readonly key: KeyPairKeyObjectResult['privateKey'];
  /** A browser in which the person is signed in, and another one. */
  readonly browser: () => Agent;
  readonly elsewhere: () => Agent;
}

/** The fixture, once the tests run, and a connection to its database. */
export interface Handles {
  readonly fixture: () => Fixture;
  readonly admin: () => pg.Client;
}

/** What a request was answered with: a page, or JSON. */
export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly html?: Page['html'];
  readonly away?: URL;
  readonly body?: { readonly error?: unknown };
}

/** Brings about what a request needs. @returns the request; of what is spent at once, another each time */
export type Arrange = (fixture: Fixture) => Promise<() => Promise<Answer>>;

export interface Case {
  readonly arrange: Arrange;
  /** The tables whose commits fail; not set: {@link changed}. */
  readonly on?: readonly string[];
  /** The answer once the database is back; not set: any success. */
  readonly status?: number;
  /** What its page says, or where it leads to outside the provider. */
  readonly shows?: RegExp;
  /** What is told then: events in their order, mails, and how many messages to applications. */
  readonly events?: readonly EventType[];
  readonly mails?: readonly string[];
  readonly messages?: number;
}

/** The tables that have what is changed, and not what tells of it. */
const changed = [
  ...['account', 'artifact', 'client', 'grant', 'link', 'passkey'],
  ...['picture', 'recovery_code', 'refresh_family', 'totp'],
];
/**
 * Proves for each case: while commits fail, the request is answered with 503, and nothing has been changed, told or
 * mailed, however often it is sent; then it is done, told and mailed once.
 */
export function prove({ admin, fixture }: Handles, cases: Readonly<Record<string, Case>>): void {
  for (const [name, { arrange, on = changed, ...expected }] of Object.entries(cases)) {
    test(name, async () => {
      const { provider } = fixture();
      const act = await arrange(fixture());
      const before = await snapshot(admin());
      await admin().query('INSERT INTO fault.failing SELECT unnest($1::text[])', [on]);
      for (let time = 0; time < 2; time++) {
        isUnavailable(await act());
        expect(await snapshot(admin())).toEqual(before);
      }
      await admin().query('DELETE FROM fault.failing');

      const { status, html, away } = await act();
      const after = await snapshot(admin());
      const { shows = /(?:)/, events = [], mails = [], messages = 0 } = expected;
      if (expected.status === undefined) expect(status).toBeLessThan(400);
      else expect(status).toBe(expected.status);
      expect(`${away?.href ?? ''} ${html?.text ?? ''}`).toMatch(shows);
      expect(on.filter((table) => isOther(before[table], after[table]))).not.toEqual([]);
      const told = added(before, after, 'audit_event').sort((a, b) => Number(a.id) - Number(b.id));
      expect(told.map(({ type }) => type)).toEqual(events);
      const sent = added(before, after, 'delivery');
      expect(sent.flatMap(labelOf(provider)).sort()).toEqual([...mails].sort());
      expect(sent.filter(({ channel }) => channel !== 'mail')).toHaveLength(messages);
    });
  }
}

/** A fixture for the tests of a file, each of which begins with the same rows. */
export function useFixture(): Handles {
  let admin: pg.Client;
  let fixture: Fixture;
  let start: Rows;
  beforeAll(async () => {
    fixture = await startFixture();
    admin = new pg.Client({ connectionString: fixture.provider.databaseUrl });
    await admin.connect();
    await admin.query(failing);
    start = await rowsOf(admin);
  });
  beforeEach(async () => {
    await admin.query('DELETE FROM fault.failing');
    await restoreRows(admin, start);
  });
  afterEach(() => vi.useRealTimers());
  afterAll(async () => {
    await admin.end();
    await fixture.provider.close();
  });
  return { admin: () => admin, fixture: () => fixture };
}

async function startFixture(): Promise<Fixture> {
  const { publicKey, privateKey: key } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const web = {
    ...webClient,
    grant_types: [...webClient.grant_types, 'password', grants.jwtBearer],
    jwks: { keys: [await exportJWK(publicKey)] },
  };
  const provider = await startProvider({
    environment: {
      SYMBOLON_ENABLE_CIBA: 'true',
      SYMBOLON_ENABLE_JWT_BEARER_GRANT: 'true',
      SYMBOLON_ENABLE_PASSWORD_GRANT: 'true',
      SYMBOLON_ENABLE_TOKEN_EXCHANGE: 'true',
      SYMBOLON_REGISTRATION: 'open',
      SYMBOLON_SIGN_UP: 'open',
    },
    clients: [web, tv, bank, server, calendar],
  });
  await provider.storage.prisma.resource.create({
    data: { id: API, format: 'opaque', scopes: { 'notes:read': 'Read your notes' } },
  });
  const browsers = [new Agent(provider.issuer), new Agent(provider.issuer)] as const;
  for (const browser of browsers) await signIn(browser);
  const party = await discover(provider.issuer);
  const [browser, elsewhere] = browsers;
  return {
    ...{ provider, party, key },
    browser: () => browser.clone(),
    elsewhere: () => elsewhere.clone(),
  };
}

export const credentials = { email: person.email, password: person.password };

/** Signs in to /account. */
export async function signIn(agent: Agent): Promise<Page> {
  return agent.submit(await agent.open('/account'), credentials);
}

function isUnavailable({ status, headers, html, body }: Answer): void {
  expect({ status, retryAfter: headers.get('retry-after') }).toEqual({
    status: 503,
    retryAfter: '1',
  });
  expect(headers.getSetCookie()).toEqual([]);
  if (body) expect(body.error).toBe('temporarily_unavailable');
  else expect(html?.text).toContain('Nothing was changed');
}

// What is spent at once, on purpose, is none of the change: a jti or a challenge, and a one-time code's step.
const failing = `
  CREATE SCHEMA fault;
  CREATE TABLE fault.failing (name text);
  CREATE FUNCTION fault.fail() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      IF NOT EXISTS (SELECT FROM fault.failing WHERE name = TG_TABLE_NAME) THEN RETURN NULL; END IF;
      IF TG_TABLE_NAME = 'artifact' AND to_jsonb(coalesce(NEW, OLD)) ->> 'model' = 'ReplayDetection'
        THEN RETURN NULL; END IF;
      IF TG_TABLE_NAME = 'totp' AND to_jsonb(NEW) - 'last_step' = to_jsonb(OLD) - 'last_step'
        THEN RETURN NULL; END IF;
      RAISE EXCEPTION 'the commit fails' USING ERRCODE = '58030';
    END $$;
  ${[...changed, 'delivery']
    .map(
      (table) => `CREATE CONSTRAINT TRIGGER fail AFTER INSERT OR UPDATE OR DELETE ON "${table}"
        DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION fault.fail();`,
    )
    .join('\n')}`;

/** What is in every table, but for what is counted and what is spent at once. */
async function snapshot(admin: pg.Client): Promise<Rows> {
  const { artifact = [], totp = [], ...others } = await rowsOf(admin);
  return {
    ...others,
    ...{ attempt: [], client_secret_use: [] },
    artifact: artifact.filter(({ model }) => model !== 'ReplayDetection'),
    totp: totp.map(({ last_step: _spent, ...row }) => row),
  };
}

function isOther(before: readonly Row[] = [], after: readonly Row[] = []): boolean {
  return JSON.stringify(before) !== JSON.stringify(after);
}

function added(before: Rows, after: Rows, table: 'audit_event' | 'delivery') {
  const known = new Set(before[table]?.map(({ id }) => id));
  return (after[table] ?? []).filter(({ id }) => !known.has(id));
}

/** A mail's template, or of a notice the kind. */
function labelOf({ storage }: TestProvider) {
  return ({ id, channel, sealed }: Row): string[] => {
    if (channel !== 'mail') return [];
    const content = Buffer.from(String(sealed).slice(2), 'hex');
    const mail = JSON.parse(storage.keyring.unseal(deliveryContext(String(id)), content)) as Mail;
    return [mail.template === 'notice' ? mail.values.kind : mail.template];
  };
}
