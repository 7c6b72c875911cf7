// symbolon client invite: makes an initial access token, with which an application registers itself.
import type { Command } from 'commander';
import { createOfflineProvider } from '../../provider/offline-provider.ts';
import { commandLine } from '../../storage/origin.ts';
import { currentUnit, runUnit } from '../../storage/unit-of-work.ts';
import { CommandError, asJson, print, secondsIn, withStorage } from '../run.ts';

const MOST = 10_000;

export function addInviteCommand(client: Command): void {
  client
    .command('invite')
    .description(
      'make an initial access token, with which an application registers itself (RFC 7591 §3)',
    )
    .option('--expires-in <seconds>', 'how long it may be used', '86400')
    .option('--uses <number>', 'how many applications may register with it', '1')
    .option(...asJson)
    .action(
      ({ expiresIn, uses: given, json }: { expiresIn: string; uses: string; json?: boolean }) =>
        withStorage(async ({ config, storage }) => {
          const seconds = secondsIn('--expires-in', expiresIn);
          const uses = Number(given);
          if (!Number.isInteger(uses) || uses < 1 || uses > MOST)
            throw new CommandError(`--uses: wants a number from 1 to ${MOST}`);
          if (config.registration === 'off')
            throw new CommandError('SYMBOLON_REGISTRATION is off: set it to "token" first.');
          const provider = createOfflineProvider({ config, storage });
          let token = '';
          await runUnit(storage, commandLine, async () => {
            token = await provider.invite(seconds, uses);
            currentUnit().audit({ type: 'client.invited', detail: { seconds, uses } });
          });
          print(
            json,
            { initial_access_token: token, expires_in: seconds, uses },
            `${token}\n\nIt is shown this once. The application sends it as a bearer token to ${config.baseUrl}/register.`,
          );
        }),
    );
}
