// Names of cookies. With TLS they begin with what makes a browser refuse them from anybody else (RFC 6265bis §4.1.3).

/**
 * @param path `/`: `__Host-`, which only this very host can set; else `__Secure-`, since such a cookie has a path
 * @returns the cookie's name at this issuer; without TLS browsers would refuse a prefix
 */
export function cookieName(issuer: string, name: string, path: string): string {
  if (!issuer.startsWith('https:')) return name;
  return (path === '/' ? '__Host-' : '__Secure-') + name;
}
