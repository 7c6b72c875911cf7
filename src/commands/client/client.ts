// symbolon client: registers and manages relying parties. Metadata is that of OpenID Connect Dynamic Client
// Registration 1.0 §2; the engine validates it before anything is written.
import type { Command } from 'commander';
import { addAddCommand } from './add.ts';
import { addDisableCommands } from './disable.ts';
import { addInviteCommand } from './invite.ts';
import { addSecretCommand } from './secret.ts';
import { addShowCommands } from './show.ts';
import { addUpdateCommand } from './update.ts';

export function addClientCommands(client: Command): void {
  addAddCommand(client);
  addUpdateCommand(client);
  addShowCommands(client);
  addSecretCommand(client);
  addDisableCommands(client);
  addInviteCommand(client);
}
