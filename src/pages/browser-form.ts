// Forms that belong to no interaction and to nobody who is signed in: their token is bound to a cookie of this browser,
// which another site's form does not bring.
import { randomBytes } from 'node:crypto';
import type { Context } from 'koa';
import { errors } from 'oidc-provider';
import type { Keyring } from '../keys/keyring.ts';
import { formToken, isFormToken } from './form-token.ts';

const COOKIE = 'symbolon_form';

export interface BrowserForm {
  /** The token for the form, which is shown now. */
  readonly token: (ctx: Context) => string;
  /** The fields of the form that was sent; one that was sent twice counts as not sent. @throws when it is not ours */
  readonly fields: (ctx: Context) => Record<string, string>;
}

/** @param path the form's, with the issuer's */
export function createBrowserForm(keyring: Keyring, path: string): BrowserForm {
  return {
    token(ctx) {
      const browser = ctx.cookies.get(COOKIE) ?? randomBytes(16).toString('base64url');
      ctx.cookies.set(COOKIE, browser, { sameSite: 'strict', path });
      return formToken(keyring, `${path} ${browser}`);
    },
    fields(ctx) {
      const fields = formFields(ctx);
      const browser = ctx.cookies.get(COOKIE);
      if (browser === undefined || !isFormToken(keyring, `${path} ${browser}`, fields['csrf']))
        throw new errors.InvalidRequest(
          'The form was not sent from this page. Please reload it and try again.',
        );
      return fields;
    },
  };
}

/** The secret of a link that was opened. @returns '' for none, which no link has */
export function linkSecret(ctx: Context): string {
  const { token } = ctx.query;
  return typeof token === 'string' ? token : '';
}

/** The fields of a form whose secret is in it: the token of a link. */
export function formFields(ctx: Context): Record<string, string> {
  const fields = Object.entries((ctx.request.body ?? {}) as Record<string, unknown>);
  return Object.fromEntries(
    fields.filter((field): field is [string, string] => typeof field[1] === 'string'),
  );
}
