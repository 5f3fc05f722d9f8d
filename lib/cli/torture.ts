/**
 * `holdfast torture`: stresses locks on real worker threads, and says whether they kept their promises.
 */
import { writeFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { type Command, InvalidArgumentError } from 'commander';
import type { LockType } from '../torture/lock-type.ts';
import { LOCK_TYPES, lockTypeNamed } from '../torture/lock-types.ts';

const MOST_THREADS = 64;
const MOST_SECONDS = 86_400;

interface Options {
  list?: boolean;
  threads: number;
  seconds: number;
  kill?: boolean;
  json?: boolean;
  report?: string;
  seed?: number;
}

export function registerTorture(program: Command): void {
  program
    .command('torture')
    .description('stress locks on real worker threads: exclusion, progress, and recovery from killed workers')
    .argument('[types...]', 'lock types; default: all that are not broken on purpose')
    .option('--list', 'list the lock types')
    .option(
      '--threads <count>',
      'worker threads',
      parseWhole('--threads', 1, MOST_THREADS),
      Math.min(MOST_THREADS, Math.max(4, availableParallelism())),
    )
    .option('--seconds <seconds>', 'how long, in all: the types share it', parseSeconds, 20)
    .option('--kill', 'terminate and replace workers at random moments, after the first quarter of the time')
    .option('--json', 'print one JSON document, and nothing else')
    .option('--report <file>', 'also write a report with plots: one HTML file')
    .option('--seed <number>', 'repeat the random decisions of another run', parseWhole('--seed', 0, 2 ** 32 - 1))
    .action(torture);
}

async function torture(names: string[], options: Options, command: Command): Promise<void> {
  if (options.list) {
    const width = Math.max(...LOCK_TYPES.map(({ name }) => name.length));
    for (const { name, summary } of LOCK_TYPES) process.stdout.write(`${name.padEnd(width)}  ${summary}\n`);
    return;
  }
  const types = chosen(names, command);
  // Before the run: nobody wants to hear after an hour that there is no such directory.
  if (options.report !== undefined)
    await writeFile(options.report, '').catch((error) => command.error(`error: --report: ${error.message}`));
  const { runTorture } = await import('../torture/command.ts');
  const outcomes = await runTorture({
    types,
    settings: {
      threads: options.threads,
      seconds: options.seconds / types.length,
      kill: options.kill ?? false,
      seed: options.seed ?? Math.floor(Math.random() * 2 ** 32),
    },
    json: options.json ?? false,
    report: options.report,
  });
  if (outcomes.some(({ verdict }) => verdict === 'violation')) process.exitCode = 1;
}

function chosen(names: readonly string[], command: Command): LockType[] {
  const unknown = names.filter((name) => lockTypeNamed(name) === undefined);
  if (unknown.length > 0) {
    const known = LOCK_TYPES.map(({ name }) => name).join(', ');
    command.error(`error: unknown lock type ${unknown.map((name) => `'${name}'`).join(', ')}. There are: ${known}.`);
  }
  return LOCK_TYPES.filter(({ name, isBusted }) => (names.length === 0 ? !isBusted : names.includes(name)));
}

function parseWhole(option: string, least: number, most: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (/^\d+$/.test(text) && value >= least && value <= most) return value;
    throw new InvalidArgumentError(`${option} takes a whole number from ${least} to ${most}.`);
  };
}

function parseSeconds(text: string): number {
  const value = Number(text);
  if (text.trim() !== '' && value > 0 && value <= MOST_SECONDS) return value;
  throw new InvalidArgumentError(`--seconds takes a number above 0, at most ${MOST_SECONDS}.`);
}
