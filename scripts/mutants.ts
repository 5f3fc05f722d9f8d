/**
 * npm run mutants: puts one mistake after the other into a copy of the sources, and says which test noticed it and after
 * how long. `npm run mutants -- locking futex` takes these rooms only, `-- --name wake` the mutants with that in their
 * name. Exits with 1 when a mutant survives that is not marked as equivalent.
 */
import { execFileSync, spawn } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import Table from 'cli-table3';
import { Command } from 'commander';
import { type Mutant, mutated } from '../test/mutants/mutant.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const ROOMS = join(ROOT, 'test/mutants/rooms');

interface Verdict {
  readonly room: string;
  readonly mutant: Mutant;
  /** The test that failed, 'hangs' when the tests did not come to an end, or undefined: nobody noticed. */
  readonly noticedBy: string | undefined;
  readonly seconds: number;
}

const command = new Command('mutants')
  .argument('[rooms...]', 'files of test/mutants/rooms; default: all')
  .option('--name <text>', 'only mutants with this in their name')
  .option('--jobs <count>', 'mutants at a time', Number, 1)
  .option('--limit <seconds>', 'tests that take longer hang', Number, 300)
  .parse();
const { name = '', jobs, limit } = command.opts<{ name?: string; jobs: number; limit: number }>();

/** A copy of the sources that a mutant may spoil. */
function copyOfSources(): string {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-mutants-'));
  const files = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard'], {
    cwd: ROOT,
    encoding: 'utf8',
  });
  for (const file of files.trim().split('\n')) {
    // Git lists what a checkout has that shares another one's modules by a link.
    if (file !== 'node_modules' && existsSync(join(ROOT, file))) cpSync(join(ROOT, file), join(folder, file));
  }
  symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
  return folder;
}

/** Runs the mutant's tests in the copy, which is as before afterwards. */
async function judge(folder: string, room: string, mutant: Mutant): Promise<Verdict> {
  const file = join(folder, mutant.file);
  const text = readFileSync(file, 'utf8');
  writeFileSync(file, mutated(text, mutant));
  const start = performance.now();
  try {
    const noticedBy = await firstFailure(folder, mutant.tests);
    return { room, mutant, noticedBy, seconds: (performance.now() - start) / 1000 };
  } finally {
    writeFileSync(file, text);
  }
}

function firstFailure(cwd: string, tests: readonly string[]): Promise<string | undefined> {
  const report = join(cwd, '.mutant.json');
  // What the mutant before has left would pass for this one's.
  rmSync(report, { force: true });
  const vitest = join(ROOT, 'node_modules/vitest/vitest.mjs');
  const options = ['run', '--bail=1', '--reporter=json', `--outputFile=${report}`, ...tests];
  // A group of its own: the tests' workers must not outlive a run that is cut short.
  const run = spawn(process.execPath, [vitest, ...options], { cwd, stdio: 'ignore', detached: true });
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      process.kill(-(run.pid as number), 'SIGKILL');
      resolve('hangs');
    }, limit * 1000);
    run.once('error', reject);
    run.once('exit', (code) => {
      clearTimeout(timer);
      if (code === 0) resolve(undefined);
      else if (existsSync(report)) resolve(failureIn(report));
      else reject(new Error(`vitest ended with ${code} and no report: there is no verdict on ${tests.join(', ')}`));
    });
  });
}

/** The first failed test that vitest's report names. */
function failureIn(report: string): string {
  const { testResults } = JSON.parse(readFileSync(report, 'utf8')) as {
    testResults: { name: string; status: string; assertionResults: { status: string; fullName: string }[] }[];
  };
  for (const { name, status, assertionResults } of testResults) {
    const failed = assertionResults.find((result) => result.status === 'failed');
    if (failed !== undefined) return `${basename(name)}: ${failed.fullName}`;
    if (status === 'failed') return `${basename(name)} does not load`;
  }
  return 'vitest itself';
}

const rooms = readdirSync(ROOMS).map((file) => basename(file, '.ts'));
const unknown = command.args.find((room) => !rooms.includes(room));
if (unknown !== undefined) command.error(`error: no room ${unknown}; there are: ${rooms.join(', ')}`);
const wanted = command.args.length > 0 ? command.args : rooms;
const queue: { room: string; mutant: Mutant }[] = [];
for (const room of wanted) {
  const { mutants } = (await import(join(ROOMS, `${room}.ts`))) as { mutants: readonly Mutant[] };
  for (const mutant of mutants) if (mutant.name.includes(name)) queue.push({ room, mutant });
}

const verdicts: Verdict[] = [];
async function work(): Promise<void> {
  const folder = copyOfSources();
  try {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      const verdict = await judge(folder, next.room, next.mutant);
      verdicts.push(verdict);
      const { mutant, noticedBy, seconds } = verdict;
      const said = noticedBy ?? (mutant.equivalent === undefined ? 'SURVIVED' : `equivalent: ${mutant.equivalent}`);
      console.log(`${next.room}: ${mutant.name}\n    ${said} (${seconds.toFixed(1)} s)`);
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
await Promise.all(Array.from({ length: jobs }, work));

const table = new Table({
  head: ['room', 'mutants', 'equivalent', 'noticed', 'survived', 'share'],
  style: { head: [] },
});
let survivors = 0;
for (const room of new Set(verdicts.map((verdict) => verdict.room))) {
  const all = verdicts.filter((verdict) => verdict.room === room);
  const real = all.filter(({ mutant }) => mutant.equivalent === undefined);
  const noticed = real.filter(({ noticedBy }) => noticedBy !== undefined);
  survivors += real.length - noticed.length;
  const share = real.length === 0 ? '' : `${Math.round((100 * noticed.length) / real.length)} %`;
  table.push([room, all.length, all.length - real.length, noticed.length, real.length - noticed.length, share]);
}
console.log(table.toString());
// An equivalent mutant that a test notices is none.
const wronglyArgued = verdicts.filter(
  ({ mutant, noticedBy }) => mutant.equivalent !== undefined && noticedBy !== undefined,
);
for (const { mutant } of wronglyArgued) console.log(`not equivalent: ${mutant.name}`);
process.exitCode = survivors + wronglyArgued.length > 0 ? 1 : 0;
