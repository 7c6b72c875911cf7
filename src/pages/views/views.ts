// The views: each template of views/*.eta by name, with its data. The compiler checks the pages against it,
// test/pages/views.test.ts the templates.
import type { AccountTemplates } from './account.ts';
import type { EngineViews } from './engine.ts';
import type { SignInViews } from './sign-in.ts';
import type { WaysInViews } from './ways-in.ts';

export interface Views extends AccountTemplates, EngineViews, SignInViews, WaysInViews {}
