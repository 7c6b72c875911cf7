// /account: what a person sees and changes by themselves. Each of its pages is a file; what they share is in desk.ts.
import Router from '@koa/router';
import { createApplications } from './applications.ts';
import { type DeskParts, createDesk } from './desk.ts';
import { createEmail } from './email.ts';
import { createHistory } from './history.ts';
import { createMethods } from './methods.ts';
import { createOneTimeCodes } from './one-time-codes.ts';
import { createPasskeys } from './passkeys.ts';
import { createPicture } from './picture.ts';
import { createProfile } from './profile.ts';
import { createRecovery } from './recovery.ts';
import { createSessions } from './sessions.ts';

export function createAccountPages(parts: DeskParts): Router {
  const desk = createDesk(parts);
  const all = new Router();
  for (const router of [
    createProfile(desk),
    createPicture(desk),
    ...(parts.config.mail.mode === 'off' ? [] : [createEmail(desk)]),
    createApplications(desk),
    createSessions(desk),
    createMethods(desk),
    createPasskeys(desk),
    createOneTimeCodes(desk),
    createRecovery(desk),
    createHistory(desk),
  ])
    all.use(router.routes());
  return all;
}
