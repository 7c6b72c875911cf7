// The engine's adapters, one for each model.
import { type Adapter, type AdapterPayload, Provider } from 'oidc-provider';
import { ArtifactAdapter } from './artifact-adapter.ts';
import { type FamilyPolicy, RefreshTokenAdapter } from './families/adapter.ts';
import { readClient } from './presented.ts';
import { currentUnit } from './unit-of-work.ts';

/** Makes the engine's adapter factory. */
export function createAdapter(policy: FamilyPolicy): (model: string) => Adapter {
  return (model) => {
    if (model === 'RefreshToken') return new RefreshTokenAdapter(policy);
    if (model === 'Client') return new ClientAdapter();
    return new ArtifactAdapter(model);
  };
}

class ClientAdapter extends ArtifactAdapter {
  constructor() {
    super('Client');
  }

  override find(id: string): Promise<AdapterPayload | undefined> {
    const unit = currentUnit();
    const { fast, engineClient } = unit.storage;
    return unit.read('Client', id, async () => {
      const client = await readClient(fast, unit.ahead, id);
      return client && engineClient(client);
    });
  }

  override upsert(_id: string, payload: AdapterPayload): Promise<void> {
    const { client_id: id, ...metadata } = payload as AdapterPayload & { client_id: string };
    const kind = Provider.ctx?.oidc.route === 'registration' ? 'new' : 'changed';
    currentUnit().writeClient({ kind, metadata: { client_id: id, ...metadata } });
    return Promise.resolve();
  }

  override destroy(id: string): Promise<void> {
    currentUnit().writeClient({ kind: 'removed', id });
    return Promise.resolve();
  }
}
