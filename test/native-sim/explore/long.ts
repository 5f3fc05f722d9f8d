/**
 * `npm run explore`: what `npm test` has no time for. Every lock with three threads or with deaths, all models, to the
 * end or to the end of its time; exits with 1 if anything fails.
 */
import { availableParallelism } from 'node:os';
import { exploreParallel, type PlainOptions } from '../../../native-sim/explore/parallel.ts';
import { printCounterexample } from '../../../native-sim/explore/report.ts';
import { LOCK_NAMES } from './programs/holdfast.ts';

interface Case {
  name: string;
  export: string;
  arguments: unknown[];
  options: PlainOptions;
}

const MODELS = ['sc', 'x86-tso', 'armv8'] as const;
const SECONDS = Number(process.argv[2] ?? 120);
const forever = Number.POSITIVE_INFINITY;

const cases: Case[] = [];
for (const model of MODELS) {
  const add = (name: string, exported: string, args: unknown[], options: PlainOptions = {}) => {
    cases.push({ name: `${name}, ${model}`, export: exported, arguments: args, options: { model, ...options } });
  };
  for (const lock of LOCK_NAMES) {
    for (const spins of [forever, 1]) {
      const how = spins === 1 ? ', hardly spinning' : '';
      add(`${lock}, 3 threads${how}`, 'lock', [lock, 3, spins]);
      add(`${lock}, 2 threads, deaths${how}`, 'lock', [lock, 2, spins], { kill: true });
      add(`${lock}, 3 threads, deaths${how}`, 'lock', [lock, 3, spins], { kill: true });
    }
  }
  add('park and unpark', 'parkUnpark', []);
  add('allocator, deaths', 'allocations', [], { kill: true });
  add('names, deaths', 'namings', [], { kill: true });
}

const module = new URL('./programs/holdfast.ts', import.meta.url).href;
const workers = availableParallelism();
let failures = 0;
for (const { name, export: exported, arguments: args, options } of cases) {
  const limits = { maxEvents: 4000, timeLimit: SECONDS * 1000 };
  const source = { module, export: exported, arguments: args };
  try {
    const result = await exploreParallel(source, { ...options, ...limits }, workers);
    const { verdict, executions, blocked, kills, elapsed, share } = result;
    const reach = verdict === 'incomplete' ? `${(share * 100).toFixed(1)}% of ` : '';
    console.log(
      `${verdict.padEnd(10)} ${name}: ${reach}${executions} executions, ${blocked} blocked, ${kills} deaths, ${(elapsed / 1000).toFixed(1)} s`,
    );
    if (result.failure === null) continue;
    failures++;
    console.log(printCounterexample(result.failure).replaceAll(/^/gm, '    '));
  } catch (error) {
    failures++;
    console.log(`error      ${name}: ${error instanceof Error ? error.message : error}`);
  }
}
process.exitCode = failures > 0 ? 1 : 0;
