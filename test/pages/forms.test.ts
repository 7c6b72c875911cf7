// How a form of our own is taken: what counts as sent, what is refused, and how much is read.
import { randomBytes } from 'node:crypto';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import Koa from 'koa';
import { errors } from 'oidc-provider';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Keyring } from '../../src/keys/keyring.ts';
import { assertFormToken, createFormReader, formToken } from '../../src/pages/forms.ts';

const ISSUER = 'https://op.example/path';
const LARGEST = 2000; // bytes
const keyring = new Keyring([randomBytes(32).toString('base64')]);

let server: Server;
beforeAll(async () => {
  const readForm = createFormReader({ issuer: ISSUER });
  const readUpload = createFormReader({ issuer: ISSUER }, LARGEST);
  const koa = new Koa();
  koa.use(async (ctx) => {
    try {
      const form = await (ctx.path === '/upload' ? readUpload : readForm)(ctx);
      if (ctx.path === '/token') assertFormToken(keyring, 'subject', form);
      const { isTooLong } = form;
      const file = await form.file('file')?.text();
      ctx.body = { text: form.text('field'), all: form.all('field'), file, isTooLong };
    } catch (error) {
      ctx.status = (error as { status?: number }).status ?? 500;
      ctx.body = { error: error instanceof errors.InvalidRequest && error.error_description };
    }
  });
  server = koa.listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
});
afterAll(async () => {
  await new Promise((resolve) => server.close(resolve));
});

async function send(
  path: string,
  body: string | URLSearchParams | FormData,
  headers: Record<string, string> = {},
) {
  const { port } = server.address() as AddressInfo;
  const url = `http://127.0.0.1:${port}${path}`;
  const answer = await fetch(url, { method: 'POST', body, headers });
  return { status: answer.status, ...((await answer.json()) as object) };
}

function upload(fields: Record<string, string>, file: string): FormData {
  const form = new FormData();
  for (const [name, value] of Object.entries(fields)) form.set(name, value);
  form.set('file', new Blob([file]), 'file.txt');
  return form;
}

test('a field that was sent twice counts as not sent, where it may be sent once', async () => {
  const sent = (query: string) => send('/', new URLSearchParams(query));
  expect(await sent('field=a+b%C3%A4')).toMatchObject({ text: 'a bä', all: ['a bä'] });
  expect(await sent('other=a')).toMatchObject({ text: '', all: [] });
  expect(await sent('field=a&field=b')).toMatchObject({ text: '', all: ['a', 'b'] });
});

test('a form comes with a file where one is expected; as a whole it is as long as it may be', async () => {
  const whole = await send('/upload', upload({ field: 'a' }, 'content'));
  expect(whole).toEqual({ status: 200, text: 'a', all: ['a'], file: 'content', isTooLong: false });
  const none = { status: 200, text: '', all: [], isTooLong: true };
  expect(await send('/upload', upload({ field: 'a' }, 'c'.repeat(LARGEST)))).toEqual(none);
  const elsewhere = await send('/', upload({ field: 'a' }, 'content'));
  expect(elsewhere).toEqual({ status: 200, text: '', all: [], isTooLong: false });
  const garbage = { 'content-type': 'multipart/form-data; boundary=x' };
  expect(await send('/upload', 'no form', garbage)).toEqual({ ...none, isTooLong: false });
  expect((await send('/', new URLSearchParams({ field: 'a'.repeat(16_384) }))).status).toBe(413);
});

test('what another site has sent is refused before it is read', async () => {
  const from = (headers: Record<string, string>) =>
    Promise.all(['/', '/upload'].map((path) => send(path, upload({ field: 'a' }, ''), headers)));
  const foreign = { status: 400, error: 'the form was sent by another site' };
  expect(await from({ origin: 'https://evil.example' })).toEqual([foreign, foreign]);
  expect(await from({ 'sec-fetch-site': 'cross-site' })).toEqual([foreign, foreign]);
  expect(await from({ 'sec-fetch-site': 'same-site' })).toEqual([foreign, foreign]);
  for (const origin of ['https://op.example', 'null', ''])
    expect((await from({ origin })).map(({ status }) => status)).toEqual([200, 200]);
});

test('its token is for one subject', async () => {
  const sent = (csrf: string) => send('/token', new URLSearchParams({ csrf }));
  expect((await sent(formToken(keyring, 'subject'))).status).toBe(200);
  const wrong = { status: 400, error: 'the form token is missing or wrong' };
  for (const token of ['', 'x', formToken(keyring, 'another')])
    expect(await sent(token)).toEqual(wrong);
});
