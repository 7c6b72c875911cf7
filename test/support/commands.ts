// The symbolon command, run as a process.
import { expect } from 'vitest';
import { run } from './process.ts';

/** Arguments: words with spaces between them, or one by one. */
type Arguments = string | readonly string[];

/** @param environment asked for at each run */
export function commandsWith(environment: () => Record<string, string>) {
  const symbolon = (args: Arguments, input?: string) =>
    run(
      ['src/cli.ts', ...(typeof args === 'string' ? args.split(' ') : args)],
      environment(),
      input,
    );
  /** What it prints; it must succeed, and complain of nothing. */
  async function said(args: Arguments, input?: string): Promise<string> {
    const { code, stdout, stderr } = await symbolon(args, input);
    expect({ args, code, stderr }).toEqual({ args, code: 0, stderr: '' });
    return stdout;
  }
  return { symbolon, said };
}
