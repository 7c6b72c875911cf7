// What was sealed under a secret that is lost: found by trying to open it, and cleared.
import { Prisma } from '../generated/client.ts';
import { type Keyring, SealError } from './keyring.ts';
import { type Row, type SealedTable, identifier, rowsOf } from './reseal.ts';

const BATCH = 500; // rows

/**
 * Clears what no secret of the keyring opens: the rows, or the column where a row outlives it.
 *
 * @param database a transaction
 * @returns how many rows there were, by what tells them
 */
export async function clearLost(
  database: Prisma.TransactionClient,
  keyring: Keyring,
  sealed: SealedTable,
): Promise<Map<string, number>> {
  const counts = new Map<string, number>();
  let lost: Row[] = [];
  for await (const row of rowsOf(database, sealed, BATCH)) {
    if (isOpened(keyring, sealed, row)) continue;
    lost.push(row);
    const told = row[sealed.told];
    const name = typeof told === 'string' ? told : '';
    counts.set(name, (counts.get(name) ?? 0) + 1);
    if (lost.length < BATCH) continue;
    await clear(database, sealed, lost);
    lost = [];
  }
  if (lost.length > 0) await clear(database, sealed, lost);
  return counts;
}

function isOpened(keyring: Keyring, { key, column, context }: SealedTable, row: Row): boolean {
  try {
    keyring.unseal(context(row[key] as never), row[column] as Uint8Array);
    return true;
  } catch (error) {
    if (error instanceof SealError) return false;
    throw error;
  }
}

async function clear(
  database: Prisma.TransactionClient,
  { table, key, column, outlives }: SealedTable,
  rows: readonly Row[],
): Promise<void> {
  const these = Prisma.sql`${identifier(key)} IN (${Prisma.join(rows.map((row) => row[key]))})`;
  await (outlives
    ? database.$executeRaw`UPDATE ${identifier(table)} SET ${identifier(column)} = NULL WHERE ${these}`
    : database.$executeRaw`DELETE FROM ${identifier(table)} WHERE ${these}`);
}
