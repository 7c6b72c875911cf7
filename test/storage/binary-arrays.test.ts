// Arrays in binary are the arrays that PostgreSQL reads as text.
import fc from 'fast-check';
import type { Pool } from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { connectPrepared } from '../../src/database/open.ts';
import { binaryArray } from '../../src/storage/fast/binary-arrays.ts';
import { createDatabase } from '../support/database.ts';

let pool: Pool;

beforeAll(async () => {
  pool = connectPrepared((await createDatabase()).url);
});
afterAll(() => pool.end());

const bytes = fc.uint8Array({ maxLength: 300 });
// PostgreSQL keeps no NUL in a text, and no half of a pair.
const text = fc.string({ unit: 'grapheme', maxLength: 50 }).map((some) => some.replace(/\0/g, '0'));
const time = fc.date({
  min: new Date('1900-01-01'),
  max: new Date('9000-01-01'),
  noInvalidDate: true,
});
const columns = {
  bytea: [bytes, (value: Uint8Array) => Buffer.from(value)],
  int4: [fc.integer(), (value: number) => value],
  jsonb: [fc.dictionary(text, text), (value: object) => value],
  text: [text, (value: string) => value],
  timestamptz: [time, (value: Date) => value],
} as const;

for (const type of Object.keys(columns) as (keyof typeof columns)[]) {
  test(`${type}, with NULL among them`, async () => {
    const [some, read] = columns[type];
    const values = fc.array(fc.option<unknown>(some), { minLength: 1, maxLength: 20 });
    await fc.assert(
      fc.asyncProperty(values, async (asked) => {
        const given = asked.map((value) =>
          type === 'jsonb' && value ? JSON.stringify(value) : value,
        );
        const array = binaryArray(type, given as never[]);
        const { rows } = await pool.query<{ value: unknown }>(
          `SELECT value FROM unnest($1::${type}[]) WITH ORDINALITY AS of (value, n) ORDER BY n`,
          [array],
        );
        expect(rows.map(({ value }) => value)).toEqual(
          asked.map((value) => (value === null ? null : read(value as never))),
        );
      }),
    );
  });
}

test('what PostgreSQL cannot keep is told of, and names one item’s fault', async () => {
  for (const [type, value] of [
    ['text', 'a\0b'],
    ['jsonb', '{"a":"\\u0000"}'],
    ['jsonb', '{'],
  ] as const) {
    const asked = pool.query(`SELECT $1::${type}[]`, [binaryArray(type, ['1', value])]);
    await expect(asked).rejects.toMatchObject({ code: expect.stringMatching(/^22/) as string });
  }
});
