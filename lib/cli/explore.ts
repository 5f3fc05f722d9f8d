/**
 * `holdfast explore`: model-checks a program written against `Cpu`. The work is done by `native-sim/explore/`.
 */
import { existsSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { type Command, InvalidArgumentError, Option } from 'commander';
import type { Checkpointing } from '../../native-sim/explore/checkpoint.ts';
import type { ExploreOptions, ExploreResult, Progress } from '../../native-sim/explore/options.ts';
import type { ChangedOrder } from '../../native-sim/explore/orders.ts';
import type { PlainOptions } from '../../native-sim/explore/parallel.ts';

interface Options {
  model: 'sc' | 'x86-tso' | 'armv8' | 'javascript' | 'all';
  mode: 'exhaustive' | 'bounded' | 'random';
  bound?: number;
  executions?: number;
  seed?: number;
  depth?: number;
  time?: number;
  kill?: number | true;
  maxEvents?: number;
  workers: number;
  checkpoint?: string;
  svg?: string;
  suggest?: boolean;
  weaken?: boolean;
  json?: boolean;
}

export function registerExplore(program: Command): void {
  program
    .command('explore')
    .description('run a program written against Cpu in every way that a memory model allows, and find the way it fails')
    .argument('<module>', 'module that exports the program')
    .argument('<export>', 'name of the export: { words, threads, ... }, or a function that returns one')
    .argument('[arguments...]', 'what to call the function with; numbers are passed as numbers')
    .addOption(
      new Option('-m, --model <model>', 'memory model')
        .choices(['sc', 'x86-tso', 'armv8', 'javascript', 'all'])
        .default('armv8'),
    )
    .addOption(
      new Option('--mode <mode>', 'how to search').choices(['exhaustive', 'bounded', 'random']).default('exhaustive'),
    )
    .option('--bound <count>', 'bounded: at most so many revisits in a row', parseCount)
    .option('--executions <count>', 'stop after so many', parseCount)
    .option('--seed <number>', 'random: where to start', parseCount)
    .option('--depth <count>', 'random: how many ordering decisions a bug may take', parseCount)
    .option('--time <seconds>', 'stop after so long, and say how far it got', parseCount)
    .option('--kill [count]', 'also stop threads before each of their operations, so many in one execution', parseCount)
    .option('--max-events <count>', 'more events in one execution are an error', parseCount)
    .option('--workers <count>', 'worker threads', parseCount, availableParallelism())
    .option('--checkpoint <file>', 'with --time: keep there how far it got, and go on from that if the file is there')
    .option('--svg <file>', 'draw the counterexample')
    .option('--suggest', 'on failure: name the single orders that repair it when strengthened')
    .option('--weaken', 'weaken every order in turn, and list those whose weakening nothing catches')
    .option('--json', 'machine-readable output')
    .action((module: string, name: string, texts: string[], options: Options, command: Command) =>
      run(module, name, texts, options).catch((error: unknown) => fail(error, command)),
    );
}

/** A search that could not be made as it was asked for is bad usage; what a program throws keeps its stack. */
function fail(error: unknown, command: Command): never {
  const { name, message } = error as Error;
  if (name !== 'ExploreError' && !(error instanceof InvalidArgumentError)) throw error;
  command.error(`error: ${message}`);
}

function parseCount(text: string): number {
  const count = Number(text);
  if (!Number.isInteger(count) || count < 1) throw new InvalidArgumentError('expected a whole number, 1 or more.');
  return count;
}

const print = (text: string) => process.stdout.write(`${text}\n`);

function plainOptions(options: Options): Omit<PlainOptions, 'model'> {
  const { mode, bound, executions, seed, depth, maxEvents, time, kill } = options;
  return {
    mode,
    ...(bound === undefined ? {} : { bound }),
    ...(executions === undefined ? {} : { executions }),
    ...(seed === undefined ? {} : { seed }),
    ...(depth === undefined ? {} : { depth }),
    ...(maxEvents === undefined ? {} : { maxEvents }),
    ...(time === undefined ? {} : { timeLimit: time * 1000 }),
    ...(kill === undefined ? {} : { kill: kill === true ? true : { count: kill } }),
  };
}

function stateIn(file: string): unknown {
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch (error) {
    throw new InvalidArgumentError(`--checkpoint ${file}: ${(error as Error).message}`);
  }
}

/** The state of a search in a file, which goes when the search is over. */
export function checkpointIn(file: string): Checkpointing {
  return {
    from: existsSync(file) ? stateIn(file) : undefined,
    save: (checkpoint) =>
      checkpoint === undefined ? rmSync(file, { force: true }) : writeFileSync(file, JSON.stringify(checkpoint)),
  };
}

async function run(module: string, name: string, texts: string[], options: Options): Promise<void> {
  if (!statSync(module, { throwIfNoEntry: false })?.isFile()) throw new InvalidArgumentError(`${module}: no such file`);
  const { exploreParallel, loadProgram } = await import('../../native-sim/explore/parallel.ts');
  const { explore } = await import('../../native-sim/explore/explore.ts');
  const source = {
    module: pathToFileURL(resolve(module)).href,
    export: name,
    arguments: texts.map((text) => (Number.isNaN(Number(text)) ? text : Number(text))),
  };
  const program = await loadProgram(source);
  if (options.checkpoint !== undefined && (options.model === 'all' || options.weaken)) {
    throw new InvalidArgumentError('a checkpoint is of one search, so of one model, and not of --weaken.');
  }
  const models = options.model === 'all' ? (['sc', 'x86-tso', 'armv8'] as const) : [options.model];
  const results: ExploreResult[] = [];
  for (const model of models) {
    const plain = { ...plainOptions(options), model };
    const all = { ...plain, ...program } as ExploreOptions;
    if (options.weaken) {
      await listIdleOrders(all, options);
      continue;
    }
    const onProgress = options.json || !process.stderr.isTTY ? undefined : showProgress;
    const checkpointing = options.checkpoint === undefined ? undefined : checkpointIn(options.checkpoint);
    const result =
      options.workers === 1 && checkpointing === undefined
        ? await explore({ ...all, ...(onProgress === undefined ? {} : { onProgress }) })
        : await exploreParallel(source, plain, options.workers, onProgress, checkpointing);
    if (onProgress !== undefined) process.stderr.write('\r\x1b[K');
    results.push(result);
    await show(result, options);
    if (result.failure !== null && options.suggest) await suggest(all, options);
  }
  if (options.json && !options.weaken) print(JSON.stringify(results));
  if (results.some((result) => result.verdict !== 'ok')) process.exitCode = 1;
}

function showProgress({ share, executions, estimate, elapsed }: Progress): void {
  const seconds = (elapsed / 1000).toFixed(0);
  process.stderr.write(
    `\r\x1b[K${(share * 100).toFixed(1)}%  ${executions} of about ${estimate} executions, ${seconds} s`,
  );
}

async function show(result: ExploreResult, options: Options): Promise<void> {
  if (options.svg !== undefined && result.failure !== null) {
    const { drawCounterexample } = await import('../../native-sim/explore/svg.ts');
    writeFileSync(options.svg, drawCounterexample(result.failure));
  }
  if (options.json) return;
  const { executions, blocked, kills, elapsed, model } = result;
  const counts = `${executions} executions, ${blocked} blocked${kills > 0 ? `, ${kills} deaths` : ''}, ${(elapsed / 1000).toFixed(2)} s`;
  if (result.failure !== null) {
    const { printCounterexample } = await import('../../native-sim/explore/report.ts');
    print(`${printCounterexample(result.failure)}\n\n${model}: failure after ${counts}`);
  } else if (result.verdict === 'incomplete') {
    print(
      `${model}: nothing found in ${(result.share * 100).toFixed(1)}% of about ${result.estimate} executions; ${counts}`,
    );
  } else {
    print(`${model}: ok, ${result.complete ? 'all ' : ''}${counts}`);
  }
  for (const what of result.notExcluded) print(`  not excluded: ${what}`);
}

async function suggest(options: ExploreOptions, { json }: Options): Promise<void> {
  const { suggestRepairs } = await import('../../native-sim/explore/orders.ts');
  const repairs = await suggestRepairs(options);
  if (json) print(JSON.stringify(repairs.map(({ site, to }) => ({ ...site, to }))));
  else if (repairs.length === 0) print('no single stronger order repairs it');
  else for (const repair of repairs) print(`repaired by: ${await describe(repair)}`);
}

async function listIdleOrders(options: ExploreOptions, { json }: Options): Promise<void> {
  const { findIdleOrders } = await import('../../native-sim/explore/orders.ts');
  const { tried, idle } = await findIdleOrders(options);
  if (json) {
    print(JSON.stringify({ model: options.model, tried, idle: idle.map(({ site, to }) => ({ ...site, to })) }));
    return;
  }
  print(`${options.model}: ${tried} weakenings tried, ${idle.length} not caught`);
  for (const order of idle) print(`not caught: ${await describe(order)}`);
}

async function describe({ site, to }: ChangedOrder): Promise<string> {
  const { describeSite } = await import('../../native-sim/explore/site.ts');
  return `${to === 'none' ? 'no' : to} order for ${describeSite(site)}`;
}
