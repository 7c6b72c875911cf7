// After SYMBOLON_SECRET has changed: what is sealed under a former secret is sealed anew under the first, a row at a
// time and only as it was read, so that it can be done while the provider runs.
import type { AdapterPayload } from 'oidc-provider';
import type { Artifact } from '../generated/client.ts';
import { secretContext } from '../keys/installation-secrets.ts';
import { signingKeyContext } from '../keys/signing-keys.ts';
import { artifactContext, lookupOf, sessionOf } from './artifacts.ts';
import { clientContext } from './clients.ts';
import { deliveryContext } from './deliveries.ts';
import type { Storage } from './storage.ts';

const BATCH = 500; // rows

/** How many rows of each kind were sealed anew. */
export interface Resealed {
  signing_keys: number;
  installation_secrets: number;
  client_secrets: number;
  artifacts: number;
  deliveries: number;
  one_time_codes: number;
  links: number;
}

/** @throws SealError when something was sealed under a secret that is not listed any more */
export async function reseal({ prisma, keyring }: Storage): Promise<Resealed> {
  const counts: Resealed = {
    signing_keys: 0,
    installation_secrets: 0,
    client_secrets: 0,
    artifacts: 0,
    deliveries: 0,
    one_time_codes: 0,
    links: 0,
  };
  for (const { kid, sealed } of await prisma.signingKey.findMany()) {
    const anew = keyring.reseal(signingKeyContext(kid), sealed);
    if (!anew) continue;
    const where = { kid, sealed };
    counts.signing_keys += (
      await prisma.signingKey.updateMany({ where, data: { sealed: anew } })
    ).count;
  }
  for (const { name, sealed } of await prisma.installationSecret.findMany()) {
    const anew = keyring.reseal(secretContext(name), sealed);
    if (!anew) continue;
    const where = { name, sealed };
    counts.installation_secrets += (
      await prisma.installationSecret.updateMany({ where, data: { sealed: anew } })
    ).count;
  }
  for (const { id, secret } of await prisma.client.findMany({
    select: { id: true, secret: true },
  })) {
    const anew = secret && keyring.reseal(clientContext(id), secret);
    if (!anew) continue;
    const where = { id, secret };
    counts.client_secrets += (
      await prisma.client.updateMany({ where, data: { secret: anew } })
    ).count;
  }
  for (const { id, sealed } of await prisma.delivery.findMany()) {
    const anew = keyring.reseal(deliveryContext(id), sealed);
    if (!anew) continue;
    const where = { id, sealed };
    counts.deliveries += (
      await prisma.delivery.updateMany({ where, data: { sealed: anew } })
    ).count;
  }
  for (const { accountId, sealed } of await prisma.totp.findMany()) {
    const anew = keyring.reseal(totpContext(accountId), sealed);
    if (!anew) continue;
    const where = { accountId, sealed };
    counts.one_time_codes += (
      await prisma.totp.updateMany({ where, data: { sealed: anew } })
    ).count;
  }
  for (const { id, sealed } of await prisma.link.findMany({ where: { sealed: { not: null } } })) {
    const anew = sealed && keyring.reseal(linkContext(id), sealed);
    if (!anew) continue;
    const where = { id, sealed };
    counts.links += (await prisma.link.updateMany({ where, data: { sealed: anew } })).count;
  }
  for (let after: Uint8Array<ArrayBuffer> | undefined; ;) {
    // Past the last one seen, which may be gone by now.
    const rows: Pick<Artifact, 'id' | 'model' | 'sealed'>[] = await prisma.$queryRaw`
      SELECT id, model, sealed FROM artifact
      WHERE id > ${after ?? new Uint8Array(0)} ORDER BY id LIMIT ${BATCH}`;
    for (const { id, model, sealed } of rows) {
      const anew = keyring.reseal(artifactContext(id), sealed);
      if (!anew) continue;
      const payload = JSON.parse(keyring.unseal(artifactContext(id), sealed)) as AdapterPayload;
      const lookup = lookupOf(keyring, model, payload);
      const session = sessionOf(keyring, payload);
      const data = { sealed: anew, session, ...(lookup ? { lookup } : {}) };
      counts.artifacts += (await prisma.artifact.updateMany({ where: { id, sealed }, data })).count;
    }
    after = rows.at(-1)?.id;
    if (rows.length < BATCH) return counts;
  }
}

/** The identity of a secret for one-time codes, under which it is sealed. */
export function totpContext(accountId: string): string {
  return `totp ${accountId}`;
}

/** A link's own identity, under which what is kept with it is sealed (accounts/links.ts). */
export function linkContext(id: Uint8Array): string {
  return `link ${Buffer.from(id).toString('base64url')}`;
}
