// All tables with data sealed under SYMBOLON_SECRET. The data of a forgotten table could not be opened once the former
// secret is removed: a test checks the list.
import { sealedLinks } from '../accounts/links.ts';
import { sealedTotp } from '../accounts/totp.ts';
import { sealedInstallationSecrets } from '../keys/installation-secrets.ts';
import type { SealedTable } from '../keys/reseal.ts';
import { sealedSigningKeys } from '../keys/signing-keys.ts';
import { sealedArtifacts } from '../storage/artifacts.ts';
import { sealedClients } from '../storage/clients.ts';
import { sealedDeliveries } from '../storage/deliveries.ts';

export const sealedTables: readonly SealedTable[] = [
  sealedSigningKeys,
  sealedInstallationSecrets,
  sealedClients,
  sealedArtifacts,
  sealedDeliveries,
  sealedTotp,
  sealedLinks,
];
