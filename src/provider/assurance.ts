// Levels of assurance that relying parties ask for, and the `acr` that they get. `acr` follows from the session's
// `amr`; a request only picks among the levels that were reached. It asks by:
// - an essential acr claim (OIDC Core §5.5.1.1) or the client's `minimum_acr`: the request fails below that level
// - `acr_values` or a voluntary acr claim (RFC 9470 §4): the person is asked for the factors they have; then it goes on
import { type KoaContextWithOIDC, errors } from 'oidc-provider';
import {
  type Level,
  acrFor,
  factorsOf,
  highestLevel,
  isLevel,
  levelOf,
  levels,
  lowestOf,
  suffices,
} from '../accounts/factors.ts';
import type { PrismaClient } from '../generated/client.ts';
import { answered } from '../storage/errors.ts';
import type { OwnMetadata } from './own-metadata.ts';

type Params = Readonly<Record<string, unknown>>;

/** The levels that a request asks for, in the relying party's order of preference. */
interface RequestedLevels {
  readonly essential: readonly unknown[];
  readonly voluntary: readonly unknown[];
}

/** A required level is not reached (OpenID Connect Core Error Code unmet_authentication_requirements). */
export class UnmetRequirements extends errors.CustomOIDCProviderError {
  constructor(description: string) {
    super('unmet_authentication_requirements', description);
  }
}

/** The level below which a request must fail. @param client the client's metadata */
export function demandedLevel(params: Params, client: object | undefined): Level | undefined {
  const { minimum_acr: minimum } = (client ?? {}) as OwnMetadata;
  const both = [lowestOf(requestedLevels(params).essential), minimum];
  return [...levels].reverse().find((level) => both.includes(level));
}

/** The level that a person is asked for, if their factors can reach it. */
export function wantedLevel(params: Params, client: object | undefined): Level | undefined {
  const both = [demandedLevel(params, client), lowestOf(requestedLevels(params).voluntary)];
  return [...levels].reverse().find((level) => both.includes(level));
}

/** The `acr` that a request is answered with. */
export function answeredLevel(
  params: Params,
  amr: readonly string[] | undefined,
): Level | undefined {
  const { essential, voluntary } = requestedLevels(params);
  return acrFor(amr, essential.length > 0 ? essential : voluntary);
}

/** Whether a level is the only reason of the sign-in prompt: then only the missing factor is asked for. */
export function isStepUp({ name, reasons }: { name: string; reasons: readonly string[] }): boolean {
  return (
    name === 'login' &&
    reasons.every((reason) => reason === 'essential_acr' || reason === 'acr_values')
  );
}

/** The checks of the interaction policy, instead of the engine's: reason, description, and whether to ask. */
export const acrChecks = [
  {
    reason: 'essential_acr',
    description: 'requested ACR could not be obtained',
    check({ oidc }: KoaContextWithOIDC): boolean {
      const { essential } = requestedLevels(oidc.params ?? {});
      if (essential.length > 0 && !essential.some(isLevel))
        throw new UnmetRequirements(`the acr values here are ${levels.join(', ')}`);
      const demanded = demandedLevel(oidc.params ?? {}, oidc.client);
      return demanded !== undefined && !suffices(levelOf(oidc.session?.amr), demanded);
    },
  },
  {
    reason: 'acr_values',
    description: 'a higher ACR was asked for',
    async check({ oidc }: KoaContextWithOIDC, prisma: PrismaClient): Promise<boolean> {
      const { session, result, prompts } = oidc;
      const wanted = lowestOf(requestedLevels(oidc.params ?? {}).voluntary);
      const accountId = session?.accountId;
      // A voluntary level is asked for once, and is no reason to refuse.
      if (!wanted || accountId === undefined || result?.login || prompts.has('none')) return false;
      if (suffices(levelOf(session?.amr), wanted)) return false;
      const factors = await answered(() => factorsOf(prisma, accountId));
      return suffices(highestLevel(factors), wanted);
    },
  },
] as const;

/** The claims about the sign-in that a token comes from. */
export interface SignInTold {
  readonly acr?: string | undefined;
  readonly authTime?: number | undefined;
}

/** An access token's claims about its sign-in (RFC 9470 §6.2, RFC 9068 §2.2.1). */
export function signInClaims({ oidc, state }: KoaContextWithOIDC): Record<string, unknown> {
  const entities = oidc.entities as Record<string, SignInTold | undefined>;
  const { AuthorizationCode, RefreshToken, DeviceCode, BackchannelAuthenticationRequest } =
    entities;
  const source =
    AuthorizationCode ??
    RefreshToken ??
    DeviceCode ??
    BackchannelAuthenticationRequest ??
    (state['subjectSignIn'] as SignInTold | undefined); // the sign-in of the token that is exchanged
  const isFrontChannel = oidc.route === 'authorization' || oidc.route === 'resume';
  const { acr, authTime } = isFrontChannel
    ? { acr: oidc.acr, authTime: oidc.session?.authTime() }
    : (source ?? {});
  return {
    ...(acr === undefined ? {} : { acr }),
    ...(authTime === undefined ? {} : { auth_time: authTime }),
  };
}

function requestedLevels(params: Params): RequestedLevels {
  const { acr_values: values, claims } = params;
  const voluntary = typeof values === 'string' ? values.split(' ').filter(Boolean) : [];
  const claim = acrClaimOf(claims);
  if (!claim) return { essential: [], voluntary };
  const { value, values: many } = claim;
  const named = [value ?? [], many ?? []].flat();
  return claim.essential === true
    ? { essential: named, voluntary }
    : { essential: [], voluntary: [...voluntary, ...named] };
}

interface AcrClaim {
  readonly essential?: unknown;
  readonly value?: unknown;
  readonly values?: unknown;
}

// The engine has checked the form of the parameter, but not its content.
function acrClaimOf(claims: unknown): AcrClaim | undefined {
  const request = typeof claims === 'string' ? (JSON.parse(claims) as unknown) : claims;
  const { id_token: idToken } = (request ?? {}) as { id_token?: Record<string, unknown> | null };
  const claim = idToken?.['acr'];
  return typeof claim === 'object' && claim !== null ? claim : undefined;
}
