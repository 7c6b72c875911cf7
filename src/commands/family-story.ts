// The story of a refresh-token family, in sentences: when and from where it was issued, how often renewed, last used,
// when and why it ended.
import type { AuditEvent, RefreshFamily } from '../generated/client.ts';
import type { RulesInEffect } from '../provider/refresh-policy.ts';
import { type Retries, whoWouldBeInStep } from '../storage/families/retries.ts';
import {
  type FamilyRules,
  type RefusalReason,
  expiresAt,
  latestEnd,
  lifeEnd,
} from '../storage/families/verdict.ts';

/** Every reason why a refresh is refused or a family ended, in words. */
export const reasonsInWords: Record<RefusalReason, string> = {
  rotated_beyond_window:
    'the token before the current one was presented after its retry window had closed',
  reuse: 'a refresh token or code that had been used up was presented, so somebody has a copy',
  in_step:
    'two devices used it in turns, again and again, and each was answered, so somebody has a copy',
  idle_expired: 'it was not used for too long',
  absolute_expired: 'it reached the end of its life, however much it was used',
  consent_expired: 'the time for which the person had allowed it was over',
  revoked_by_user: 'the person signed out',
  revoked_by_admin: 'an administrator revoked it',
  revoked_by_client: 'the application revoked it',
  password_changed: 'the person’s password was changed',
  account_locked: 'the person’s account was locked',
  account_deleted: 'the person’s account was deleted',
  client_removed: 'the application was removed',
  limit: 'the person connected a newer device, and the application allows only so many',
  binding_mismatch:
    'whoever presented the token was another application, or could not prove to hold the key that it is bound to',
  access_withdrawn:
    'the person is in none of the groups that the application is for (allowed_groups)',
  level_too_low: 'the application asks for a higher level of sign-in (minimum_acr) by now',
  unknown: 'there is no such token',
};

/** What would happen to a token presented now, in words. */
export const verdictsInWords = {
  unknown:
    'The token was never issued: it is made up, or was made with a SYMBOLON_SECRET that is not listed any more. Presenting it ends nothing.',
  rotate: 'The token is the current one: it works, and is replaced when it is used.',
  catch_up:
    'The token was issued after what the database remembers: it works, and the family goes on from there.',
  retry: 'The token was just used: within the retry window it is answered with the same successor.',
  in_step:
    'The token was just used, as the ones before it were, again and again: presenting it now ends the family (in_step).',
  reuse: 'The token is used up: presenting it ends the family.',
  refused:
    'The token is used up: it is refused, and its family lives on (refresh_token_on_reuse of the application).',
  ended: 'The token’s family has ended: it is refused.',
  expired: 'The token’s family has expired: it is refused.',
  low: 'The person signed in with less than the application asks for by now (minimum_acr): the token is refused.',
  withdrawn:
    'The person is in none of the groups that the application is for (allowed_groups): the token is refused.',
  locked:
    'The person’s account is locked: the token is refused, and works again once it is unlocked.',
} as const;

/** A family's facts, for a program. */
export function familyFacts(row: RefreshFamily, email: string | undefined, now: Date) {
  const end = lifeEnd(row, now);
  const retries = row.retries as Retries;
  return {
    id: row.id,
    client_id: row.clientId,
    user: email ?? null,
    sub: row.accountId,
    state: end === undefined ? 'active' : `${row.endedAt ? 'ended' : 'expired'}: ${end}`,
    scope: (row.payload as { scope?: string }).scope ?? null,
    generation: row.generation,
    rotations: row.generation,
    started_at: row.createdAt,
    rotated_at: row.rotatedAt,
    retries: retries.count ?? 0,
    retried_at: retries.at ?? null,
    retried_ip: retries.ip ?? null,
    retried_user_agent: retries.user_agent ?? null,
    late_in_a_row: retries.late?.length ?? 0,
    late_elsewhere_in_a_row: retries.elsewhere?.length ?? 0,
    last_used_at: row.lastUsedAt,
    last_used_ip: row.lastUsedIp,
    last_used_user_agent: row.lastUsedUserAgent,
    expires_at: expiresAt(row),
    absolute_expires_at: row.absoluteExpiresAt,
    consent_expires_at: row.consentExpiresAt,
    ended_at: row.endedAt,
    end_reason: row.endReason,
  };
}

/** Until when the former token is answered. @returns undefined when it is not */
export function formerUntil(row: RefreshFamily, { retryWindow }: FamilyRules): Date | undefined {
  if (row.rotatedAt === null || row.previousHash === null || row.endedAt !== null) return undefined;
  return new Date(row.rotatedAt.getTime() + retryWindow * 1000);
}

/**
 * From when on the former token is presented once too often, and by whom (the reason `in_step`).
 *
 * @returns undefined when one more late retry is answered
 */
export function oneTooMany(
  row: RefreshFamily,
  { retryLimits }: FamilyRules,
): { readonly from: Date; readonly by: 'anybody' | 'another_device' } | undefined {
  if (row.rotatedAt === null || row.endedAt !== null) return undefined;
  const by = whoWouldBeInStep(row, retryLimits);
  const from = new Date(row.rotatedAt.getTime() + retryLimits.lateAfter * 1000);
  return by === 'nobody' ? undefined : { from, by };
}

function oneTooManyInWords(row: RefreshFamily, rules: FamilyRules, until: Date): string[] {
  const late = oneTooMany(row, rules);
  if (!late || late.from >= until) return [];
  const whence = late.by === 'anybody' ? '' : ' from another device than the first answer went to';
  const what = rules.onReuse === 'refuse' ? 'is refused' : 'ends the family';
  return [
    `Presented after ${day(late.from)}${whence}, it ${what}: one late retry too many (in_step).`,
  ];
}

/** A family's story, for a person. @param events of this family, the oldest first */
export function familyStory(
  row: RefreshFamily,
  email: string | undefined,
  events: readonly AuditEvent[],
  { now, rules, inEffect }: StoryTime,
): string {
  const started = events.find(({ type }) => type === 'family.started');
  const lines = [
    `Family ${row.id}`,
    `Issued to ${row.clientId} for ${email ?? row.accountId} on ${day(row.createdAt)}${from(started)}.`,
    row.generation === 0
      ? 'Never renewed.'
      : `Renewed ${row.generation === 1 ? 'once' : `${row.generation} times`}, last on ${day(row.rotatedAt)}.`,
  ];
  const retries = row.retries as Retries;
  if (retries.count !== undefined) {
    const times = retries.count === 1 ? 'once' : `${retries.count} times`;
    const where = from({ ip: retries.ip ?? null, userAgent: retries.user_agent ?? null });
    lines.push(
      `A former token was answered again ${times}, last on ${day(new Date(retries.at ?? 0))}${where}.`,
      `Late retries in a row: ${retries.late?.length ?? 0}, from another device ${retries.elsewhere?.length ?? 0}.`,
    );
  }
  const until = formerUntil(row, rules);
  if (until !== undefined && until > now)
    lines.push(
      `The token before the current one is answered until ${day(until)}.`,
      ...oneTooManyInWords(row, rules, until),
    );
  if (row.lastUsedAt) {
    lines.push(
      `Last used on ${day(row.lastUsedAt)}${from({ ip: row.lastUsedIp, userAgent: row.lastUsedUserAgent })}.`,
    );
  }
  for (const { at, type, ip, userAgent, detail } of events) {
    if (type === 'family.caught_up') {
      const { from: before, to } = detail as { from: number; to: number };
      lines.push(
        `Caught up on ${day(at)}${from({ ip, userAgent })}: the database had forgotten generations ${before + 1} to ${to}.`,
      );
    }
    if (type === 'family.end_chosen') {
      const { from: before, to } = detail as { from: string; to: string };
      lines.push(
        `The person chose on ${day(at)}${from({ ip, userAgent })} that it ends on ${day(new Date(to))} at the latest; it was ${day(new Date(before))}.`,
      );
    }
    if (type !== 'refresh.refused') continue;
    lines.push(`Refused on ${day(at)}${from({ ip, userAgent })}: ${words(detail)}.`);
  }
  const ends = expiresAt(row);
  const reason = lifeEnd(row, now);
  if (row.endedAt) {
    const end = events.find(({ type }) => type === 'family.ended');
    lines.push(
      `Ended on ${day(row.endedAt)}${from(end)}, because ${reasonsInWords[reason ?? 'unknown']}.`,
    );
  } else if (reason !== undefined) {
    lines.push(`Expired on ${day(ends)}, because ${reasonsInWords[reason]}.`);
  } else if (ends.getTime() === latestEnd(row).getTime()) {
    lines.push(`Alive; it ends on ${day(ends)}, however much it is used.`);
  } else {
    lines.push(
      `Alive; it ends on ${day(ends)} unless it is used before, and on ${day(latestEnd(row))} at the latest.`,
    );
  }
  const { scope } = row.payload as { scope?: string };
  lines.push(`Scope: ${scope ?? 'none'}.`);
  lines.push(
    'Rules: ' +
      Object.entries(inEffect)
        .map(([name, value]) => `${name} ${String(value)}`)
        .join('; ') +
      '.',
  );
  return lines.join('\n');
}

/** When a story is told, and the rules that are in effect then. */
export interface StoryTime {
  readonly now: Date;
  readonly rules: FamilyRules;
  /** By the names of the client's metadata. */
  readonly inEffect: RulesInEffect;
}

function words(detail: unknown): string {
  const { reason } = detail as { reason: RefusalReason };
  return `${reason} (${reasonsInWords[reason]})`;
}

function day(date: Date | null): string {
  return date ? `${date.toISOString().slice(0, 19).replace('T', ' ')} UTC` : 'an unknown day';
}

function from(where: { ip: string | null; userAgent: string | null } | undefined): string {
  if (!where?.ip) return '';
  return ` from ${where.ip}${where.userAgent ? ` (${where.userAgent})` : ''}`;
}
