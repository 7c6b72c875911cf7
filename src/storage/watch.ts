// What a process keeps knowing of its database: the time there, which decides, and whether processes of a former build
// use it too.
import type { Pool } from 'pg';
import { FORMER_APPLICATION } from '../database/inspect.ts';
import type { Log } from '../operations/log.ts';
import { repeat } from '../operations/repeat.ts';

const EVERY = 2_000; // milliseconds between two looks
/** Milliseconds by which a process's clock may be off without being said. */
export const TOLERATED = 2_000;

export interface Watch {
  /** The time by the database's clock. */
  readonly now: () => Date;
  /** Milliseconds by which the database's clock is ahead of this process's. */
  readonly ahead: () => number;
  /** A reading of the database's clock, in milliseconds since the epoch, and when it was asked for and came. */
  readonly sample: (asked: number, database: number, came: number) => void;
  /** Whether processes of the build before refresh tokens of the second form are connected. */
  readonly isFormerBuildThere: () => boolean;
}

/** A clock that follows readings of another: as little as they demand, so that it does not tremble with the network. */
export class FollowingClock {
  ahead = 0;

  now(): Date {
    return new Date(Date.now() + this.ahead);
  }

  /** The reading was taken between `asked` and `came`, so the difference is between these two. */
  sample(asked: number, reading: number, came: number): void {
    this.ahead = Math.min(Math.max(this.ahead, reading - came), reading - asked);
  }
}

/** Looks once now; then `start` looks again and again, and says in the log when the clocks differ. */
export async function watchDatabase(
  pool: Pool,
): Promise<Watch & { start(log: Log): { stop(): Promise<void> } }> {
  const clock = new FollowingClock();
  let isFormerBuildThere = false;
  let said = false;
  await look();
  return {
    now: () => clock.now(),
    ahead: () => clock.ahead,
    sample: (asked, reading, came) => {
      clock.sample(asked, reading, came);
    },
    isFormerBuildThere: () => isFormerBuildThere,
    start(log) {
      tell(log);
      const onError = () => undefined; // whoever needs the database reports it
      return repeat(
        () =>
          look().then(() => {
            tell(log);
          }),
        { every: EVERY, onError },
      ).start();
    },
  };

  async function look(): Promise<void> {
    const asked = Date.now();
    const { rows } = await pool.query<{ now: number; former: boolean }>(LOOK, [FORMER_APPLICATION]);
    const [row] = rows;
    if (!row) return;
    clock.sample(asked, row.now, Date.now());
    if (isFormerBuildThere && !row.former) await pool.query(AFTER_FORMER_BUILD);
    isFormerBuildThere = row.former;
  }

  function tell(log: Log): void {
    const isOff = Math.abs(clock.ahead) > TOLERATED;
    if (isOff === said) return;
    said = isOff;
    if (isOff)
      log.warn(
        `This machine's clock is ${offBy(clock.ahead)}, which decides. Have both synchronised (NTP).`,
      );
    else log.info("This machine's clock is right again.");
  }
}

/** @param ahead milliseconds by which the database's clock is ahead of this process's */
export function offBy(ahead: number): string {
  const seconds = (Math.abs(ahead) / 1000).toFixed(1);
  return `${seconds} s ${ahead > 0 ? 'behind' : 'ahead of'} the database's`;
}

// The former build keeps `email` alone, which is ASCII there. Its last process has gone: once is enough.
const AFTER_FORMER_BUILD = `
  UPDATE account SET email_ascii = email
  WHERE email_ascii <> email AND email ~ '^[\\x21-\\x7e]+$'
    AND NOT EXISTS (SELECT FROM account other WHERE other.email_ascii = account.email)`;

const LOOK = `
  SELECT extract(epoch FROM clock_timestamp())::float8 * 1000 AS now,
         EXISTS (SELECT FROM pg_stat_activity
                 WHERE datname = current_database() AND application_name = $1) AS former`;
