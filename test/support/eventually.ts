// Waiting for what comes about by itself. The ceiling is for what hangs; no machine is too slow for it.
import { vi } from 'vitest';

/** Tries an expectation until it holds. @throws its last failure, after five minutes */
export function eventually<T>(expectation: () => T | Promise<T>): Promise<T> {
  return vi.waitFor(expectation, { timeout: 300_000, interval: 50 });
}
