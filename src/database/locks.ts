// The advisory locks of PostgreSQL that Symbolon takes, all in one place: no two are the same number. Each ends with
// its transaction, or with the connection that holds it.
export const locks = {
  /** Applying migrations. It is Prisma's own number, so that its commands and our processes wait for each other. */
  migrating: 72707369,
  /**
   * Using the embedded PostgreSQL, in its database `postgres`: every process shares it; whoever gets it alone is the
   * last.
   */
  usingServer: 0x53796d62,
  /** Making and promoting signing keys: of several processes one does. */
  rotatingKeys: 5_991_002,
  /** Making the first administrator, who is made once. */
  makingFirstAccount: 5_991_003,
  /** Deleting what has expired: of several processes one does. */
  sweeping: 5_991_004,
} as const;
