// The secrets of clients: those that will do here.
import { leastSecretLength } from '../../storage/clients.ts';

/**
 * A client's secret; null when it needs another.
 *
 * @param method how it authenticates
 * @param say why
 */
export function leastSecret(
  secret: string | undefined,
  method: 'client_secret_basic' | 'client_secret_jwt',
  say: (remark: string) => void,
): string | null {
  const least = leastSecretLength({ token_endpoint_auth_method: method });
  // Keycloak's console and its partial export write asterisks.
  const isThere = secret !== undefined && !/^\*+$/.test(secret);
  if (isThere && secret.length >= least) return secret;
  const why = isThere ? `has ${secret.length} characters` : 'is not in the file';
  say(`its secret ${why}: write another into the folder secrets, with ${least} characters or more`);
  return null;
}
