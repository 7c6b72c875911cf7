// Why a database cannot be used, in a sentence for the operator: what was tried, what the server or the network said, and
// what to do. Never with the password.
import { DatabaseError } from 'pg';
import { type DatabaseUrl, hostsInWords } from '../config/database-url.ts';
import { WrongServer } from './hosts.ts';

/**
 * Explains an error of the driver.
 *
 * @param failures why each host failed last
 * @returns an error with a sentence; an error that is none of the driver's as it is
 */
export function explained(
  error: unknown,
  url: DatabaseUrl,
  failures: ReadonlyMap<string, Error>,
): unknown {
  if (!(error instanceof Error)) return error;
  const { user = 'the default user', database = user } = url;
  const where = `DATABASE_URL: the PostgreSQL at ${hostsInWords(url)} (database ${database}, user ${user})`;
  const because = (text: string) => new Error(`${where} ${text}`, { cause: error });
  const { code = '' } = error as { code?: string };
  if (error instanceof DatabaseError) {
    const said = `"${error.message}"`;
    if (/^28/.test(code))
      return because(`refused us, ${said}. Mend user and password, or pg_hba.conf.`);
    if (code === '3D000')
      return because(`has no such database, ${said}. CREATE DATABASE makes it.`);
    if (code === '53300') return because(`has no connection left, ${said}. Each process needs 20.`);
    if (code === '42501' || code === '3F000')
      return because(
        `does not let us make the tables, ${said}. GRANT CREATE ON SCHEMA … TO ${user}, or make ${user} the owner of the schema; or run \`symbolon migrate\` with the role that owns it, and let this one use its tables (docs/operate.md, Two roles).`,
      );
    if (/statement pooling/.test(error.message))
      return because(`refused us, ${said}. Use the pooler's transaction mode or its session mode.`);
    if (code === '08P01' || /startup parameter/.test(error.message))
      return because(
        `refused us, ${said}. A pooler refuses \`options\` in the URL: name the schema with ?schema=NAME, or have it ignore them (PgBouncer: ignore_startup_parameters).`,
      );
    return because(`refused us, ${said}.`);
  }
  if (!failures.size || !isOfConnection(error)) return error;
  const reasons = [...failures].map(([host, failure]) => `${host}: ${reasonOf(failure)}`);
  const [only] = failures.values();
  const reason = failures.size === 1 && only ? reasonOf(only) : reasons.join('; ');
  const isWrong = [...failures.values()].every((failure) => failure instanceof WrongServer);
  return because(
    isWrong
      ? `is not what target_session_attrs asks for: ${reason}.`
      : `cannot be reached: ${reason}. Start it, or mend the URL.`,
  );
}

// An error of ours is a sentence already.
function isOfConnection(error: Error): boolean {
  const { code, cause } = error as { code?: unknown; cause?: unknown };
  return (
    error instanceof WrongServer ||
    error instanceof AggregateError ||
    (typeof code === 'string' && !(cause instanceof DatabaseError)) ||
    /timeout|[Cc]onnection terminated|SSL/.test(error.message)
  );
}

function reasonOf(error: Error): string {
  // A name with several addresses: what the first of them said.
  const one = error instanceof AggregateError ? (error.errors[0] as Error) : error;
  const { code } = one as { code?: string };
  switch (code) {
    case 'ECONNREFUSED':
      return 'nothing listens there (ECONNREFUSED)';
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return `there is no such host name (${code})`;
    case 'ENOENT':
      return 'there is no such socket (ENOENT)';
    default:
      if (/timeout/.test(one.message)) return 'it did not answer in time';
      return one.message + (code === undefined ? '' : ` (${code})`);
  }
}
