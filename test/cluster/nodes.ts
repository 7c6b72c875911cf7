// Three machines in small: each a network namespace on one bridge, with a process namespace for Patroni and PostgreSQL,
// and an etcd. Needs root, and Debian's programs; installs nothing.
import { type ChildProcess, execFile, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  accessSync,
  chownSync,
  constants,
  mkdirSync,
  openSync,
  readFileSync,
  readdirSync,
  readlinkSync,
} from 'node:fs';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);
const settings = fileURLToPath(new URL('../../deploy/cluster/', import.meta.url));
const PATH = `${process.env['PATH'] ?? ''}${delimiter}/usr/sbin${delimiter}/sbin`;
const HOME = '/usr/lib/postgresql';

const packages = {
  etcd: 'etcd-server',
  haproxy: 'haproxy',
  ip: 'iproute2',
  unshare: 'util-linux',
  setpriv: 'util-linux',
};

/** What is not there, in sentences. */
export function missing(): string[] {
  const isThere = (file: string) => {
    try {
      accessSync(file, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  };
  const isInPath = (program: string) =>
    PATH.split(delimiter).some((folder) => isThere(join(folder, program)));
  const found = Object.entries(packages)
    .filter(([program]) => !isInPath(program))
    .map(
      ([program, name]) => `The program ${program} is missing: Debian's package ${name} has it.`,
    );
  if (!programs())
    found.push(`PostgreSQL is missing in ${HOME}: Debian's package postgresql has it.`);
  if (!isInPath('patronictl') || patroniVersion() < 4)
    found.push(
      'Patroni is missing, or older than 4: docs/cluster.md tells how to install it. It must come first in the PATH.',
    );
  if (process.getuid?.() !== 0)
    found.push('This makes network namespaces and processes of several users: run it as root.');
  return found;
}

/** The first number of Patroni's version. */
function patroniVersion(): number {
  const told = execFileSync('patroni', ['--version'], { encoding: 'utf8', env: { PATH } });
  return Number(/\d+/.exec(told)?.[0]);
}

function programs(): string | undefined {
  try {
    return readdirSync(HOME)
      .sort((a, b) => Number(b) - Number(a))
      .map((version) => join(HOME, version, 'bin'))[0];
  } catch {
    return undefined;
  }
}

export const passwords = {
  postgres: 'postgres of the test',
  replicator: 'replicator of the test',
  symbolon: 'symbolon-of-the-test',
};

export interface Member {
  readonly name: string;
  readonly role: string;
  readonly state: string;
  readonly lag: number | string | undefined;
}

export class Node {
  readonly name: string;
  readonly address: string;
  readonly #number: number;
  readonly #folder: string;
  #etcd: ChildProcess | undefined;
  #patroni: ChildProcess | undefined;

  constructor(number: number, folder: string) {
    this.name = `node${number}`;
    this.address = `10.77.0.${10 + number}`;
    this.#number = number;
    this.#folder = join(folder, this.name);
    mkdirSync(this.#folder, { mode: 0o755 });
    const [uid, gid] = ['-u', '-g'].map((flag) =>
      Number(execFileSync('id', [flag, 'postgres'], { encoding: 'utf8' })),
    );
    chownSync(this.#folder, uid ?? 0, gid ?? 0);
  }

  /** Where Patroni and etcd write what they do. */
  log = (program: string): string => join(this.#folder, `${program}.log`);

  async startNetwork(): Promise<void> {
    const [link, inside] = [`symcl${this.#number}`, `eth0`];
    await ip(`netns add ${this.#namespace}`);
    await ip(`link add ${link} type veth peer name ${inside} netns ${this.#namespace}`);
    await ip(`link set ${link} master symcl addrgenmode none up`);
    await ip(`-n ${this.#namespace} addr add ${this.address}/24 dev ${inside}`);
    await ip(`-n ${this.#namespace} link set ${inside} up`);
    await ip(`-n ${this.#namespace} link set lo up`);
  }

  startEtcd(all: readonly Node[]): void {
    const members = all.map(({ name, address }) => `${name}=http://${address}:2380`).join(',');
    this.#etcd = this.#spawn('etcd', [
      'etcd',
      ...['--name', this.name, '--data-dir', join(this.#folder, 'etcd')],
      ...['--listen-peer-urls', `http://${this.address}:2380`],
      ...['--initial-advertise-peer-urls', `http://${this.address}:2380`],
      ...['--listen-client-urls', `http://${this.address}:2379,http://127.0.0.1:2379`],
      ...['--advertise-client-urls', `http://${this.address}:2379`],
      ...['--initial-cluster', members, '--initial-cluster-state', 'new'],
      ...['--heartbeat-interval', '200', '--election-timeout', '2000'],
      '--pre-vote', // a member that comes back does not have the others elect anew (docs/cluster.md)
    ]);
  }

  startPatroni(all: readonly Node[]): void {
    const users = ['setpriv', '--reuid=postgres', '--regid=postgres', '--init-groups'];
    // A machine's own sockets: PostgreSQL takes those of another process namespace for left behind, and replaces them.
    const sockets = join(this.#folder, 'sockets');
    this.#patroni = this.#spawn(
      'patroni',
      // Everything in the process namespace ends with its first process, as with a machine.
      ['unshare', '--pid', '--fork', '--mount-proc', 'sh', '-c'].concat([
        'mkdir -p "$0" && chown postgres "$0" && mount --bind "$0" /var/run/postgresql && exec "$@"',
        ...[sockets, ...users, 'patroni', join(settings, 'patroni.yml')],
      ]),
      environmentOf(this, all, this.#folder),
    );
  }

  /** Kills Patroni and PostgreSQL with all their processes, at once. */
  async kill(): Promise<void> {
    const unshare = this.#patroni;
    const first = this.#first();
    if (!unshare || first === undefined) return;
    const gone = once(unshare, 'exit');
    process.kill(first, 'SIGKILL'); // the kernel ends its process namespace
    await gone;
    this.#patroni = undefined;
  }

  /** SIGSTOP or SIGCONT for Patroni and PostgreSQL, and every process of theirs. */
  signal(signal: 'SIGSTOP' | 'SIGCONT'): void {
    for (const pid of this.#processes()) process.kill(pid, signal);
  }

  /** Cuts the node off from everything, or lets it back. */
  async cut(isCut: boolean): Promise<void> {
    await ip(`link set symcl${this.#number} ${isCut ? 'down' : 'up'}`);
  }

  /** Cuts the node off from the others; who asks the database still reaches it. Nothing is refused, it is lost. */
  async cutFrom(others: readonly Node[], isCut: boolean): Promise<void> {
    const nowhere = 'lladdr 02:00:00:00:00:01 nud permanent';
    const change = (at: Node, to: Node) =>
      ip(
        `-n ${at.#namespace} neigh ${isCut ? `replace ${to.address} ${nowhere}` : `del ${to.address}`} dev eth0`,
      );
    for (const other of others) await Promise.all([change(this, other), change(other, this)]);
  }

  async stop(): Promise<void> {
    this.signal('SIGCONT');
    await this.kill();
    this.#etcd?.kill('SIGKILL');
    await ip(`netns del ${this.#namespace}`).catch(() => undefined);
  }

  get #namespace(): string {
    return namespaceOf(this.#number);
  }

  /** Everything in its process namespace, seen from outside. */
  #processes(): number[] {
    const first = this.#first();
    const space = first === undefined ? undefined : spaceOf(first);
    return space === undefined ? [] : pids().filter((pid) => spaceOf(pid) === space);
  }

  /** The first process of its process namespace: Patroni's, the child of unshare. */
  #first(): number | undefined {
    const unshare = this.#patroni?.pid;
    return pids().find((pid) => parentOf(pid) === unshare);
  }

  #spawn(log: string, command: readonly string[], environment: object = {}): ChildProcess {
    const file = openSync(this.log(log), 'a');
    return spawn('ip', ['netns', 'exec', this.#namespace, ...command], {
      cwd: this.#folder,
      env: { PATH, LC_ALL: 'C.UTF-8', ...environment },
      stdio: ['ignore', file, file],
    });
  }
}

/** The names are the machine's, and another run may be ending. */
const namespaceOf = (number: number): string => `symbolon-cluster-${process.pid}-${number}`;

/** What Patroni is told besides its file. */
function environmentOf(node: Node, all: readonly Node[], folder: string): NodeJS.ProcessEnv {
  return {
    PATRONI_NAME: node.name,
    PATRONI_ETCD3_HOSTS: all.map(({ address }) => `${address}:2379`).join(','),
    PATRONI_RESTAPI_CONNECT_ADDRESS: `${node.address}:8008`,
    PATRONI_POSTGRESQL_CONNECT_ADDRESS: `${node.address}:5432`,
    PATRONI_POSTGRESQL_DATA_DIR: join(folder, 'data'),
    PATRONI_POSTGRESQL_BIN_DIR: programs(),
    PATRONI_POSTGRESQL_PGPASS: join(folder, 'pgpass'),
    PATRONI_SUPERUSER_USERNAME: 'postgres',
    PATRONI_SUPERUSER_PASSWORD: passwords.postgres,
    PATRONI_REPLICATION_USERNAME: 'replicator',
    PATRONI_REPLICATION_PASSWORD: passwords.replicator,
  };
}

/** A cluster of three nodes that no Patroni runs on yet, with HAProxy on 127.0.0.1:5000. */
export async function startNodes(folder: string): Promise<readonly Node[]> {
  await removeNetwork();
  await ip('link add symcl type bridge');
  await ip('addr add 10.77.0.1/24 dev symcl');
  // Where IPv6 is all that a machine has but its loopback, getaddrinfo finds no 127.0.0.1.
  await ip('link set symcl addrgenmode none up');
  const nodes = [1, 2, 3].map((number) => new Node(number, folder));
  for (const node of nodes) await node.startNetwork();
  for (const node of nodes) node.startEtcd(nodes);
  return nodes;
}

export function startHaproxy(folder: string): ChildProcess {
  const log = openSync(join(folder, 'haproxy.log'), 'a');
  return spawn('haproxy', ['-db', '-f', join(settings, 'haproxy.cfg')], {
    env: { PATH },
    stdio: ['ignore', log, log],
  });
}

export async function removeNetwork(): Promise<void> {
  for (const number of [1, 2, 3]) {
    await ip(`link del symcl${number}`).catch(() => undefined);
    await ip(`netns del ${namespaceOf(number)}`).catch(() => undefined);
  }
  await ip('link del symcl').catch(() => undefined);
}

/** The members, as a node's Patroni knows them. */
export async function membersAt(node: Node): Promise<Member[]> {
  const response = await fetch(`http://${node.address}:8008/cluster`, {
    signal: AbortSignal.timeout(2_000),
  });
  return ((await response.json()) as { members: Member[] }).members;
}

/** Changes the settings of the whole cluster. */
export async function configure(node: Node, changes: object): Promise<void> {
  const response = await fetch(`http://${node.address}:8008/config`, {
    method: 'PATCH',
    body: JSON.stringify(changes),
  });
  if (!response.ok) throw new Error(`Patroni: ${response.status} ${await response.text()}`);
}

/** patronictl switchover to any standby that will do. */
export async function switchOver(from: Node, all: readonly Node[], folder: string): Promise<void> {
  const file = join(settings, 'patroni.yml');
  const args = ['-c', file, 'switchover', '--primary', from.name, '--force', 'symbolon'];
  const environment = environmentOf(from, all, folder);
  await run('patronictl', args, { env: { PATH, LC_ALL: 'C.UTF-8', ...environment } });
}

const ip = (args: string): Promise<unknown> =>
  run('ip', args.split(' '), { env: { PATH } }).catch((cause: unknown) => {
    throw new Error(`ip ${args}: ${(cause as { stderr?: string }).stderr ?? ''}`, { cause });
  });

const pids = (): number[] =>
  readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number);

function spaceOf(pid: number): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/ns/pid`);
  } catch {
    return undefined;
  }
}

function parentOf(pid: number): number | undefined {
  try {
    return Number(readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ').at(-1)?.split(' ')[1]);
  } catch {
    return undefined;
  }
}
