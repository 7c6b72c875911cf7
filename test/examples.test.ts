// The examples, run against a real provider: as processes, and in a real browser.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { type Server, createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parse } from 'node-html-parser';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { eventually } from './support/eventually.ts';
import { Agent } from './support/agent.ts';
import { launchBrowser, watch } from './support/browser.ts';
import { freePort } from './support/process.ts';
import { type TestProvider, person, startProvider, webClient } from './support/provider.ts';
import { post } from './support/token-endpoint.ts';

const examples = fileURLToPath(new URL('../examples', import.meta.url));
const RESOURCE = 'https://api.example';

let provider: TestProvider;
let running: ChildProcess[] = [];

beforeAll(async () => {
  provider = await startProvider({ clients: [] });
  await provider.storage.prisma.resource.create({
    data: { id: RESOURCE, scopes: { 'notes:read': '' } },
  });
  await provider.storage.prisma.resource.create({
    data: { id: 'https://opaque.example', scopes: { 'notes:read': '' }, format: 'opaque' },
  });
  const service = { ...webClient, grant_types: ['client_credentials'], response_types: [] };
  await provider.addClient({ ...service, client_id: 'service', redirect_uris: [] });
});
afterEach(async () => {
  await Promise.all(
    running.map(async (child) => {
      if (child.exitCode !== null) return;
      child.kill();
      await once(child, 'exit');
    }),
  );
  running = [];
});
afterAll(() => provider.close());

function start(example: string, environment: Record<string, string>) {
  const { PATH = '', HOME = '' } = process.env;
  const child = spawn(process.execPath, [join(examples, example, 'main.ts')], {
    env: { PATH, HOME, ISSUER: provider.issuer, ...environment },
  });
  running.push(child);
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk) => (output += String(chunk)));
  const says = (text: RegExp) =>
    eventually(() => {
      const found = text.exec(output);
      if (!found) throw new Error(`${example} says: ${output}`);
      return found;
    });
  return { child, says };
}

/** What a browser sees of an application that is not the provider. */
class Visitor {
  cookie = '';

  async get(url: string | URL): Promise<{ text: string; location: string }> {
    const response = await fetch(url, { redirect: 'manual', headers: { cookie: this.cookie } });
    const [set] = response.headers.getSetCookie();
    if (set) this.cookie = set.split(';')[0] ?? '';
    return { text: await response.text(), location: response.headers.get('location') ?? '' };
  }
}

test('a web application: sign-in, refresh, sign-out', async () => {
  const port = await freePort();
  const home = `http://localhost:${port}`;
  const metadata = JSON.parse(
    (await readFile(join(examples, 'web-app/client.json'), 'utf8')).replaceAll(
      '4000',
      String(port),
    ),
  ) as object;
  await provider.addClient({
    ...webClient,
    ...metadata,
    client_id: 'notes',
    redirect_uris: [`${home}/callback`],
  });
  const environment = { CLIENT_ID: 'notes', CLIENT_SECRET: webClient.client_secret };
  const { says } = start('web-app', { ...environment, PORT: String(port) });
  await says(/The application is at/);
  const visitor = new Visitor();
  const browser = new Agent(provider.issuer);
  expect((await visitor.get(home)).text).toContain('Nobody is signed in');
  const { location } = await visitor.get(`${home}/sign-in`);
  await visitor.get(await browser.authorize(location));
  expect((await visitor.get(home)).text).toContain('Hello, Ada Lovelace.');
  expect((await visitor.get(`${home}/refresh`)).location).toBe('/');
  // Ended by the operator: the application asks to sign in again.
  const { prisma } = provider.storage;
  expect(await prisma.refreshFamily.findMany({ where: { clientId: 'notes' } })).toMatchObject([
    { generation: 1, endedAt: null },
  ]);
  const end = await visitor.get(`${home}/sign-out`);
  const page = await browser.open(end.location);
  expect((await browser.submit(page, { logout: 'yes' })).away?.href).toBe(`${home}/`);
  expect((await visitor.get(home)).text).toContain('Nobody is signed in');
  expect(await prisma.refreshFamily.findMany({ where: { clientId: 'notes' } })).toMatchObject([
    { endReason: 'revoked_by_client' },
  ]);
});

test('a command-line tool: signs in once, then refreshes', async () => {
  await provider.addClient({
    client_id: 'tool',
    client_name: 'Tool',
    grant_types: ['urn:ietf:params:oauth:grant-type:device_code', 'refresh_token'],
    response_types: [],
    redirect_uris: [],
    token_endpoint_auth_method: 'none',
  });
  const folder = await mkdtemp(join(tmpdir(), 'symbolon-tool-'));
  const environment = { CLIENT_ID: 'tool', TOKEN_FILE: join(folder, 'token') };
  const first = start('device', environment);
  const [, link = ''] = await first.says(/Open (\S+)/);
  const browser = new Agent(provider.issuer);
  let page = await browser.open(link);
  page = await browser.submit(page, {
    user_code: page.html.querySelector('input[name=user_code]')?.getAttribute('value') ?? '',
  });
  page = await browser.submit(page, { confirm: 'yes' });
  page = await browser.submit(page, { email: person.email, password: person.password });
  if (page.html.querySelector('form[action$="/consent"]'))
    page = await browser.submit(page, {}, /consent$/);
  expect(page.html.text).toContain('connected');
  await first.says(/Signed in as Ada Lovelace/);
  expect((await stat(environment.TOKEN_FILE)).mode & 0o777).toBe(0o600);
  const second = start('device', environment);
  await second.says(/Signed in as Ada Lovelace/);
  await rm(folder, { recursive: true });
});

test('a service, and an API that verifies its JWT', async () => {
  const port = String(await freePort());
  const api = start('resource-server-jwt', { PORT: port, RESOURCE });
  await api.says(/The API is at/);
  const environment = { CLIENT_ID: 'service', CLIENT_SECRET: webClient.client_secret };
  const service = start('service', { ...environment, API: `http://localhost:${port}/`, RESOURCE });
  await service.says(/200 Notes for service/);
  const call = async (authorization?: string) =>
    fetch(`http://localhost:${port}/`, { headers: authorization ? { authorization } : {} });
  expect((await call()).status).toBe(401);
  expect((await call('Bearer x.y.z')).status).toBe(401);
  const { body } = await post(
    `${provider.issuer}/token`,
    { grant_type: 'client_credentials', resource: RESOURCE },
    { client_id: 'service', client_secret: webClient.client_secret },
  );
  expect((await call(`Bearer ${body.access_token ?? ''}`)).status).toBe(403); // without the scope
});

test('an API that asks the provider', async () => {
  const port = String(await freePort());
  const environment = { CLIENT_ID: 'service', CLIENT_SECRET: webClient.client_secret };
  const opaque = 'https://opaque.example';
  const api = start('resource-server-introspection', {
    ...environment,
    PORT: port,
    RESOURCE: opaque,
  });
  await api.says(/The API is at/);
  const client = { client_id: 'service', client_secret: webClient.client_secret };
  const form = { grant_type: 'client_credentials', resource: opaque, scope: 'notes:read' };
  const { body } = await post(`${provider.issuer}/token`, form, client);
  const token = body.access_token ?? '';
  const call = async () =>
    fetch(`http://localhost:${port}/`, { headers: { authorization: `Bearer ${token}` } });
  expect(await (await call()).text()).toBe('Notes for service');
  await post(`${provider.issuer}/revoke`, { token }, client);
  expect((await call()).status).toBe(401);
});

test('a single-page application, in a real browser', async () => {
  const server: Server = createServer((request, response) => {
    const { pathname } = new URL(request.url ?? '/', 'http://localhost');
    if (pathname === '/settings.json') {
      response.end(JSON.stringify({ issuer: provider.issuer, client_id: 'sketches' }));
      return;
    }
    const name = pathname === '/' ? 'index.html' : pathname.slice(1);
    const type = extname(name) === '.js' ? 'text/javascript' : 'text/html';
    void readFile(join(examples, 'single-page-app', name)).then(
      (content) => response.setHeader('content-type', type).end(content),
      () => response.writeHead(404).end(),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, 'localhost', resolve));
  const home = `http://localhost:${(server.address() as AddressInfo).port}/`;
  await provider.addClient({
    client_id: 'sketches',
    client_name: 'Sketches',
    redirect_uris: [home],
    grant_types: ['authorization_code', 'refresh_token'],
    token_endpoint_auth_method: 'none',
  });
  const browser = await launchBrowser();
  const page = await browser.newPage();
  const complaints = watch(page);
  await page.goto(home);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByLabel('E-mail address').fill(person.email);
  await page.getByLabel('Password').fill(person.password);
  await page.getByRole('button', { name: 'Sign in', exact: true }).click();
  await page.getByRole('button', { name: 'Allow', exact: true }).click();
  await page.getByText('Hello, Ada Lovelace.').waitFor();
  expect(page.url()).toBe(home);
  const answered = page.waitForResponse((response) => response.url().endsWith('/token'));
  await page.getByRole('button', { name: 'Refresh' }).click();
  expect((await answered).status()).toBe(200);
  expect(complaints.filter((line) => !line.includes('favicon'))).toEqual([]);
  const [family] = await provider.storage.prisma.refreshFamily.findMany({
    where: { clientId: 'sketches' },
  });
  expect(family?.payload).toHaveProperty('jkt'); // bound to the key of this page
  await browser.close();
  server.closeAllConnections();
  server.close();
});

test('the web servers’ examples name what Symbolon has', async () => {
  const document = (await (
    await fetch(`${provider.issuer}/.well-known/openid-configuration`)
  ).json()) as Record<string, string[]>;
  for (const file of ['apache/notes.conf', 'nginx/oauth2-proxy.cfg']) {
    const text = await readFile(join(examples, file), 'utf8');
    const [, scopes = ''] = /scope\s*=?\s*"([^"]+)"/i.exec(text) ?? [];
    for (const scope of scopes.split(' ')) expect(document['scopes_supported']).toContain(scope);
    expect(text).toContain('S256');
  }
  const index = parse(await readFile(join(examples, 'single-page-app/index.html'), 'utf8'));
  expect(index.querySelector('script')?.getAttribute('src')).toBe('app.js');
});
