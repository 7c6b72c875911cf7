// npm run bench:scale: what grows. Memory over 200,000 refreshes, throughput with ten times the families, two processes
// instead of one. Takes about five minutes.
import { openStorage } from '../src/storage/open.ts';
import { readConfig } from '../src/config/config.ts';
import { freePort } from '../test/support/process.ts';
import { addFamilies } from './families.ts';
import { Connection, form, refreshing } from './requests.ts';
import { authorization } from './settings.ts';
import { type Subject, end, startBare, startProcess, startSymbolon } from './subjects.ts';

const CONNECTIONS = 32;
const FULL = 128; // connections with which one process has all that it can do
const [FEW, MANY] = [100_000, 1_000_000];
const ROUNDS = 3;

const megabytes = (bytes: number) => `${(bytes / 1e6).toFixed(0)} MB`;
const median = (values: number[]) => values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0;

/** Refreshes on every connection, each with the chain that `next` gives it. @returns refreshes a second */
async function refresh(
  ports: readonly number[],
  tokens: string[],
  next: (connection: number) => number,
  goesOn: (count: number) => boolean,
  connections = CONNECTIONS,
): Promise<number> {
  let count = 0;
  const taken = new Set<number>(); // by a connection: whoever comes late with a used-up token would end the family
  const start = performance.now();
  await Promise.all(
    Array.from({ length: connections }, async (_, index) => {
      const connection = new Connection(ports[index % ports.length] ?? 0);
      while (goesOn(count)) {
        let chain = next(index);
        while (taken.has(chain)) chain = next(index);
        taken.add(chain);
        const body = refreshing(tokens[chain] ?? '');
        const answer = await connection.request('POST', '/token', authorization + form, body);
        if (answer.status !== 200) throw new Error(`${answer.status}: ${answer.body}`);
        tokens[chain] = (JSON.parse(answer.body) as { refresh_token: string }).refresh_token;
        taken.delete(chain);
        count++;
      }
      connection.close();
    }),
  );
  return (count / (performance.now() - start)) * 1000;
}

const during = (milliseconds: number) => {
  const last = performance.now() + milliseconds;
  return () => performance.now() < last;
};

async function memory(subject: Subject): Promise<[number, number]> {
  const own = (connection: number) => connection;
  await refresh([subject.port], subject.opaque, own, (count) => count < 20_000);
  const before = subject.memory();
  await refresh([subject.port], subject.opaque, own, (count) => count < 180_000);
  return [before, subject.memory()];
}

const chains: string[] = []; // of the families that are added, as far as they were refreshed
const bare = await startBare();
const [bareBefore, bareAfter] = await memory(bare);
await bare.stop();

const symbolon = await startSymbolon();
const settings = { SYMBOLON_DATA_DIR: symbolon.dataDir, LOG_LEVEL: 'warn', NODE_ENV: 'production' };
const { storage, close } = await openStorage(readConfig(settings), 'apply');
const issuer = `http://localhost:${symbolon.port}`;
const port = await freePort();
let second: Awaited<ReturnType<typeof startProcess>> | undefined;
try {
  const [before, after] = await memory(symbolon);
  console.log(
    `resident after 20,000 refreshes ${megabytes(before)}, after 200,000 ${megabytes(after)}`,
  );
  console.log(
    `  ${(after / before).toFixed(2)} times; the bare engine ${megabytes(bareBefore)}, ${megabytes(bareAfter)}: ${(after / bareAfter).toFixed(2)} times as much`,
  );

  second = await startProcess({ ...settings, PORT: String(port), SYMBOLON_ISSUER: issuer });
  const own = (connection: number) => connection;
  const both = [symbolon.port, port];
  await refresh(both, symbolon.opaque, own, during(6_000), FULL); // the second one has compiled by then what it runs
  const rates: [number[], number[]] = [[], []];
  for (let round = 0; round < ROUNDS * 2; round++) {
    const ports = round % 2 === 0 ? [symbolon.port] : both;
    rates[ports.length - 1]?.push(await refresh(ports, symbolon.opaque, own, during(3_000), FULL));
  }
  const [one, two] = rates.map(median) as [number, number];
  console.log(
    `${FULL} connections to one process ${one.toFixed(0)}/s, to two ${two.toFixed(0)}/s: ${(two / one).toFixed(2)} times`,
  );
  await end(second);

  await addFamilies(storage.pool, symbolon.opaque[0] ?? '', 1, FEW);
  const few = await throughput(FEW);
  await addFamilies(storage.pool, symbolon.opaque[0] ?? '', FEW + 1, MANY);
  const many = await throughput(MANY);
  console.log(
    `with 100,000 families ${few.toFixed(0)}/s, with 1,000,000 ${many.toFixed(0)}/s: ${(many / few).toFixed(2)} times`,
  );
} finally {
  if (second) await end(second);
  await close();
  await symbolon.stop();
}

/** Refreshes families picked at random. */
async function throughput(families: number): Promise<number> {
  const rates: number[] = [];
  const next = () => {
    const family = 1 + Math.floor(Math.random() * families);
    chains[family] ??= `${String(family).padStart(22, '0')}.${String(family).padStart(43, '0')}`;
    return family;
  };
  for (let round = 0; round < ROUNDS; round++)
    rates.push(await refresh([symbolon.port], chains, next, during(5_000)));
  return median(rates);
}
