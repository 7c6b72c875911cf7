#!/usr/bin/env node
// The `symbolon` command. It works beside a running server, on the same data.
import { compileOnce } from './compile-once.ts';

compileOnce();
await import('./commands/symbolon.ts');
