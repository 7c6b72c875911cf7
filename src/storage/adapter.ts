// The engine's adapters, one for each model.
import { type Adapter, type AdapterPayload, Provider } from 'oidc-provider';
import { type Admit, ArtifactAdapter, admitAll } from './artifact-adapter.ts';
import { whatChanged } from './audit/changed.ts';
import { type ClientMetadata, isDocument, restrictionsIn } from './clients.ts';
import { type FamilyPolicy, RefreshTokenAdapter } from './families/adapter.ts';
import { DisabledClient } from './errors.ts';
import { readClient } from './presented.ts';
import { currentUnit } from './unit-of-work.ts';

/** Makes the engine's adapter factory. */
export function createAdapter(
  policy: FamilyPolicy,
  admit: Admit = admitAll,
): (model: string) => Adapter {
  return (model) => {
    if (model === 'RefreshToken') return new RefreshTokenAdapter(policy);
    if (model === 'Client') return new ClientAdapter(admit);
    return new ArtifactAdapter(model, admit);
  };
}

// Where a client that asks for something is looked up. It may still be told of a sign-out, and be removed.
const asking = new Set([
  'authorization',
  'resume',
  'token',
  'introspection',
  'pushed_authorization_request',
  'device_authorization',
  'code_verification',
  'device_resume',
  'backchannel_authentication',
]);

/** @throws {DisabledClient} when it is the client that asks */
function refuseDisabled(metadata: object): void {
  const { disabled } = metadata as { disabled?: string };
  const { route = '', client: known } = Provider.ctx?.oidc ?? {};
  if (disabled !== undefined && !known && asking.has(route)) throw new DisabledClient(disabled);
}

class ClientAdapter extends ArtifactAdapter {
  readonly #admit: Admit;

  constructor(admit: Admit) {
    super('Client', admit);
    this.#admit = admit;
  }

  override async find(id: string): Promise<AdapterPayload | undefined> {
    const unit = currentUnit();
    const { engineClient } = unit.storage;
    const found = await unit.read('Client', id, async () => {
      const client = await readClient(unit.storage, unit.ahead, id);
      // Of one that is known by its document the engine is not given the row.
      if (client && isDocument(client.metadata)) refuseDisabled(client.metadata);
      return client && engineClient(client);
    });
    if (found) refuseDisabled(found);
    return found;
  }

  override async upsert(clientId: string, payload: AdapterPayload): Promise<void> {
    const unit = currentUnit();
    const registered = payload as ClientMetadata;
    await this.#admit('Client', payload);
    unit.actsAs({ kind: 'client', id: clientId });
    const { oidc } = Provider.ctx ?? {};
    if (oidc?.route === 'registration') {
      const invitation = oidc.entities.InitialAccessToken?.jti;
      unit.writeClient({ kind: 'new', metadata: registered, invitation });
      const detail = { invited: invitation !== undefined };
      unit.audit({ type: 'client.registered', clientId, detail });
    } else {
      const before = (await this.find(clientId)) ?? {};
      const metadata = { ...registered, ...restrictionsIn(before) };
      const detail = { by: 'itself', ...whatChanged(before, metadata) };
      unit.writeClient({ kind: 'changed', metadata, before });
      unit.audit({ type: 'client.changed', clientId, detail });
    }
  }

  override destroy(clientId: string): Promise<void> {
    const unit = currentUnit();
    unit.actsAs({ kind: 'client', id: clientId });
    unit.writeClient({ kind: 'removed', id: clientId });
    unit.audit({ type: 'client.removed', clientId, detail: { by: 'itself' } });
    return Promise.resolve();
  }
}
