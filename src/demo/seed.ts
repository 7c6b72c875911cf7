// The person and the client of the demo, made with the project's own command line unless they exist already.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { type Environment, cli } from './provider-process.ts';

// Known to everybody who reads this: for a provider that only this machine can reach, and nowhere else.
export const DEMO_ONLY_PERSON = {
  email: 'ada@example.com',
  name: 'Ada Lovelace',
  password: 'two halves match',
} as const;
export const DEMO_ONLY_CLIENT_SECRET = 'demo-only-secret-that-is-printed-in-the-source';

export async function seedPerson(environment: Environment): Promise<void> {
  const { email, name, password } = DEMO_ONLY_PERSON;
  await run(environment, ['migrate']); // only this and the provider's start make tables
  if (await succeeds(environment, ['user', 'show', email, '--json'])) return;
  await run(environment, ['user', 'add', email, '--name', name, '--password-stdin'], password);
}

/** @param url the relying party's, with no slash at the end */
export async function seedClient(
  environment: Environment,
  clientId: string,
  url: string,
): Promise<void> {
  if (await succeeds(environment, ['client', 'show', clientId, '--json'])) return;
  const folder = await mkdtemp(join(tmpdir(), 'symbolon-demo-'));
  const metadata = join(folder, 'metadata.json');
  try {
    await writeFile(metadata, JSON.stringify({ post_logout_redirect_uris: [`${url}/`] }));
    const options = {
      '--redirect-uri': `${url}/callback`,
      '--name': 'Symbolon demo',
      '--metadata': metadata,
    };
    const grants = ['authorization_code', 'refresh_token'].flatMap((grant) => ['--grant', grant]);
    await run(
      environment,
      ['client', 'add', clientId, ...Object.entries(options).flat(), ...grants, '--secret-stdin'],
      DEMO_ONLY_CLIENT_SECRET,
    );
  } finally {
    await rm(folder, { recursive: true });
  }
}

async function succeeds(environment: Environment, args: string[]): Promise<boolean> {
  return (await symbolon(environment, args)).code === 0;
}

async function run(environment: Environment, args: string[], input = ''): Promise<void> {
  const { code, output } = await symbolon(environment, args, input);
  if (code !== 0) throw new Error(`symbolon ${args.join(' ')} failed:\n${output}`);
}

async function symbolon(
  environment: Environment,
  args: string[],
  input = '',
): Promise<{ code: number | null; output: string }> {
  const child = spawn(process.execPath, [cli(), ...args], { env: environment, stdio: 'pipe' });
  child.stdin.on('error', () => undefined); // it may end without reading
  child.stdin.end(input);
  const [out, err, [code]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, 'close') as Promise<[number | null]>,
  ]);
  return { code, output: `${err}${out}`.trim() };
}
