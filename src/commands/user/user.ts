// symbolon user: the commands on people.
import type { Command } from 'commander';
import { addCommand, inviteCommand } from './add.ts';
import { factorsCommand, resetFactorsCommand } from './factors.ts';
import { importCommand } from './import.ts';
import { deleteCommand, exportCommand, keepCommand } from './leave.ts';
import { listCommand, showCommand } from './show.ts';
import { lockCommand, passwordCommand, signOutCommand, unlockCommand } from './sign-in.ts';
import { claimsCommand, updateCommand } from './update.ts';

export function addUserCommands(user: Command): void {
  for (const add of [
    addCommand,
    inviteCommand,
    updateCommand,
    claimsCommand,
    listCommand,
    showCommand,
    passwordCommand,
    lockCommand,
    unlockCommand,
    factorsCommand,
    resetFactorsCommand,
    signOutCommand,
    deleteCommand,
    keepCommand,
    exportCommand,
    importCommand,
  ])
    add(user);
}
