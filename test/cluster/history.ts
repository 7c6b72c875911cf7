// What every client of a cluster writes down: what it asked, when, and what came.

/** A request and its answer. Times are milliseconds of one clock. */
export interface Operation {
  readonly kind: 'begin' | 'refresh' | 'revoke' | 'introspect';
  /** The id of the family that it is about; empty for one that could not begin. */
  readonly family: string;
  /** The process that was asked. */
  readonly process: string;
  /** The refresh token; at introspection, the access token of this family. */
  readonly presented?: string;
  readonly asked: number;
  readonly came: number;
  /** `given`: a refresh token, or an access token that is active; `done`: revoked; `unavailable`: 503, or no answer. */
  readonly answer: 'given' | 'done' | 'refused' | 'unavailable';
  /** The refresh token that came. */
  readonly given?: string;
  /** What a refusal said. */
  readonly reason?: string;
}

/** What was done to the primary. */
export interface Failure {
  readonly kind: string;
  readonly from: number;
  /** When another primary took a write. */
  readonly primaryAgain: number;
  /** Before the next failure began. */
  readonly until: number;
}

/** A time in which what the database acknowledged may be forgotten: in asynchronous mode, before a failover. */
export interface Lost {
  readonly from: number;
  readonly to: number;
}
