// Statements for many requests at once: each parameter is an array with an element for each of them, and is said once -
// its name, its type, where it comes from - which makes its place in the SQL, its alias and its values. What is read of
// a table is said once likewise, which makes the SELECT list and the object.
import type { Pool } from 'pg';
import { type Types, binaryArray } from './binary-arrays.ts';

/** A parameter: its type, and its value for one of the requests. */
export type Parameter<Item> = {
  [T in keyof Types]: readonly [type: T, of: (item: Item) => Types[T] | null | undefined];
}[keyof Types];

/** A row as the driver gives it: columns by their names in the statement. */
export type Row = Record<string, unknown>;

export interface Statement<Item> {
  /** Runs it for all of these. @returns its rows; `n` tells for which of the items one is, from 1 */
  readonly run: (pool: Pool, items: readonly Item[]) => Promise<Row[]>;
}

/**
 * A statement that is prepared under its name. It is planned once, perhaps while the tables are empty, and the plan
 * must hold when they are large: so ids that are parameters bound what is looked at (`id = ANY (…)`), and what belongs
 * to a row is looked up by its id ({@link lookUp}).
 *
 * @param sql gets the rows of parameters as `asked`, with their number `n`, to be put behind FROM, and each parameter
 * by its name, as the array that it is
 */
export function statement<Item, Name extends string>(
  name: string,
  parameters: Readonly<Record<Name, Parameter<Item>>>,
  sql: (asked: string, parameter: Readonly<Record<Name, string>>) => string,
): Statement<Item> {
  const all = Object.entries<Parameter<Item>>(parameters);
  const places = all.map(([, [type]], index) => `$${index + 1}::${type}[]`);
  const names = all.map(([column]) => column);
  const asked = `unnest(${places.join(', ')}) WITH ORDINALITY AS asked (${names.join(', ')}, n)`;
  const byName = Object.fromEntries(names.map((column, index) => [column, places[index]]));
  const text = sql(asked, byName as Record<Name, string>);
  return {
    async run(pool, items) {
      const values = all.map(([, parameter]) => valuesOf(parameter, items));
      return (await pool.query<Row>({ name, text, values })).rows;
    },
  };
}

function valuesOf<Item, T extends keyof Types>(
  [type, of]: readonly [T, (item: Item) => Types[T] | null | undefined],
  items: readonly Item[],
): Buffer {
  return binaryArray(type, items.map(of));
}

/** For each of the items, the row that answers it. @param number the column that has the item's number */
export function byItem(
  rows: readonly Row[],
  items: readonly unknown[],
  number = 'n',
): (Row | undefined)[] {
  const answers = new Array<Row | undefined>(items.length).fill(undefined);
  for (const row of rows) answers[Number(row[number]) - 1] = row;
  return answers;
}

/** Joins a row by its id: a look-up for each, which OFFSET 0 keeps one. */
export function lookUp(table: string, alias: string, id: string): string {
  return `LEFT JOIN LATERAL (SELECT * FROM ${table} WHERE id = ${id} OFFSET 0) ${alias} ON true`;
}

/** What is read of a table: the names of an object's members, and the columns that they come from. */
export interface Columns<T> {
  /** The SELECT list. @param alias the table's in the statement */
  readonly of: (alias: string) => string;
  /** The object; undefined when nothing was joined. */
  readonly pick: (row: Row) => T | undefined;
}

/** @param prefix under which the columns stand in the rows; `id` must be among them */
export function columns<T extends { readonly id: unknown }>(
  prefix: string,
  names: Readonly<Record<keyof T, string>>,
): Columns<T> {
  const all = Object.entries<string>(names).map(([member, column]) => ({
    member,
    column,
    as: `${prefix}.${member}`,
  }));
  return {
    of: (alias) => all.map(({ column, as }) => `${alias}.${column} AS "${as}"`).join(', '),
    pick(row) {
      if (row[`${prefix}.id`] === null) return undefined;
      const picked: Row = {};
      for (const { member, as } of all) picked[member] = row[as];
      return picked as unknown as T;
    },
  };
}
