// What is wrong with a client's metadata, in words for an operator: before anything is written.
import { errors } from 'oidc-provider';
import type { ClientMetadata } from '../storage/clients.ts';
import type { OfflineProvider } from './offline-provider.ts';
import { clientMetadata } from './own-metadata.ts';

export interface MetadataProblem {
  /** The member that it is about, if that can be told. */
  readonly member: string | undefined;
  readonly message: string;
  /** Whether nobody knows the member. */
  readonly isUnknown: boolean;
}

/** Checks a client's metadata as it will be, with its secret if it has one. */
export async function metadataProblems(
  provider: OfflineProvider,
  metadata: ClientMetadata,
): Promise<MetadataProblem[]> {
  try {
    const unknown = await provider.validate(metadata);
    if (unknown.length === 0) return [];
    const missing = await provider.missingSettings(metadata, unknown);
    return unknown.map((member) => {
      const settings = missing.filter((one) => one.member === member).map((one) => one.setting);
      const why =
        settings.length === 0
          ? `not known as client metadata. Known: ${alike(member).join(', ')}`
          : `not known as client metadata while ${settings.join(' and ')} is not set`;
      return { member, message: `${member}: ${why}.`, isUnknown: true };
    });
  } catch (error) {
    if (!(error instanceof errors.OIDCProviderError)) throw error;
    const [missing] = await provider.missingSettings(metadata, []);
    const help = missing ? ` It would be accepted with the setting ${missing.setting}.` : '';
    const why = error.error_description ?? error.message;
    // Messages begin with the member that they are about.
    const [first = ''] = /^\w+/.exec(why) ?? [];
    const member = first in metadata ? first : undefined;
    return [{ member, message: `${why}.${help}`, isUnknown: false }];
  }
}

/** The known members that have a word in common with one that is not known; all, when none has. */
function alike(name: string): string[] {
  const words = name.split('_').filter((word) => word.length > 2);
  const known = [...standard, ...Object.keys(clientMetadata)].sort();
  const found = known.filter((one) => words.some((word) => one.split('_').includes(word)));
  return found.length > 0 ? found : known;
}

// OpenID Connect Dynamic Client Registration 1.0 §2, RFC 7591 §2, and what extends them.
const standard = [
  ...['application_type', 'backchannel_logout_session_required', 'backchannel_logout_uri'],
  ...['client_id', 'client_name', 'client_secret', 'client_uri', 'contacts', 'default_acr_values'],
  ...['default_max_age', 'dpop_bound_access_tokens', 'grant_types', 'id_token_signed_response_alg'],
  ...['initiate_login_uri', 'jwks', 'jwks_uri', 'logo_uri', 'policy_uri'],
  ...['post_logout_redirect_uris', 'redirect_uris', 'request_object_signing_alg', 'request_uris'],
  ...['require_auth_time', 'require_pushed_authorization_requests', 'response_modes'],
  ...['require_signed_request_object', 'response_types', 'scope', 'sector_identifier_uri'],
  ...['subject_type', 'tls_client_auth_san_dns', 'tls_client_auth_subject_dn'],
  ...['tls_client_certificate_bound_access_tokens', 'token_endpoint_auth_method'],
  ...['token_endpoint_auth_signing_alg', 'tos_uri', 'userinfo_signed_response_alg'],
];
