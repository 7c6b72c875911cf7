// Statements for many requests at once. Each parameter is an array with one element per request. It is declared once,
// with its name, type and source, which gives its place in the SQL, its alias and its values. The columns that are read
// from a table are declared once as well, which gives the SELECT list and the object.
import type { Pool } from 'pg';
import { type Types, binaryArray } from './binary-arrays.ts';

/** A parameter: its type, and how its value is taken from a request. */
export type Parameter<Item> = {
  [T in keyof Types]: readonly [type: T, of: (item: Item) => Types[T] | null | undefined];
}[keyof Types];

/** A row as the driver gives it: columns by their names in the statement. */
export type Row = Record<string, unknown>;

export interface Statement<Item> {
  /** Runs it for all items. @returns its rows; `n` is the number of the item that a row belongs to, from 1 */
  readonly run: (pool: Pool, items: readonly Item[]) => Promise<Row[]>;
}

/**
 * A statement that is prepared under its name. It is planned once, perhaps while the tables are empty, and the plan
 * must be good when they are large: so ids in parameters limit the rows (`id = ANY (…)`), and a row's relations are
 * looked up by id ({@link lookUp}).
 *
 * @param sql gets the table of parameters to be put behind FROM, whose alias is `asked` and whose column `n` numbers
 * the items, and each parameter by its name, as an array
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

/** The row of each item, in their order. @param number the column with the item's number */
export function byItem(
  rows: readonly Row[],
  items: readonly unknown[],
  number = 'n',
): (Row | undefined)[] {
  const answers = new Array<Row | undefined>(items.length).fill(undefined);
  for (const row of rows) answers[Number(row[number]) - 1] = row;
  return answers;
}

/** Joins a row by its id. OFFSET 0 makes the planner look up each row by itself. */
export function lookUp(table: string, alias: string, id: string): string {
  return `LEFT JOIN LATERAL (SELECT * FROM ${table} WHERE id = ${id} OFFSET 0) ${alias} ON true`;
}

/** The columns that are read from a table, and the object that they become. */
export interface Columns<T> {
  /** The SELECT list. @param alias the table's alias in the statement */
  readonly of: (alias: string) => string;
  /** The object; undefined when no row was joined. */
  readonly pick: (row: Row) => T | undefined;
}

/** @param prefix of the columns in the rows; `id` must be among the columns */
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
