// A database of its own for a test file, made from the migrated template.
import { randomBytes } from 'node:crypto';
import pg from 'pg';
import { inject } from 'vitest';

export interface TestDatabase {
  readonly url: string;
  drop(): Promise<void>;
}

/** @param template and more of CREATE DATABASE */
export async function createDatabase(template = 'template_symbolon'): Promise<TestDatabase> {
  const name = `test_${randomBytes(6).toString('hex')}`;
  await asAdmin(`CREATE DATABASE ${name} TEMPLATE ${template}`);
  const url = new URL(inject('postgres'));
  url.pathname = `/${name}`;
  return { url: url.href, drop: () => asAdmin(`DROP DATABASE ${name} WITH (FORCE)`) };
}

/** A role of its own with a database of its own, empty. @param settings the role's, as SQL */
export async function createRole(
  settings: Readonly<Record<string, string>> = {},
): Promise<TestDatabase & { readonly role: string }> {
  const role = `role_${randomBytes(6).toString('hex')}`;
  await asAdmin(`CREATE ROLE ${role} LOGIN PASSWORD 'its password'`);
  await asAdmin(`CREATE DATABASE ${role} OWNER ${role}`);
  for (const [name, value] of Object.entries(settings))
    await asAdmin(`ALTER ROLE ${role} SET ${name} = ${value}`);
  const url = new URL(inject('postgres'));
  url.pathname = `/${role}`;
  url.username = role;
  url.password = 'its password';
  return {
    role,
    url: url.href,
    async drop() {
      await asAdmin(`DROP DATABASE ${role} WITH (FORCE)`);
      await asAdmin(`DROP ROLE ${role}`);
    },
  };
}

/** Runs SQL as the superuser of the tests' PostgreSQL. */
export async function asAdmin(sql: string): Promise<void> {
  const admin = new pg.Client({ connectionString: inject('postgres') });
  await admin.connect();
  // Two files at once cannot copy the template: they take turns.
  await admin.query('SELECT pg_advisory_lock(1)');
  try {
    await admin.query(sql);
  } finally {
    await admin.end();
  }
}
