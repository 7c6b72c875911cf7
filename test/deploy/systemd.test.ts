// The systemd unit: what systemd itself says of its form, and of how far the service is shut in.
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { type TestContext, expect, test } from 'vitest';

const unit = fileURLToPath(new URL('../../deploy/systemd/symbolon.service', import.meta.url));
const isThere = spawnSync('systemd-analyze', ['--version']).status === 0;

test('the service is exposed to less than 2 of 10', (context: TestContext) => {
  if (!isThere)
    context.skip(
      'systemd-analyze is missing: `apt-get install systemd` installs it, and this runs',
    );
  const args = ['security', '--offline=true', '--threshold=19', '--no-pager', unit];
  const { status, stdout } = spawnSync('systemd-analyze', args, { encoding: 'utf8' });
  expect(stdout).toMatch(/Overall exposure level for symbolon\.service: [01]\.\d/);
  expect(status).toBe(0);
});

test('SIGTERM comes to Symbolon alone, and it has the time to stop', () => {
  const text = readFileSync(unit, 'utf8');
  expect(text).toMatch(/^KillMode=mixed$/m);
  expect(text).toMatch(/^TimeoutStopSec=20s$/m);
});
