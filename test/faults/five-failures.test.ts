// Five failures that were seen with a plain adapter. Each is one test, run against Symbolon's storage, where it
// passes, and against the plain adapter, where it is declared to fail: that proves that the test can tell.
import { type Server, createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import Koa from 'koa';
import pg from 'pg';
import { Provider, errors } from 'oidc-provider';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { addAccount } from '../../src/accounts/accounts.ts';
import { readConfig } from '../../src/config.ts';
import { connect } from '../../src/database/open.ts';
import { Keyring } from '../../src/keys/keyring.ts';
import { loadSigningKeys } from '../../src/keys/signing-keys.ts';
import { answerErrors } from '../../src/operations/http.ts';
import { createLog } from '../../src/operations/log.ts';
import { adapt, configuration } from '../../src/provider/provider.ts';
import { registerExtraGrants } from '../../src/provider/extra-grants.ts';
import { findClient, insertClient, isClientSecret } from '../../src/storage/clients.ts';
import { type Storage, runUnit } from '../../src/storage/unit-of-work.ts';
import { type TestDatabase, createDatabase } from '../support/database.ts';
import { person, secret, webClient } from '../support/provider.ts';
import { createPlainAdapter } from './plain-adapter.ts';

const HELD = 7001; // the advisory lock by which a write is held

interface Subject {
  readonly url: string;
  /** The table and the event by which a successor is written, and by which a token is spent. */
  readonly save: string;
  readonly spend: string;
  /** What claims() does next. */
  failClaims: boolean;
  close(): Promise<void>;
}

for (const kind of ['symbolon', 'plain'] as const) {
  // The same test must fail with the plain adapter.
  const check = kind === 'symbolon' ? test : test.fails;

  describe(kind, () => {
    let database: TestDatabase;
    let subject: Subject;
    let admin: pg.Client;

    beforeAll(async () => {
      database = await createDatabase();
      subject = await serve(kind, database.url);
      admin = new pg.Client({ connectionString: database.url });
      await admin.connect();
      await admin.query(`
        CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'injected'; END $$;
        CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS $$
          BEGIN PERFORM pg_advisory_xact_lock_shared(${HELD}); RETURN NEW; END $$;`);
    });
    afterAll(async () => {
      await subject.close();
      await admin.end();
      await database.drop();
    });

    check('five simultaneous refreshes of one token leave one live token', async () => {
      const { token } = await signIn();
      await trigger(subject.spend, 'hold');
      await admin.query(`SELECT pg_advisory_lock(${HELD})`);
      const answers = Array.from({ length: 5 }, () => refresh(token));
      await waiting(5);
      await admin.query(`SELECT pg_advisory_unlock(${HELD})`);
      const successors = new Set(
        (await Promise.all(answers)).map(({ body }) => body.refresh_token),
      );
      await untrigger();
      expect(successors.size).toBe(1);
      expect((await refresh([...successors][0] ?? '')).status).toBe(200);
    });

    check('a failed save of the successor spends nothing', async () => {
      const { token } = await signIn();
      await trigger(subject.save, 'fail');
      expect((await refresh(token)).status).toBeGreaterThanOrEqual(500);
      await untrigger();
      expect((await refresh(token)).status).toBe(200);
    });

    check('a failing claims() spends nothing', async () => {
      const { token } = await signIn();
      subject.failClaims = true;
      expect((await refresh(token)).status).toBe(500);
      subject.failClaims = false;
      expect((await refresh(token)).status).toBe(200);
    });

    check('a wrong resource parameter spends nothing', async () => {
      const { token } = await signIn();
      expect((await refresh(token, { resource: 'https://elsewhere.example' })).body.error).toBe(
        'invalid_target',
      );
      expect((await refresh(token)).status).toBe(200);
    });

    check('a revocation while a refresh is being written leaves no live token', async () => {
      const { token, accessToken } = await signIn();
      await trigger(subject.save, 'hold');
      await admin.query(`SELECT pg_advisory_lock(${HELD})`);
      const answer = refresh(token);
      await waiting(1);
      const revocation = post('/revoke', { token: accessToken });
      await Promise.race([revocation, waiting(2)]); // done already, or behind the refresh
      await admin.query(`SELECT pg_advisory_unlock(${HELD})`);
      const [{ body }] = await Promise.all([answer, revocation]);
      await untrigger();
      expect((await refresh(body.refresh_token ?? token)).status).toBe(400);
    });

    async function signIn() {
      const { body } = await post('/token', {
        grant_type: 'password',
        username: person.email,
        password: person.password,
        scope: 'openid offline_access',
      });
      return { token: body.refresh_token ?? '', accessToken: body.access_token ?? '' };
    }

    function refresh(token: string, more: Record<string, string> = {}) {
      return post('/token', { grant_type: 'refresh_token', refresh_token: token, ...more });
    }

    async function post(path: string, form: Record<string, string>) {
      const credentials = Buffer.from(
        `web:${encodeURIComponent(webClient.client_secret)}`,
      ).toString('base64');
      const response = await fetch(subject.url + path, {
        method: 'POST',
        headers: { authorization: `Basic ${credentials}` },
        body: new URLSearchParams(form),
      });
      const text = await response.text();
      return {
        status: response.status,
        body: (text ? JSON.parse(text) : {}) as {
          access_token?: string;
          refresh_token?: string;
          error?: string;
        },
      };
    }

    const trigger = (event: string, what: 'hold' | 'fail') =>
      admin.query(`CREATE TRIGGER injected BEFORE ${event} EXECUTE FUNCTION ${what}()`);
    const untrigger = () =>
      admin.query(`DROP TRIGGER injected ON ${kind === 'plain' ? 'plain' : 'refresh_family'}`);

    /** Waits until so many of the subject's sessions wait for a lock. */
    async function waiting(count: number): Promise<void> {
      for (const deadline = Date.now() + 10_000; Date.now() < deadline;) {
        const { rows } = await admin.query<{ count: number }>(
          `SELECT count(*)::int FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`,
        );
        if ((rows[0]?.count ?? 0) >= count) return;
      }
      throw new Error(`no ${count} sessions came to wait`);
    }
  });
}

async function serve(kind: 'symbolon' | 'plain', databaseUrl: string): Promise<Subject> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, 'localhost', resolve));
  const url = `http://localhost:${(server.address() as AddressInfo).port}`;
  const config = readConfig({
    DATABASE_URL: databaseUrl,
    SYMBOLON_SECRET: secret,
    SYMBOLON_ISSUER: url,
    SYMBOLON_ENABLE_PASSWORD_GRANT: 'true',
  });
  const prisma = connect(databaseUrl);
  const keyring = new Keyring(config.secrets ?? []);
  const storage: Storage = {
    prisma: withFailingClaims(prisma, () => subject.failClaims),
    keyring,
    now: () => new Date(),
  };
  const parts = {
    config,
    storage,
    signingKeys: await loadSigningKeys(prisma, keyring),
    pages: noPages,
  };
  const settings = configuration(parts);
  settings.features = {
    ...settings.features,
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo: () => {
        throw new errors.InvalidTarget();
      },
    },
  };
  const plain = kind === 'plain' ? await createPlainAdapter(databaseUrl) : undefined;
  if (plain) {
    settings.adapter = (model: string) =>
      plain.adapter(model, (id) => findClient(prisma, keyring, id));
    settings.rotateRefreshToken = () => true;
  }
  const provider = new Provider(url, settings);
  if (plain) {
    registerExtraGrants(provider, parts);
    provider.Client.prototype.compareClientSecret = function compare(presented: string) {
      return isClientSecret(this.clientSecret, presented);
    };
  } else {
    adapt(provider, parts);
  }
  await addAccount(prisma, person, { admin: false });
  await insertClient(prisma, keyring, {
    ...webClient,
    grant_types: [...webClient.grant_types, 'password'],
  });

  const koa = new Koa({ keys: keyring.cookieKeys });
  koa.silent = true;
  koa.use(answerErrors(createLog('silent'), () => undefined));
  koa.use((ctx, next) =>
    runUnit(storage, { ip: ctx.ip, userAgent: undefined }, next, () => ctx.status >= 400),
  );
  for (const middleware of provider.middleware) koa.use(middleware);
  const handle = koa.callback();
  server.on('request', (request, response) => void handle(request, response));

  const subject: Subject = {
    url,
    save: plain
      ? "INSERT ON plain FOR EACH ROW WHEN (NEW.model = 'RefreshToken')"
      : 'UPDATE ON refresh_family FOR EACH ROW WHEN (NEW.generation > OLD.generation)',
    spend: plain ? 'UPDATE ON plain FOR EACH ROW' : 'UPDATE ON refresh_family FOR EACH ROW',
    failClaims: false,
    async close() {
      await stop(server);
      await plain?.end();
      await prisma.$disconnect();
    },
  };
  return subject;
}

/** The account's row, whose reading fails when the claims are made of it. */
function withFailingClaims(prisma: Storage['prisma'], failing: () => boolean): Storage['prisma'] {
  return prisma.$extends({
    query: {
      account: {
        async findUnique({ args, query }) {
          const row = await query(args);
          if (row && failing()) {
            Object.defineProperty(row, 'emailVerified', {
              get: () => {
                throw new Error('claims() fails');
              },
            });
          }
          return row;
        },
      },
    },
  }) as unknown as Storage['prisma'];
}

const noPages = {
  renderError: () => undefined,
  logoutSource: () => Promise.resolve(),
  postLogoutSuccessSource: () => Promise.resolve(),
  userCodeInputSource: () => Promise.resolve(),
  userCodeConfirmSource: () => Promise.resolve(),
  successSource: () => Promise.resolve(),
};

function stop(server: Server): Promise<void> {
  server.closeAllConnections();
  return new Promise((resolve) =>
    server.close(() => {
      resolve();
    }),
  );
}
