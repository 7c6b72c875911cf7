// The views: each template of views/*.eta by its name, with the data that it shows. The compiler holds the pages to
// it, test/pages/views.test.ts the templates.
import type { AccountTemplates } from './account.ts';
import type { EngineViews } from './engine.ts';
import type { SignInViews } from './sign-in.ts';
import type { WaysInViews } from './ways-in.ts';

export interface Views extends AccountTemplates, EngineViews, SignInViews, WaysInViews {}
