// Imported before a program (`node --import`): writes what it has loaded to the file MODULES_FILE, a URL a line, and again
// when more is loaded.
import { appendFileSync } from 'node:fs';
import { registerHooks } from 'node:module';

registerHooks({
  load(url, context, nextLoad) {
    appendFileSync(process.env.MODULES_FILE, `${url}\n`);
    return nextLoad(url, context);
  },
});
