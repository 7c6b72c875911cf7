// What replaces the engine's reading of requests: their parameters, and the grants that they are about. replaced.ts has
// the list of what is replaced.
import { type KoaContextWithOIDC, Provider, errors } from 'oidc-provider';

/** The request object that `request_uri` refers to, or why it cannot be had. */
export type Referred = { readonly request: string } | { readonly error: Error };

export interface RequestDecisions {
  /** By the name of a parameter, what turns its value into the one that the engine gets. */
  readonly parameterReaders: Readonly<Record<string, (value: unknown) => unknown>>;
  /** The request object of a request that refers to one, or why it is refused. */
  readonly referred: (ctx: object) => Referred | undefined;
  /** Whether a grant type is the one that this request is about. */
  readonly isGrantOf: (oidc: KoaContextWithOIDC['oidc'], type: string) => boolean;
}

/** Has parameters read by others: the engine assigns a request's once, and those of a request object one by one. */
export function readParameters({ OIDCContext }: Provider, decisions: RequestDecisions): void {
  const parameters = Symbol('parameters');
  interface Context {
    [parameters]?: Record<string, unknown>;
    readonly ctx: object;
    readonly once: (event: 'assign.client', listener: () => void) => void;
  }
  Object.defineProperty(OIDCContext.prototype, 'params', {
    get(this: Context) {
      return this[parameters];
    },
    set(this: Context, params: Record<string, unknown>) {
      this[parameters] = params;
      const mayBeObject = 'request' in params;
      for (const [name, read] of Object.entries(decisions.parameterReaders))
        if (name in params) readWith(read, params, name, mayBeObject);
      const referred = mayBeObject ? decisions.referred(this.ctx) : undefined;
      if (referred && 'request' in referred)
        Object.assign(params, { request: referred.request, request_uri: undefined });
      else if (referred)
        // Once the client is known, the refusal can be sent to it.
        this.once('assign.client', () => {
          throw referred.error;
        });
    },
  });
}

function readWith(
  read: (value: unknown) => unknown,
  params: Record<string, unknown>,
  name: string,
  whenever: boolean,
): void {
  let value = read(params[name]);
  if (!whenever) params[name] = value;
  else
    Object.defineProperty(params, name, {
      ...{ enumerable: true, configurable: true },
      get: () => value,
      set: (given: unknown) => {
        value = read(given);
      },
    });
}

/** Refuses a grant that the client may not use with the specification's error, where the engine asks for it. */
export function refuseGrants({ Client }: Provider, { isGrantOf }: RequestDecisions): void {
  const prototype = Client.prototype as { grantTypeAllowed: (type: string) => boolean };
  const { grantTypeAllowed } = prototype;
  prototype.grantTypeAllowed = function allowed(type) {
    const isAllowed = grantTypeAllowed.call(this, type);
    const oidc = isAllowed ? undefined : Provider.ctx?.oidc;
    if (oidc && isGrantOf(oidc, type))
      throw new errors.UnauthorizedClient(`the client may not use the grant ${type}`);
    return isAllowed;
  };
}
