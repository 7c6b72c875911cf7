// Mails on their way: each arrives once, whatever happens to the mail server or the process, and is nothing but itself.
import { readdirSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { loadLanguages } from '../../src/languages.ts';
import { createLetters } from '../../src/mail/letter.ts';
import { createMailer } from '../../src/mail/mailer.ts';
import { createLog } from '../../src/operations/log.ts';
import { type Mail, type MailOf, saveMail } from '../../src/storage/deliveries.ts';
import type { MailTemplates } from '../../src/storage/mail-templates.ts';
import { eventually } from '../support/eventually.ts';
import { type MailServer, startMailServer } from '../support/mail.ts';
import { type ProviderProcess, freePort, run, startProcess } from '../support/process.ts';
import { type TestProvider, person, secret, startProvider } from '../support/provider.ts';

let server: MailServer;
let provider: TestProvider;
beforeEach(async () => {
  server = await startMailServer(await freePort());
  provider = await startProvider({ environment: { SYMBOLON_SMTP_URL: server.url } });
});
afterEach(async () => {
  vi.useRealTimers();
  await provider.close();
  await server.close();
});

const mail = (values: object = {}, template: string = 'test') =>
  ({ to: person.email, locale: null, template, values }) as MailOf<keyof MailTemplates>;
const save = (one: Mail, expiresAt?: Date) => {
  const { prisma, keyring, now } = provider.storage;
  return saveMail(prisma, keyring, one, now(), expiresAt);
};
const left = () => provider.storage.prisma.delivery.findMany();
const mailerAt = (url: string) =>
  createMailer({
    config: { ...provider.config, mail: { ...provider.config.mail, smtpUrl: url } },
    storage: provider.storage,
    log: createLog('silent'),
    languages: loadLanguages(),
    look: { name: 'Symbolon' },
  });
const due = () =>
  provider.storage.prisma.delivery.updateMany({ data: { nextAt: provider.storage.now() } });

test('a mail has text and HTML of the same words, and says that a machine has sent it', async () => {
  await save(mail());
  await provider.mailer.send();
  const [one] = server.mails;
  expect(server.mails).toHaveLength(1);
  expect(one).toMatchObject({ from: 'no-reply@localhost', to: [person.email] });
  expect(one?.headers).toMatchObject({
    to: person.email,
    subject: 'A test of Symbolon',
    'auto-submitted': 'auto-generated',
  });
  expect(one?.headers['message-id']).toMatch(/^<[\w-]{36}@localhost>$/);
  for (const form of [one?.text, one?.html]) expect(form).toContain('Symbolon can send mail');
  expect(await left()).toEqual([]);
});

test('a login is used, and a wrong one is told on the command line without the password', async () => {
  const strict = await startMailServer(0, { user: 'us er', pass: 'p@ss/word' });
  const send = (url: string) =>
    run(['src/cli.ts', 'mail', 'test', person.email], { SYMBOLON_SMTP_URL: url });
  const good = await send(strict.url);
  expect(good).toMatchObject({ code: 0 });
  expect(good.stdout).toContain('The mail server took it');
  const bad = await send(strict.url.replace('word', 'sword'));
  expect(bad.code).toBe(1);
  expect(bad.stderr).toContain('The mail was not taken');
  expect(bad.stderr).not.toContain('sword');
  expect(strict.mails).toHaveLength(1);
  await strict.close();
});

test('what others have named begins no other header', async () => {
  await save(
    mail({ client: 'Bank\r\nBcc: eve@example.com\r\n\r\nbody', message: 'a\r\nb' }, 'approval'),
  );
  await provider.mailer.send();
  const [one] = server.mails;
  expect(one?.to).toEqual([person.email]);
  expect(one?.headers['bcc']).toBeUndefined();
  expect(one?.headers['subject']).toBe('Bank Bcc: eve@example.com body asks whether it is you');
  expect(one?.text).toContain('a b');
});

test('what others have named is one line, and no longer than a name', async () => {
  const client = `Bank\n\nYour account is locked:\u2028call ${'🦆'.repeat(200)}`;
  await save(mail({ client, message: 'x'.repeat(101) }, 'approval'));
  await provider.mailer.send();
  const [one] = server.mails;
  const name = `Bank Your account is locked: call ${'🦆'.repeat(65)}…`;
  expect(Array.from(name)).toHaveLength(100);
  expect(one?.headers['subject']).toBe(`${name} asks whether it is you`);
  expect(one?.text).toContain(`\n\n${name} waits for your answer.`);
  expect(one?.text).toContain(`${'x'.repeat(99)}…`);
  expect(one?.text).not.toContain('x'.repeat(100));
});

test('what others have named is no markup', () => {
  const hostile = '<img src=x onerror=alert(1)>"\'';
  for (const file of readdirSync('views/mail').filter((name) => name !== 'layout.eta')) {
    const letters = createLetters('https://id.example', loadLanguages(), { name: hostile });
    const values = { client: hostile, message: hostile, former: hostile, about: hostile };
    const more = {
      account: hostile,
      ip: hostile,
      userAgent: hostile,
      kind: 'reuse',
      at: 0,
      life: 9,
    };
    const all = { ...values, ...more, token: hostile };
    const { html } = letters(mail(all, file.replace('.eta', '')));
    expect(html, file).not.toContain('<img');
    expect(html, file).not.toMatch(/href="[^"]*"'/);
  }
});

test('an address is one address', async () => {
  await save({ ...mail(), to: 'ada@example.com, eve@example.com' });
  await provider.mailer.send();
  expect(server.mails.flatMap(({ to }) => to)).not.toContain('eve@example.com');
});

test('a server that is down or busy gets it later, once, and later each time', async () => {
  const { port } = server;
  await server.close();
  await save(mail());
  const waits: number[] = [];
  for (let attempt = 0; attempt < 3; attempt++) {
    const before = Date.now();
    await provider.mailer.send();
    const [row] = await left();
    waits.push(Math.round(((row?.nextAt.getTime() ?? 0) - before) / 10_000));
    await due();
  }
  expect(waits).toEqual([1, 2, 4]);
  server = await startMailServer(port);
  server.refuse = { at: 'data', code: 451 };
  await provider.mailer.send();
  expect(await left()).toHaveLength(1);
  server.refuse = undefined;
  await due();
  await provider.mailer.send();
  await provider.mailer.send();
  expect(server.mails).toHaveLength(1);
  expect(await left()).toEqual([]);
});

test('one for an address that does not exist is not tried again, nor one that is too old', async () => {
  server.refuse = { at: 'rcpt', code: 550 };
  await save(mail());
  await provider.mailer.send();
  expect(await left()).toEqual([]);
  server.refuse = undefined;
  await save(mail(), new Date(Date.now() - 1));
  await provider.mailer.send();
  expect(server.mails).toEqual([]);
});

test('two processes send one mail once, however long the server takes', async () => {
  await Promise.all(Array.from({ length: 8 }, () => save(mail())));
  server.hold = () => provider.storage.prisma.$queryRaw`SELECT 1`.then(() => undefined);
  const other = mailerAt(server.url);
  await Promise.all([provider.mailer.send(), other.send(), provider.mailer.send(), other.send()]);
  expect(new Set(server.mails.map(({ headers }) => headers['message-id'])).size).toBe(8);
  expect(server.mails).toHaveLength(8);
});

describe('processes', () => {
  const environment = (issuer: string, smtp: string) => ({
    DATABASE_URL: provider.databaseUrl,
    SYMBOLON_SECRET: secret,
    SYMBOLON_ISSUER: issuer,
    SYMBOLON_SMTP_URL: smtp,
    LOG_LEVEL: 'info',
  });

  test('a process that is killed while the server is down leaves the mail to another', async () => {
    const smtp = await freePort();
    const first = await startProcess(environment(provider.issuer, `smtp://127.0.0.1:${smtp}`));
    await save(mail());
    await eventually(() => {
      expect(first.output()).toContain('mail to be sent again');
    });
    expect(first.output()).not.toContain(person.email);
    await first.end('SIGKILL');
    const late = await startMailServer(smtp);
    await due();
    const processes: ProviderProcess[] = await Promise.all(
      [1, 2].map(() => startProcess(environment(provider.issuer, late.url))),
    );
    await eventually(async () => {
      expect(await left()).toEqual([]);
    });
    for (const one of processes) await one.end();
    expect(late.mails).toHaveLength(1);
    await late.close();
  });

  test('in development a mail is printed, its link in no line of the log', async () => {
    const one = await startProcess(environment(provider.issuer, ''));
    await save(mail({ token: 'the-token' }, 'password-reset'));
    await eventually(() => {
      expect(one.output()).toContain(`| ${provider.issuer}/reset?token=the-token`);
    });
    await one.end();
    const log = one
      .output()
      .split('\n')
      .filter((line) => line.startsWith('{'));
    expect(log.join('\n')).not.toContain('the-token');
    expect(log.join('\n')).toContain('Mails are printed here');
  });

  test.each([
    ['https', {}, false],
    ['https', { NODE_ENV: 'test' }, false],
    ['https', { SYMBOLON_PRINT_MAILS: 'true' }, true],
    ['https', { NODE_ENV: 'development' }, true],
    ['http', { SYMBOLON_PRINT_MAILS: 'false' }, false],
  ])(
    'with %s and %j, whether links come on standard output: %s',
    async (scheme, more, isPrinted) => {
      const issuer = provider.issuer.replace('http', scheme);
      const one = await startProcess({ ...environment(issuer, ''), ...more });
      await save(mail({ token: 'the-token' }, 'password-reset'));
      const says = isPrinted ? '/reset?token=the-token' : 'Mail is off';
      await vi.waitFor(() => {
        expect(one.output()).toContain(says);
      }, 20_000);
      const headers = { 'x-forwarded-proto': scheme, accept: 'text/html' };
      const page = await (await fetch(`${one.url}/forgot`, { headers })).text();
      expect(page.includes('This service sends no e-mail')).toBe(!isPrinted);
      await one.end(); // a turn of the worker ends before
      expect(one.output().includes('the-token')).toBe(isPrinted);
      expect(await left()).toHaveLength(isPrinted ? 0 : 1);
    },
  );

  test('in production without a mail server nothing is printed, and it says so', async () => {
    const one = await startProcess({ ...environment(provider.issuer, ''), NODE_ENV: 'production' });
    await save(mail());
    await eventually(() => {
      expect(one.output()).toContain('Mail is off');
    });
    expect((await fetch(`${one.url}/forgot`)).status).toBe(404);
    await one.end();
    expect(await left()).toHaveLength(1);
    const cli = await run(['src/cli.ts', 'mail', 'test', person.email], {
      ...environment(provider.issuer, ''),
      NODE_ENV: 'production',
    });
    expect(cli.stderr).toContain('SYMBOLON_SMTP_URL');
  });
});

test('a template of the installation’s own replaces ours', async () => {
  const own = await mkdtemp(join(tmpdir(), 'symbolon-views-'));
  await mkdir(join(own, 'mail'));
  await writeFile(join(own, 'mail', 'test.eta'), "<% it.subject('Ours'); it.text('<b>') %>");
  const compose = createLetters('https://id.example', loadLanguages(), { name: 'X', views: own });
  const letter = compose(mail());
  expect(letter.subject).toBe('Ours');
  expect(letter.text).toContain('<b>');
  expect(letter.html).toContain('&lt;b&gt;');
  expect(compose(mail({ token: 'x' }, 'password-reset')).html).toContain('lang="en"');
  await rm(own, { recursive: true });
});

test('the language is the one that is asked for, or English', async () => {
  for (const locale of ['ar', 'de-AT', 'xx', null]) await save({ ...mail(), locale });
  await provider.mailer.send();
  const subjects = server.mails.map(({ headers }) => headers['subject']).sort();
  expect(subjects).toEqual(
    [
      'A test of Symbolon',
      'A test of Symbolon',
      'Ein Test von Symbolon',
      'اختبار من \u2068Symbolon\u2069',
    ].sort(),
  );
  const arabic = server.mails.find(({ html }) => html.includes('lang="ar"'));
  expect(arabic?.html).toContain('dir="rtl"');
});
