// A PostgreSQL that dies, stops or restarts under a real provider process, and connections that are cut at the worst
// moment. Always: the client's retry with the token that it holds succeeds, and while there is no database it is told
// 503, in time.
import { type Socket, createConnection, createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { addAccount } from '../../src/accounts/accounts.ts';
import { type Embedded, startEmbedded } from '../../src/database/embedded.ts';
import { connect } from '../../src/database/open.ts';
import { Keyring } from '../../src/keys/keyring.ts';
import { insertClient } from '../../src/storage/clients.ts';
import { type ProviderProcess, freePort, startProcess } from '../support/process.ts';
import { person, secret, webClient } from '../support/provider.ts';
import { newFamily, refreshAt } from '../support/token-endpoint.ts';

const ROUNDS = process.env['TEST_LONG'] === undefined ? 8 : 100;

let folder: string;
let postgres: Embedded;
let proxy: Proxy;
let provider: ProviderProcess;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'symbolon-faults-'));
  postgres = await startEmbedded(folder);
  proxy = await startProxy(Number(new URL(postgres.url).port));
  const url = new URL(postgres.url);
  url.port = String(proxy.port);
  provider = await startProcess({
    DATABASE_URL: url.href,
    SYMBOLON_SECRET: secret,
    SYMBOLON_ISSUER: `http://localhost:${await freePort()}`,
    SYMBOLON_ENABLE_PASSWORD_GRANT: 'true',
    LOG_LEVEL: 'fatal',
  });
  const prisma = connect(postgres.url);
  await addAccount(prisma, person, { admin: false });
  await insertClient(prisma, new Keyring([secret]), {
    ...webClient,
    grant_types: [...webClient.grant_types, 'password'],
  });
  await prisma.$disconnect();
});
afterAll(async () => {
  await provider.end();
  await proxy.close();
  await postgres.release();
  await rm(folder, { recursive: true, force: true });
});

const postmaster = async () =>
  Number((await readFile(join(folder, 'postgres', 'postmaster.pid'), 'utf8')).split('\n')[0]);

/** An honest client: it retries with what it holds until it is answered. */
async function retried(token: string): Promise<string> {
  for (const deadline = Date.now() + 300_000; Date.now() < deadline;) {
    const { status, body } = await refreshAt(provider.url, token);
    if (status === 200) return body.refresh_token ?? '';
    expect({ status, error: body.error }).toEqual({
      status: 503,
      error: 'temporarily_unavailable',
    });
  }
  throw new Error('the provider did not recover');
}

describe('PostgreSQL', () => {
  test('killed under load, and started again by whoever runs it', async () => {
    for (let round = 0; round < 2; round++) {
      let token = await newFamily(provider.url);
      const pid = await postmaster();
      for (let use = 0; ; use++) {
        if (use === 5) process.kill(pid, 'SIGKILL');
        const { status, body } = await refreshAt(provider.url, token);
        if (status !== 200) {
          expect({ status, error: body.error }).toEqual({
            status: 503,
            error: 'temporarily_unavailable',
          });
          break;
        }
        token = body.refresh_token ?? '';
      }
      const again = await startEmbedded(folder);
      proxy.target = Number(new URL(again.url).port);
      await postgres.release().catch(() => undefined);
      postgres = again;
      token = await retried(await retried(token));
    }
  });

  test('stopped in its tracks: 503 within the time-out, and no restart is needed', async () => {
    const token = await newFamily(provider.url);
    const pids = [await postmaster(), ...(await children(await postmaster()))];
    for (const pid of pids) process.kill(pid, 'SIGSTOP');
    const asked = performance.now();
    const answer = await refreshAt(provider.url, token);
    const took = performance.now() - asked;
    for (const pid of pids) process.kill(pid, 'SIGCONT');
    expect(answer).toMatchObject({ status: 503, body: { error: 'temporarily_unavailable' } });
    expect(answer.headers.get('retry-after')).toBe('1');
    expect(took).toBeLessThan(120_000);
    await retried(await retried(token));
  });
});

describe('a connection', () => {
  test('cut between a commit and its acknowledgement: the retry gets the successor', async () => {
    for (let round = 0; round < ROUNDS; round++) {
      const token = await newFamily(provider.url);
      proxy.cutAfterCommit = true;
      const { status, body } = await refreshAt(provider.url, token);
      expect({ status, error: body.error }).toEqual({
        status: 503,
        error: 'temporarily_unavailable',
      });
      expect(proxy.cutAfterCommit).toBe(false); // it was cut
      await retried(await retried(token));
    }
  });

  test('cut at any byte of a refresh: the client is never locked out', async () => {
    for (let round = 0; round < ROUNDS * 4; round++) {
      const token = await newFamily(provider.url);
      proxy.cutAfterBytes = 50 + round * 97;
      const { status } = await refreshAt(provider.url, token);
      proxy.cutAfterBytes = Number.POSITIVE_INFINITY;
      expect([200, 503]).toContain(status);
      await retried(await retried(token));
    }
  });
});

test('an answer that is lost on the wire is answered again, with the same token', async () => {
  const wire = await startProxy(Number(new URL(provider.url).port));
  let token = await newFamily(provider.url);
  for (let round = 0; round < ROUNDS; round++) {
    wire.cutAnswers = true;
    await expect(refreshAt(`http://localhost:${wire.port}`, token)).rejects.toThrow();
    wire.cutAnswers = false;
    const first = await retried(token);
    expect(await retried(token)).toBe(first);
    token = first;
  }
  await wire.close();
});

async function children(pid: number): Promise<number[]> {
  const text = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8');
  return text.trim().split(' ').map(Number);
}

/** A wire that can be cut: between the provider and PostgreSQL, or a client and the provider. */
interface Proxy {
  readonly port: number;
  target: number;
  /** Cuts the next connection when PostgreSQL says that it has committed, before that is passed on. */
  cutAfterCommit: boolean;
  /** Cuts every connection once so many bytes have gone to the target. */
  cutAfterBytes: number;
  /** Passes requests on and cuts instead of answering. */
  cutAnswers: boolean;
  close(): Promise<void>;
}

async function startProxy(target: number): Promise<Proxy> {
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    const upstream = createConnection({ host: 'localhost', port: proxy.target });
    const cut = () => {
      client.destroy();
      upstream.destroy();
    };
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on('error', cut).on('close', () => {
        sockets.delete(socket);
        cut();
      });
    }
    client.on('data', (data) => {
      if (data.length >= proxy.cutAfterBytes) {
        proxy.cutAfterBytes = Number.POSITIVE_INFINITY;
        cut();
        return;
      }
      proxy.cutAfterBytes -= data.length;
      upstream.write(data);
    });
    upstream.on('data', (data) => {
      // CommandComplete, "COMMIT": PostgreSQL's protocol §54.7.
      // A rotation is a transaction by itself: its answer, which is sent once it is committed, has this column.
      const committed =
        proxy.cutAfterCommit && (data.includes('COMMIT\0') || data.includes('rotated_n'));
      if (committed) proxy.cutAfterCommit = false;
      if (committed || proxy.cutAnswers) cut();
      else client.write(data);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, 'localhost', resolve));
  const proxy: Proxy = {
    port: (server.address() as AddressInfo).port,
    target,
    cutAfterCommit: false,
    cutAfterBytes: Number.POSITIVE_INFINITY,
    cutAnswers: false,
    close: () =>
      new Promise((resolve) => {
        for (const socket of sockets) socket.destroy();
        server.close(() => {
          resolve();
        });
      }),
  };
  return proxy;
}
