// Requests that meet: whoever is first, there is one successor, one winner, and nothing outlives what ended it.
// Where the order matters it is made with a lock; the rounds without one look for orders that nobody thought of.
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Keyring } from '../../src/keys/keyring.ts';
import { createStorage } from '../../src/storage/storage.ts';
import { artifactId } from '../../src/storage/artifacts.ts';
import { isFirstUse } from '../../src/storage/replay.ts';
import { commandLine } from '../../src/storage/origin.ts';
import { revokeClient } from '../../src/storage/revocation.ts';
import { runUnit } from '../../src/storage/unit-of-work.ts';
import { Agent } from '../support/agent.ts';
import { type TestProvider, person, startProvider, webClient } from '../support/provider.ts';
import { type Answer, familyIdOf, newFamily, post, refreshAt } from '../support/token-endpoint.ts';
import { type Hold, deadlocks, hold, holdFamily, queued, rounds, until } from './locks.ts';
import { lockAccount, signOutEverywhere, unlockAccount } from '../support/changes.ts';

const DEVICE = 'urn:ietf:params:oauth:grant-type:device_code';
const LOCAL = { ip: '127.0.0.1', userAgent: undefined };
const LONG = { timeout: 600_000 };

const web = { ...webClient, grant_types: [...webClient.grant_types, 'password'] };
const brief = { ...web, client_id: 'brief', refresh_token_retry_window: 0 };
const severe = { ...brief, client_id: 'severe', refresh_token_on_reuse: 'revoke_grant' };
const single = { ...web, client_id: 'single', refresh_token_max_families: 1 };
const tv = {
  client_id: 'tv',
  client_secret: 'the secret of the television',
  grant_types: [DEVICE, 'refresh_token'],
  response_types: [],
  redirect_uris: [],
};
const redirectUri = webClient.redirect_uris[0] ?? '';

let provider: TestProvider;

beforeAll(async () => {
  provider = await startProvider({
    clients: [web, brief, severe, single, tv],
    environment: { SYMBOLON_ENABLE_PASSWORD_GRANT: 'true' },
  });
});
afterAll(async () => {
  // PostgreSQL counts what its sessions have met once they end.
  await provider.storage.prisma.$disconnect();
  await provider.storage.pool.end();
  const admin = new pg.Client({ connectionString: provider.databaseUrl });
  await admin.connect();
  await until(async () => {
    const { rows } = await admin.query<{ others: number }>(
      'SELECT count(*)::int AS others FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()',
    );
    return rows[0]?.others === 0;
  }, 'the provider’s sessions end');
  const met = await deadlocks(admin);
  await admin.end();
  await provider.close();
  expect(met, 'deadlocks in all the tests of this file').toBe(0);
});

describe('simultaneous refreshes of one token', () => {
  // 400 rounds.
  for (const [count, usually] of [
    [2, 200],
    [6, 120],
    [18, 50],
    [43, 30],
  ] as const) {
    test(`${count}: every answer is 200 and carries the same successor`, LONG, async () => {
      const token = await newFamily(provider.issuer);
      const last = await spend(token, count, rounds(usually));
      expect((await refresh(last)).status).toBe(200); // the successor was used:
      expect(await refused(refresh(token))).toBe('invalid_grant'); // the first token is a replay
      expect(await family(token)).toMatchObject({ endReason: 'reuse' });
      expect(await refused(refresh(last))).toBe('invalid_grant');
    });
  }

  async function spend(token: string, count: number, times: number): Promise<string> {
    for (let round = 1; round <= times; round++) {
      const presented = token;
      const answers = await Promise.all(Array.from({ length: count }, () => refresh(presented)));
      expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200));
      const successors = new Set(answers.map(({ body }) => body.refresh_token));
      expect(successors.size).toBe(1);
      [token = ''] = [...successors];
      expect(token).not.toBe(presented);
      expect((await family(token)).generation).toBe(round);
    }
    return token;
  }

  test('all of them at the commit: one rotates, the others get its successor', async () => {
    const token = await newFamily(provider.issuer);
    const row = await holdFamily(provider.databaseUrl, token);
    const requests = Array.from({ length: 5 }, () => refresh(token));
    await queued(row.holder, 5);
    await row.release();
    const answers = await Promise.all(requests);
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200, 200]);
    expect(new Set(answers.map(({ body }) => body.refresh_token)).size).toBe(1);
    expect(new Set(answers.map(({ body }) => body.access_token)).size).toBe(5);
    for (const { body } of answers) expect(await userinfo(body)).toBe(200);
    expect((await family(token)).generation).toBe(1);
  });

  test('without a retry window one is answered; the others are as any later one', async () => {
    const token = await newFamily(provider.issuer, brief);
    const row = await holdFamily(provider.databaseUrl, token);
    const requests = [1, 2, 3].map(() => refresh(token, brief));
    await queued(row.holder, 3);
    await row.release();
    const answers = await Promise.all(requests);
    expect(answers.map(({ status }) => status).sort()).toEqual([200, 400, 400]);
    expect(await family(token)).toMatchObject({ endReason: 'reuse' });
    const next = answers.find(({ status }) => status === 200)?.body.refresh_token ?? '';
    expect(await refused(refresh(next, brief))).toBe('invalid_grant');
  });

  test('a twin that comes to its commit when the successor was used gets nothing, and ends nothing', async () => {
    const token = await newFamily(provider.issuer);
    const { grantId } = await family(token);
    // Holding the grant lets refreshes read and keeps them from writing.
    const late = await hold(provider.databaseUrl, 'SELECT FROM "grant" WHERE id = $1 FOR UPDATE', [
      grantId,
    ]);
    const twin = refresh(token);
    await queued(late.holder, 1);
    const ahead = await aheadOf(token, 2);
    await late.release();
    expect(await refused(twin)).toBe('invalid_grant');
    expect(await family(token)).toMatchObject({ generation: 2, endedAt: null });
    expect((await refresh(ahead)).status).toBe(200);
  });

  for (const [forgets, rotations] of [
    ['the rotation', 0],
    ['the one before, too', 1],
  ] as const)
    test(`a retry at its commit, when the database forgets ${forgets}, is told to come again`, async () => {
      let token = await newFamily(provider.issuer);
      const { currentHash } = await family(token);
      for (let turn = 0; turn < rotations; turn++)
        token = (await refresh(token)).body.refresh_token ?? '';
      const successor = (await refresh(token)).body.refresh_token ?? '';
      const restored = await hold(
        provider.databaseUrl,
        'UPDATE refresh_family SET generation = 0, current_hash = $2, previous_hash = NULL, rotated_at = NULL WHERE id = $1',
        [familyIdOf(token), currentHash],
      );
      const retry = refresh(token);
      await queued(restored.holder, 1);
      await restored.holder.query('COMMIT');
      expect(await retry).toMatchObject({
        status: 503,
        body: { error: 'temporarily_unavailable' },
      });
      expect(await family(token)).toMatchObject({ generation: 0, endedAt: null });
      expect((await refresh(token)).body.refresh_token).toBe(successor);
      expect((await refresh(successor)).status).toBe(200);
    });

  /** Rotates a family without the provider, as one that is not held up would. @returns the current token */
  async function aheadOf(token: string, generations: number): Promise<string> {
    const { successors, parseRefreshToken, formatRefreshToken } =
      await import('../../src/storage/families/token.ts');
    const { sha256 } = await import('../../src/keys/keyring.ts');
    let current = token;
    for (let generation = 1; generation <= generations; generation++) {
      const parsed = parseRefreshToken(provider.storage.keyring, current);
      if (!parsed) throw new Error(`${current} is no refresh token`);
      const [secret] = successors(provider.storage.keyring, parsed, generation);
      const { salt } = await provider.storage.prisma.refreshFamily.update({
        where: { id: parsed.familyId },
        data: {
          generation,
          currentHash: sha256(secret),
          previousHash: sha256(parsed.secret),
          rotatedAt: new Date(),
        },
      });
      current = formatRefreshToken(provider.storage.keyring, {
        ...{ familyId: parsed.familyId, generation, secret, salt },
      });
    }
    return current;
  }

  test('while SYMBOLON_SECRET is being changed, process by process, they are twins still', async () => {
    // Both have both secrets, as the change needs; one puts the old first, the other the new.
    const next = 'the next secret, which is as long as it has to be';
    const [former = ''] = provider.config.secrets ?? [];
    const changed = await startProvider({
      clients: [],
      environment: { SYMBOLON_ENABLE_PASSWORD_GRANT: 'true' },
      wrap: (own) =>
        createStorage({
          ...own,
          prisma: provider.storage.prisma,
          pool: provider.storage.pool,
          keyring: new Keyring([next, former]),
        }),
    });
    try {
      const token = await newFamily(provider.issuer);
      const row = await holdFamily(provider.databaseUrl, token);
      const first = refresh(token);
      await queued(row.holder, 1);
      const second = refreshAt(changed.issuer, token, web);
      await queued(row.holder, 2);
      await row.release();
      const answer = await first;
      expect(answer.status).toBe(200);
      const twin = await second;
      // It cannot give the successor that the other process has derived, unless it looks again.
      if (twin.status === 200) expect(twin.body.refresh_token).toBe(answer.body.refresh_token);
      else expect(twin).toMatchObject({ status: 503, body: { error: 'temporarily_unavailable' } });
      expect((await refreshAt(changed.issuer, token, web)).body.refresh_token).toBe(
        answer.body.refresh_token,
      );
    } finally {
      await changed.close();
    }
  });
});

describe('two exchanges of one authorization code', () => {
  test('one wins; then everything issued from it has ended (RFC 6749 §4.1.2)', LONG, async () => {
    for (let round = 0; round < rounds(10); round++) {
      const code = await authorizationCode(new Agent(provider.issuer));
      const answers = await Promise.all([exchange(code), exchange(code)]);
      await onlyOneWon(answers);
    }
  });

  test('at their commit, both having found the code unused', async () => {
    const code = await authorizationCode(new Agent(provider.issuer));
    const row = await holdArtifact('AuthorizationCode', code);
    const requests = [1, 2, 3, 4].map(() => exchange(code));
    await queued(row.holder, 4);
    await row.release();
    await onlyOneWon(await Promise.all(requests));
  });

  test('a second browser of the same person stays signed in', async () => {
    const other = await exchange(await authorizationCode(new Agent(provider.issuer)));
    const code = await authorizationCode(new Agent(provider.issuer));
    await Promise.all([exchange(code), exchange(code)]);
    expect((await refresh(other.body.refresh_token ?? '')).status).toBe(200);
  });

  async function onlyOneWon(answers: Answer[]): Promise<void> {
    const [won, ...more] = answers.filter(({ status }) => status === 200);
    expect(more).toEqual([]);
    const lost = answers.filter(({ status }) => status !== 200);
    expect(lost.map(({ status, body }) => [status, body.error])).toEqual(
      lost.map(() => [400, 'invalid_grant']),
    );
    const token = won?.body.refresh_token ?? '';
    expect(await family(token)).toMatchObject({ endReason: 'reuse' });
    expect(await refused(refresh(token))).toBe('invalid_grant');
    expect(await userinfo(won?.body ?? {})).toBe(401);
  }
});

describe('a refresh and what ends its family', () => {
  const parts = () => ({
    storage: provider.storage,
    config: provider.config,
    origin: commandLine,
  });
  const endings: {
    name: string;
    client?: typeof web;
    reason: string;
    /** @param tokens a former answer of the family and its current one */
    end: (tokens: Answer['body'][]) => Promise<unknown>;
    after?: () => Promise<unknown>;
  }[] = [
    {
      name: 'the client revokes the refresh token',
      reason: 'revoked_by_client',
      end: ([, current]) => revokeAtEndpoint(current?.refresh_token),
    },
    {
      name: 'the client revokes a former refresh token',
      reason: 'revoked_by_client',
      end: ([former]) => revokeAtEndpoint(former?.refresh_token),
    },
    {
      name: 'the client revokes an access token',
      reason: 'revoked_by_client',
      end: ([, current]) => revokeAtEndpoint(current?.access_token),
    },
    {
      name: 'a replay is found',
      client: brief,
      reason: 'reuse',
      end: ([former]) => refresh(former?.refresh_token ?? '', brief),
    },
    {
      name: 'a replay is found that ends the grant',
      client: severe,
      reason: 'reuse',
      end: ([former]) => refresh(former?.refresh_token ?? '', severe),
    },
    {
      name: 'a newer family takes its place',
      client: single,
      reason: 'limit',
      end: () => newFamily(provider.issuer, single),
    },
    {
      name: 'the person signs out everywhere',
      reason: 'revoked_by_user',
      end: () => signOutEverywhere(parts(), provider.accountId, 'revoked_by_user'),
      after: () => signInAgain(),
    },
    {
      name: 'the account is locked',
      reason: 'account_locked',
      end: () => lockAccount(parts(), provider.accountId),
      after: async () => {
        await unlockAccount(parts(), provider.accountId);
        await signInAgain();
      },
    },
    {
      name: 'everything of the client is revoked',
      reason: 'revoked_by_admin',
      end: () =>
        provider.storage.prisma.$transaction((database) =>
          revokeClient(database, 'web', {
            reason: 'revoked_by_admin',
            now: new Date(),
            origin: commandLine,
          }),
        ),
    },
  ];

  for (const { name, client = web, reason, end, after } of endings) {
    test(`${name}, behind the refresh: its answer ends too`, async () => {
      const [former, current] = await twoGenerations(client);
      const row = await holdFamily(provider.databaseUrl, current.refresh_token);
      const refreshing = refresh(current.refresh_token, client);
      await queued(row.holder, 1);
      const ending = end([former, current]);
      await queued(row.holder, 2);
      await row.release();
      const answer = await refreshing;
      await ending;
      expect(answer.status).toBe(200);
      await isOver(answer.body, client);
    });

    test(`${name}, ahead of the refresh: it gets nothing`, async () => {
      const [former, current] = await twoGenerations(client);
      const row = await holdFamily(provider.databaseUrl, current.refresh_token);
      const ending = end([former, current]);
      await queued(row.holder, 1);
      const refreshing = refresh(current.refresh_token, client);
      await queued(row.holder, 2);
      await row.release();
      await ending;
      expect(await refused(refreshing)).toBe('invalid_grant');
      await isOver(current, client);
    });

    async function isOver(last: Answer['body'], client: typeof web): Promise<void> {
      await after?.();
      const token = last.refresh_token ?? '';
      expect(await family(token)).toMatchObject({ endReason: reason });
      expect(await refused(refresh(token, client))).toBe('invalid_grant');
      expect(await userinfo(last)).toBe(401);
      const { length } = await provider.storage.prisma.artifact.findMany({
        where: { model: 'AccessToken', familyId: familyIdOf(token) },
      });
      expect(length).toBe(0);
    }
  }

  async function twoGenerations(client: typeof web) {
    const first = await newFamily(provider.issuer, client);
    const { body: second } = await refresh(first, client);
    const { body: third } = await refresh(second.refresh_token ?? '', client);
    return [{ refresh_token: first }, { ...third, refresh_token: third.refresh_token ?? '' }] as [
      Answer['body'],
      Answer['body'] & { refresh_token: string },
    ];
  }

  const revokeAtEndpoint = async (token = '') => {
    expect((await post(`${provider.issuer}/revoke`, { token }, web)).status).toBe(200);
  };
});

describe('a refresh at its commit, and the person who chooses until when it goes on', () => {
  test.each(['the refresh', 'the choice'])('%s is first: both hold', async (first) => {
    const token = await newFamily(provider.issuer);
    const agent = new Agent(provider.issuer);
    const page = await agent.walk(`${provider.issuer}/account/applications`, person);
    const id = familyIdOf(token);
    const lock = await holdFamily(provider.databaseUrl, token);
    const refreshing = () => refresh(token);
    const choosing = () => agent.submit(page, { until: '86400' }, new RegExp(`/until/${id}$`));
    let answer: Promise<Answer> | undefined;
    let choice: Promise<unknown> | undefined;
    if (first === 'the refresh') answer = refreshing();
    else choice = choosing();
    await queued(lock.holder, 1);
    answer ??= refreshing();
    choice ??= choosing();
    await queued(lock.holder, 2);
    await lock.release();
    const { status, body } = await answer;
    await choice;
    expect(status).toBe(200);
    const { generation, consentExpiresAt } = await family(token);
    expect(generation).toBe(1);
    const left = ((consentExpiresAt?.getTime() ?? Infinity) - Date.now()) / 1000;
    expect(left).toBeLessThanOrEqual(86_400);
    const next = await refresh(body.refresh_token ?? '');
    const { authorization_expires_in: told } = next.body as { authorization_expires_in?: number };
    expect(told).toBeLessThanOrEqual(86_400);
  });

  test('disconnected at the same moment, it stays so', async () => {
    const token = await newFamily(provider.issuer);
    const agent = new Agent(provider.issuer);
    const page = await agent.walk(`${provider.issuer}/account/applications`, person);
    const id = familyIdOf(token);
    const lock = await holdFamily(provider.databaseUrl, token);
    const ending = agent.clone().submit(page, {}, new RegExp(`/family/${id}$`));
    await queued(lock.holder, 1);
    const choice = agent.submit(page, { until: '86400' }, new RegExp(`/until/${id}$`));
    await queued(lock.holder, 2);
    await lock.release();
    await ending;
    expect((await choice).html.text).toContain('is not connected there any more');
    expect(await family(token)).toMatchObject({
      ...{ endReason: 'revoked_by_user', consentExpiresAt: null },
    });
    expect(await refused(refresh(token))).toBe('invalid_grant');
  });
});

describe('replay detection', () => {
  const unique = (jti: string) =>
    new Promise<boolean>((resolve, reject) => {
      runUnit(provider.storage, LOCAL, async () => {
        resolve(await isFirstUse('https://client.example', jti, Date.now() / 1000 + 60));
      }).catch(reject);
    });
  const firsts = (answers: boolean[]) => answers.filter(Boolean).length;

  test('of twenty uses of one jti at once, one is the first', LONG, async () => {
    for (let round = 0; round < rounds(20); round++) {
      const jti = `jti ${round}`;
      expect(firsts(await Promise.all(Array.from({ length: 20 }, () => unique(jti))))).toBe(1);
      expect(await unique(jti)).toBe(false);
    }
  });

  test('also when all of them are at the insert', async () => {
    // A row of the same key that never is: they wait for it, and start together.
    const row = await hold(
      provider.databaseUrl,
      "INSERT INTO artifact (id, model, sealed, expires_at) VALUES ($1, 'ReplayDetection', '', now())",
      [
        Buffer.from(
          artifactId('ReplayDetection', JSON.stringify(['https://client.example', 'held'])),
        ),
      ],
    );
    const uses = Array.from({ length: 20 }, () => unique('held'));
    await queued(row.holder, 10); // the pool's connections
    await row.release();
    expect(firsts(await Promise.all(uses))).toBe(1);
  });
});

describe('a device code', () => {
  test('polled twice at once after its approval: one wins, and the other ends it, as with any code', async () => {
    const code = await approvedDevice();
    const row = await holdArtifact('DeviceCode', code);
    const polls = [1, 2].map(() =>
      post(`${provider.issuer}/token`, { grant_type: DEVICE, device_code: code }, tv),
    );
    await queued(row.holder, 2);
    await row.release();
    const answers = await Promise.all(polls);
    expect(answers.map(({ status }) => status).sort()).toEqual([200, 400]);
    expect(answers.find(({ status }) => status === 400)?.body.error).toBe('invalid_grant');
    const token = answers.find(({ status }) => status === 200)?.body.refresh_token ?? '';
    expect(await family(token)).toMatchObject({ endReason: 'reuse' });
  });

  async function approvedDevice(): Promise<string> {
    const url = `${provider.issuer}/device_authorization`;
    const { body } = await post(url, { scope: 'openid offline_access' }, tv);
    const device = body as unknown as {
      device_code: string;
      user_code: string;
      verification_uri: string;
    };
    const browser = new Agent(provider.issuer);
    let page = await browser.submit(await browser.open(device.verification_uri), {
      user_code: device.user_code,
    });
    page = await browser.submit(page, {});
    page = await browser.submit(page, { email: person.email, password: person.password });
    if (page.html.querySelector('form[action$="/consent"]'))
      page = await browser.submit(page, {}, /consent$/);
    expect(page.html.querySelector('h1')?.text).toBe('Your device is connected');
    return device.device_code;
  }
});

describe('a pushed request', () => {
  for (const [name, browsers] of [
    [
      'in two tabs',
      (agent: Agent) => Promise.resolve([agent.clone(), agent.clone()] as [Agent, Agent]),
    ],
    [
      'in two browsers',
      async (agent: Agent) => {
        const other = new Agent(provider.issuer);
        await authorizationCode(other);
        return [agent, other] as [Agent, Agent];
      },
    ],
  ] as const) {
    test(`used twice at once ${name} gives one code`, async () => {
      const agent = new Agent(provider.issuer);
      await authorizationCode(agent); // signed in, with consent: nothing is asked any more
      const [one, two] = await browsers(agent);
      const { body } = await post(
        `${provider.issuer}/par`,
        {
          client_id: 'web',
          response_type: 'code',
          redirect_uri: redirectUri,
          scope: 'openid offline_access',
        },
        web,
      );
      const { request_uri: requestUri } = body as unknown as { request_uri: string };
      const url = new URL(`${provider.issuer}/authorize`);
      url.search = new URLSearchParams({ client_id: 'web', request_uri: requestUri }).toString();

      const row = await holdArtifact(
        'PushedAuthorizationRequest',
        requestUri.slice(requestUri.lastIndexOf(':') + 1),
      );
      const requests = [one.open(url), two.open(url)];
      await queued(row.holder, 2);
      await row.release();
      const pages = await Promise.all(requests);
      const codes = pages.map(({ away }) => away?.searchParams.get('code') ?? undefined);
      const [code, ...more] = codes.filter((found) => found !== undefined);
      expect(more).toEqual([]);
      expect((await exchange(code ?? '')).status).toBe(200);
      const refusal = pages[codes.indexOf(undefined)];
      expect(refusal?.away?.searchParams.get('error') ?? refusal?.status).toBe(
        refusal?.away ? 'invalid_request_uri' : 400,
      );
    });
  }
});

test('everything at once: nobody gets a 5xx, and nothing is left alive', LONG, async () => {
  for (let round = 0; round < rounds(10); round++) {
    const agent = new Agent(provider.issuer);
    const first = await exchange(await authorizationCode(agent));
    const token = first.body.refresh_token ?? '';
    const codes = await Promise.all([authorizationCode(agent), authorizationCode(agent)]);
    const requests = [
      ...Array.from({ length: 6 }, () => refresh(token)),
      ...codes.flatMap((code) => [exchange(code), exchange(code), exchange(code)]),
      post(`${provider.issuer}/revoke`, { token: first.body.access_token ?? '' }, web),
      post(`${provider.issuer}/revoke`, { token }, web),
    ];
    const over = signOutEverywhere(
      { storage: provider.storage, origin: commandLine },
      provider.accountId,
      'revoked_by_user',
    );
    const answers = await Promise.all(requests);
    await over;
    await signInAgain();
    for (const { status, body } of answers) {
      expect([200, 400]).toContain(status);
      if (status === 400) expect(body.error).toBe('invalid_grant');
      if (body.refresh_token !== undefined)
        expect(await refused(refresh(body.refresh_token))).toBe('invalid_grant');
      if (body.access_token !== undefined) expect(await userinfo(body)).toBe(401);
    }
    expect(await family(token)).toMatchObject({ endedAt: expect.any(Date) as Date });
  }
});

// Signing in within the second in which one signed out everywhere does not count: the tests do not wait for the next.
function signInAgain(): Promise<unknown> {
  return provider.storage.prisma.account.update({
    where: { id: provider.accountId },
    data: { signedOutAt: null },
  });
}

function refresh(token: string, client: { client_id: string; client_secret?: string } = web) {
  return refreshAt(provider.issuer, token, client);
}

function exchange(code: string): Promise<Answer> {
  const form = { grant_type: 'authorization_code', code, redirect_uri: redirectUri };
  return post(`${provider.issuer}/token`, form, web);
}

async function authorizationCode(agent: Agent): Promise<string> {
  const url = new URL(`${provider.issuer}/authorize`);
  url.search = new URLSearchParams({
    client_id: 'web',
    response_type: 'code',
    redirect_uri: redirectUri,
    scope: 'openid offline_access',
  }).toString();
  return (await agent.authorize(url)).searchParams.get('code') ?? '';
}

/** The error of an answer that must be 400. */
async function refused(answer: Promise<Answer>): Promise<string | undefined> {
  const { status, body } = await answer;
  expect(status).toBe(400);
  return body.error;
}

async function userinfo({ access_token: token = '' }: Answer['body']): Promise<number> {
  const { status } = await fetch(`${provider.issuer}/userinfo`, {
    headers: { authorization: `Bearer ${token}` },
  });
  return status;
}

function family(token: string) {
  return provider.storage.prisma.refreshFamily.findUniqueOrThrow({
    where: { id: familyIdOf(token) },
  });
}

function holdArtifact(model: string, value: string): Promise<Hold> {
  const id = Buffer.from(artifactId(model, value));
  return hold(provider.databaseUrl, 'SELECT FROM artifact WHERE id = $1 FOR UPDATE', [id]);
}
