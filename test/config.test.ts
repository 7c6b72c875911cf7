import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { configurationDocs } from '../scripts/configuration-docs.ts';
import { ConfigError, readConfig, settings } from '../src/config/config.ts';

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
    ['SYMBOLON_ACCESS_TOKEN_TTL', '0'],
    ['SYMBOLON_REFRESH_TOKEN_IDLE_TTL', '1.5'],
    ['SYMBOLON_REFRESH_TOKEN_RETRY_WINDOW', '86401'],
    ['SYMBOLON_END_FAMILIES_ON', 'monday'],
  ] as const)('%s=%s', (name, value) => {
    expect(mistakes({ [name]: value })).toEqual([
      `${name}: got "${value}", wants ${settings[name].wants}`,
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

test('a certificate is believed from a trusted proxy only', () => {
  expect(mistakes({ SYMBOLON_TLS_CLIENT_CERT_HEADER: 'x-cert' })[0]).toMatch(
    /^SYMBOLON_TRUST_PROXY/,
  );
});

test('docs/configuration.md is what the declaration says', () => {
  expect(readFileSync(new URL('../docs/configuration.md', import.meta.url), 'utf8')).toBe(
    configurationDocs(),
  );
});
