// What Node has compiled is kept for the next start, which then takes half the time.
import module from 'node:module';
import { fileURLToPath } from 'node:url';

/**
 * Keeps what is compiled from now on, beside the packages: whoever may write there may change the code as well, which
 * is not so of Node's own default below /tmp. Where the process may not write, nothing is kept.
 */
export function compileOnce(): void {
  module.enableCompileCache(
    fileURLToPath(new URL('../node_modules/.cache/symbolon', import.meta.url)),
  );
}
