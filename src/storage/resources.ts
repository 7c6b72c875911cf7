// Resource servers (RFC 8707), with their scopes and the format of their access tokens.
import { z } from 'zod';
import { standardScopes } from '../config/claims.ts';
import { signingAlgorithms } from '../config/signing-algorithms.ts';
import type { PrismaClient, Resource } from '../generated/client.ts';

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

export function findResource(prisma: PrismaClient, id: string): Promise<Resource | null> {
  return prisma.resource.findUnique({ where: { id } });
}

/** A resource's scopes, each with a sentence for the consent page. */
export function scopesOf({ scopes }: Pick<Resource, 'scopes'>): Record<string, string> {
  return scopes as Record<string, string>;
}
