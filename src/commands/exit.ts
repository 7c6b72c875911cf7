// What a process says when it ends with an error.

/** Prints why the command ended, without a stack for mistakes that the person can mend. */
export async function explainExit(error: unknown): Promise<void> {
  process.exitCode = 1;
  // Loaded only now: no command pays for it that ends well.
  const { ConfigError, isDebugging } = await import('../config/config.ts');
  const known = error instanceof ConfigError || !isDebugging();
  console.error(known && error instanceof Error ? error.message : error);
}
