// Settings that are read: what is accepted, what is refused and in which words.
import { describe, expect, test } from 'vitest';
import { ConfigError, readConfig } from '../../src/config/config.ts';
import { rules } from '../../src/config/rules.ts';
import { settingsOf } from '../../src/config/settings.ts';

const SECRET = 'x'.repeat(32);
const mistakes = (environment: Record<string, string>): readonly string[] => {
  try {
    readConfig(environment);
  } catch (error) {
    if (error instanceof ConfigError) return error.mistakes;
    throw error;
  }
  return [];
};

test('nothing set is a working provider on this machine', () => {
  expect(readConfig({})).toMatchObject({
    port: 3000,
    issuer: 'http://localhost:3000',
    databaseUrl: undefined,
    trustProxy: false,
  });
  expect(readConfig({ PORT: '4000' }).issuer).toBe('http://localhost:4000');
  expect(readConfig({ PORT: '' }).port).toBe(3000);
});

describe('a mistake is one line: the variable, what it got, what it wants', () => {
  test.each([
    ['PORT', 'abc'],
    ['PORT', '70000'],
    ['PORT', '-1'],
    ['NODE_ENV', 'prod'],
    ['LOG_LEVEL', 'loud'],
    ['SYMBOLON_ISSUER', 'ftp://id.example.com'],
    ['SYMBOLON_ISSUER', 'https://id.example.com?x'],
    ['SYMBOLON_ISSUER', 'not a url'],
    ['SYMBOLON_TRUST_PROXY', 'yes'],
    ['SYMBOLON_TRUST_PROXY', 'proxy.example.com'],
    ['SYMBOLON_TRUST_PROXY', '10.0.0.0/33'],
    ['SYMBOLON_TRUST_PROXY', '10.0.0.1,'],
    ['SYMBOLON_ACCESS_TOKEN_TTL', '0'],
    ['SYMBOLON_REFRESH_TOKEN_IDLE_TTL', '1.5'],
    ['SYMBOLON_REFRESH_TOKEN_RETRY_WINDOW', '86401'],
    ['SYMBOLON_END_FAMILIES_ON', 'monday'],
  ])('%s=%s', (name, value) => {
    const setting = settingsOf().find(({ variable }) => variable === name);
    expect(mistakes({ [name]: value })).toEqual([
      `${name}: got "${value}", wants ${setting?.wants ?? ''}`,
    ]);
  });

  test('several are told together', () => {
    expect(mistakes({ PORT: 'x', LOG_LEVEL: 'y' })).toHaveLength(2);
  });

  test('secrets are not repeated', () => {
    const [secret] = mistakes({ SYMBOLON_SECRET: 'tiny-secret' });
    expect(secret).toMatch(/^SYMBOLON_SECRET: got a value of 11 bytes/);
    const [url] = mistakes({
      DATABASE_URL: 'mysql://user:hunter2@host/db',
      SYMBOLON_SECRET: SECRET,
    });
    expect(url).not.toContain('hunter2');
  });
});

test('a secret is a list, each of 32 bytes or more', () => {
  expect(readConfig({ SYMBOLON_SECRET: `${SECRET}, ${SECRET}2` }).secrets).toEqual([
    SECRET,
    `${SECRET}2`,
  ]);
  expect(mistakes({ SYMBOLON_SECRET: `${SECRET},short` })).toHaveLength(1);
});

test('a database of one’s own needs a secret of one’s own', () => {
  expect(mistakes({ DATABASE_URL: 'postgresql://localhost/x' })[0]).toMatch(
    /^SYMBOLON_SECRET: got nothing/,
  );
});

test('in production an issuer on plain http is refused, unless it is this machine', () => {
  const production = (issuer: string) =>
    mistakes({ NODE_ENV: 'production', SYMBOLON_ISSUER: issuer });
  for (const issuer of [
    'http://id.example.com',
    'http://192.168.1.2:3000',
    'http://localhost.example.com',
    'http://127.0.0.1.example.com',
  ]) {
    expect(production(issuer)[0]).toMatch(/^SYMBOLON_ISSUER: got/);
  }
  for (const issuer of [
    'https://id.example.com',
    'http://localhost:3000',
    'http://127.0.0.1:3000',
    'http://[::1]:3000',
  ]) {
    expect(production(issuer)).toEqual([]);
  }
});

test.each([
  ['print', {}],
  ['print', { SYMBOLON_ISSUER: 'http://127.0.0.1:3000' }],
  ['print', { SYMBOLON_ISSUER: 'https://id.example', SYMBOLON_PRINT_MAILS: 'true' }],
  ['print', { SYMBOLON_ISSUER: 'https://id.example', NODE_ENV: 'development' }],
  ['off', { SYMBOLON_ISSUER: 'https://id.example' }],
  ['off', { SYMBOLON_ISSUER: 'https://localhost:3000' }],
  ['off', { SYMBOLON_ISSUER: 'http://192.168.1.5:3000' }],
  ['off', { SYMBOLON_PRINT_MAILS: 'false' }],
  ['off', { NODE_ENV: 'production' }],
  ['smtp', { SYMBOLON_SMTP_URL: 'smtp://localhost', SYMBOLON_PRINT_MAILS: 'true' }],
])('mails: %s with %j', (mode, environment) => {
  expect(readConfig(environment).mail.mode).toBe(mode);
});

test('a certificate is believed from a trusted proxy only', () => {
  expect(mistakes({ SYMBOLON_TLS_CLIENT_CERT_HEADER: 'x-cert' })[0]).toMatch(
    /^SYMBOLON_TRUST_PROXY/,
  );
});

describe('what settings say of each other is told in one line', () => {
  const production = { NODE_ENV: 'production', SYMBOLON_ISSUER: 'https://id.example.com' };
  const told: [Record<string, string>, string][] = [
    [
      { NODE_ENV: 'production', SYMBOLON_ISSUER: 'http://id.example.com/' },
      'SYMBOLON_ISSUER: got "http://id.example.com/", wants an https URL (NODE_ENV is production, and tokens on plain http can be read by anyone on the way)',
    ],
    [
      { DATABASE_URL: 'postgresql://localhost/x' },
      'SYMBOLON_SECRET: got nothing, wants one or more secrets of at least 32 bytes each, separated by commas (`openssl rand -base64 32` makes one), since every process on DATABASE_URL must have the same',
    ],
    [
      { SYMBOLON_TLS_CLIENT_CERT_HEADER: 'x-cert' },
      'SYMBOLON_TRUST_PROXY: got "false", wants the proxy’s address, since SYMBOLON_TLS_CLIENT_CERT_HEADER is believed only from a proxy',
    ],
    [
      { ...production, SYMBOLON_SIGN_UP: 'open' },
      'SYMBOLON_SMTP_URL: got nothing, wants a URL like `smtp://user:password@mail.example.com:587` or `smtps://…:465`, since SYMBOLON_SIGN_UP is open and addresses are confirmed by mail',
    ],
    [
      { ...production, SYMBOLON_PRINT_MAILS: 'true' },
      'SYMBOLON_PRINT_MAILS: got "true", wants `false`, since NODE_ENV is production and the links of mails are secrets',
    ],
    [
      { SYMBOLON_TLS_KEY: 'key.pem' },
      'SYMBOLON_TLS_CERT: got nothing, wants the path of a PEM file, since SYMBOLON_TLS_KEY is set',
    ],
    [
      { SYMBOLON_TLS_CERT: 'cert.pem' },
      'SYMBOLON_TLS_KEY: got nothing, wants the path of a PEM file, since SYMBOLON_TLS_CERT is set',
    ],
    [
      {
        ...{ SYMBOLON_TLS_CERT: 'cert.pem', SYMBOLON_TLS_KEY: 'key.pem' },
        SYMBOLON_ISSUER: 'http://id.example.com',
      },
      'SYMBOLON_ISSUER: got "http://id.example.com", wants an https URL, since SYMBOLON_TLS_CERT is set',
    ],
    [
      { SYMBOLON_MTLS_PORT: '8443' },
      'SYMBOLON_TLS_CERT: got nothing, wants the path of a PEM file, since SYMBOLON_MTLS_PORT is set',
    ],
    [
      { DATABASE_PASSWORD: 'p@ss' },
      'DATABASE_PASSWORD: got a value (not shown), wants nothing, since there is no DATABASE_URL',
    ],
    [
      { PORT: '9090', SYMBOLON_OPERATIONS_PORT: '9090' },
      'SYMBOLON_OPERATIONS_PORT: got "9090", wants a port that is not PORT or SYMBOLON_MTLS_PORT, since what it tells is not for everybody',
    ],
  ];
  test.each(told)('%j', (environment, mistake) => {
    expect(mistakes(environment)).toEqual([mistake]);
  });

  test('every rule is here', () => {
    expect(told).toHaveLength(rules.length);
  });
});

test('a claims file that cannot be used is refused with the reason', () => {
  expect(mistakes({ SYMBOLON_CLAIMS_FILE: 'nowhere.json' })).toEqual([
    `SYMBOLON_CLAIMS_FILE: got "nowhere.json", wants a file as docs/clients.md describes it (ENOENT: no such file or directory, open 'nowhere.json')`,
  ]);
});

test('the base path is the path of the issuer', () => {
  const basePath = (issuer: string) => readConfig({ SYMBOLON_ISSUER: issuer }).basePath;
  expect(basePath('https://id.example.com')).toBe('');
  expect(basePath('https://id.example.com/')).toBe('');
  expect(basePath('https://id.example.com/op/')).toBe('/op');
});
