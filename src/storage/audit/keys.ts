// The audit of signing keys: one event for each kind of change.
import type { RecordKeys } from '../../keys/signing-keys.ts';
import { writeEvents } from '../audit.ts';
import type { Occasion } from '../origin.ts';

/** Records changes of keys. @param more that the event of a rotation says */
export function recordKeys(occasion: Occasion, more: { readonly now?: boolean } = {}): RecordKeys {
  return (database, { added = [], rotated = [], removed = [], retired = [] }) => {
    const events = [
      { type: 'key.added', detail: { kids: [...added] } },
      { type: 'key.rotated', detail: { kids: [...rotated], ...more } },
      { type: 'key.removed', detail: { kids: [...removed] } },
      { type: 'key.retired', detail: { kids: [...retired] } },
    ] as const;
    return writeEvents(
      database,
      events.filter(({ detail }) => detail.kids.length > 0),
      occasion,
    );
  };
}
