// Errors of storage, which the engine passes on to the client as they are.
import { errors } from 'oidc-provider';
import { DatabaseError } from 'pg';
import { Prisma } from '../generated/client.ts';
import type { Line } from './revocation.ts';

/** The client is disabled; its developers are told why (RFC 6749 §5.2). */
export class DisabledClient extends errors.UnauthorizedClient {
  constructor(reason: string) {
    super(`the application is disabled${reason === '' ? '' : `: ${reason}`}`);
  }
}

/** The database cannot answer. Nothing was written; the client may try again (RFC 6749 §4.1.2.1). */
export class StorageUnavailable extends errors.CustomOIDCProviderError {
  constructor(cause: unknown) {
    super(
      'temporarily_unavailable',
      'the provider cannot answer right now; nothing was changed, please try again',
    );
    this.cause = cause;
    this.status = this.statusCode = 503;
    this.expose = true;
  }
}

/** A text has a character that the database cannot store: NUL, or one that its encoding lacks. Nothing was written. */
export class UnstorableText extends errors.InvalidRequest {
  constructor(cause: unknown) {
    super('the request holds a character that cannot be stored');
    this.cause = cause;
  }
}

/** What was used twice, and what ends with that. */
export interface Reuse {
  readonly line: Line;
  readonly ends: 'nothing' | 'family' | 'grant';
}

/**
 * Another request was first, and the unit of work was not committed. `reuse` is set when what it used was used up: a
 * code, or a refresh token without a retry window. What that stands for must end.
 */
export class LostRace extends errors.InvalidGrant {
  readonly reuse: Reuse | undefined;

  constructor(detail: string, reuse?: Reuse) {
    super(detail);
    this.reuse = reuse;
  }
}

/**
 * Runs a query. Distinguishes a database that cannot answer from a query that is wrong or was refused.
 *
 * @throws {StorageUnavailable} when the database cannot be reached or does not answer in time
 */
export async function answered<T>(query: () => PromiseLike<T>): Promise<T> {
  try {
    return await query();
  } catch (error) {
    if (error instanceof errors.OIDCProviderError) throw error;
    if (error instanceof Prisma.PrismaClientValidationError) throw error;
    if (error instanceof Prisma.PrismaClientKnownRequestError && isAnswer(error.code)) throw error;
    if (isUnstorable(error)) throw new UnstorableText(error);
    throw new StorageUnavailable(error);
  }
}

/**
 * The same for work that is more than a query: only errors of the database's client count as no answer. Prisma puts its
 * version on whatever its queries throw, also on the plain error of a connection that breaks in a transaction.
 */
export async function unlessUnavailable<T>(work: () => PromiseLike<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (
      error instanceof Error &&
      (error instanceof DatabaseError ||
        'clientVersion' in error ||
        /^(PrismaClient|DriverAdapter)/.test(error.name))
    )
      return answered(() => Promise.reject(error));
    throw error;
  }
}

/** Whether an error is a foreign key without its row: the row that was referred to has gone. */
export function isGone(error: unknown): boolean {
  return error instanceof Prisma.PrismaClientKnownRequestError && error.code === 'P2003';
}

/** Whether an error is a violated unique constraint. */
export function isTaken(error: unknown): boolean {
  return error instanceof Prisma.PrismaClientKnownRequestError && error.code === 'P2002';
}

/** Whether an error is one of PostgreSQL's class 22, data exceptions: a character that cannot be stored, above all. */
export function isUnstorable(error: unknown): boolean {
  const meta = (error as { meta?: { driverAdapterError?: { cause?: { originalCode?: string } } } })
    .meta;
  const { code } = error as { code?: unknown }; // of the driver itself
  if (error instanceof DatabaseError) return typeof code === 'string' && code.startsWith('22');
  return meta?.driverAdapterError?.cause?.originalCode?.startsWith('22') ?? false;
}

// P2002: unique, P2003: foreign key, P2025: not found. With any other error the database gave no answer.
function isAnswer(code: string): boolean {
  return code === 'P2002' || code === 'P2003' || code === 'P2025';
}
