// What `kc.sh export` writes (Keycloak's RealmRepresentation, in one file or in several), as people, groups and clients.
import { z } from 'zod';
import type { ClaimsConfig } from '../../config/claims.ts';
import { CommandError } from '../run.ts';
import { clientSchema, convertClient, isOwnClient, mapperSchema } from './keycloak-clients.ts';
import { createPeople, userSchema } from './keycloak-people.ts';
import { createRoles, groupSchema, rolesSchema } from './keycloak-roles.ts';
import type { Conversion, ConvertedClient, Remark, Source } from './source.ts';

const fileSchema = z.looseObject({
  realm: z.string(),
  users: z.array(userSchema).default([]),
  groups: z.array(groupSchema).default([]),
  roles: rolesSchema.default({ realm: [], client: {} }),
  clients: z.array(clientSchema).default([]),
  clientScopes: z
    .array(z.looseObject({ protocolMappers: z.array(mapperSchema).default([]) }))
    .default([]),
  defaultRole: z.looseObject({ name: z.string() }).optional(),
  identityProviders: z.array(z.looseObject({ alias: z.string() })).default([]),
});

/**
 * @param claims the claims that people may have here
 * @throws {CommandError} when a file is not of such an export
 */
export function convertKeycloak(sources: readonly Source[], claims: ClaimsConfig): Conversion {
  const files = sources.map((source) => ({ source, content: read(source) }));
  const realms = new Set(files.map(({ content }) => content.realm));
  if (realms.size > 1)
    throw new CommandError(
      `These are files of several realms (${[...realms].join(', ')}). Symbolon has no realms: take one.`,
    );
  const remarks: Remark[] = [];
  const realm = {
    groups: files.flatMap(({ content }) => content.groups),
    roles: createRoles(files.map(({ content }) => content)),
    mappers: files.flatMap(({ content }) => [
      ...content.clientScopes.flatMap(({ protocolMappers }) => protocolMappers),
      ...content.clients.flatMap(({ protocolMappers }) => protocolMappers),
    ]),
  };
  const convertPerson = createPeople(realm, claims);
  const people: object[] = [];
  const clients: ConvertedClient[] = [];
  for (const { source, content } of files) {
    const remarkOn = (id: string) => (text: string) => {
      remarks.push({ file: source.file, line: source.lineOf(JSON.stringify(id)), text });
    };
    for (const user of content.users) {
      const person = convertPerson(user, remarkOn(user.id));
      if (person) people.push(person);
    }
    for (const client of content.clients.filter((one) => !isOwnClient(one.clientId))) {
      const converted = convertClient(client, remarkOn(client.id));
      if (converted) clients.push(converted);
    }
    for (const { alias } of content.identityProviders)
      remarkOn(alias)(`identity provider ${alias}: people sign in to Symbolon itself`);
  }
  return { people, clients, groups: realm.roles.groupsOf(people), remarks };
}

function read({ file, value }: Source): z.output<typeof fileSchema> {
  const parsed = fileSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new CommandError(
    `${file} is no realm of Keycloak as "kc.sh export" writes it (${issue?.path.join('.') ?? ''}: ${issue?.message ?? ''}).`,
  );
}
