// The settings of this process, read from its environment, checked and arranged. This is the only file that reads the
// environment. settings.ts declares the settings.
import { existsSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { withPassword } from './database-url.ts';
import { mailMode } from './mail-mode.ts';
import { rules } from './rules.ts';
import { type Section, type Setting, isSetting, wanted } from './settings/setting.ts';
import { type Values, settings } from './settings.ts';
import { lighter } from './theme.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

type Arranged = ReturnType<typeof arrange>;

/** The configuration of a process: the settings, and values that follow from them. Lifetimes are in seconds. */
export type Config = { readonly [Place in keyof Arranged]: Readonly<Arranged[Place]> };

/** The look of the pages. */
export type Theme = Config['theme'];

/** The environment has values that Symbolon cannot start with. One line per mistake. */
export class ConfigError extends Error {
  readonly mistakes: readonly string[];

  constructor(mistakes: readonly string[]) {
    super(
      `Symbolon cannot start with these settings:\n${mistakes.map((line) => `  ${line}`).join('\n')}`,
    );
    this.name = 'ConfigError';
    this.mistakes = mistakes;
  }
}

/**
 * Reads the settings of this process: its environment, completed by a `.env` file in the working folder.
 *
 * @throws {ConfigError} as {@link readConfig}
 */
export function loadConfig(): Config {
  if (existsSync('.env')) process.loadEnvFile('.env');
  return readConfig(process.env);
}

/** What a variable of this process's environment is set to, for a file that refers to it. */
export function valueOfVariable(name: string): string | undefined {
  return process.env[name] || undefined;
}

/** Whether errors are shown with their stacks. Works even when the settings are wrong. */
export function isDebugging(): boolean {
  return process.env['LOG_LEVEL'] === 'debug';
}

/**
 * Reads the settings from an environment. A variable that is set to an empty string counts as not set. A secret may be in
 * a file, which the variable with `_FILE` at its end names.
 *
 * @param environment names and values, like `process.env`
 * @returns the configuration, complete with defaults
 * @throws {ConfigError} with one line for every variable that is wrong
 */
export function readConfig(environment: Environment): Config {
  const mistakes: string[] = [];
  const values = readSection(settings, environment, mistakes) as Values;
  if (mistakes.length > 0) throw new ConfigError(mistakes);
  const broken = rules.filter(({ when }) => when(values));
  if (broken.length > 0) throw new ConfigError(broken.map(({ mistake }) => mistake(values)));
  return arrange(values);
}

/** The values of a section, in its shape. Mistakes are added to the list. */
function readSection(section: Section, environment: Environment, mistakes: string[]): object {
  const read = (entry: Setting | Section): unknown => {
    if (!isSetting(entry)) return readSection(entry, environment, mistakes);
    const given = givenFor(entry, environment, mistakes);
    if (given === UNREADABLE) return undefined;
    const result = entry.schema.safeParse(given);
    if (result.success) return result.data;
    mistakes.push(
      `${entry.variable}: got ${givenInWords(given, entry)}, wants ${wanted(entry, result.error)}`,
    );
    return undefined;
  };
  return Object.fromEntries(Object.entries(section).map(([place, entry]) => [place, read(entry)]));
}

const UNREADABLE = Symbol('unreadable');

/** What is given for a setting, of a secret also by a file. A mistake with the file is added to the list. */
function givenFor(
  { variable, secret }: Setting,
  environment: Environment,
  mistakes: string[],
): string | undefined | typeof UNREADABLE {
  const own = environment[variable] || undefined;
  const file = secret ? environment[`${variable}_FILE`] || undefined : undefined;
  if (file === undefined) return own;
  try {
    if (own !== undefined) throw new Error(`${variable} is set as well`);
    const text = readFileSync(file, 'utf8').replace(/\r?\n$/, '');
    if (text === '') throw new Error('it is empty');
    return text;
  } catch (error) {
    mistakes.push(
      `${variable}_FILE: got "${file}", wants a file with the value of ${variable} (${(error as Error).message})`,
    );
    return UNREADABLE;
  }
}

function givenInWords(given: string | undefined, setting: Setting): string {
  if (given === undefined) return 'nothing';
  return setting.secret ? `a value of ${Buffer.byteLength(given)} bytes (not shown)` : `"${given}"`;
}

/** The configuration: the values, and what follows from several of them. */
function arrange({ nodeEnv, databasePassword, ...values }: Values) {
  const { databaseUrl, mail, theme, tls, tlsClient } = values;
  const scheme = tls.cert === undefined ? 'http' : 'https';
  const issuer = values.issuer ?? `${scheme}://localhost:${values.port}`;
  const baseUrl = issuer.replace(/\/+$/, '');
  const { light, dark = light === undefined ? undefined : lighter(light) } = theme.accent;
  return {
    ...values,
    /** With its password. */
    databaseUrl:
      databaseUrl === undefined || databasePassword === undefined
        ? databaseUrl
        : withPassword(databaseUrl, databasePassword),
    /** As relying parties compare it: a slash at its end belongs to it. */
    issuer,
    /** The issuer without a slash at its end: what the URLs of pages and endpoints begin with. */
    baseUrl,
    /** The issuer's path without a trailing slash; '' for none. */
    basePath: new URL(baseUrl).pathname.replace(/\/$/, ''),
    dataDir: resolve(values.dataDir),
    mail: {
      ...mail,
      mode: mailMode({ nodeEnv, issuer: values.issuer, mail }),
      from: mail.from ?? `no-reply@${new URL(issuer).hostname}`,
    },
    theme: { ...theme, accent: { light, dark } },
    /** The provider's own TLS listeners: absolute paths of PEM files. */
    tls:
      tls.cert === undefined || tls.key === undefined
        ? undefined
        : { ...tls, cert: tls.cert, key: tls.key },
    /** The headers of the TLS proxy, in lower case. */
    tlsClient:
      tlsClient.certificate === undefined
        ? undefined
        : { ...tlsClient, certificate: tlsClient.certificate },
  };
}
