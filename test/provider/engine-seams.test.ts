// The engine is the one that we know: what of it is replaced, used and matched is what the installed one has.
import { randomUUID } from 'node:crypto';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type JWK, SignJWT, exportJWK, generateKeyPair } from 'jose';
import {
  type Configuration,
  type KoaContextWithOIDC,
  Provider,
  interactionPolicy,
} from 'oidc-provider';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type ProviderParts, configuration } from '../../src/provider/configuration.ts';
import { replaced } from '../../src/provider/engine-seams/replaced.ts';
import { used } from '../../src/provider/engine-seams/used.ts';
import { hasRoute } from '../../src/provider/engine-seams/routes.ts';
import {
  lostInteraction,
  matched,
  policyChecks,
  refreshRefusals,
  selfSubmittingForm,
  thefts,
  userCodeErrors,
} from '../../src/provider/engine-seams/words.ts';
import { adapt } from '../../src/provider/provider.ts';
import type { RefusalReason } from '../../src/storage/families/verdict.ts';
import { Agent } from '../support/agent.ts';
import { type TestProvider, publicClient, startProvider, webClient } from '../support/provider.ts';
import { authorizationRequest, discover } from '../support/relying-party.ts';
import { signingKeys } from '../support/signing-keys.ts';
import { tls } from '../support/tls.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
const src = join(root, 'src');
const engine = join(root, 'node_modules/oidc-provider');

const certified = {
  ...publicClient,
  client_id: 'certified',
  tls_client_certificate_bound_access_tokens: true,
};

let provider: TestProvider;
let parts: ProviderParts;

beforeAll(async () => {
  provider = await startProvider({
    environment: {
      SYMBOLON_TRUST_PROXY: 'true',
      SYMBOLON_TLS_CLIENT_CERT_HEADER: 'x-client-cert',
      SYMBOLON_TLS_CLIENT_VERIFY_HEADER: 'x-client-verify',
    },
    clients: [webClient, publicClient, certified],
  });
  const { config, storage, outgoing } = provider;
  const pages = {} as ProviderParts['pages']; // nobody looks at any
  const pairwiseSecret = Buffer.alloc(32);
  const keys = await signingKeys(storage.prisma, storage.keyring);
  parts = { config, storage, outgoing, pages, pairwiseSecret, signingKeys: keys };
});
afterAll(() => provider.close());

test('the engine is the version that is pinned', () => {
  const { dependencies } = json(join(root, 'package.json')) as { dependencies: object };
  const { version } = json(join(engine, 'package.json')) as { version: string };
  expect(dependencies).toMatchObject({ 'oidc-provider': version });
});

describe('a member that is not what it was', () => {
  const seams = [
    ...replaced.map(({ by, ...seam }) => ({
      ...seam,
      by: `${by.name} in provider/engine-seams/replaced.ts`,
    })),
    ...used,
  ];

  test.each(seams)('$name: no provider is built', ({ name, kind, by }) => {
    class Other extends Provider {}
    const other = new Other(provider.issuer, configuration(parts));
    const [first = '', ...path] = name.split('.');
    const member = path.pop() ?? '';
    const owner = path.reduce<unknown>(
      (object, key) => Reflect.get(object as object, key),
      first === 'Provider' ? Other : Reflect.get(other, first),
    );
    Object.defineProperty(owner, member, { value: kind === 'free' ? 'taken' : undefined });

    const message =
      kind === 'free'
        ? `the engine has a ${name} of its own by now: adapt ${by}`
        : `the engine has no ${kind} ${name} any more: adapt ${by}`;
    expect(() => adapt(other, parts)).toThrow(message);
  });

  test('a class that is gone as a whole is missed as well', () => {
    class Other extends Provider {}
    Object.defineProperty(Other.prototype, 'ReplayDetection', { value: undefined });
    const other = new Other(provider.issuer, configuration(parts));
    expect(() => adapt(other, parts)).toThrow(
      'the engine has no method ReplayDetection.unique any more: adapt detectReplay in provider/engine-seams/replaced.ts',
    );
  });

  test.each(seams)('$name: what is to be adapted is there', ({ by }) => {
    const [file = '', name = ''] = by.split(' in ').reverse();
    expect(existsSync(join(src, file)), file).toBe(true);
    expect(readFileSync(join(src, file), 'utf8')).toContain(name);
  });

  test('nothing else in src/ replaces any', () => {
    const files = readdirSync(src, { recursive: true, encoding: 'utf8' }).filter(
      (file) => file.endsWith('.ts') && !file.startsWith('provider/engine-seams/'),
    );
    for (const file of files) {
      const code = readFileSync(join(src, file), 'utf8').replace(/\/\*.*?\*\/|\/\/[^\n]*/gs, '');
      expect(code, file).not.toMatch(/IN_PAYLOAD|(?<!Object)\.prototype\b/);
    }
  });
});

describe('words of the engine', () => {
  // Each is provoked, or made by the engine's own function; where that is out of proportion, its source has it.
  const proofs: Record<(typeof matched)[number]['name'], () => void | Promise<void>> = {
    refreshRefusals: async () => {
      const details: (string | undefined)[] = [];
      provider.engine.provider.on('grant.error', (_ctx, error) => {
        details.push(error.error_detail);
      });
      const bound = await keyOf();
      const stranger = await keyOf();
      const token = await tokenFor(publicClient, async () => ({ dpop: await bound() }));
      await refresh(publicClient, token, { dpop: await stranger() });
      const proof = await bound();
      await refresh(publicClient, token, { dpop: proof });
      await refresh(publicClient, token, { dpop: proof });
      const certificate = { 'x-client-cert': encodeURIComponent(tls.clientCertificate) };
      const other = { 'x-client-cert': encodeURIComponent(tls.serverCertificate) };
      const certifiedToken = await tokenFor(certified, () => certificate);
      await refresh(certified, certifiedToken, {});
      await refresh(certified, certifiedToken, other);
      const { prisma } = provider.storage;
      const free = await tokenFor(webClient, () => ({}));
      const lockedAt = new Date();
      await prisma.account.update({ where: { id: provider.accountId }, data: { lockedAt } });
      await refresh(webClient, free, {});
      await prisma.account.update({ where: { id: provider.accountId }, data: { lockedAt: null } });

      const { otherKey, replayedProof, noCertificate, otherCertificate, noAccount } =
        refreshRefusals;
      expect(details).toEqual([
        otherKey,
        replayedProof,
        noCertificate,
        otherCertificate,
        noAccount,
      ]);
      expect(new Set(details)).toEqual(new Set(Object.values(refreshRefusals)));
    },

    thefts: () => {
      const own: RefusalReason[] = ['reuse', 'in_step', 'rotated_beyond_window'];
      const told = [
        ...own,
        source('helpers/grant_source.js'),
        readFileSync(join(src, 'storage/commit.ts'), 'utf8'),
        source('shared/jwt_client_auth.js'),
        source('helpers/validate_dpop.js'),
      ];
      expect(thefts.map((words, index) => told[index]?.includes(words))).toEqual(
        thefts.map(() => true),
      );
    },

    isTooLarge: async () => {
      const body = new URLSearchParams({ grant_type: 'x'.repeat(60_000) });
      const answer = await fetch(`${provider.issuer}/token`, { method: 'POST', body });
      expect(answer.status).toBe(413);
    },

    'ctx.params': () => {
      const { provider: engineNow } = provider.engine;
      expect(hasRoute(engineNow, 'POST', '/token')).toBe(true);
      expect(hasRoute(engineNow, 'GET', '/token')).toBe(false);
      expect(hasRoute(engineNow, 'GET', '/device/a')).toBe(true);
    },

    lostInteraction: () => {
      const { noCookie, otherCookie, otherPerson } = lostInteraction;
      expect(source('provider.js')).toContain(
        `SessionNotFound('interaction session id ${noCookie}')`,
      );
      expect(source('provider.js')).toContain(`SessionNotFound('session ${otherPerson}')`);
      const resume = source('actions/authorization/resume.js');
      for (const between of ['session and cookie identifier', 'session and authentication session'])
        expect(resume).toMatch(new RegExp(`SessionNotFound\\('\\w+ ${between} ${otherCookie}'\\)`));
      // And no other error of this kind says so.
      const all = [...(source('provider.js') + resume).matchAll(/SessionNotFound\('([^']*)'\)/g)];
      const words = Object.values(lostInteraction);
      const others = all.filter(([, text = '']) => !words.some((word) => text.includes(word)));
      expect(new Set(others.map(([, text]) => text))).toEqual(
        new Set([
          'interaction session not found',
          'session not found',
          'authorization request has expired',
        ]),
      );
    },

    userCodeErrors: async () => {
      const classes = (await part('helpers/re_render_errors.js')) as Record<
        string,
        new () => Error
      >;
      const names = Object.values(classes).map((Kind) => new Kind().name);
      expect(new Set(names)).toEqual(new Set(['ReRenderError', ...Object.values(userCodeErrors)]));
    },

    policyChecks: () => {
      const policy = interactionPolicy.base();
      const { essentialAcr, essentialAcrs, consentPrompt } = policyChecks;
      for (const reason of [essentialAcr, essentialAcrs])
        expect(policy.get('login')?.checks.get(reason)).toMatchObject({ reason });
      expect(policy.get('consent')?.checks.get(consentPrompt)).toBeDefined();
    },

    formSecret: async () => {
      const agent = new Agent(provider.issuer);
      const page = await agent.open('/device');
      const xsrf = page.html.querySelector('input[name="xsrf"]')?.getAttribute('value');
      expect(xsrf).toMatch(/^[0-9a-f]{48}$/);
      const refused = await agent.open('/device', { xsrf: 'other', user_code: 'WRNG-CODE' });
      expect(refused.status).toBe(400);
      const page2 = await agent.open('/device');
      expect((await agent.submit(page2, { user_code: 'WRNG-CODE' })).status).toBe(200);
    },

    selfSubmittingForm: async () => {
      const { default: formPost } = (await part('response_modes/form_post.js')) as {
        default: (ctx: object, action: string, inputs: object) => void;
      };
      const ctx = {
        status: 200,
        body: undefined,
        response: { get: () => undefined },
        oidc: provider.engine,
      };
      const hostile = `"><script>alert('1')</script>&amp;`;
      formPost(ctx, `https://a.example/cb?a=1&b=${hostile}`, { state: hostile, code: 'abc' });
      expect(selfSubmittingForm(ctx.body)).toEqual({
        action: `https://a.example/cb?a=1&b=${hostile}`,
        fields: [
          ['state', hostile],
          ['code', 'abc'],
        ],
      });
      expect(() =>
        selfSubmittingForm(String(ctx.body).replace('<form', '<form class="new"')),
      ).toThrow('adapt selfSubmittingForm in provider/engine-seams/words.ts');
      expect(selfSubmittingForm('<title>Another</title>')).toBeUndefined();
    },

    'toJSON of a client': async () => {
      let digest = 'one';
      const row = Object.defineProperty(
        {
          client_id: 'a',
          token_endpoint_auth_method: 'none',
          redirect_uris: ['https://a.example/'],
        },
        'toJSON',
        { value: () => digest },
      );
      const adapter = () => ({ find: () => Promise.resolve(row) });
      const settings = { ...configuration(parts), adapter } as unknown as Configuration;
      const { Client } = adapt(new Provider(provider.issuer, settings), parts);
      const first = await Client.find('a');
      expect(await Client.find('a')).toBe(first);
      digest = 'two';
      expect(await Client.find('a')).not.toBe(first);
    },

    'ctx.oidc': async () => {
      let kept: KoaContextWithOIDC | undefined;
      provider.engine.provider.once('grant.error', (ctx) => (kept = ctx));
      await refresh(webClient, 'nothing', {});
      await expect.poll(() => left(kept)).toEqual(['oidc']);
      expect(Object.getOwnPropertyDescriptor(kept, 'oidc')).toMatchObject({
        get: expect.any(Function) as unknown,
      });
      expect(left(kept?.oidc)).toEqual([]);
    },
  };

  test.each(matched)('$name', async ({ name }) => {
    await proofs[name]();
  });
});

test('docs/architecture.md lists them all', () => {
  const document = readFileSync(join(root, 'docs/architecture.md'), 'utf8');
  const section = document.split('\n## What of the engine is replaced\n')[1]?.split('\n## ')[0];
  const rows = [...(section ?? '').matchAll(/^\| `([^`]+)` *\|(.*)\|$/gm)].map(
    ([, name = '', why = '']) => ({ name, why: why.trim() }),
  );
  expect(rows).toEqual(replaced.map(({ name, why }) => ({ name, why })));
  const named = (file: string) => {
    const list = new RegExp(`\\(\`${file}\`\\):([^]*?)\\.\n\n`).exec(`${section}\n\n`)?.[1];
    return [...(list ?? '').matchAll(/`([^`]+)`/g)].map(([, name]) => name);
  };
  expect(named('used.ts')).toEqual(used.map(({ name }) => name));
  expect(named('words.ts')).toEqual(matched.map(({ name }) => name));
});

function json(file: string): unknown {
  return JSON.parse(readFileSync(file, 'utf8'));
}

function source(file: string): string {
  return readFileSync(join(engine, 'lib', file), 'utf8');
}

/** A module of the engine's that it does not export. */
function part(file: string): Promise<unknown> {
  return import(join(engine, 'lib', file));
}

/** What an object still holds. */
function left(object: object | undefined): PropertyKey[] {
  return Reflect.ownKeys(object ?? {}).filter(
    (key) => Reflect.get(object ?? {}, key) !== undefined,
  );
}

interface Client {
  readonly client_id: string;
  readonly client_secret?: string;
  readonly redirect_uris: readonly string[];
}

async function token(
  { client_id: id, client_secret: secret }: Client,
  form: Record<string, string>,
  headers: Record<string, string>,
): Promise<{ refresh_token?: string }> {
  const body = new URLSearchParams({ ...form, client_id: id });
  if (secret !== undefined) body.set('client_secret', secret);
  const answer = await fetch(`${provider.issuer}/token`, { method: 'POST', headers, body });
  return (await answer.json()) as { refresh_token?: string };
}

function refresh(client: Client, value: string, headers: Record<string, string>) {
  return token(client, { grant_type: 'refresh_token', refresh_token: value }, headers);
}

/** A refresh token, bound to what these headers prove. */
async function tokenFor(
  client: Client,
  headers: () => Record<string, string> | Promise<Record<string, string>>,
): Promise<string> {
  const party = await discover(provider.issuer, client);
  const { url, verifier } = await authorizationRequest(party);
  const callback = await new Agent(provider.issuer).authorize(url);
  const form = {
    grant_type: 'authorization_code',
    code: callback.searchParams.get('code') ?? '',
    redirect_uri: party.redirectUri,
    code_verifier: verifier,
  };
  return (await token(client, form, await headers())).refresh_token ?? '';
}

/** A key of its own. @returns makes a proof with it (RFC 9449 §4.2) */
async function keyOf(): Promise<() => Promise<string>> {
  const { privateKey, publicKey } = await generateKeyPair('ES256');
  const jwk: JWK = await exportJWK(publicKey);
  return () =>
    new SignJWT({ jti: randomUUID(), htm: 'POST', htu: `${provider.issuer}/token` })
      .setProtectedHeader({ alg: 'ES256', typ: 'dpop+jwt', jwk })
      .setIssuedAt()
      .sign(privateKey);
}
