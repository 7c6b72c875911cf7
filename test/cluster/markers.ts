// Marks in the database's log, several a second, by which a test knows what a failover has forgotten, without asking the
// provider: what was acknowledged before a mark was asked for that is still there was not forgotten.
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import type { Lost } from './history.ts';
import { type Node, passwords } from './nodes.ts';

const PATIENCE = 3_000; // milliseconds

let last = 0; // of all marks: the table outlives one that makes them

interface Mark {
  readonly number: number;
  readonly node: Node;
  readonly asked: number;
  readonly came: number;
}

/** A connection of the superuser's to one node. */
export async function connectTo(node: Node, database: string): Promise<pg.Client> {
  const client = new pg.Client({
    ...{ host: node.address, user: 'postgres', password: passwords.postgres, database },
    connectionTimeoutMillis: PATIENCE,
    query_timeout: PATIENCE,
    application_name: 'test',
  });
  client.on('error', () => undefined);
  try {
    await client.connect();
  } catch (error) {
    void client.end();
    throw error;
  }
  return client;
}

export class Markers {
  readonly #nodes: readonly Node[];
  readonly #marks: Mark[] = [];
  #at: { node: Node; client: pg.Client } | undefined;
  #isOver = false;
  #loop: Promise<void> | undefined;

  constructor(nodes: readonly Node[]) {
    this.#nodes = nodes;
  }

  static async prepare(client: pg.Client): Promise<void> {
    await client.query(
      'CREATE SCHEMA watch; CREATE TABLE watch.mark (number int PRIMARY KEY, node text NOT NULL)',
    );
  }

  start(): void {
    this.#loop = (async () => {
      while (!this.#isOver) {
        await this.#mark();
        await sleep(50);
      }
    })();
  }

  async stop(): Promise<void> {
    this.#isOver = true;
    await this.#loop;
    void this.#at?.client.end();
  }

  /** When a node other than this took a write that was asked for after `from`; undefined as long as none has. */
  takenElsewhere(than: Node, from: number): number | undefined {
    return this.#marks.find(({ node, asked }) => node !== than && asked > from)?.came;
  }

  /**
   * Since when what a former primary has acknowledged may be forgotten.
   *
   * @param from when it failed
   * @returns when the last of its marks was asked for that is still there
   */
  async forgottenSince(former: Node, from: number): Promise<{ since: number; marks: number }> {
    const { rows } = await (
      await this.#primary()
    ).client.query<{ number: number }>('SELECT number FROM watch.mark');
    const kept = new Set(rows.map(({ number }) => number));
    const its = this.#marks.filter(({ node }) => node === former);
    const last = its.findLast(({ number, asked }) => kept.has(number) && asked < from);
    const since = last?.asked ?? -Infinity;
    return { since, marks: its.filter((one) => one.asked > since && !kept.has(one.number)).length };
  }

  async #mark(): Promise<void> {
    const number = ++last;
    const asked = performance.now();
    try {
      const { node, client } = await this.#primary();
      await client.query('INSERT INTO watch.mark VALUES ($1, $2)', [number, node.name]);
      this.#marks.push({ number, node, asked, came: performance.now() });
    } catch {
      void this.#at?.client.end();
      this.#at = undefined;
    }
  }

  async #primary(): Promise<{ node: Node; client: pg.Client }> {
    this.#at ??= await Promise.any(
      this.#nodes.map(async (node) => {
        const client = await connectTo(node, 'symbolon');
        const { rows } = await client.query<{ isStandby: boolean }>(
          'SELECT pg_is_in_recovery() AS "isStandby"',
        );
        if (rows[0]?.isStandby === false) return { node, client };
        await client.end();
        throw new Error('a standby');
      }),
    );
    return this.#at;
  }
}

/** @param known the times in which the former primary can have acknowledged something, from its failure on */
export function lostOf(since: number, known: readonly Lost[]): Lost[] {
  const [first, ...more] = known;
  return first ? [{ from: since, to: first.to }, ...more] : [];
}
