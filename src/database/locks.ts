// The advisory locks of PostgreSQL that Symbolon takes, all in one place: no two are the same number. Each ends with
// its transaction, or with the connection that holds it.
export const locks = {
  /** Applying migrations. The number is Prisma's, so that its commands and our processes wait for each other. */
  migrating: 72707369,
  /**
   * Using the embedded PostgreSQL, in its database `postgres`: every process holds it shared; the one that gets it
   * exclusively is the last.
   */
  usingServer: 0x53796d62,
  /** Making and promoting signing keys: one process at a time. */
  rotatingKeys: 5_991_002,
  /** Making the first administrator, once. */
  makingFirstAccount: 5_991_003,
  /** Deleting expired rows: one process at a time. */
  sweeping: 5_991_004,
  /** Giving the audit's events their places, and sealing them: one process at a time. */
  orderingAudit: 5_991_005,
  /** Changing who may use which application: one transaction at a time. */
  changingAccess: 5_991_006,
} as const;
