// Re-seals data under the first secret after SYMBOLON_SECRET has changed: one row at a time, and only if the row is as
// it was read, so that it can run beside the provider, and again after an interruption.
import { Prisma, type PrismaClient } from '../generated/client.ts';
import type { Keyring } from './keyring.ts';

const BATCH = 500; // rows

/** A table with a sealed column. The file that seals it exports this, and commands/sealed-tables.ts lists it. */
export interface SealedTable<Key extends string | Uint8Array = never> {
  /** The name of its rows in the count. */
  readonly name: string;
  readonly table: string;
  /** Its primary key. */
  readonly key: string;
  /** The sealed column; NULL or empty in rows that have nothing to seal, a `jti` that was seen for example. */
  readonly column: string;
  /** The column that tells a row to an operator: a name, an address, a kind. */
  readonly told: string;
  /** Set when a row is of use without what is sealed in it. */
  readonly outlives?: true;
  /** A row's identity, under which it is sealed. */
  readonly context: (key: Key) => string;
  /** Other columns that depend on the secret and on the sealed text: keyed hashes. */
  readonly others?: (keyring: Keyring, row: Row, text: string) => Record<string, Uint8Array | null>;
}

/** All columns of a row, by name. */
export type Row = Readonly<Record<string, unknown>>;

/**
 * Seals again what is sealed under a former secret in these tables.
 *
 * @param batch rows that are read at once
 * @returns how many rows were sealed again, by the name of the table
 * @throws {SealError} when a value is sealed under a secret that is not listed any more
 */
export async function reseal(
  { prisma, keyring }: { readonly prisma: PrismaClient; readonly keyring: Keyring },
  tables: readonly SealedTable[],
  batch = BATCH,
): Promise<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const table of tables) {
    let count = 0;
    for await (const row of rowsOf(prisma, table, batch))
      count += await resealRow(prisma, keyring, table, row);
    counts[table.name] = count;
  }
  return counts;
}

/**
 * The rows of a table that have a sealed value, in batches. Each batch begins after the last row of the one before,
 * which may be gone by then.
 */
export async function* rowsOf(
  prisma: Prisma.TransactionClient,
  { table, key, column }: SealedTable,
  batch: number,
): AsyncGenerator<Row> {
  const [from, id, sealed] = [table, key, column].map(identifier);
  for (let last: unknown; ;) {
    const past = last === undefined ? Prisma.empty : Prisma.sql`AND ${id} > ${last}`;
    const rows = await prisma.$queryRaw<Row[]>`
      SELECT * FROM ${from} WHERE octet_length(${sealed}) > 0 ${past} ORDER BY ${id} LIMIT ${batch}`;
    yield* rows;
    if (rows.length < batch) return;
    last = rows.at(-1)?.[key];
  }
}

/** @returns 1; 0 for a row that is sealed under the first secret already, or was changed meanwhile */
async function resealRow(
  prisma: PrismaClient,
  keyring: Keyring,
  { table, key, column, context, others }: SealedTable,
  row: Row,
): Promise<number> {
  const [id, sealed] = [row[key] as never, row[column] as Uint8Array];
  const anew = keyring.reseal(context(id), sealed);
  if (!anew) return 0;
  const beside = others?.(keyring, row, keyring.unseal(context(id), sealed));
  const changed = Object.entries({ [column]: anew, ...beside });
  const set = changed.map(([name, value]) => Prisma.sql`${identifier(name)} = ${value}`);
  return prisma.$executeRaw`
    UPDATE ${identifier(table)} SET ${Prisma.join(set)}
    WHERE ${identifier(key)} = ${id} AND ${identifier(column)} = ${sealed}`;
}

export function identifier(name: string): Prisma.Sql {
  return Prisma.raw(`"${name}"`);
}
