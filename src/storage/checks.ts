// What must be well about storage for requests to be answered, as health asks it: each says what is wrong, in words.
import type { Storage } from './storage.ts';
import { offBy } from './watch.ts';

/** The database answers, and takes writes. @throws what the connection or the server has said */
export function checkDatabase({ prisma }: Pick<Storage, 'prisma'>) {
  return async (): Promise<string | undefined> => {
    const [found] = await prisma.$queryRaw<{ isReadOnly: boolean }[]>`
      SELECT current_setting('transaction_read_only') = 'on' AS "isReadOnly"`;
    return found?.isReadOnly === true ? 'it is read-only' : undefined;
  };
}

/** This process's clock is that of the database, which decides. */
export function checkClock({ shift }: Pick<Storage, 'shift'>) {
  return (): string | undefined => (shift() === 0 ? undefined : offBy(shift() * 1000));
}
