// The data of pages that the engine asks for, of errors and of the home page.
import type { ClientView } from '../client-view.ts';
import type { PersonView } from './frame.ts';

/** A form of the engine's; `xsrf` is its own token. */
interface EngineForm {
  readonly action: string;
  readonly xsrf: string;
}

export interface EngineViews {
  home: {
    readonly issuer: string;
    readonly discovery: string;
    /** Whether there are any. */
    readonly accounts: boolean;
  };
  error: {
    readonly title: string;
    readonly message: string;
    readonly advice: string;
    /** For developers, in English. */
    readonly detail: string | undefined;
    readonly code: string;
    /** The application that sent the person here, when nobody vouches for it. */
    readonly client: ClientView | undefined;
    readonly reference: string | undefined;
  };
  continue: {
    readonly action: string;
    readonly fields: readonly (readonly [name: string, value: string])[];
    readonly script: string;
  };
  'sign-out': EngineForm & {
    readonly client: ClientView | undefined;
    readonly account: PersonView | undefined;
  };
  'signed-out': {
    /** Not set: signing out of everything. */
    readonly client?: ClientView | undefined;
  };
  'device-code': EngineForm & {
    readonly userCode: string | undefined;
    readonly error: string | undefined;
  };
  'device-confirm': EngineForm & {
    readonly userCode: string;
    readonly displayCode: string;
    readonly client: ClientView;
    /** The device that asks. */
    readonly device: {
      readonly ip: string | undefined;
      /** Its User-Agent in words. */
      readonly agent: string | undefined;
    };
  };
  'device-done': { readonly client: ClientView };
  'device-aborted': Record<string, never>;
}
