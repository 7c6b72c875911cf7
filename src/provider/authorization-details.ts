// Rich authorization requests (RFC 9396): details that a person has granted stay with the grant, and go into the access
// tokens of the resource that they are for.
import { type Configuration, type KoaContextWithOIDC, errors } from 'oidc-provider';

type Feature = NonNullable<NonNullable<Configuration['features']>['richAuthorizationRequests']>;
type Detail = Record<string, unknown> & { type: string; locations?: string[] };

const MOST = 20; // details in one request
const LARGEST = 4000; // characters of one of them

/** The engine's feature `richAuthorizationRequests`. @param types the types that clients may ask for; none: off */
export function authorizationDetails(types: readonly string[]) {
  if (types.length === 0) return { enabled: false } as const;
  return {
    enabled: true as const,
    types: Object.fromEntries(types.map((type) => [type, { validate }])),
    authorizationDetailsForGrantSource: ({ oidc }) => parse(oidc.params?.['authorization_details']),
    authorizationDetailsForAccessToken({ oidc }, token, source, grantType) {
      const asked = parse(oidc.params?.['authorization_details']);
      // A client that acts for itself gets what it asks for; otherwise no more than the person has granted (§6).
      const isForItself = grantType === 'client_credentials';
      const granted = isForItself ? asked : (source as { rar?: Detail[] } | undefined)?.rar;
      if (asked?.some((one) => !isAmong(one, granted ?? []))) {
        throw new errors.InvalidAuthorizationDetails(
          'authorization_details ask for more than was granted',
        );
      }
      const { aud } = token as { aud?: string };
      return (asked ?? granted)?.filter(
        ({ locations }) => locations === undefined || locations.includes(aud ?? ''),
      );
    },
    authorizationDetailsForIntrospection: (_ctx, token) => (token as { rar?: Detail[] }).rar,
  } satisfies Feature;

  function validate({ oidc }: KoaContextWithOIDC, detail: object): void {
    if (oidc.route === 'backchannel_authentication')
      throw new errors.InvalidAuthorizationDetails('authorization_details are not for CIBA');
    const all = parse(oidc.params?.['authorization_details']) ?? [];
    if (all.length > MOST)
      throw new errors.InvalidAuthorizationDetails(
        `authorization_details have ${MOST} members at most`,
      );
    if (JSON.stringify(detail).length > LARGEST)
      throw new errors.InvalidAuthorizationDetails(
        `one of authorization_details has ${LARGEST} characters at most`,
      );
  }
}

function parse(value: unknown): Detail[] | undefined {
  return typeof value === 'string' ? (JSON.parse(value) as Detail[]) : undefined;
}

function isAmong(detail: Detail, granted: readonly Detail[]): boolean {
  const text = canonical(detail);
  return granted.some((one) => canonical(one) === text);
}

// Members are sorted by name, so that equal details have the same text.
function canonical(value: unknown): string {
  return JSON.stringify(value, (_name, member: unknown) =>
    member !== null && typeof member === 'object' && !Array.isArray(member)
      ? Object.fromEntries(Object.entries(member).sort(([a], [b]) => (a < b ? -1 : 1)))
      : member,
  );
}
