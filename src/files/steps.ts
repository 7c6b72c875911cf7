// The steps from what there is to what files say.
import type { Prisma } from '../generated/client.ts';
import type { Origin } from '../storage/origin.ts';
import type { AccessEnd } from '../storage/revocation.ts';
import type { Storage } from '../storage/storage.ts';

export type Database = Prisma.TransactionClient;

/** What one step does, for whoever reads the plan. */
export interface Step {
  readonly action: 'add' | 'change' | 'remove';
  readonly kind: 'client' | 'resource' | 'group' | 'scope' | 'claims';
  readonly id: string;
  /** Every member that differs, with its value before and after. */
  readonly changed: Record<string, { from: unknown; to: unknown }>;
  /** Of a client's secrets. */
  readonly secrets?: { readonly added: number; readonly removed: number };
  /** What is allowed, and dangerous. */
  readonly warnings?: readonly string[];
  /** How many people leave with a group. */
  readonly members?: number;
  /** How many refresh-token families end. */
  readonly families?: number;
}

/** Carries a step out. @returns what has ended with it */
export type Run = (database: Database) => Promise<Partial<AccessEnd>>;

export interface PlannedStep extends Step {
  readonly run: Run;
}

export interface PlanParts {
  readonly storage: Storage;
  readonly origin: Origin;
  readonly needsSecret: (metadata: object) => boolean;
  /** Whether the scopes and claims are those of SYMBOLON_CLAIMS_FILE. */
  readonly hasClaimsFile: boolean;
  /** Whether what files have made, and describe no more, is removed. */
  readonly prune: boolean;
}
