// The names of the grant types (RFC 6749 §4, §4.5), each written once.

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
