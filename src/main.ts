// Starts the provider, as `symbolon serve` does.
import { compileOnce } from './compile-once.ts';

compileOnce();
const { main } = await import('./serve.ts');
const { explainExit } = await import('./commands/exit.ts');
await main().catch(explainExit);
