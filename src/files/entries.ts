// What files may say, read into entries, each with its place. Their members are the registration's own (RFC 7591 §2),
// those of `resource show --json`, and those of SYMBOLON_CLAIMS_FILE.
import { z } from 'zod';
import { groupNameProblem } from '../accounts/groups.ts';
import type { ClientMetadata } from '../storage/clients.ts';
import { type ResourceInput, resourceInput } from '../storage/resources.ts';
import { type GivenSecrets, readSecrets } from './secrets.ts';
import type { Path, Problem, Source } from './source.ts';

/** Something that a file describes. */
export interface Entry<T> {
  readonly id: string;
  readonly value: T;
  /** A problem with it, or with a member of it. */
  readonly problem: (message: string, ...path: Path) => Problem;
}

export interface ClientEntry {
  /** As the file has it, null standing for removed; without its secret. */
  readonly metadata: ClientMetadata;
  /** Not set: the file says nothing of secrets. */
  readonly secrets: GivenSecrets | undefined;
}

export interface GroupEntry {
  readonly description: string | null;
}

/** What all files say. */
export interface Entries {
  readonly clients: readonly Entry<ClientEntry>[];
  readonly resources: readonly Entry<ResourceInput>[];
  readonly groups: readonly Entry<GroupEntry>[];
  readonly scopes: readonly Entry<object>[];
  /** Which claims are in ID tokens, and in access tokens. */
  readonly claims: Entry<{ id_token?: string[]; access_token?: string[] }> | undefined;
}

const shapes = {
  groups: z.array(z.looseObject({})),
  scopes: z.record(z.string(), z.looseObject({})),
  claims: z.looseObject({}),
  resources: z.array(z.looseObject({})),
  clients: z.array(z.looseObject({})),
};
const sections = Object.keys(shapes);

const group = z.strictObject({
  name: z.string(),
  description: z.string().max(1000).nullable().default(null),
});
const resource = z
  .strictObject({ ...resourceInput.shape, resource: resourceInput.shape.id })
  .omit({ id: true })
  .partial({ scopes: true, format: true });
const claims = z.strictObject({
  id_token: z.array(z.string()).optional(),
  access_token: z.array(z.string()).optional(),
});

/** A place in a file. */
interface Place {
  readonly file: string;
  readonly problem: Entry<unknown>['problem'];
  /** Where problems go. */
  readonly problems: Problem[];
}

/** Reads what files say. Whatever is wrong is added to the problems, and left out. */
export async function readEntries(
  sources: readonly Source[],
  problems: Problem[],
): Promise<Entries> {
  const read = {
    clients: [] as Entry<ClientEntry>[],
    resources: [] as Entry<ResourceInput>[],
    groups: [] as Entry<GroupEntry>[],
    scopes: [] as Entry<object>[],
    claims: [] as Entry<z.output<typeof claims>>[],
  };
  for (const source of sources) {
    const at = placesIn(source, problems);
    const { groups = [], scopes = {}, resources = [], clients = [], ...rest } = shaped(source, at);
    groups.forEach((one, index) => read.groups.push(...readGroup(one, at('groups', index))));
    for (const [id, value] of Object.entries(scopes))
      read.scopes.push({ id, value, problem: at('scopes', id).problem });
    if (rest.claims) {
      const place = at('claims');
      const entry = (value: z.output<typeof claims>) => ({
        id: 'claims',
        value,
        problem: place.problem,
      });
      read.claims.push(...checked(claims, rest.claims, 'claims', place).map(entry));
    }
    resources.forEach((one, index) =>
      read.resources.push(...readResource(one, at('resources', index))),
    );
    for (const [index, one] of clients.entries())
      read.clients.push(...(await readClient(one, at('clients', index))));
  }
  for (const [section, entries] of Object.entries(read)) refuseTwice(section, entries, problems);
  return { ...read, claims: read.claims[0] };
}

function placesIn({ file, lineOf }: Source, problems: Problem[]) {
  return (...path: Path): Place => ({
    ...{ file, problems },
    problem: (message, ...more) => ({ file, line: lineOf([...path, ...more]), message }),
  });
}

type Shaped = { [Section in keyof typeof shapes]?: z.output<(typeof shapes)[Section]> };

/** The sections of a file that have their shape. */
function shaped({ value = {} }: Source, at: (...path: Path) => Place): Shaped {
  const { problem, problems } = at();
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    problems.push(problem(`wants ${inWords(sections)}`));
    return {};
  }
  const kept = Object.entries(value).filter(([section, content]) => {
    const schema = Object.hasOwn(shapes, section)
      ? shapes[section as keyof typeof shapes]
      : undefined;
    if (!schema) problems.push(problem(unknown(section, sections), section));
    // A section of which only the name is there says nothing.
    return (
      schema &&
      content !== null &&
      checked<unknown>(schema, content, section, at(section)).length > 0
    );
  });
  return Object.fromEntries(kept);
}

function readGroup(value: object, place: Place): Entry<GroupEntry>[] {
  return checked(group, value, 'group', place).flatMap(({ name: id, description }) => {
    const { problem, problems } = place;
    const why = groupNameProblem(id);
    if (why === undefined) return { id, value: { description }, problem };
    problems.push(problem(why, 'name'));
    return [];
  });
}

function readResource(value: object, place: Place): Entry<ResourceInput>[] {
  return checked(resource, value, 'resource', place).map(
    ({ resource: id, scopes = {}, format = 'jwt', ...rest }) => ({
      ...{ id, problem: place.problem },
      value: { ...rest, id, scopes, format },
    }),
  );
}

// The engine checks the rest, once everything else is known.
async function readClient(value: object, place: Place): Promise<Entry<ClientEntry>[]> {
  const { file, problem, problems } = place;
  const { client_id: id, client_secret: secret, ...metadata } = value as Record<string, unknown>;
  for (const name of registrars.filter((one) => one in metadata))
    problems.push(problem(`${name}: is of clients that register themselves`, name));
  if (typeof id !== 'string' || !/^[\x20-\x7e]{1,200}$/.test(id)) {
    problems.push(problem('client_id: wants 1 to 200 printable ASCII characters', 'client_id'));
    return [];
  }
  const secrets = await readSecrets(secret, file, (message) =>
    problems.push(problem(message, 'client_secret')),
  );
  return [{ id, problem, value: { metadata: { client_id: id, ...metadata }, secrets } }];
}

const registrars = ['client_id_issued_at', 'client_secret_expires_at'];

function refuseTwice(
  section: string,
  entries: readonly Entry<unknown>[],
  problems: Problem[],
): void {
  const seen = new Map<string, Problem>();
  for (const { id, problem } of entries) {
    const here = problem('');
    const first = seen.get(id);
    seen.set(id, first ?? here);
    if (first)
      problems.push(
        problem(
          `${section}: ${id} is described twice; the first time at ${first.file}:${first.line}`,
        ),
      );
  }
}

/** What a schema makes of a value, in a list; an empty one when it is refused. */
function checked<T>(schema: z.ZodType<T>, value: unknown, what: string, place: Place): T[] {
  const result = schema.safeParse(value);
  if (result.success) return [result.data];
  place.problems.push(...issuesOf(result.error, what, place.problem, schema));
  return [];
}

/** What a schema has refused, as problems. @param what is checked, in a word */
export function issuesOf(
  { issues }: z.ZodError,
  what: string,
  problem: Entry<unknown>['problem'],
  schema?: z.ZodType,
): Problem[] {
  const known = schema instanceof z.ZodObject ? Object.keys(schema.shape) : [];
  return issues.flatMap((issue) => {
    const path = issue.path.filter((step) => typeof step !== 'symbol');
    if (issue.code === 'unrecognized_keys')
      return issue.keys.map((key) =>
        problem(unknown(key, path.length === 0 ? known : []), ...path, key),
      );
    return problem(`${[...path].join('.') || what}: ${issue.message}`, ...path);
  });
}

function unknown(name: string, known: readonly string[]): string {
  return known.length === 0
    ? `${name}: not known`
    : `${name}: not known; what is known: ${inWords(known)}`;
}

function inWords(names: readonly string[]): string {
  return names.join(', ');
}
