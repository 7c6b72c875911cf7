// The settings of how people get an account, and of mail.
import { z } from 'zod';
import { type Section, integer, oneOf, optionalFlag } from './setting.ts';

export const people = {
  mail: {
    smtpUrl: {
      variable: 'SYMBOLON_SMTP_URL',
      schema: z.url({ protocol: /^smtps?$/ }).optional(),
      wants: 'a URL like `smtp://user:password@mail.example.com:587` or `smtps://…:465`',
      help: 'The SMTP server that takes mails to people. `smtp` turns to TLS where the server offers STARTTLS; `?requireTLS=true` insists on it. See [Mail](mail.md).',
      fallback:
        'mails are printed if `SYMBOLON_PRINT_MAILS` says so; else there are none, and what needs them is off',
      secret: true,
    },
    print: {
      variable: 'SYMBOLON_PRINT_MAILS',
      ...optionalFlag,
      help: 'For development without `SYMBOLON_SMTP_URL`: whether mails are printed on standard output. They hold links that let in whoever reads them, so never where output is logged. Refused with `NODE_ENV=production`.',
      fallback:
        '`true` with `NODE_ENV=development`, or with an issuer that is http on this machine; else `false`',
    },
    from: {
      variable: 'SYMBOLON_MAIL_FROM',
      schema: z
        .string()
        .regex(/^(?:[^<>@\p{C}]+<[^\s<>@,;]+@[^\s<>@,;]+>|[^\s<>@,;]+@[^\s<>@,;]+)$/u)
        .optional(),
      wants: 'an e-mail address, or `Name <address>`',
      help: 'Who mails come from.',
      fallback: '`no-reply@` and the host of the issuer',
    },
  },
  signUp: {
    variable: 'SYMBOLON_SIGN_UP',
    ...oneOf(['closed', 'invitation', 'open'], 'closed'),
    help: 'How people come to an account: added by administrators only, or also by invitation (`symbolon user invite`), or also by themselves at `/sign-up`. See [Accounts](accounts.md). (`SYMBOLON_REGISTRATION` is about clients.)',
  },
  deletionDays: {
    variable: 'SYMBOLON_DELETION_DAYS',
    schema: z.union([z.literal('off'), integer(0, 365)]).default(7),
    wants: 'a number of days from 0 to 365, or `off`',
    help: 'How long people who delete their account at `/account` have to change their mind; `0`: it is deleted at once. `off`: nobody deletes an account but the operator, and who had asked before waits. See [Accounts](accounts.md#leaving).',
  },
} satisfies Section;
