// Secrets from files, and the password of the database apart from its URL.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { ConfigError, readConfig } from '../../src/config/config.ts';
import { parseDatabaseUrl } from '../../src/config/database-url.ts';
import { settingsOf } from '../../src/config/settings.ts';

const folder = mkdtempSync(join(tmpdir(), 'symbolon-secrets-'));
afterAll(() => {
  rmSync(folder, { recursive: true });
});
const file = (name: string, text: string): string => {
  writeFileSync(join(folder, name), text);
  return join(folder, name);
};
const mistakes = (environment: Record<string, string>): readonly string[] => {
  try {
    readConfig(environment);
  } catch (error) {
    if (error instanceof ConfigError) return error.mistakes;
    throw error;
  }
  return [];
};
const secret = 'a secret of thirty-two bytes or more';
const url = 'postgresql://symbolon@db/symbolon';

describe('a secret in a file', () => {
  test('is read, without the newline at its end', () => {
    const config = readConfig({
      SYMBOLON_SECRET_FILE: file('secret', `${secret},${secret} two\n`),
      DATABASE_URL_FILE: file('url', `${url}\r\n`),
      DATABASE_PASSWORD_FILE: file('password', ' p@ss \n'),
      SYMBOLON_SMTP_URL_FILE: file('smtp', 'smtp://u:p@mail.example.com:587'),
    });
    expect(config.secrets).toEqual([secret, `${secret} two`]);
    expect(parseDatabaseUrl(config.databaseUrl ?? '').password).toBe(' p@ss ');
    expect(config.mail.smtpUrl).toBe('smtp://u:p@mail.example.com:587');
  });

  test('goes for every secret setting, and for no other', () => {
    const one = file('any', secret);
    for (const { variable, secret: isSecret } of settingsOf()) {
      const both = { [variable]: secret, [`${variable}_FILE`]: one };
      const said = mistakes(both).filter((line) => line.startsWith(`${variable}_FILE: `));
      expect(said, variable).toHaveLength(isSecret ? 1 : 0);
    }
  });

  test('that cannot be read, or is empty, is a mistake that names the file and not the secret', () => {
    const missing = join(folder, 'missing');
    const [line] = mistakes({ SYMBOLON_SECRET_FILE: missing });
    expect(line).toContain(`SYMBOLON_SECRET_FILE: got "${missing}", wants a file with the value`);
    expect(mistakes({ SYMBOLON_SECRET_FILE: file('empty', '\n') })[0]).toContain('it is empty');
    const [short = ''] = mistakes({ SYMBOLON_SECRET_FILE: file('short', 'hunter2') });
    expect(short).toContain('a value of 7 bytes (not shown)');
    const both = { SYMBOLON_SECRET: secret, SYMBOLON_SECRET_FILE: file('other', secret) };
    expect(mistakes(both)[0]).toContain('SYMBOLON_SECRET is set as well');
    expect(mistakes(both)[0]).not.toContain(secret);
  });
});

describe('DATABASE_PASSWORD', () => {
  const passwordOf = (DATABASE_URL: string, DATABASE_PASSWORD: string) =>
    parseDatabaseUrl(
      readConfig({ DATABASE_URL, DATABASE_PASSWORD, SYMBOLON_SECRET: secret }).databaseUrl ?? '',
    ).password;

  test.each(['plain', `@:/?#[]&=%+ '"\\$\`é`, '%40', '100%', '$HOME', '{"a":1}'])(
    'is taken as it is: %s',
    (password) => {
      for (const one of [url, `${url}?schema=x`, 'postgresql://symbolon@a:1,b:2/symbolon'])
        expect(passwordOf(one, password)).toBe(password);
    },
  );

  test('is refused beside a password in the URL, and without a URL', () => {
    const DATABASE_PASSWORD = 'hunter2';
    const twice = { DATABASE_URL: 'postgresql://u:other@db/x', SYMBOLON_SECRET: secret };
    for (const environment of [{ DATABASE_PASSWORD }, { ...twice, DATABASE_PASSWORD }]) {
      const [line = ''] = mistakes(environment);
      expect(line).toMatch(/^DATABASE_PASSWORD: got a value \(not shown\), wants nothing, since /);
      expect(line).not.toContain('hunter2');
    }
  });
});
