// What the log tells of the engine's refusals.
import type { KoaContextWithOIDC, Provider, errors } from 'oidc-provider';
import { failed, noteUnavailable } from '../operations/http.ts';
import type { Log } from '../operations/log.ts';
import type { Cause, Outages } from '../operations/outages.ts';
import { isTooLarge, thefts } from './engine-seams/words.ts';

interface Found extends Partial<Cause> {
  readonly requestId: string;
}

/** Logs each error of the engine, with the reason that the client does not get. */
export function logRefusals(log: Log, provider: Provider, available: Outages): void {
  const refused = (ctx: KoaContextWithOIDC, error: errors.OIDCProviderError) => {
    const client = ctx.oidc.client?.clientId;
    const { error: code, error_detail: detail } = error;
    const found = { reason: detail, ...noteUnavailable(ctx, available, error), ...ctx.state };
    const { requestId: request, reason, cause } = found as Found;
    if (isTooLarge(error)) ctx.status = 413; // the engine says 400
    const level = isTheft(reason) ? 'warn' : 'info';
    log[level]({ request, route: ctx.oidc.route, client, error: code, cause, reason }, 'refused');
  };
  for (const name of [
    'authorization',
    'grant',
    'userinfo',
    'introspection',
    'revocation',
    'pushed_authorization_request',
    'device_authorization',
    'backchannel_authentication',
    'registration_create',
    'registration_read',
    'registration_update',
    'registration_delete',
    'code_verification',
    'device_resume',
    'end_session',
    'end_session_confirm',
  ] as const) {
    (provider as NodeJS.EventEmitter).on(`${name}.error`, refused);
  }
  provider.on('server_error', (ctx, error) => {
    failed(log, ctx, error);
  });
}

// What was used already is in a second pair of hands, or a client makes a mistake that looks like it.
function isTheft(reason: string | undefined): boolean {
  return reason !== undefined && thefts.some((words) => reason.includes(words));
}
