/** `holdfast rcutorture`: stresses grace periods on real worker threads, as the kernel's rcutorture does. */
import { availableParallelism } from 'node:os';
import { type Command, InvalidArgumentError } from 'commander';
import type { RcuOutcome } from '../torture/rcu/run.ts';
import { RCU_TORTURE_TYPES, rcuTortureTypeNamed } from '../torture/rcu/types.ts';

const MOST_THREADS = 24;
const MOST_SECONDS = 86_400;
const MOST_MS = 60_000;

interface Options {
  list?: boolean;
  readers: number;
  fakewriters: number;
  barrierCbs: number;
  seconds: number;
  kill?: boolean;
  onoff?: boolean;
  stutter: number;
  statInterval: number;
  gpPreinitDelay: number;
  gpInitDelay: number;
  gpCleanupDelay: number;
  json?: boolean;
  seed?: number;
}

export function registerRcuTorture(program: Command): void {
  program
    .command('rcutorture')
    .description('stress RCU on real worker threads: no element is reclaimed under a reader, and no callback is lost')
    .argument('[types...]', 'flavours; default: all that are not broken on purpose')
    .option('--list', 'list the flavours')
    .option(
      '--readers <count>',
      'threads that read',
      whole(1, MOST_THREADS),
      Math.max(2, Math.min(MOST_THREADS, availableParallelism())),
    )
    .option(
      '--fakewriters <count>',
      'threads that wait for grace periods, beside the writer',
      whole(0, MOST_THREADS),
      2,
    )
    .option(
      '--barrier-cbs <count>',
      'threads whose callbacks barrier() is tested with; 0 for no such tests',
      whole(0, MOST_THREADS),
      2,
    )
    .option('--seconds <seconds>', 'how long, in all: the flavours share it', parseSeconds, 20)
    .option('--kill', 'terminate and replace readers and writers at random moments')
    .option('--onoff', 'have readers and writers leave the arena and others join at random moments')
    .option('--stutter <ms>', 'after how long all pause, for as long; 0 for never', whole(0, MOST_MS), 1000)
    .option('--stat-interval <seconds>', 'how often the counts are printed', parseSeconds, 10)
    .option(
      '--gp-preinit-delay <ms>',
      'how long some grace periods wait before they look who reads',
      whole(0, MOST_MS),
      0,
    )
    .option('--gp-init-delay <ms>', 'how long some wait at a leaf of the tree', whole(0, MOST_MS), 0)
    .option('--gp-cleanup-delay <ms>', 'how long some wait before they end', whole(0, MOST_MS), 0)
    .option('--json', 'print one JSON document, and nothing else')
    .option('--seed <number>', 'repeat the random decisions of another run', whole(0, 2 ** 32 - 1))
    .action(rcutorture);
}

async function rcutorture(names: string[], options: Options, command: Command): Promise<void> {
  if (options.list) {
    const width = Math.max(...RCU_TORTURE_TYPES.map(({ name }) => name.length));
    for (const { name, summary } of RCU_TORTURE_TYPES) process.stdout.write(`${name.padEnd(width)}  ${summary}\n`);
    return;
  }
  const unknown = names.filter((name) => rcuTortureTypeNamed(name) === undefined);
  if (unknown.length > 0) {
    const known = RCU_TORTURE_TYPES.map(({ name }) => name).join(', ');
    command.error(`error: unknown flavour ${unknown.map((name) => `'${name}'`).join(', ')}. There are: ${known}.`);
  }
  const types = RCU_TORTURE_TYPES.filter(({ name, isBusted }) =>
    names.length === 0 ? !isBusted : names.includes(name),
  );
  const { rcuTorture } = await import('../torture/rcu/run.ts');
  const { prepareWorkers } = await import('../torture/worker-source.ts');
  const source = await prepareWorkers('rcutorture');
  const settings = {
    readers: options.readers,
    fakewriters: options.fakewriters,
    callbacks: options.barrierCbs,
    seconds: options.seconds / types.length,
    kill: options.kill ?? false,
    onoff: options.onoff ?? false,
    stutter: options.stutter,
    interval: options.statInterval,
    delays: { preinit: options.gpPreinitDelay, init: options.gpInitDelay, cleanup: options.gpCleanupDelay },
    seed: options.seed ?? Math.floor(Math.random() * 2 ** 32),
  };
  const print = (line: string) => void process.stdout.write(`${line}\n`);
  const outcomes: RcuOutcome[] = [];
  for (const type of types) {
    const outcome = await rcuTorture(type, settings, source, options.json ? undefined : print);
    outcomes.push(outcome);
    if (!options.json) for (const violation of outcome.violations) print(`${type.name}-torture: !!! ${violation}`);
  }
  if (options.json) print(JSON.stringify({ settings, node: process.version, outcomes }));
  if (outcomes.some(({ verdict }) => verdict === 'violation')) process.exitCode = 1;
}

function whole(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (/^\d+$/.test(text) && value >= least && value <= most) return value;
    throw new InvalidArgumentError(`expected a whole number from ${least} to ${most}.`);
  };
}

function parseSeconds(text: string): number {
  const value = Number(text);
  if (text.trim() !== '' && value > 0 && value <= MOST_SECONDS) return value;
  throw new InvalidArgumentError(`expected a number above 0, at most ${MOST_SECONDS}.`);
}
