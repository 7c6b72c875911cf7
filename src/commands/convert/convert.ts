// symbolon convert: turns what another provider exports into files for `symbolon user import` and `symbolon apply`. The
// installation is asked for its claims only, and nothing but these files is written: whole, or not at all.
import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { Command } from 'commander';
import type { ClaimsConfig } from '../../config/claims.ts';
import { claimsOf } from '../../storage/claims-policy.ts';
import { CommandError, asJson, complain, print, withStorage } from '../run.ts';
import { convertAuth0 } from './auth0.ts';
import { convertKeycloak } from './keycloak.ts';
import { type Conversion, type Source, readSources } from './source.ts';

interface Options {
  readonly output: string;
  readonly json?: boolean;
}

export function addConvertCommands(convert: Command): void {
  const add = (
    name: string,
    what: string,
    read: (sources: readonly Source[], claims: ClaimsConfig) => Conversion,
  ) =>
    convert
      .command(name)
      .description(what)
      .argument('<file...>', 'exported files, or folders of them')
      .requiredOption('--output <folder>', 'a new folder, for people.jsonl and clients.json')
      .option(...asJson)
      .action((files: string[], { output, json }: Options) =>
        withStorage(async (parts) => {
          const conversion = read(await readSources(files), claimsOf(parts));
          await write(resolve(output), conversion);
          const { people, clients, groups, remarks } = conversion;
          for (const { file, line, text } of remarks) complain(`${file}:${line}: ${text}`);
          const counts = { people: people.length, clients: clients.length, groups: groups.length };
          const wrote = `Wrote ${output}: ${counts.people} people, ${counts.clients} clients, ${counts.groups} groups.`;
          const rest =
            remarks.length === 0
              ? 'Everything was taken.'
              : `What is not taken, or not as it was, is told above with its line: ${remarks.length}.`;
          print(json, { ...counts, remarks }, `${wrote} ${rest}`);
          if (remarks.length > 0) process.exitCode = 1;
        }),
      );
  add('keycloak', 'a realm of Keycloak, as kc.sh export writes it', convertKeycloak);
  add('auth0', 'users, password hashes and applications of Auth0', convertAuth0);
}

/** Writes a folder that only this user may read: it has hashes and secrets. */
async function write(folder: string, { people, clients, groups }: Conversion): Promise<void> {
  const begun = `${folder}.${process.pid}`;
  const file = (name: string, text: string) =>
    writeFile(join(begun, name), text, { mode: 0o600, flag: 'wx' });
  const cannot = (error: unknown) =>
    new CommandError(
      `--output: ${folder} cannot be made (${(error as Error).message}). It must not be there yet, or be empty.`,
    );
  // Not one that somebody else has made.
  await mkdir(begun, { mode: 0o700 }).catch((error: unknown) => {
    throw cannot(error);
  });
  try {
    await mkdir(join(begun, 'secrets'), { mode: 0o700 });
    await file('people.jsonl', people.map((person) => `${JSON.stringify(person)}\n`).join(''));
    const listed = [];
    for (const { client_secret: secret, ...client } of clients) {
      const name = `secrets/${encodeURIComponent(client.client_id)}`;
      if (typeof secret === 'string') await file(name, `${secret}\n`);
      listed.push(secret === undefined ? client : { ...client, client_secret: { file: name } });
    }
    await file('clients.json', `${JSON.stringify({ groups, clients: listed }, null, 2)}\n`);
    await rename(begun, folder);
  } catch (error) {
    await rm(begun, { recursive: true, force: true });
    throw cannot(error);
  }
}
