// The names of the grant types (RFC 6749 §4, §4.5), each written once, and which one a request is about.
import type { KoaContextWithOIDC } from 'oidc-provider';

/** RFC 7523 §2.1 */
export const jwtBearer = 'urn:ietf:params:oauth:grant-type:jwt-bearer';
/** RFC 6749 §4.3.2 */
export const password = 'password';
/** RFC 8693 §2.1 */
export const tokenExchange = 'urn:ietf:params:oauth:grant-type:token-exchange';
/** OpenID Client-Initiated Backchannel Authentication §4 */
export const cibaGrant = 'urn:openid:params:grant-type:ciba';
/** RFC 8628 §3.4 */
export const deviceCode = 'urn:ietf:params:oauth:grant-type:device_code';

/** Whether a grant type is the one that this request wants to use or to begin. */
export function isGrantOf({ route, params }: KoaContextWithOIDC['oidc'], type: string): boolean {
  if (route === 'token') return params?.['grant_type'] === type;
  if (route === 'device_authorization') return type === deviceCode;
  return route === 'backchannel_authentication' && type === cibaGrant;
}
