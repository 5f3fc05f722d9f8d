/**
 * npm run test:lockdep: all tests, or those of the files that are named, while lockdep looks at each arena that they make. Fails for a report
 * of a test that does not ask for it: `EXPECTED` says which ones do, and why.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { EXPECTED, UNOBSERVED } from '../test/support/lockdep-expected.ts';

interface Report {
  readonly finding: string;
  readonly classes: readonly string[];
  readonly text: string;
  readonly testPath: string;
  readonly currentTestName?: string;
}

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'holdfast-lockdep-'));
const log = join(folder, 'reports.jsonl');
const { status } = spawnSync(
  'npx',
  ['vitest', 'run', ...UNOBSERVED.flatMap((file) => ['--exclude', file]), ...process.argv.slice(2)],
  {
    cwd: ROOT,
    stdio: 'inherit',
    env: { ...process.env, HOLDFAST_LOCKDEP: '1', HOLDFAST_LOCKDEP_LOG: log },
  },
);
const lines = existsSync(log) ? readFileSync(log, 'utf8').trim().split('\n') : [];
rmSync(folder, { recursive: true, force: true });
const reports = lines.map((line) => JSON.parse(line) as Report);
const unexpected = reports.filter(({ finding, testPath }) => {
  const file = relative(join(ROOT, 'test'), testPath);
  // Lockdep's own tests are about its findings; how long a lock is held while its code awaits is a matter of how busy the machine is.
  if (file.startsWith('debug/') || finding === 'await') return false;
  return EXPECTED[file]?.findings.includes(finding) !== true;
});
for (const { testPath, currentTestName, text } of unexpected)
  console.error(`${testPath}, ${currentTestName}:${text}\n`);
console.log(`lockdep: ${reports.length} reports, ${unexpected.length} of tests that do not ask for one`);
process.exitCode = status === 0 && unexpected.length === 0 ? 0 : 1;
