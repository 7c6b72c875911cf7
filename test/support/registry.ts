// A registry of npm packages on loopback, of what the checkout has installed: for installing the project's own package with
// the very versions of the lock file, and without a network.
import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { type IncomingMessage, type ServerResponse, createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { basename, dirname, join } from 'node:path';
import { once } from 'node:events';

/** An entry of a lock file, which has what npm asks of a package before it installs it. */
interface Locked {
  readonly version: string;
  readonly link?: boolean;
}

export interface Registry {
  readonly url: string;
  /** The names of the packages that were fetched. */
  readonly fetched: readonly string[];
  close(): Promise<void>;
}

/** @param root the checkout */
export async function startRegistry(root: string): Promise<Registry> {
  const { packages } = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')) as {
    packages: Record<string, Locked>;
  };
  const paths = Map.groupBy(
    Object.keys(packages).filter((path) => path.includes('node_modules/') && !packages[path]?.link),
    (path) => path.replace(/^.*node_modules\//, ''),
  );
  const fetched: string[] = [];
  const server = createServer(answer);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  return {
    url,
    fetched,
    async close() {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };

  function answer(request: IncomingMessage, response: ServerResponse): void {
    const [path = '', wanted] = decodeURIComponent(request.url ?? '')
      .slice(1)
      .split('?tarball=');
    if (wanted !== undefined && path in packages) {
      fetched.push(path.replace(/^.*node_modules\//, ''));
      pack(join(root, path)).pipe(response);
      return;
    }
    const versions = paths.get(path)?.map((place) => {
      const { version, ...rest } = packages[place] as Locked;
      return {
        ...rest,
        name: path,
        version,
        dist: { tarball: `${url}${place}?tarball=${version}` },
      };
    });
    if (!versions) response.writeHead(404).end('{}');
    else
      response.setHeader('Content-Type', 'application/json').end(
        JSON.stringify({
          name: path,
          'dist-tags': { latest: versions.at(-1)?.version },
          versions: Object.fromEntries(versions.map((one) => [one.version, one])),
        }),
      );
  }
}

/** The package in a folder as a tarball, without what is installed below it. */
function pack(folder: string): NodeJS.ReadableStream {
  if (!existsSync(folder)) throw new Error(`${folder} is not installed`);
  const name = basename(folder);
  const tar = spawn('tar', [
    ...['--create', '--directory', dirname(folder)],
    ...[`--exclude=${name}/node_modules`, `--transform=s,^${name},package,`, name],
  ]);
  return tar.stdout;
}
