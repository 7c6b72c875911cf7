// The set-up of the first administrator: a link printed at the start, valid only as long as there is no account.
import { timingSafeEqual } from 'node:crypto';
import Router from '@koa/router';
import type { Context } from 'koa';
import { AccountError, checkAccount, createAccount, hasAccounts } from '../accounts/accounts.ts';
import type { Limits } from '../accounts/limits.ts';
import type { Config } from '../config/config.ts';
import type { Keyring } from '../keys/keyring.ts';
import type { Storage } from '../storage/storage.ts';
import { currentUnit } from '../storage/unit-of-work.ts';
import { symbolonCommand } from '../symbolon-command.ts';
import { createFormReader } from './forms.ts';
import type { Renderer } from './render.ts';
import { unprocessableFields } from './responses.ts';

export interface SetupParts {
  readonly config: Config;
  readonly storage: Storage;
  readonly renderer: Renderer;
  readonly limits: Limits;
}

/** The link under which the first administrator's account is made. It is a secret. */
export function setupLink(config: Config, keyring: Keyring): string {
  return `${config.baseUrl}/setup?token=${setupToken(keyring)}`;
}

export function createSetup({ config, storage, renderer, limits }: SetupParts): Router {
  const { prisma, keyring } = storage;
  const router = new Router({ prefix: '/setup' });
  const action = `${config.basePath}/setup`;
  const readForm = createFormReader(config);

  router.get('/', async (ctx) => {
    if (await isOpen(ctx.query['token']))
      renderer.page(ctx, 'setup', { action, csrf: setupToken(keyring) });
    else closed(ctx);
  });

  router.post('/', async (ctx) => {
    const form = await readForm(ctx);
    if (!(await isOpen(form.text('csrf')))) {
      // Nobody guesses 256 bits: only what is wrong is counted, so that a stranger keeps no administrator waiting.
      await limits.judge({ what: 'setup', from: { ip: ctx.ip } }, () => Promise.resolve(undefined));
      closed(ctx);
      return;
    }
    const [email, name] = [form.text('email'), form.text('name')];
    try {
      const wanted = await checkAccount({ email, name, password: form.text('password') }, config);
      const unit = currentUnit();
      const account = await unit.change(async (database) => {
        const made = await createAccount(database, wanted, {
          admin: true,
          first: true,
          emailVerified: true,
        });
        const { id: accountId } = made;
        unit.actsAs({ kind: 'person', id: accountId });
        unit.audit({ type: 'account.added', accountId, detail: { by: 'setup' } });
        return made;
      });
      renderer.page(ctx, 'setup-done', {
        email: account.email,
        issuer: config.issuer,
        command: symbolonCommand,
      });
    } catch (error) {
      if (error instanceof AccountError && error.field === 'account') {
        closed(ctx);
        return;
      }
      const errors = unprocessableFields(renderer, ctx, error);
      const csrf = setupToken(keyring);
      renderer.page(ctx, 'setup', { action, csrf, email, displayName: name, errors });
    }
  });

  return router;

  async function isOpen(token: unknown): Promise<boolean> {
    const expected = Buffer.from(setupToken(keyring));
    const given = Buffer.from(typeof token === 'string' ? token : '');
    return (
      given.length === expected.length &&
      timingSafeEqual(given, expected) &&
      !(await hasAccounts(prisma))
    );
  }

  function closed(ctx: Context): void {
    ctx.status = 410;
    renderer.page(ctx, 'setup-used', { command: symbolonCommand });
  }
}

function setupToken(keyring: Keyring): string {
  return keyring.macs('setup', 'first administrator')[0].toString('base64url');
}
