// Names that strangers choose, of applications, people and passkeys: plain wherever they are shown.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { isBlank, plainName, shortened, visibleName } from '../src/names.ts';
import { presentDetails } from '../src/pages/scopes-view.ts';
import { Party } from './conformance/party.ts';
import { Agent } from './support/agent.ts';
import { type TestProvider, person, startProvider, webClient } from './support/provider.ts';

let provider: TestProvider;
beforeAll(async () => {
  provider = await startProvider();
});
afterAll(() => provider.close());

test('format characters are lost, and lines; joiners stay where a script needs them', () => {
  const formats =
    '\u00ad\u061c\u200b\u200c\u200d\u200e\u202a\u202e\u2060\u2066\u2069\ufeff\u{e0041}';
  expect(plainName(`Goo${formats}gle`)).toBe('Google');
  expect(plainName(' \u0000One\r\n\u2028two\t\u00a0three\u0085')).toBe('One two three');
  expect(plainName('علی\u200cرضا')).toBe('علی\u200cرضا');
  expect(plainName('श्री\u200d')).toBe('श्री\u200d');
  expect(plainName('\u202eعلی\u200c\u200cرضا')).toBe('علی\u200cرضا');
});

test('nothing covers other words, and nothing that cannot be seen is kept', () => {
  expect(plainName(`Google${'\u0335'.repeat(80)}`)).toBe(`Google${'\u0335'.repeat(3)}`);
  expect(plainName('\u0301\u0301Ada \u0301Lovelace')).toBe('Ada Lovelace');
  expect(plainName('Goo\u034fg\u3164l\ufe0fe\u{e0100}\u115f\u17b4\uffa0')).toBe('Google');
  // Whole, as people write them.
  for (const name of ['Nguyễn Thị Hồng', 'مُحَمَّدٌ', 'हिन्दी', 'ผู้ใหญ่', 'שַׁבָּ֖ת', '☀️ Sun', 'Zoë'])
    expect(plainName(name.normalize('NFD')).normalize('NFC')).toBe(name.normalize('NFC'));
});

test('a name of which nothing can be seen is none', () => {
  for (const name of [
    '',
    ' ',
    '\u200b\u202e',
    '\u3164',
    '\u115f\u1160',
    '\u2800',
    '\ufe0f',
    '\u0301\u0301',
  ])
    expect([isBlank(name), visibleName(name)]).toEqual([true, '']);
  expect(visibleName(' ‮x ')).toBe('x');
});

test('a name is no longer than a hundred characters', () => {
  expect(shortened('😀'.repeat(100))).toBe('😀'.repeat(100));
  expect(Array.from(shortened('😀'.repeat(101)))).toHaveLength(100);
});

test('what an application asks for in detail cannot turn the words around it', () => {
  const details = JSON.stringify([{ type: 'pay\u202ement', 'a\u202emount': ['1\u202e00'] }]);
  expect(presentDetails(details)).toEqual([{ type: 'payment', lines: [['amount', '100']] }]);
});

test('a person’s own name', async () => {
  const agent = new Agent(provider.issuer);
  const page = await agent.open(`${provider.issuer}/account`);
  const account = await agent.submit(page, { email: person.email, password: person.password });
  await agent.submit(account, { name: ' \u202eAda\n Love\u200blace ' }, /account\/name$/);
  const where = { id: provider.accountId };
  const { name } = await provider.storage.prisma.account.findUniqueOrThrow({ where });
  expect(name).toBe('Ada Lovelace');
});

test('a login hint is shown as an address, or not at all', async () => {
  const party = new Party(provider, webClient);
  await party.authorize();
  const told = async (hint: string) =>
    (await party.agent.open(party.request({ login_hint: hint }))).html.text;
  expect(await told('grace@example.com')).toContain('grace@example.com');
  expect(await told('Your account is locked: call +1 555 0100')).not.toContain('555');
});
