// Reads forms of our own pages. A form is refused if another site has sent it, which cookies alone do not tell; its
// body is read once; its token proves that a page of ours was shown for what the form acts on.
import { timingSafeEqual } from 'node:crypto';
import { bodyParser } from '@koa/bodyparser';
import type { Context } from 'koa';
import { errors } from 'oidc-provider';
import { LARGEST_UPLOAD } from '../operations/refused.ts';
import type { Config } from '../config/config.ts';
import type { Keyring } from '../keys/keyring.ts';

/** A form that was not sent from our pages, or not shown to this person. */
export class ForeignForm extends errors.InvalidRequest {}

/** A form as it was sent. */
export interface Form {
  /** The text of a field; '' when it was not sent exactly once. */
  readonly text: (name: string) => string;
  /** The texts of a field that may be sent more than once. */
  readonly all: (name: string) => readonly string[];
  readonly file: (name: string) => File | undefined;
  /** Whether it was longer than a form with a file may be; then it has no fields. */
  readonly isTooLong: boolean;
}

/** @throws {ForeignForm} when another site has sent the form */
export type ReadForm = (ctx: Context) => Promise<Form>;

type Field = readonly [name: string, value: string | File];

// It answers a form that is too long with 413, and one that cannot be inflated with 400.
const parse = bodyParser({ enableTypes: ['form'], formLimit: '16kb' });

/**
 * Makes the reader of a page's forms.
 *
 * @param largest set for forms with a file (multipart/form-data): bytes of the whole form at most
 */
export function createFormReader({ issuer }: Pick<Config, 'issuer'>, largest?: number): ReadForm {
  const { origin } = new URL(issuer);
  return async (ctx) => {
    assertOwn(ctx, origin);
    if (largest !== undefined) return readUpload(ctx, largest);
    await parse(ctx, () => Promise.resolve());
    return formOf(new URLSearchParams(ctx.request.rawBody));
  };
}

/** The token of a form that acts on this subject, such as an interaction. Its field is `csrf`. */
export function formToken(keyring: Keyring, subject: string): string {
  return keyring.macs('form', subject)[0].toString('base64url');
}

/** @throws {ForeignForm} when the form's token was not made for this subject */
export function assertFormToken(keyring: Keyring, subject: string, form: Form): void {
  if (!isFormToken(keyring, subject, form.text('csrf')))
    throw new ForeignForm('the form token is missing or wrong');
}

function isFormToken(keyring: Keyring, subject: string, token: string): boolean {
  const given = Buffer.from(token, 'base64url');
  return keyring
    .macs('form', subject)
    .some((mac) => mac.length === given.length && timingSafeEqual(mac, given));
}

function assertOwn(ctx: Context, origin: string): void {
  const isForeign =
    ['cross-site', 'same-site'].includes(ctx.get('sec-fetch-site')) ||
    !['', 'null', origin].includes(ctx.get('origin'));
  if (isForeign) throw new ForeignForm('the form was sent by another site');
}

async function readUpload(ctx: Context, largest: number): Promise<Form> {
  const chunks: Buffer[] = [];
  let length = 0;
  const body = ctx.req.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>;
  for await (const chunk of body) {
    length += chunk.length;
    if (length > LARGEST_UPLOAD) break;
    if (length <= largest) chunks.push(chunk);
  }
  if (length > largest) return formOf([], true);
  const headers = { 'content-type': ctx.get('content-type') };
  const whole = new Response(Buffer.concat(chunks), { headers });
  // eslint-disable-next-line @typescript-eslint/no-deprecated -- warns of bodies without a limit; this has one
  return formOf((await whole.formData().catch(() => undefined)) ?? []);
}

function formOf(fields: Iterable<Field>, isTooLong = false): Form {
  const sent = [...fields];
  const valuesOf = (name: string) =>
    sent.flatMap(([field, value]) => (field === name ? [value] : []));
  const all = (name: string) => valuesOf(name).filter((value) => typeof value === 'string');
  return {
    all,
    text(name) {
      const [text = '', ...others] = all(name);
      return others.length === 0 ? text : '';
    },
    file: (name) => valuesOf(name).find((value) => value instanceof File),
    isTooLong,
  };
}
