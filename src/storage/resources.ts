// Resource servers (RFC 8707), with their scopes and the format of their access tokens.
import { z } from 'zod';
import { standardScopes } from '../config/claims.ts';
import { signingAlgorithms } from '../config/signing-algorithms.ts';
import type { Prisma, PrismaClient, Resource } from '../generated/client.ts';
import { writeEvent } from './audit.ts';
import { whatChanged } from './audit/changed.ts';
import type { Occasion } from './origin.ts';

/** The longest lifetime of a resource's access tokens, in seconds. */
export const LONGEST_RESOURCE_TTL = 86_400;

export const resourceInput = z.object({
  id: z
    .url('The indicator is an absolute URI, as RFC 8707 §2 wants it.')
    .refine((uri) => !uri.includes('#'), 'The indicator has no fragment (RFC 8707 §2).'),
  name: z.string().trim().min(1).max(200).optional(),
  scopes: z.record(z.string(), z.string().max(200)).superRefine((scopes, context) => {
    for (const scope of Object.keys(scopes)) {
      // RFC 6749 §3.3
      if (!/^[\x21\x23-\x5b\x5d-\x7e]{1,100}$/.test(scope))
        context.addIssue(`"${scope}": a scope has no spaces and no quotation marks.`);
      if (standardScopes.includes(scope)) context.addIssue(`"${scope}" is the provider’s own.`);
    }
  }),
  format: z.enum(['jwt', 'opaque']),
  ttl: z
    .number()
    .int()
    .min(1)
    .max(LONGEST_RESOURCE_TTL, `Tokens live ${LONGEST_RESOURCE_TTL} seconds at most.`)
    .optional(),
  alg: z.enum(signingAlgorithms).optional(),
});

/** A resource server, as an operator describes it. */
export type ResourceInput = z.output<typeof resourceInput>;

export function findResource(prisma: PrismaClient, id: string): Promise<Resource | null> {
  return prisma.resource.findUnique({ where: { id } });
}

/** A resource's scopes, each with a sentence for the consent page. */
export function scopesOf({ scopes }: Pick<Resource, 'scopes'>): Record<string, string> {
  return scopes as Record<string, string>;
}

/** A resource server as the command line and files name its members. What is not set is left out. */
export function resourceFacts(
  resource: Pick<Resource, 'id' | 'name' | 'scopes' | 'format' | 'ttl' | 'alg'>,
) {
  const { id, name, format, ttl, alg } = resource;
  return {
    resource: id,
    ...(name === null ? {} : { name }),
    format,
    ...(ttl === null ? {} : { ttl }),
    ...(alg === null ? {} : { alg }),
    scopes: scopesOf(resource),
  };
}

type Database = Prisma.TransactionClient;

/** @throws Prisma's P2002 when there is one of that indicator */
export async function addResource(
  database: Database,
  input: ResourceInput,
  occasion: Occasion,
): Promise<Resource> {
  const made = await database.resource.create({ data: columnsOf(input) });
  const { id: resource, format } = made;
  const detail = { resource, format, scopes: Object.keys(input.scopes) };
  await writeEvent(database, { type: 'resource.added', detail }, occasion);
  return made;
}

/** Makes a resource server what is described. @param before as it is in the database */
export async function changeResource(
  database: Database,
  { before, after }: { readonly before: Resource; readonly after: ResourceInput },
  occasion: Occasion,
): Promise<void> {
  const data = columnsOf(after);
  await database.resource.update({ where: { id: before.id }, data });
  const { changed } = whatChanged(resourceFacts(before), resourceFacts(data));
  const detail = { resource: before.id, changed };
  await writeEvent(database, { type: 'resource.changed', detail }, occasion);
}

/** @returns whether there was one */
export async function removeResource(
  database: Database,
  id: string,
  occasion: Occasion,
): Promise<boolean> {
  const { count } = await database.resource.deleteMany({ where: { id } });
  if (count === 0) return false;
  await writeEvent(database, { type: 'resource.removed', detail: { resource: id } }, occasion);
  return true;
}

/** A description as columns. */
export function columnsOf({ name, ttl, alg, ...input }: ResourceInput) {
  return { ...input, name: name ?? null, ttl: ttl ?? null, alg: alg ?? null };
}
