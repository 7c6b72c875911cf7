// After SYMBOLON_SECRET has changed: what is sealed under a former secret is sealed anew under the first, a row at a
// time and only as it was read, so that it can be done while the provider runs, and again after it was interrupted.
import { Prisma, type PrismaClient } from '../generated/client.ts';
import type { Keyring } from './keyring.ts';

const BATCH = 500; // rows

/** A table in which something is sealed. Whoever seals it exports this, and commands/sealed-tables.ts lists it. */
export interface SealedTable<Key extends string | Uint8Array = never> {
  /** What its rows are called where they are counted. */
  readonly name: string;
  readonly table: string;
  /** Its primary key. */
  readonly key: string;
  /** What is sealed; NULL where a row has nothing to seal. */
  readonly column: string;
  /** A row's own identity, under which it is sealed. */
  readonly context: (key: Key) => string;
  /** Other columns that are made under the first secret, from what was sealed: keyed hashes. */
  readonly others?: (keyring: Keyring, row: Row, text: string) => Record<string, Uint8Array | null>;
}

/** All columns of a row, by their names in the database. */
type Row = Readonly<Record<string, unknown>>;

/**
 * Seals anew what these tables hold under a former secret.
 *
 * @param batch how many rows are read at once
 * @returns how many rows of each were sealed anew, by name
 * @throws SealError when something was sealed under a secret that is not listed any more
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
 * The rows of a table in which something is sealed, in batches: each is read past the last one, which may be gone by
 * then.
 */
async function* rowsOf(
  prisma: PrismaClient,
  { table, key, column }: SealedTable,
  batch: number,
): AsyncGenerator<Row> {
  const [from, id, sealed] = [table, key, column].map(identifier);
  for (let last: unknown; ;) {
    const past = last === undefined ? Prisma.empty : Prisma.sql`AND ${id} > ${last}`;
    const rows = await prisma.$queryRaw<Row[]>`
      SELECT * FROM ${from} WHERE ${sealed} IS NOT NULL ${past} ORDER BY ${id} LIMIT ${batch}`;
    yield* rows;
    if (rows.length < batch) return;
    last = rows.at(-1)?.[key];
  }
}

/** @returns 1, or 0 of a row that is sealed under the first secret already, or was changed meanwhile */
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

function identifier(name: string): Prisma.Sql {
  return Prisma.raw(`"${name}"`);
}
