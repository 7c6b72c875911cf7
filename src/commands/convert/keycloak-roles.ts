// Keycloak's groups and roles as groups. A group is called by its path; a role `role:NAME`, of a client
// `role:CLIENT:NAME`, so that no role becomes the group of the same name. Roles hold other roles, and groups have roles, which
// their subgroups have too: who had a role in any of these ways is in its group.
import { z } from 'zod';

const names = z.array(z.string()).default([]);
const ofClients = z.record(z.string(), z.array(z.string())).default({});

const roleSchema = z.looseObject({
  name: z.string(),
  description: z.string().optional(),
  composites: z.looseObject({ realm: names, client: ofClients }).optional(),
});

export const rolesSchema = z.looseObject({
  realm: z.array(roleSchema).default([]),
  client: z.record(z.string(), z.array(roleSchema)).default({}),
});

interface Group {
  readonly path: string;
  readonly realmRoles: readonly string[];
  readonly clientRoles: Readonly<Record<string, readonly string[]>>;
  readonly subGroups: readonly Group[];
}

export const groupSchema: z.ZodType<Group> = z.lazy(() =>
  z.looseObject({
    path: z.string(),
    realmRoles: names,
    clientRoles: ofClients,
    subGroups: z.array(groupSchema).default([]),
  }),
);

interface Realm {
  readonly groups: readonly Group[];
  readonly roles: z.output<typeof rolesSchema>;
  readonly defaultRole?: { readonly name: string } | undefined;
}

interface Member {
  readonly groups: readonly string[];
  readonly realmRoles: readonly string[];
  readonly clientRoles: Readonly<Record<string, readonly string[]>>;
}

export interface Roles {
  /** The names of the groups that a person is in. */
  readonly of: (member: Member) => string[];
  /** The groups that somebody is in, with what is said of them. */
  readonly groupsOf: (people: readonly object[]) => { name: string; description?: string }[];
}

// Roles of Keycloak's own: what they allow is at Keycloak.
const own = new Set(['offline_access', 'uma_authorization']);
const ownClients = new Set(['account', 'broker', 'realm-management']);

export function createRoles(realms: readonly Realm[]): Roles {
  const given = new Map<string, string[]>(); // by group
  const holds = new Map<string, string[]>(); // by role
  const descriptions = new Map<string, string>();
  const everybodys = new Set(realms.flatMap(({ defaultRole }) => defaultRole?.name ?? []));
  for (const { groups, roles } of realms) {
    for (const group of groups) note(group, []);
    for (const role of roles.realm) describe(named(role.name), role);
    for (const [client, list] of Object.entries(roles.client))
      for (const role of list) describe(named(role.name, client), role);
  }

  return {
    of(member) {
      const found = new Set<string>();
      const open = rolesOf(member);
      for (const path of member.groups) {
        found.add(nameOf(path));
        open.push(...(given.get(path) ?? []));
      }
      for (let role = open.pop(); role !== undefined; role = open.pop()) {
        if (found.has(role)) continue;
        found.add(role);
        open.push(...(holds.get(role) ?? []));
      }
      return [...found].sort();
    },
    groupsOf(people) {
      const all = people.flatMap((person) => (person as { groups?: string[] }).groups ?? []);
      return [...new Set(all)].sort().map((name) => {
        const description = descriptions.get(name);
        return { name, ...(description === undefined ? {} : { description }) };
      });
    },
  };

  function note(group: Group, inherited: readonly string[]): void {
    const roles = [...inherited, ...rolesOf(group)];
    given.set(group.path, roles);
    for (const one of group.subGroups) note(one, roles);
  }

  function describe(name: string, { composites, description }: z.output<typeof roleSchema>): void {
    if (composites)
      holds.set(name, rolesOf({ realmRoles: composites.realm, clientRoles: composites.client }));
    // Keycloak's own descriptions are keys of its messages.
    if (description && !description.startsWith('${')) descriptions.set(name, description);
  }

  function rolesOf({ realmRoles, clientRoles }: Omit<Member, 'groups'>): string[] {
    const ofRealm = realmRoles.filter((role) => !own.has(role) && !everybodys.has(role));
    const clients = Object.entries(clientRoles).filter(([client]) => !ownClients.has(client));
    return [
      ...ofRealm.map((role) => named(role)),
      ...clients.flatMap(([client, roles]) => roles.map((role) => named(role, client))),
    ];
  }
}

function named(role: string, client?: string): string {
  return client === undefined ? `role:${role}` : `role:${client}:${role}`;
}

function nameOf(path: string): string {
  return path.replace(/^\//, '');
}
