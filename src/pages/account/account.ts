// /account: the pages on which people see and change their account. Each is a file; what they share is in
// account-area.ts.
import Router from '@koa/router';
import { type AccountAreaParts, createAccountArea } from './account-area.ts';
import { createApplications } from './applications.ts';
import { createData } from './data.ts';
import { createEmail } from './email.ts';
import { createHistory } from './history.ts';
import { createMethods } from './methods.ts';
import { createOneTimeCodes } from './one-time-codes.ts';
import { createPasskeys } from './passkeys.ts';
import { createPicture } from './picture.ts';
import { createProfile } from './profile.ts';
import { createRecovery } from './recovery.ts';
import { createSessions } from './sessions.ts';

/** The routes of all pages under /account; changing the address only when there is mail. */
export function createAccountPages(parts: AccountAreaParts): Router {
  const area = createAccountArea(parts);
  const all = new Router();
  for (const router of [
    createProfile(area),
    createPicture(area),
    ...(parts.config.mail.mode === 'off' ? [] : [createEmail(area)]),
    createApplications(area),
    createSessions(area),
    createMethods(area),
    createPasskeys(area),
    createOneTimeCodes(area),
    createRecovery(area),
    createHistory(area),
    createData(area),
  ])
    all.use(router.routes());
  return all;
}
