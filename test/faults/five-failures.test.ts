// Five failures that were seen with a plain adapter. Each is one test, run against Symbolon's storage, where it
// passes, and against the plain adapter, where it is declared to fail: that proves that the test can tell.
import { type Server, createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Pool } from 'pg';
import Koa from 'koa';
import pg from 'pg';
import { Provider, errors } from 'oidc-provider';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { addAccount } from '../../src/accounts/accounts.ts';
import { readConfig } from '../../src/config/config.ts';
import { connect, connectPrepared } from '../../src/database/open.ts';
import { Keyring } from '../../src/keys/keyring.ts';
import { createOutgoing } from '../../src/provider/outgoing.ts';
import { signingKeys } from '../support/signing-keys.ts';
import { answerErrors } from '../../src/operations/http.ts';
import { createLog } from '../../src/operations/log.ts';
import { configuration } from '../../src/provider/configuration.ts';
import { adapt } from '../../src/provider/provider.ts';
import { registerExtraGrants } from '../../src/provider/extra-grants.ts';
import { presentedSecret } from '../../src/storage/client-secrets.ts';
import { findClient, insertClient } from '../../src/storage/clients.ts';
import { type Storage, createStorage } from '../../src/storage/storage.ts';
import { runUnit } from '../../src/storage/unit-of-work.ts';
import { type TestDatabase, createDatabase } from '../support/database.ts';
import { person, secret, webClient } from '../support/provider.ts';
import { post as postTo } from '../support/token-endpoint.ts';
import { holdFamily, queued } from './locks.ts';
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

    /** The client's retry window: without one, the others of five would be refused. @param seconds */
    const setWindow = (seconds: number) =>
      admin.query(
        "UPDATE client SET metadata = jsonb_set(metadata, '{refresh_token_retry_window}', to_jsonb($1::int))",
        [seconds],
      );

    prove(
      'five simultaneous refreshes of one token leave one live token',
      async () => {
        const { token } = await signIn();
        await setWindow(60);
        const together = () => Array.from({ length: 5 }, () => refresh(token));
        // All five have read the token before the first of them is through.
        const answers =
          kind === 'plain'
            ? await held(subject.spend, async () => {
                const requests = together();
                await queued(admin, 5);
                return requests;
              })
            : await behind(token, together);
        const statuses = answers.map(({ status }) => status);
        const live = [];
        for (const successor of new Set(answers.map(({ body }) => body.refresh_token)))
          if ((await refresh(successor ?? '')).status === 200) live.push(successor);
        await setWindow(0);
        return { statuses, live: live.length };
      },
      { statuses: [200, 200, 200, 200, 200], live: 1 },
      { statuses: [200, 200, 200, 200, 200], live: 5 },
    );

    prove(
      'a failed save of the successor spends nothing',
      () =>
        failingOnce(async (token) => {
          await trigger(subject.save, 'fail');
          try {
            return (await refresh(token)).status;
          } finally {
            await untrigger();
          }
        }),
      { refused: 503, retry: 200, accessToken: 200 },
      { refused: 500, retry: 400, accessToken: 401 },
    );

    prove(
      'a failing claims() spends nothing',
      () =>
        failingOnce(async (token) => {
          subject.failClaims = true;
          try {
            return (await refresh(token)).status;
          } finally {
            subject.failClaims = false;
          }
        }),
      { refused: 500, retry: 200, accessToken: 200 },
      { refused: 500, retry: 400, accessToken: 401 },
    );

    prove(
      'a wrong resource parameter spends nothing',
      () =>
        failingOnce(
          async (token) =>
            (await refresh(token, { resource: 'https://elsewhere.example' })).body.error,
        ),
      { refused: 'invalid_target', retry: 200, accessToken: 200 },
      { refused: 'invalid_target', retry: 400, accessToken: 401 },
    );

    prove(
      'a revocation while a refresh is being written leaves no live token',
      async () => {
        const { token, accessToken } = await signIn();
        const [answer, revocation] = await held(subject.save, async () => {
          const refreshing = refresh(token);
          await queued(admin, 1);
          const revoking = post('/revoke', { token: accessToken });
          await Promise.race([revoking, queued(admin, 2)]); // done already, or behind the refresh
          return [refreshing, revoking];
        });
        return {
          statuses: [answer?.status, revocation?.status],
          accessToken: await userinfo(answer?.body.access_token),
          refreshToken: (await refresh(answer?.body.refresh_token ?? '')).status,
        };
      },
      { statuses: [200, 200], accessToken: 401, refreshToken: 400 },
      { statuses: [200, 200], accessToken: 200, refreshToken: 200 },
    );

    /** The very same test must fail with the plain adapter - and as it was seen to fail, not in some other way. */
    function prove<Outcome>(
      name: string,
      run: () => Promise<Outcome>,
      good: Outcome,
      seen: Outcome,
    ): void {
      let outcome: Promise<Outcome> | undefined;
      const check = kind === 'symbolon' ? test : test.fails;
      check(name, async () => {
        expect(await (outcome ??= run())).toEqual(good);
      });
      if (kind === 'plain')
        test(`${name}: this is what happens instead`, async () => {
          expect(await (outcome ??= run())).toEqual(seen);
        });
    }

    /** What an honest client meets that tries again after a refresh that failed for no fault of the token. */
    async function failingOnce<Refused>(fail: (token: string) => Promise<Refused>) {
      const { token, accessToken } = await signIn();
      return {
        refused: await fail(token),
        retry: (await refresh(token)).status,
        accessToken: await userinfo(accessToken),
      };
    }

    /** Holds all writes of this kind while requests are made. @returns their answers */
    async function held<Answer>(
      event: string,
      requests: () => Promise<Promise<Answer>[]>,
    ): Promise<Answer[]> {
      await trigger(event, 'hold');
      await admin.query(`SELECT pg_advisory_lock(${HELD})`);
      let made: Promise<Answer>[] = [];
      try {
        made = await requests();
      } finally {
        await admin.query(`SELECT pg_advisory_unlock(${HELD})`);
        await Promise.allSettled(made);
        await untrigger();
      }
      return Promise.all(made);
    }

    /** Lets requests wait for their family's row, each in a session of its own. */
    async function behind<Answer>(
      token: string,
      requests: () => Promise<Answer>[],
    ): Promise<Answer[]> {
      const row = await holdFamily(database.url, token);
      const made = requests();
      await queued(row.holder, made.length);
      await row.release();
      return Promise.all(made);
    }

    const trigger = (event: string, what: 'hold' | 'fail') =>
      admin.query(`CREATE TRIGGER injected BEFORE ${event} EXECUTE FUNCTION ${what}()`);
    const untrigger = () =>
      admin.query(`DROP TRIGGER injected ON ${kind === 'plain' ? 'plain' : 'refresh_family'}`);

    async function signIn() {
      const { body } = await post('/token', {
        grant_type: 'password',
        username: person.email,
        password: person.password,
        scope: 'openid offline_access',
      });
      return { token: body.refresh_token ?? '', accessToken: body.access_token ?? '' };
    }

    const refresh = (token: string, more: Record<string, string> = {}) =>
      post('/token', { grant_type: 'refresh_token', refresh_token: token, ...more });
    const post = (path: string, form: Record<string, string>) =>
      postTo(subject.url + path, form, webClient);
    const userinfo = async (token = '') =>
      (await fetch(`${subject.url}/userinfo`, { headers: { authorization: `Bearer ${token}` } }))
        .status;
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
  const pool = connectPrepared(databaseUrl);
  const prisma = connect(databaseUrl);
  const keyring = new Keyring(config.secrets ?? []);
  const storage = createStorage({
    prisma: withFailingAccounts(prisma, () => subject.failClaims),
    pool: withFailingClaims(pool, () => subject.failClaims),
    keyring,
  });
  const parts = {
    config,
    storage,
    signingKeys: await signingKeys(prisma, keyring),
    pairwiseSecret: Buffer.alloc(32),
    pages: noPages,
    outgoing: createOutgoing({ config, storage, log: createLog('silent') }),
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
      return presentedSecret(this.clientSecret, presented, 0) !== undefined;
    };
  } else {
    adapt(provider, parts);
  }
  await addAccount(prisma, person, { admin: false });
  await insertClient(prisma, keyring, {
    ...webClient,
    grant_types: [...webClient.grant_types, 'password'],
    refresh_token_retry_window: 0, // or a retry would hide that a token was spent
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
      await pool.end();
    },
  };
  return subject;
}

/** The account's row, as the plain adapter's provider reads it: making claims of it fails. */
function withFailingAccounts(prisma: Storage['prisma'], failing: () => boolean): Storage['prisma'] {
  return prisma.$extends({
    query: {
      account: {
        async findUnique({ args, query }) {
          const row = await query(args);
          if (row && failing()) row.claims = failingClaims();
          return row;
        },
      },
    },
  }) as unknown as Storage['prisma'];
}

function failingClaims(): object {
  return Object.defineProperty({}, 'name', {
    enumerable: true,
    get: () => {
      throw new Error('claims() fails');
    },
  });
}

/** The account's row as it comes along with a family: making claims of it fails. */
function withFailingClaims(pool: Pool, failing: () => boolean): Pool {
  return new Proxy(pool, {
    get(target, property) {
      const value: unknown = Reflect.get(target, property, target);
      if (property !== 'query') return value;
      return async (query: { name?: string }) => {
        const result = await target.query<Record<string, unknown>>(query as never);
        const [row] = result.rows;
        if (row && query.name === 'read_for_refresh' && failing()) {
          row['account.claims'] = failingClaims();
        }
        return result;
      };
    },
  });
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
