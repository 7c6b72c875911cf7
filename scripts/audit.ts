// `npm run audit` asks the registry for known vulnerabilities of what the lock file names, as `npm audit` does, and fails on
// each that scripts/audit-explained.json does not explain. A registry that cannot be asked, or does not answer audits, is
// no failure: it says so, and nothing has been looked at.
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';

const root = join(import.meta.dirname, '..');
const EXPLAINED = 'scripts/audit-explained.json';

/** Why an advisory does not concern us, or what is done until its fix is out. */
const Explanations = z.array(
  z.strictObject({ advisory: z.url(), package: z.string().min(1), why: z.string().min(20) }),
);
const Advisory = z.object({
  name: z.string(),
  title: z.string(),
  url: z.url(),
  severity: z.string(),
  range: z.string(),
});
const Report = z.object({
  // Beside advisories it holds the names of vulnerable dependencies, which have entries of their own.
  vulnerabilities: z.record(
    z.string(),
    z.object({ via: z.array(z.union([Advisory, z.string()])) }),
  ),
});
/** What npm says of a request that failed. Its other mistakes, a lock file that is missing, have no `message`. */
const Unanswered = z.object({ message: z.string() });

const file = process.argv[2] ?? join(root, EXPLAINED);
const explanations = Explanations.parse(JSON.parse(readFileSync(file, 'utf8')));
const { stdout, stderr } = spawnSync('npm', ['audit', '--json'], { cwd: root, encoding: 'utf8' });
const output: unknown = JSON.parse(stdout || 'null');
const { data: unanswered } = Unanswered.safeParse(output);
if (unanswered) {
  console.warn(`Not audited: the registry gave no answer. ${unanswered.message}`);
  process.exit();
}
const { data: report } = Report.safeParse(output);
if (!report) throw new Error(`npm audit did not say what it found: ${stdout}${stderr}`);

const found = Object.values(report.vulnerabilities)
  .flatMap(({ via }) => via)
  .filter((one) => typeof one !== 'string');
const explains = (one: z.infer<typeof Explanations>[number], other: z.infer<typeof Advisory>) =>
  one.advisory === other.url && one.package === other.name;
for (const one of explanations)
  if (!found.some((other) => explains(one, other)))
    console.warn(
      `${EXPLAINED}: ${one.advisory} (${one.package}) is not found any more; take it out.`,
    );
const unexplained = found.filter((other) => !explanations.some((one) => explains(one, other)));
for (const { name, range, severity, title, url } of unexplained)
  console.error(`${severity}: ${name} ${range}: ${title}. ${url}`);
if (unexplained.length > 0) {
  console.error(`Update what is named, or say in ${EXPLAINED} why it does not concern us.`);
  process.exit(1);
}
console.log(`Audited: ${found.length} known, each explained.`);
