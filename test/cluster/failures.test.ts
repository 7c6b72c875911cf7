// A cluster of three nodes under Patroni, whose primary is killed, frozen, cut off and switched over, again and again under
// load, synchronous and asynchronous. The processes reach it by HAProxy or by naming every node, and are not started
// again. What every client has written down is judged afterwards. `npm run test:cluster` runs it; it takes 25 minutes.
import { chmodSync, readFileSync, rmSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { addAccount } from '../../src/accounts/accounts.ts';
import { connect } from '../../src/database/open.ts';
import { Keyring } from '../../src/keys/keyring.ts';
import { insertClient } from '../../src/storage/clients.ts';
import { randomBy } from '../faults/clients.ts';
import { familiesLike } from '../support/many-families.ts';
import { type ProviderProcess, freePort, startProcess } from '../support/process.ts';
import { person, secret, webClient } from '../support/provider.ts';
import { familyIdOf, newFamily } from '../support/token-endpoint.ts';
import { judge } from './checker.ts';
import { Load } from './clients.ts';
import type { Failure, Lost, Operation } from './history.ts';
import { Markers, connectTo, lostOf } from './markers.ts';
import {
  type Node,
  configure,
  membersAt,
  missing,
  passwords,
  removeNetwork,
  startHaproxy,
  startNodes,
  switchOver,
} from './nodes.ts';

const ROUNDS = Number(process.env['TEST_ROUNDS'] ?? 2);
const HONEST = 12;
const LEAVING = 400;
const GRACE = 5_000; // milliseconds for a process, or HAProxy, to find the new primary
const seed = Number(process.env['TEST_SEED'] ?? Date.now() % 1e9);
const kinds = [
  'killed',
  'frozen',
  'cut off',
  'cut off from its standbys',
  'switched over',
] as const;
const web = { ...webClient, grant_types: [...webClient.grant_types, 'password'] };
const environment = () => ({
  SYMBOLON_SECRET: secret,
  SYMBOLON_ENABLE_PASSWORD_GRANT: 'true',
  LOG_LEVEL: 'warn',
});

describe.skipIf(!process.env['TEST_CLUSTER'])(`a cluster (TEST_SEED=${seed})`, () => {
  const random = randomBy(seed);
  const ends: (() => unknown)[] = []; // of what was started, however far that went
  let folder: string;
  let nodes: readonly Node[];
  const processes = new Map<string, ProviderProcess>();
  let tokens: string[];

  beforeAll(async () => {
    const absent = missing();
    if (absent.length > 0) throw new Error(absent.join('\n'));
    folder = mkdtempSync(join(tmpdir(), 'symbolon-cluster-'));
    chmodSync(folder, 0o755);
    ends.push(() => {
      rmSync(folder, { recursive: true, force: true });
    }, removeNetwork);
    nodes = await startNodes(folder);
    ends.push(() => Promise.all(nodes.map((node) => node.stop())));
    for (const node of nodes) node.startPatroni(nodes);
    const haproxy = startHaproxy(folder);
    ends.push(() => haproxy.kill());
    const primary = await settled(true);
    const client = await connectTo(primary, 'postgres');
    await client.query(`CREATE ROLE symbolon LOGIN PASSWORD '${passwords.symbolon}'`);
    await client.query('CREATE DATABASE symbolon OWNER symbolon');
    await client.end();
    const watched = await connectTo(primary, 'symbolon');
    await Markers.prepare(watched);
    await watched.end();

    const role = `postgresql://symbolon:${passwords.symbolon}`;
    const hosts = nodes.map(({ address }) => address).join(',');
    const urls = {
      haproxy: `${role}@127.0.0.1:5000/symbolon?sslmode=disable&target_session_attrs=read-write`,
      hosts: `${role}@${hosts}/symbolon?sslmode=disable&target_session_attrs=read-write`,
    };
    const issuer = `http://localhost:${await freePort()}`;
    for (const [way, url] of Object.entries(urls))
      for (const number of [1, 2]) {
        const settings = { ...environment(), DATABASE_URL: url, SYMBOLON_ISSUER: issuer };
        const started = await startProcess(settings);
        processes.set(`${way} ${number}`, started);
        ends.push(() => started.end());
      }
    const prisma = connect(urls.hosts);
    ends.push(() => prisma.$disconnect());
    const keyring = new Keyring([secret]);
    await addAccount(prisma, person, { admin: false });
    await insertClient(prisma, keyring, web);
    const id = familyIdOf(await newFamily(processes.get('hosts 1')?.url ?? '', web));
    const row = await prisma.refreshFamily.findUniqueOrThrow({ where: { id } });
    tokens = await familiesLike({ prisma, keyring }, row, 2 * (HONEST + LEAVING));
  });
  afterAll(async () => {
    for (const end of ends.reverse()) await end();
  });
  afterEach(({ task }) => {
    if (task.result?.state === 'fail')
      for (const [name, { output }] of processes)
        console.log(name, output().slice(output().indexOf('\n{')).slice(-3000));
  });

  /** Waits until every node is there, and in its place. @returns the primary */
  async function settled(isSynchronous: boolean): Promise<Node> {
    let members: Awaited<ReturnType<typeof membersAt>> = [];
    for (const deadline = performance.now() + 180_000; performance.now() < deadline;) {
      for (const node of nodes) {
        members = await membersAt(node).catch(() => []);
        const is = (role: string) => members.filter((one) => one.role === role).length;
        const leader = members.find(({ role }) => role === 'leader');
        if (
          members.length === nodes.length &&
          leader &&
          members.every(({ state }) => /running|streaming/.test(state)) &&
          members.every(
            ({ role, lag }) => role === 'leader' || (typeof lag === 'number' && lag < 1e6),
          ) &&
          is('sync_standby') === (isSynchronous ? 1 : 0)
        ) {
          const primary = nodes.find(({ name }) => name === leader.name) as Node;
          if ((await standbysOf(primary).catch(() => 0)) === nodes.length - 1) return primary;
        }
      }
      await sleep(250);
    }
    throw new Error(`the cluster did not come to rest: ${JSON.stringify(members)}\n${logs()}`);
  }

  const logs = () =>
    nodes.map((node) => readFileSync(node.log('patroni'), 'utf8').slice(-2_000)).join('\n\n');

  describe.each([true, false])('synchronous: %s', (isSynchronous) => {
    test('no chain locked out, none forked, no revocation undone', { timeout: 0 }, async () => {
      const [first] = nodes as [Node];
      await configure(first, {
        synchronous_mode: isSynchronous,
        synchronous_mode_strict: isSynchronous,
      });
      await settled(isSynchronous);
      const markers = new Markers(nodes);
      markers.start();
      onTestFinished(() => markers.stop());
      const urls = new Map([...processes].map(([name, { url }]) => [name, url]));
      const load = new Load(urls, web, random);
      const honest = tokens.splice(0, HONEST);
      for (const token of honest) load.honest(token);
      load.leaving(tokens.splice(0, LEAVING));
      load.beginning();
      load.haunting();
      load.haunting();
      onTestFinished(() => load.stop());
      await sleep(5_000);

      const failures: Failure[] = [];
      const lost: Lost[] = [];
      for (let round = 0; round < ROUNDS; round++)
        for (const kind of kinds) {
          const { failure, forgotten, line } = await fail(kind, isSynchronous, load, markers);
          failures.push(failure);
          if (!isSynchronous) lost.push(...forgotten);
          console.log(line);
        }
      await load.stop();
      await load.haveAll();
      for (const token of honest.slice(0, 3)) await load.steal(familyIdOf(token));

      const { history } = load;
      const verdict = judge(history, {
        processes: [...processes.keys()],
        ...{ failures, lost, grace: GRACE },
      });
      console.log(summary(history, failures), JSON.stringify({ ...verdict, faults: undefined }));
      expect(verdict.faults).toEqual([]);
      for (const { child } of processes.values()) expect(child.exitCode).toBe(null);
    });
  });

  /** Does this to the primary, waits until everything goes on, and brings the node back. */
  async function fail(
    kind: (typeof kinds)[number],
    isSynchronous: boolean,
    load: Load,
    markers: Markers,
  ) {
    const primary = await settled(isSynchronous);
    const others = nodes.filter((node) => node !== primary);
    await sleep(2_000 + random() * 3_000);
    const from = performance.now();
    if (kind === 'killed') await primary.kill();
    if (kind === 'frozen') primary.signal('SIGSTOP');
    if (kind === 'cut off') await primary.cut(true);
    if (kind === 'cut off from its standbys') await primary.cutFrom(others, true);
    if (kind === 'switched over') await switchOver(primary, nodes, folder);
    const stopped = performance.now();
    const primaryAgain = await until(
      () => markers.takenElsewhere(primary, from),
      () => `there is a primary after ${primary.name} was ${kind}\n${logs()}`,
    );
    const has = (process: string) =>
      load.history.some(
        (one) =>
          one.process === process && one.asked > primaryAgain && one.answer !== 'unavailable',
      );
    await until(
      () => [...processes.keys()].every(has) || undefined,
      () => `every process answers after the primary was ${kind}`,
    );
    await sleep(3_000);
    const back = performance.now();
    if (kind === 'killed') primary.startPatroni(nodes);
    if (kind === 'frozen') primary.signal('SIGCONT');
    if (kind === 'cut off') await primary.cut(false);
    if (kind === 'cut off from its standbys') await primary.cutFrom(others, false);
    await settled(isSynchronous);
    const failure = { kind, from, primaryAgain, until: performance.now() };
    const { since, marks } = await markers.forgottenSince(primary, from);
    // When the former primary can have acknowledged something.
    const itself = { from, to: /killed|frozen/.test(kind) ? stopped : failure.until };
    const again = kind === 'frozen' ? [{ from: back, to: failure.until }] : [];
    const unanswered = load.history.filter(
      ({ answer, came }) => answer === 'unavailable' && came > from,
    );
    const late = Math.max(0, ...unanswered.map(({ asked }) => asked - primaryAgain));
    const at = [from, primaryAgain, failure.until].map((time) => Math.round(time)).join(', ');
    const line = [
      `${isSynchronous ? 'synchronous' : 'asynchronous'}, ${primary.name} ${kind} (${at})`,
      `another primary after ${seconds(primaryAgain - from)}`,
      ...[...processes.keys()].map(
        (name) => `${name} ${seconds(longestGap(load.history, name, failure))}`,
      ),
      `unanswered ${unanswered.length}, the last asked ${seconds(late)} after the new primary`,
      `marks forgotten ${marks}`,
    ].join('; ');
    return { failure, forgotten: lostOf(since, [itself, ...again]), line };
  }
});

/** The longest time without an answer of a process, around a failure. */
function longestGap(
  history: readonly Operation[],
  process: string,
  { from, until: to }: Pick<Failure, 'from' | 'until'>,
): number {
  const times = history
    .filter((one) => one.process === process && one.answer !== 'unavailable')
    .map(({ came }) => came)
    .filter((came) => came > from - 2_000 && came < to)
    .sort((a, b) => a - b);
  return Math.max(0, ...times.map((time, index) => (times[index + 1] ?? time) - time));
}

function summary(history: readonly Operation[], failures: readonly Failure[]): string {
  const count = (kind: Operation['kind'], answer: Operation['answer']) =>
    history.filter((one) => one.kind === kind && one.answer === answer).length;
  const unavailable = history.filter(({ answer }) => answer === 'unavailable').length;
  return `${failures.length} failures; ${count('refresh', 'given')} refreshes, ${count('revoke', 'done')} revocations, ${count('begin', 'given')} families begun, ${count('refresh', 'refused')} refused after their end, ${unavailable} unanswered.`;
}

const seconds = (milliseconds: number): string => `${(milliseconds / 1000).toFixed(1)} s`;

/** How many follow a primary: Patroni says of one that cannot follow that it is running. */
async function standbysOf(primary: Node): Promise<number> {
  const client = await connectTo(primary, 'postgres');
  try {
    const { rows } = await client.query(
      "SELECT FROM pg_stat_replication WHERE state = 'streaming'",
    );
    return rows.length;
  } finally {
    await client.end();
  }
}

/** Looks until there is something. @throws after three minutes */
async function until<T>(look: () => T | undefined, what: () => string): Promise<T> {
  for (const deadline = performance.now() + 180_000; performance.now() < deadline;) {
    const found = look();
    if (found !== undefined) return found;
    await sleep(50);
  }
  throw new Error(`it did not come about that ${what()}`);
}
