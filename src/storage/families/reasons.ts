// What a client is told about a refresh that is refused: a stable reason, then a sentence for its developer. Only the
// client that the token belongs to is told, and only about a token that was issued.
import type { RefusalReason } from './verdict.ts';

const sentences: Record<RefusalReason, string> = {
  rotated_beyond_window: 'the token before the current one came after its retry window had closed',
  reuse: 'a token that was used up came again, so somebody may have a copy',
  in_step: 'two used the tokens in turns again and again, so somebody has a copy',
  idle_expired: 'it was not used for too long',
  absolute_expired: 'it reached the end of its life',
  consent_expired: 'the time for which the person had allowed it is over',
  revoked_by_user: 'the person ended it',
  revoked_by_admin: 'an administrator ended it',
  revoked_by_client: 'the application itself revoked it',
  password_changed: 'the password of the person was changed',
  account_locked: 'the account of the person is locked',
  account_deleted: 'the account of the person was deleted',
  client_removed: 'the application was removed',
  access_withdrawn: 'the person is in none of the groups that the application is for',
  limit: 'the person connected a newer device, and the application allows only so many',
  binding_mismatch: 'the key that the token is bound to was not proved',
  level_too_low: 'the application asks for a higher level of sign-in by now',
  unknown: 'the token was never issued',
};

/** Every reason that there is. */
export const REASONS = Object.keys(sentences) as RefusalReason[];

/** The `error_description` of a refusal (RFC 6749 §5.2): the reason, a colon, a sentence. */
export function describeRefusal(reason: RefusalReason): string {
  return `${reason}: ${sentences[reason]}`;
}
