// Every type of event, with the class that it has in the Open Cybersecurity Schema Framework (OCSF 1.x) and what it
// tells. docs/audit.md is made of this list. Nothing else is ever in the audit but types of former builds.

/** The classes of OCSF, by `class_uid`. */
export const ocsfClasses = {
  3001: 'Account Change',
  3002: 'Authentication',
  3003: 'Authorize Session',
  3004: 'Entity Management',
  3005: 'User Access Management',
  3006: 'Group Management',
} as const;

type OcsfClass = keyof typeof ocsfClasses;

export const eventTypes = {
  sign_in: [3002, 'A person signed in; `amr` is what was verified.'],
  sign_out: [3002, 'A person signed out: of this browser if `all`, else of one application in it.'],
  'sign_in.failed': [
    3002,
    'A sign-in was refused: a wrong password, or a passkey that is not accepted.',
  ],
  'sign_in.limited': [3002, 'Too many tries: the next is not judged before a time has passed.'],
  'password.verified': [
    3002,
    'The right password came from a browser that the account does not know; a second factor is asked for.',
  ],
  'second_factor.failed': [3002, 'The password was right, the second factor was not.'],
  'passkey.added': [3001, 'A passkey was added.'],
  'passkey.removed': [3001, 'A passkey was removed.'],
  'totp.added': [3001, 'An app for one-time codes was added.'],
  'totp.removed': [3001, 'An app for one-time codes was removed.'],
  'recovery_codes.made': [3001, 'Recovery codes were made; former ones are void.'],
  'recovery_codes.used': [3002, 'A recovery code was used; `left` is how many there are still.'],
  'factors.reset': [
    3001,
    'All factors but the password were removed, for a person who has lost them.',
  ],
  consent: [3005, 'A person, or a client with an assertion, allowed an application something.'],
  'consent.refused': [3005, 'A person refused what an application or a device asked for.'],
  'access.refused': [
    3003,
    'A person who is in none of the groups that an application is for was not let in; `by` tells how it was tried, if not in a browser. Once an hour.',
  ],
  'device.approved': [3003, 'A person let a device in (RFC 8628).'],
  'token.revoked': [3003, 'A client gave a token back that has no family (RFC 7009).'],
  'token.exchanged': [3003, 'A token was exchanged for another one (RFC 8693).'],
  'access.removed': [3005, 'All that an application was allowed for a person ended.'],
  'session.ended': [3002, 'Sessions of other browsers were ended; `count` tells how many.'],
  'name.changed': [3001, 'A person’s name was changed.'],
  'language.changed': [3001, 'The language of a person’s pages and mails was changed.'],
  'picture.changed': [3001, 'A person’s picture was changed.'],
  'picture.removed': [3001, 'A person’s picture was removed.'],
  'account.added': [3001, 'An account was made; `by` tells how.'],
  'account.changed': [3001, 'What is known of a person was changed: `changed` tells what.'],
  'account.invited': [3001, 'Somebody was invited to make an account.'],
  'account.locked': [3001, 'A person was locked out.'],
  'account.unlocked': [3001, 'A person was let in again.'],
  'account.deletion_asked': [
    3001,
    'A person asked for the account to be deleted; `to` is when that will be.',
  ],
  'account.deletion_withdrawn': [
    3001,
    'An account that was to be deleted is kept; `reason` tells why, if nobody asked for that.',
  ],
  'account.exported': [3004, 'All that is kept about a person was exported.'],
  'account.deleted': [
    3001,
    'An account was deleted; the audit keeps what happened, without the person’s data.',
  ],
  'account.signed_out': [3002, 'A person was signed out of every browser and every application.'],
  'password.changed': [
    3001,
    'A password was changed; `by` tells how, if not by the person who was signed in.',
  ],
  'family.started': [
    3003,
    'A refresh-token family began: an application has access while the person is away.',
  ],
  'family.end_chosen': [3005, 'A person chose until when an application stays connected.'],
  'family.ended': [3003, 'A refresh-token family ended; `reason` tells why.'],
  'family.caught_up': [3003, 'The database had forgotten rotations of a family, and caught up.'],
  'refresh.refused': [
    3003,
    'A refresh was refused; `reason` tells why. Once an hour for the same address and reason.',
  ],
  'refresh.retried_elsewhere': [
    3003,
    'A refresh was answered again, to another device at another address.',
  ],
  'group.added': [3006, 'A group was made.'],
  'group.changed': [3006, 'What a group is for was changed.'],
  'group.removed': [3006, 'A group was removed, and with it who was in it.'],
  'group.joined': [3006, 'A person came into a group.'],
  'group.left': [3006, 'A person left a group: was taken out, or the group was removed.'],
  'resource.added': [3004, 'A resource server was added.'],
  'resource.changed': [3004, 'A resource server was changed: `changed` tells what.'],
  'resource.removed': [3004, 'A resource server was removed.'],
  'claims.changed': [
    3004,
    'The scopes and claims of the installation were changed: `changed` tells what.',
  ],
  'client.invited': [
    3004,
    'An initial access token was made, with which clients register themselves.',
  ],
  'client.added': [3004, 'A client was added.'],
  'client.registered': [3004, 'A client registered itself.'],
  'client.changed': [3004, 'A client’s metadata was changed: `changed` tells what.'],
  'client.secret_changed': [3004, 'A client got another secret; the former one is not valid.'],
  'client.secret_added': [3004, 'A client got one more secret: `secret` is its name.'],
  'client.secret_removed': [3004, 'A secret of a client was removed.'],
  'client.disabled': [3004, 'A client was disabled; what it was given stays.'],
  'client.enabled': [3004, 'A client was enabled again.'],
  'client.limited': [3002, 'Too many wrong secrets for a client came from one network.'],
  'client.removed': [3004, 'A client was removed, with all that was issued to it.'],
  'key.added': [3004, 'Signing keys were made; they are published before they sign.'],
  'key.retired': [3004, 'Signing keys sign no more, since their algorithm was withdrawn.'],
  'key.rotated': [3004, 'The next signing keys took over, or will.'],
  'key.removed': [3004, 'A signing key was withdrawn.'],
  'secret.resealed': [3004, 'What was sealed under a former SYMBOLON_SECRET was sealed anew.'],
  'secret.abandoned': [
    3004,
    'SYMBOLON_SECRET was lost: what was sealed under it was cleared. `detail` counts it.',
  ],
} as const satisfies Record<string, readonly [class_uid: OcsfClass, tells: string]>;

export type EventType = keyof typeof eventTypes;

/** The OCSF class of an event. @returns undefined for a type of a former build */
export function ocsfClassOf(type: string): OcsfClass | undefined {
  return Object.hasOwn(eventTypes, type) ? eventTypes[type as EventType][0] : undefined;
}
