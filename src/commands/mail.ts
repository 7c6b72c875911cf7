// symbolon mail: tests whether mail works.
import { randomUUID } from 'node:crypto';
import type { Command } from 'commander';
import { accountInput } from '../accounts/accounts.ts';
import { loadConfig } from '../config/config.ts';
import { loadLanguages } from '../languages.ts';
import { createLetters } from '../mail/letter.ts';
import { SendError, createMailTransport } from '../mail/transport.ts';
import { CommandError, asJson, print } from './run.ts';

export function addMailCommands(mail: Command): void {
  mail
    .command('test')
    .description('send one mail now, and tell what the mail server said')
    .argument('<address>')
    .option('--locale <tag>', 'the language of the mail', 'en')
    .option(...asJson)
    .action(async (address: string, { locale, json }: { locale: string; json?: boolean }) => {
      const to = accountInput.shape.email.safeParse(address);
      if (!to.success) throw new CommandError(`${address}: this is not an e-mail address.`);
      const config = loadConfig();
      const transport = createMailTransport(config);
      if (!transport)
        throw new CommandError('Mail is off: set SYMBOLON_SMTP_URL (docs/mail.md tells how).');
      try {
        const compose = createLetters(
          config.baseUrl,
          loadLanguages(config.theme.views),
          config.theme,
        );
        const letter = compose({ to: to.data, locale, template: 'test', values: {} });
        await transport.send({ ...letter, id: randomUUID(), to: to.data });
        const how =
          config.mail.mode === 'print' ? 'It was printed above' : 'The mail server took it';
        print(json, { sent: true }, `${how}, from ${config.mail.from} to ${to.data}.`);
      } catch (error) {
        if (!(error instanceof SendError)) throw error;
        throw new CommandError(`The mail was not taken: ${error.message}`);
      } finally {
        transport.close();
      }
    });
}
