// What there is, as a file that `symbolon apply` takes back. Secrets are references: a variable for each, which may be
// missing where the client has its secret already.
import { stringify } from 'yaml';
import type { ClaimsConfig } from '../config/claims.ts';
import { sha256 } from '../keys/keyring.ts';
import { resourceFacts } from '../storage/resources.ts';
import { isDocument } from '../storage/clients.ts';
import type { Storage } from '../storage/storage.ts';

/** The sections of a file; those that would be empty are left out. */
export type Exported = Readonly<Record<string, unknown>>;

/**
 * Reads all that files can describe. Clients that registered themselves are left out: their metadata is their own.
 *
 * @param claims the scopes and claims; undefined: they are those of SYMBOLON_CLAIMS_FILE
 */
export async function exportFiles(
  { prisma }: Pick<Storage, 'prisma'>,
  claims: ClaimsConfig | undefined,
): Promise<Exported> {
  const groups = await prisma.group.findMany({ orderBy: { name: 'asc' } });
  const resources = await prisma.resource.findMany({ orderBy: { id: 'asc' } });
  const clients = await prisma.client.findMany({ orderBy: { id: 'asc' } });
  const { scopes = {}, ...tokens } = claims ?? {};
  const variables = variablesFor(clients.map(({ id }) => id));
  const inTokens = Object.entries(tokens).filter(([, names]) => names.length > 0);
  const sections = {
    groups: groups.map(({ name, description }) => ({
      ...{ name, ...(description === null ? {} : { description }) },
    })),
    scopes,
    claims: Object.fromEntries(inTokens),
    resources: resources.map(resourceFacts),
    clients: clients.flatMap(({ id, metadata, secret }) =>
      isOperators(metadata as object)
        ? {
            client_id: id,
            ...(metadata as object),
            ...(secret === null
              ? {}
              : { client_secret: { env: variables.get(id), optional: true } }),
          }
        : [],
    ),
  };
  return Object.fromEntries(
    Object.entries(sections).filter(([, section]) => Object.keys(section).length > 0),
  );
}

/** As YAML. */
export function asYaml(exported: Exported): string {
  const heading =
    '# Made by symbolon export, for symbolon apply. A client secret is taken from its variable if that is set; a client\n' +
    '# that is there keeps its own otherwise.\n';
  return `${heading}${stringify(exported, { aliasDuplicateObjects: false, lineWidth: 0 })}`;
}

function isOperators(metadata: object): boolean {
  return !isDocument(metadata) && !('client_id_issued_at' in metadata);
}

/** A variable for each client: of two that have the same by their ids, the second has a part of its hash in it. */
function variablesFor(ids: readonly string[]): Map<string, string> {
  const variables = new Map<string, string>();
  const taken = new Set<string>();
  for (const id of ids) {
    const plain = variableFor(id);
    const hash = Buffer.from(sha256(id)).toString('hex').slice(0, 8).toUpperCase();
    const name = taken.has(plain) ? plain.replace(/_CLIENT_SECRET$/, `_${hash}$&`) : plain;
    taken.add(name);
    variables.set(id, name);
  }
  return variables;
}

/** `notes-app` has `NOTES_APP_CLIENT_SECRET`. */
function variableFor(id: string): string {
  const name = id.toUpperCase().replace(/[^A-Z0-9]+/g, '_');
  return `${/^\d/.test(name) ? '_' : ''}${name}_CLIENT_SECRET`;
}
