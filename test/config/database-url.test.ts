// DATABASE_URL as libpq reads it.
import { describe, expect, test } from 'vitest';
import { readConfig } from '../../src/config/config.ts';
import { hostsInWords, parseDatabaseUrl } from '../../src/config/database-url.ts';

describe('hosts', () => {
  test.each([
    ['postgresql://db.example/x', 'db.example:5432'],
    ['postgres://u:p@db.example:6543/x', 'db.example:6543'],
    ['postgresql:///x', 'localhost:5432'],
    ['postgresql://a:1111,b:2222,c/x', 'a:1111, b:2222, c:5432'],
    ['postgresql://[::1]:1111,[fe80::2]/x', '[::1]:1111, [fe80::2]:5432'],
    ['postgresql://%2Fvar%2Frun%2Fpostgresql/x', '/var/run/postgresql:5432'],
    ['postgresql://u@/x?host=/var/run/postgresql', '/var/run/postgresql:5432'],
    ['postgresql:///x?host=a,b&port=1111,2222', 'a:1111, b:2222'],
    ['postgresql:///x?host=a,b&port=1111', 'a:1111, b:1111'],
  ])('%s is %s', (url, words) => {
    expect(hostsInWords(parseDatabaseUrl(url))).toBe(words);
  });
});

test('user, password and database, percent-encoded or as parameters', () => {
  expect(parseDatabaseUrl('postgresql://a%40b:p%3A%2F%40%25@h/my%20db')).toMatchObject({
    user: 'a@b',
    password: 'p:/@%',
    database: 'my db',
  });
  expect(parseDatabaseUrl('postgresql://u:50%@h/x')).toMatchObject({ password: '50%' });
  expect(parseDatabaseUrl('postgresql://u:a@b:c@h/x')).toMatchObject({ password: 'a@b:c' });
  expect(parseDatabaseUrl('postgresql://h?user=u&password=a+b&dbname=x')).toMatchObject({
    user: 'u',
    password: 'a+b',
    database: 'x',
  });
});

test('of several hosts the one that can be written, unless the URL says otherwise', () => {
  const attributes = (url: string) => parseDatabaseUrl(url).sessionAttributes;
  expect(attributes('postgresql://a/x')).toBe('any');
  expect(attributes('postgresql://a,b/x')).toBe('read-write');
  expect(attributes('postgresql://a,b/x?target_session_attrs=primary')).toBe('primary');
});

test('sslmode: as given; prefer without; system authorities mean verify-full', () => {
  const mode = (query: string) => parseDatabaseUrl(`postgresql://h/x${query}`).sslMode;
  expect(mode('')).toBe('prefer');
  for (const given of ['disable', 'allow', 'prefer', 'require', 'verify-full'])
    expect(mode(`?sslmode=${given}`)).toBe(given);
  expect(mode('?sslmode=verify-ca&sslrootcert=ca.pem')).toBe('verify-ca');
  expect(mode('?sslrootcert=system')).toBe('verify-full');
  expect(mode('?ssl=true')).toBe('verify-full');
  expect(mode('?sslmode=no-verify')).toBe('require');
});

test.each([
  ['mysql://u:hush@h/x', 'postgresql://'],
  ['h:5432/x', 'postgresql://'],
  ['postgresql://u:hush@h:port/x', 'host:5432'],
  ['postgresql://u:hush@h:70000/x', 'port'],
  ['postgresql://u:hush@h/x?sslmode=maybe', 'sslmode'],
  ['postgresql://u:hush@h/x?sslmode=verify-ca', 'sslrootcert'],
  ['postgresql://u:hush@h/x?sslmode=require&sslrootcert=system', 'verify-full'],
  ['postgresql://u:hush@h/x?target_session_attrs=standby', 'target_session_attrs'],
  ['postgresql://u:hush@h/x?connect_timeout=soon', 'connect_timeout'],
])('%s stops the start, which says what is wanted, but not the password', (url, wanted) => {
  const start = () => readConfig({ DATABASE_URL: url, SYMBOLON_SECRET: 'x'.repeat(32) });
  expect(start).toThrow(new RegExp(`DATABASE_URL: .*wants .*${wanted}`));
  expect(start).not.toThrow(/hush/);
});
