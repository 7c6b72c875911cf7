// How long refresh tokens live and how their retries are answered: the server's defaults, and what a client's
// metadata says instead.
import { errors } from 'oidc-provider';
import { z } from 'zod';
import type { Config } from '../config.ts';
import type { FamilyPolicy } from '../storage/adapter.ts';

const ttl = z.number().int().min(1).max(3_155_760_000);

/** Client metadata of Symbolon's own. */
export const clientMetadata = {
  refresh_token_idle_ttl: { schema: ttl, wants: 'a number of seconds from 1' },
  refresh_token_absolute_ttl: { schema: ttl, wants: 'a number of seconds from 1' },
  refresh_token_retry_window: {
    schema: z.number().int().min(0).max(86_400),
    wants: 'a number of seconds from 0 (off) to 86400',
  },
  offline_access_prompt: {
    schema: z.enum(['automatic', 'required']),
    wants: '"automatic" or "required"',
  },
} as const;

type Name = keyof typeof clientMetadata;

/** The engine's `extraClientMetadata.validator`. @throws {errors.InvalidClientMetadata} with the field and what it wants */
export function validateClientMetadata(name: string, value: unknown): void {
  if (value === undefined) return;
  const { schema, wants } = clientMetadata[name as Name];
  if (!schema.safeParse(value).success)
    throw new errors.InvalidClientMetadata(`${name} must be ${wants}`);
}

export interface RefreshPolicy extends FamilyPolicy {
  idleTtl(metadata: object): number;
  /** The life of the token about to be saved, in seconds: idle, but never beyond the absolute end. */
  remaining(metadata: object, firstIssuedAt: number, now: number): number;
}

export function refreshPolicy({ ttl: defaults }: Config): RefreshPolicy {
  const own = (metadata: object, name: Name, fallback: number): number =>
    (metadata as Partial<Record<Name, number>>)[name] ?? fallback;
  const policy: RefreshPolicy = {
    retryWindow: (metadata) =>
      own(metadata, 'refresh_token_retry_window', defaults.refreshTokenRetryWindow),
    idleTtl: (metadata) => own(metadata, 'refresh_token_idle_ttl', defaults.refreshTokenIdle),
    absoluteTtl: (metadata) =>
      own(metadata, 'refresh_token_absolute_ttl', defaults.refreshTokenAbsolute),
    remaining: (metadata, firstIssuedAt, now) =>
      Math.max(
        1,
        Math.min(policy.idleTtl(metadata), firstIssuedAt + policy.absoluteTtl(metadata) - now),
      ),
  };
  return policy;
}

/** Whether offline access needs `prompt=consent` in the request: the strict reading of OIDC Core §11. */
export function needsConsentPrompt(metadata: object): boolean {
  return (metadata as { offline_access_prompt?: string }).offline_access_prompt === 'required';
}
