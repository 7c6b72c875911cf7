// What a start leaves behind.

const SOON = 1_000; // milliseconds: whoever waited for the start is answered by then

/**
 * Has V8 collect everything soon. A start takes twice the memory that is kept, and an idle process does not give it back by
 * itself. Requests wait meanwhile for a tenth of a second, once.
 */
export function giveBackMemory(): void {
  setTimeout(() => void collect(), SOON).unref();
}

async function collect(): Promise<void> {
  // A Node that was built without its inspector keeps what it has.
  const inspector = await import('node:inspector/promises').catch(() => undefined);
  if (!inspector) return;
  const session = new inspector.Session();
  session.connect();
  await session.post('HeapProfiler.collectGarbage');
  session.disconnect();
}
