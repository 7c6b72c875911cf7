#!/usr/bin/env node
// The `symbolon` command. It works beside a running server, on the same data.
import { compileOnce } from './compile-once.ts';

const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
if (major < 24 || (major === 24 && minor < 11)) {
  console.error(`Symbolon needs Node 24.11 or newer. This is ${process.version}.`);
  process.exit(1);
}

compileOnce();
await import('./commands/symbolon.ts');
