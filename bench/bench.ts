/**
 * npm run bench [-- suites… --quick --json]: every lock against what a user would pick instead, in the same run, on
 * the Node that runs it. Ratios are medians over rounds in which all peers take turns.
 */
import { fork } from 'node:child_process';
import { rmSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import Table from 'cli-table3';
import { Command } from 'commander';
import pc from 'picocolors';
import { absent } from './absent.ts';
import { verdicts } from './bars.ts';
import { bundle } from './bundle.ts';
import { DEFAULT, type Effort, QUICK } from './effort.ts';
import { type Figure, Figures, type Measured, median } from './figure.ts';
import { SUITES, type SuiteName } from './suites.ts';

/** Many times what any one measurement takes. */
const HANGS_MS = 60_000;

/** What other processes may take of the machine without much effect on the ratios. */
const QUIET = 0.1;

/** How a suite ended: the share of the machine that other processes took meanwhile, or what killed it. */
type Ending = { others: number } | { died: string };

async function main(): Promise<void> {
  const names = Object.keys(SUITES) as SuiteName[];
  const command = new Command('bench')
    .description('Measures the locks against their alternatives, on this machine and this Node.')
    .argument('[suites...]', names.join(', '))
    .option('--quick', 'shorter and less exact')
    .option('--json', 'print figures and verdicts as JSON')
    .option('--rounds <n>', 'how often all peers take turns')
    .parse();
  const isSuite = (name: string): name is SuiteName => Object.hasOwn(SUITES, name);
  const unknown = command.args.find((name) => !isSuite(name));
  if (unknown !== undefined) command.error(`unknown suite ${JSON.stringify(unknown)}; there are ${names.join(', ')}`);
  const wanted = command.args.length === 0 ? names : command.args.filter(isSuite);
  const options = command.opts<{ quick?: boolean; json?: boolean; rounds?: string }>();
  const effort = options.quick ? QUICK : DEFAULT;
  const rounds = Number(options.rounds ?? effort.rounds);
  if (!Number.isInteger(rounds) || rounds < 1) command.error('--rounds takes a whole number of at least 1');

  const folder = await bundle();
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  const measured = new Figures();
  const endings: Partial<Record<SuiteName, Ending>> = {};
  for (const suite of wanted) {
    const ending = await run(folder, suite, { ...effort, rounds }, measured);
    endings[suite] = ending;
    if ('died' in ending) process.exitCode = 1;
  }
  if (process.stderr.isTTY) process.stderr.write('\r\x1b[K');
  const figures = measured.all();
  const machine = { node: process.version, cores: availableParallelism(), absent };
  if (options.json) {
    console.log(JSON.stringify({ ...machine, suites: endings, figures, verdicts: verdicts(figures) }, null, 2));
  } else {
    print(figures, `Node ${machine.node}, ${machine.cores} cores`);
    for (const peer of absent) console.log(`Not here: ${peer}.`);
    for (const [suite, ending] of Object.entries(endings)) explain(suite, ending);
  }
}

function explain(suite: string, ending: Ending): void {
  if ('died' in ending) {
    console.log(pc.red(`Suite ${suite} died: ${ending.died}. What it had measured by then is above.`));
  } else if (ending.others > QUIET) {
    const percent = `${Math.round(ending.others * 100)} % of the machine`;
    console.log(pc.yellow(`Other processes took ${percent} during ${suite}: expect noise.`));
  }
}

/**
 * Runs a suite in a process of its own, and ends that process when it has reported: V8's shared heap crashes Node 20
 * where threads end while it is in use.
 */
function run(folder: string, suite: SuiteName, effort: Effort, figures: Figures): Promise<Ending> {
  const child = fork(join(folder, 'suite.js'), [suite, JSON.stringify(effort)], {
    execArgv: [...SUITES[suite]],
  });
  return new Promise((resolve) => {
    let last = 'it started';
    const hangs = () => {
      resolve({ died: `nothing for ${HANGS_MS / 1000} s since ${last}` });
      child.kill('SIGKILL');
    };
    let watchdog = setTimeout(hangs, HANGS_MS);
    child.on('message', (message: Measured | { others: number }) => {
      clearTimeout(watchdog);
      if ('others' in message) {
        resolve(message);
        child.kill('SIGKILL');
        return;
      }
      const { scenario, peer, unit, value } = message;
      figures.add(scenario, peer, unit, value);
      last = `${scenario}: ${peer}`;
      if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${pc.dim(last)}`);
      watchdog = setTimeout(hangs, HANGS_MS);
    });
    child.once('error', (error) => resolve({ died: error.message }));
    child.once('exit', (code, signal) => {
      clearTimeout(watchdog);
      resolve({ died: `${signal ?? `code ${code}`} after ${last}` });
    });
  });
}

function print(figures: readonly Figure[], title: string): void {
  console.log(pc.bold(title));
  const rows = new Map<string, { scenario: string; peer: string; medians: string[] }>();
  for (const { scenario, peer, unit, rounds } of figures) {
    const key = `${scenario}\0${peer}`;
    const row = rows.get(key) ?? { scenario, peer, medians: [] };
    row.medians.push(`${short(median(rounds))} ${unit}`);
    rows.set(key, row);
  }
  const measured = table(['scenario', 'with', 'median of the rounds']);
  for (const { scenario, peer, medians } of rows.values()) measured.push([scenario, peer, medians.join('   ')]);
  console.log(measured.toString());
  const bars = table(['scenario', 'ratio', 'measured', 'bar', '']);
  for (const { scenario, what, measured, bound, bar, holds } of verdicts(figures)) {
    const verdict = holds ? pc.green('pass') : pc.red('falls short');
    bars.push([scenario, what, short(measured), `${bound} ${short(bar)}`, verdict]);
  }
  console.log(bars.toString());
}

function table(head: string[]): Table.Table {
  return new Table({ head, style: { head: [], border: [], compact: true } });
}

function short(value: number): string {
  return Math.abs(value) >= 100 ? value.toFixed(0) : String(Number(value.toPrecision(3)));
}

await main();
