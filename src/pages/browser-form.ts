// Forms for people who are not signed in, outside of interactions: their token is bound to a cookie of this browser,
// which another site's form does not bring.
import type { Context } from 'koa';
import type { Config } from '../config/config.ts';
import type { Keyring } from '../keys/keyring.ts';
import { createCookies } from './cookies.ts';
import {
  ForeignForm,
  type ReadForm,
  assertFormToken,
  createFormReader,
  formToken,
} from './forms.ts';

export interface BrowserForm {
  /** The token for the form that is being shown. */
  readonly token: (ctx: Context) => string;
  /** @throws {ForeignForm} when another site has sent the form, or it was not shown to this browser */
  readonly read: ReadForm;
}

/** @param path of the form's page and its action, below the issuer's */
export function createBrowserForm(
  config: Pick<Config, 'issuer' | 'basePath'>,
  keyring: Keyring,
  path: string,
): BrowserForm {
  const action = config.basePath + path;
  const cookie = createCookies(config).form(action);
  const read = createFormReader(config);
  const subject = (browser: string) => `${action} ${browser}`;
  return {
    token: (ctx) => formToken(keyring, subject(cookie.ensure(ctx))),
    async read(ctx) {
      const form = await read(ctx);
      const browser = cookie.get(ctx);
      if (browser === undefined) throw new ForeignForm('the cookie of the form is missing');
      assertFormToken(keyring, subject(browser), form);
      return form;
    },
  };
}
