// What is answered with 503 "nothing was changed" was not done, not told and not mailed; and once the database is back
// the same request does it, tells it once, and mails it once. The requests are in unchanged/.
import { describe } from 'vitest';
import { account } from './unchanged/account.ts';
import { endpoints } from './unchanged/endpoints.ts';
import { signIns } from './unchanged/sign-in.ts';
import { prove, useFixture } from './unchanged/fixture.ts';
import { waysIn } from './unchanged/ways-in.ts';

const handles = useFixture();
describe('of an application:', () => {
  prove(handles, endpoints);
});
describe('signing in, and what is allowed:', () => {
  prove(handles, signIns);
});
describe('at /account:', () => {
  prove(handles, account);
});
describe('the ways to an account:', () => {
  prove(handles, waysIn);
});
