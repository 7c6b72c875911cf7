// What a request has to write, as one value: the unit of work collects it, ordinary.ts tells whether one statement can
// do it, commit.ts does it. A kind of write that is added here does not compile until commit.ts names it.
import type { AdapterPayload } from 'oidc-provider';
import type { AuditEvent } from './audit.ts';
import type { ClientMetadata } from './clients.ts';
import type { Logout, Mail, Message } from './deliveries.ts';
import type { FamilyUse } from './families/verdict.ts';
import type { Notice } from './notices.ts';
import type { EndReason, Line } from './revocation.ts';

/** A record of the engine's, new or changed. */
export interface Save {
  readonly model: string;
  readonly id: string;
  readonly payload: AdapterPayload;
  /** The payload as it is stored. */
  readonly json: string;
  readonly expiresAt: Date;
  /** Whether an application acts without the person: then the request's origin is not the person's. */
  readonly isUnattended?: boolean;
  /** Whether the request has read it before: then it must still be there. */
  readonly wasFound: boolean;
}

/** A record that is spent: if two requests spend it at once, one of them has lost. */
export interface Spending {
  readonly model: string;
  readonly id: string;
  readonly grantId: string | undefined;
}

export interface Removal {
  readonly model: string;
  readonly id: string;
  readonly wasFound: boolean;
}

/**
 * An account as it was when its person was found to be who they are. If it was locked, signed out, given another
 * password or taken out of a group since, nothing is issued.
 */
export interface Standing {
  readonly id: string;
  readonly signedOutAt: Date | null;
  readonly groups: readonly string[];
}

export interface LineEnd extends Line {
  readonly reason: EndReason;
}

/** A client that registers itself, changes what it has registered (RFC 7591, RFC 7592), or removes itself. */
export type ClientWrite =
  | {
      readonly kind: 'new';
      readonly metadata: ClientMetadata;
      /** The initial access token that it was invited with. */
      readonly invitation?: string | undefined;
    }
  | {
      readonly kind: 'changed';
      readonly metadata: ClientMetadata;
      /** The client as the request has read it. */
      readonly before: object;
    }
  | { readonly kind: 'removed'; readonly id: string };

export interface Writes {
  readonly saves: readonly Save[];
  readonly spendings: readonly Spending[];
  readonly removals: readonly Removal[];
  readonly grantEnds: readonly { readonly id: string; readonly reason: EndReason }[];
  readonly lineEnds: readonly LineEnd[];
  /** The use of the one refresh-token family that the request is about. */
  readonly family: FamilyUse | undefined;
  readonly client: ClientWrite | undefined;
  readonly standings: readonly Standing[];
  readonly messages: readonly Message[];
  readonly logouts: readonly Logout[];
  readonly mails: readonly Mail[];
  readonly notices: readonly Notice[];
  readonly events: readonly AuditEvent[];
}

/** Whether there is nothing to write, of all kinds or of some. */
export function isEmpty(writes: Partial<Writes>): boolean {
  for (const kind of Object.values(writes) as (object | undefined)[])
    if (Array.isArray(kind) ? kind.length > 0 : kind !== undefined) return false;
  return true;
}

/** The key of a record within a request. */
export function recordKey(model: string, id: string): string {
  return `${model} ${id}`;
}
