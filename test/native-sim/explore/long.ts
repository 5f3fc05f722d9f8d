/**
 * `npm run explore [SECONDS [PART OF A NAME [FOLDER]]]`: what `npm test` has no time for. Every program with three threads or with
 * deaths, all models, to the end or to the end of its time; exits with 1 if anything fails. What is open when a search's time
 * is up is kept in the folder, if there is one, and the next call goes on there.
 */
import { mkdirSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { checkpointIn } from '../../../lib/cli/explore.ts';
import { exploreParallel, type PlainOptions } from '../../../native-sim/explore/parallel.ts';
import { printCounterexample } from '../../../native-sim/explore/report.ts';
import { canOnLoop, LOOP_ACTS, LOOP_LOCKS } from './programs/event-loops.ts';
import { LOCK_NAMES } from './programs/holdfast.ts';
import { ACTS, can, MORE_ACTS, PAIR_LOCKS, pairsOf } from './programs/pairs.ts';
import { RW_LOCK_NAMES } from './programs/readers-writers.ts';
import { ROOM_TRIOS } from './programs/room-trios.ts';
import { SEQUENCE_NAMES } from './programs/sequences.ts';
import { COND_ACTS, MEMORY_ACTS, QUEUE_ACTS, SUPPLY_ACTS, SUPPLY_NAMES, threes } from './programs/trios.ts';

interface Case {
  name: string;
  module: string;
  export: string;
  arguments: unknown[];
  options: PlainOptions;
}

const MODELS = ['sc', 'x86-tso', 'armv8'] as const;
const SECONDS = Number(process.argv[2] ?? 120);
const PART = process.argv[3] ?? '';
const FOLDER = process.argv[4];
const forever = Number.POSITIVE_INFINITY;
/** How many programs of three threads there are of each lock. */
const TRIOS_OF_A_LOCK = 16;

/** By the number of deaths of a program of three threads: how it is searched. */
const KILLED = {
  1: { kill: { walks: 2 } },
  2: { executions: 100, kill: { count: 2, walks: 1 } },
};

const cases: Case[] = [];

/** `mortal`: once more, with deaths. */
function add(module: string, exported: string, args: unknown[], mortal = true): void {
  for (const model of MODELS) {
    for (const kill of mortal ? [false, true] : [false]) {
      const name = `${exported}(${args.map((each) => inspect(each)).join(', ')})${kill ? ', deaths' : ''}, ${model}`;
      cases.push({ name, module, export: exported, arguments: args, options: { model, kill } });
    }
  }
}

for (const spins of [forever, 1]) {
  for (const lock of LOCK_NAMES) for (const threads of [2, 3]) add('holdfast', 'lock', [lock, threads, spins]);
  for (const lock of RW_LOCK_NAMES) {
    for (const others of [['write'], ['read'], ['read', 'read'], ['write', 'read']]) {
      add('readers-writers', 'readersAndWriters', [lock, ['write', ...others], spins]);
    }
  }
  for (const priorities of [
    [0, -1],
    [0, -1, 3],
  ]) {
    add('rt-mutex', 'rtMutex', [priorities, spins]);
  }
}
/** Without deaths, as large as can be searched to the end in a minute on two cores: `npm run explore 600 scale`. */
for (const [module, exported, args] of [
  ['holdfast', 'lock', ['mutex', 4, forever]],
  ['holdfast', 'lock', ['qspinlock', 4, forever]],
  ['holdfast', 'lock', ['mcs', 4, forever]],
  ['readers-writers', 'readersAndWriters', ['rw-semaphore', ['write', 'read', 'read'], forever]],
  ['readers-writers', 'readersAndWriters', ['rw-semaphore', ['write', 'write', 'read'], forever]],
  ['readers-writers', 'readersAndWriters', ['rw-semaphore', ['write', 'write', 'write'], forever]],
  ['holdfast', 'lock', ['mutex', 3, 1]],
  ['holdfast', 'lock', ['mutex', 4, 1]],
] as const) {
  const name = `scale: ${exported}(${args.map((each) => inspect(each)).join(', ')})`;
  cases.push({ name, module, export: exported, arguments: [...args], options: { model: 'armv8' } });
}
add('holdfast', 'parkUnpark', [], false);
add('holdfast', 'allocations', []);
add('holdfast', 'namings', []);

add('sleeping-locks', 'permits', [[true, true], 1]);
add('sleeping-locks', 'completion', [2, 1]);
add('sleeping-locks', 'waitQueue', [2, 1]);
add('rt-mutex', 'rtOrder', [1], false);
for (const policy of ['wound-wait', 'wait-die']) {
  const crossed = [
    [0, 1],
    [1, 0],
  ];
  add('rt-mutex', 'wwMutexes', [policy, crossed, 1]);
}
for (const name of SEQUENCE_NAMES) {
  // A reader that waits for a dead writer of a seq-count looks for it only after a bounded spin, and naps without end.
  add('sequences', 'sequence', [name, ['twice', 'read', 'section'], forever], name === 'seq-count-latch');
}
add('sequences', 'sequence', ['seq-lock', ['write', 'write', 'read'], 1]);

for (const operation of ['wakeTwice', 'wakeByBit', 'requeueAll', 'requeueUnlessChanged']) add('futex', operation, [1]);
for (const operation of ['wakeOne', 'waitForEither', 'piLock', 'requeuePiAll']) add('futex', operation, [2, 1]);
for (const operation of ['wakeBoth', 'oppositeRequeues']) add('futex-words', operation, [1]);
add('futex-words', 'robustWords', [3, 1]);
add('attach', 'attach', [3, 2]);

for (const type of ['normal', 'recursive']) add('pthread', 'mutex', [type, 2, 1]);
for (const how of ['signal', 'broadcast']) add('pthread', 'cond', [how, 2, 1]);
add('pthread', 'barrier', [3, 1, true], false);
add('pthread', 'barrier', [2, 1, false]);
for (const object of ['once', 'sem']) add('pthread', object, [2, 1]);

for (const acts of [
  ['read', 'replace'],
  ['guards', 'hurry'],
  ['twice', 'replace'],
])
  add('rcu', 'rcu', [acts]);
for (const acts of [
  ['read', 'replace', 'replace'],
  ['read', 'hurry', 'replace'],
  ['nested', 'guards', 'replace'],
]) {
  add('rcu', 'rcu', [acts, 'deep']);
  add('rcu', 'rcu', [[...acts, 'look'], 'deep', 'sleeps']);
}

// Too many for an exhaustive search of each: as far as so many random executions tell, and every death.
const random = { model: 'armv8', mode: 'random', executions: 500 } as const;
for (const lock of PAIR_LOCKS) {
  for (const acts of pairsOf(lock)) {
    for (const deaths of [0, 1, 2]) {
      const kill = deaths > 0 && { count: deaths, walks: 2, ...(deaths === 2 && { threads: [0, 2] }) };
      const which = ['', ', deaths', ', a death and that of its reaper'][deaths];
      cases.push({
        name: `pair: ${lock}, ${acts.join(' + ')}${which}`,
        module: 'pairs',
        export: 'pair',
        arguments: [lock, acts, 1, Math.max(deaths, 1)],
        options: { ...random, kill },
      });
    }
  }
}

for (const lock of LOOP_LOCKS) {
  const acts = LOOP_ACTS.filter((act) => canOnLoop(lock, act));
  for (const [i, first] of acts.entries()) {
    for (const second of acts.slice(i)) {
      for (const kill of [false, { walks: 2 }]) {
        cases.push({
          name: `event loop: ${lock}, ${first} + ${second}${kill ? ', deaths' : ''}`,
          module: 'event-loops',
          export: 'onEventLoop',
          arguments: [lock, [first, second], ['take', 'take'], { clock: [5e6] }],
          options: { ...random, kill },
        });
      }
    }
  }
}

/**
 * Three threads, with one death and with two, that of a reaper among them. `args` come before the number of deaths. With two
 * there are many more points, and more of them the more executions there are to begin with: so each is visited once, from few.
 */
function addTrio(
  what: string,
  module: string,
  exported: string,
  args: unknown[],
  deep: 'reaper sliced' | '' = '',
): void {
  for (const model of ['sc', 'armv8'] as const) {
    for (const deaths of [1, 2] as const) {
      cases.push({
        name: `trio: ${what}, ${deaths === 1 ? 'a death' : 'two deaths'}${deep && `, ${deep}`}, ${model}`,
        module,
        export: exported,
        arguments: [...args, deaths, ...(deep ? [true] : [])],
        options: { ...random, model, ...KILLED[deaths] },
      });
    }
  }
}

for (const { room, module, exported, args } of ROOM_TRIOS) {
  addTrio(`${room}, ${exported}(${args.map((each) => inspect(each)).join(', ')})`, module, exported, [...args]);
}
for (const name of SUPPLY_NAMES) {
  for (const acts of threes(SUPPLY_ACTS, ['give']))
    addTrio(`${name}, ${acts.join(' + ')}`, 'trios', 'supply', [name, acts, 1]);
}
for (const acts of threes(COND_ACTS, ['one', 'all']))
  addTrio(`condition, ${acts.join(' + ')}`, 'trios', 'condition', [acts, 1]);
for (const acts of threes(QUEUE_ACTS, ['wake']))
  addTrio(`wait queue, ${acts.join(' + ')}`, 'trios', 'queue', [acts, 1]);
for (const acts of threes(MEMORY_ACTS)) addTrio(`memory, ${acts.join(' + ')}`, 'trios', 'memory', [acts]);
for (const lock of PAIR_LOCKS) {
  const all = threes([...ACTS, ...MORE_ACTS].filter((act) => can(lock, act)));
  // Evenly spread: all would be 3,000 programs.
  const stride = Math.max(1, all.length / TRIOS_OF_A_LOCK);
  for (let at = 0; at < all.length; at += stride) {
    const acts = all[Math.floor(at)]!;
    addTrio(`${lock}, ${acts.join(' + ')}`, 'pairs', 'pair', [lock, acts, 1], at % 2 < 1 ? '' : 'reaper sliced');
  }
}
for (const [module, exported, args] of [
  ['pthread', 'once', [3, 1]],
  ['pthread', 'barrier', [3, 1, false]],
  ['sleeping-locks', 'permits', [[true, true, true], 1]],
  ['sleeping-locks', 'seat', [[1, 2, 1], 1]],
  ['futex', 'requeueAll', [1]],
  ['futex', 'piLock', [3, 1]],
  ['futex', 'requeuePiAll', [2, 1]],
  ['futex', 'waitForEither', [2, 1]],
  ['futex-words', 'robustWords', [3, 1]],
  ['futex-words', 'oppositeRequeues', [1]],
  ['rt-mutex', 'rtMutex', [[0, -1, 3], 1]],
  ['rcu', 'rcu', [['read', 'hurry', 'replace'], 'deep', 'spins']],
  ['rcu', 'rcu', [['nested', 'poll', 'replace'], 'deep', 'spins']],
  ['slab', 'slab', [['take', 'take', 'doom']]],
  ['slab', 'slab', [['several', 'doom', 'doom']]],
  ['shared-cache', 'sharedCache', [['compute', 'compute', 'compute']]],
  ['shared-cache', 'sharedCache', [['use', 'put', 'drain']]],
  ['shared-map', 'sharedMap', [['read', 'grow', 'swap']]],
  ['xarray', 'xarray', [['read', 'erase', 'reuse']]],
  ['maple', 'maple', [['read', 'split', 'join']]],
  ['maple', 'maple', [['read', 'span', 'reuse']]],
] as const) {
  addTrio(`${exported}(${args.map((each) => inspect(each)).join(', ')})`, module, exported, [...args]);
}

const workers = availableParallelism();
if (FOLDER !== undefined) mkdirSync(FOLDER, { recursive: true });
/** By lock, and by room: how far its programs of two and of three threads were explored. */
const reached = new Map<string, { programs: number; executions: number; known: number; reached: number }>();
let failures = 0;
for (const { name, module, options, ...source } of cases.filter((each) => each.name.includes(PART))) {
  const limits = { maxEvents: 20_000, timeLimit: SECONDS * 1000 };
  const url = new URL(`./programs/${module}.ts`, import.meta.url).href;
  try {
    const isKept = FOLDER !== undefined && options.mode !== 'random';
    const checkpointing = isKept ? checkpointIn(join(FOLDER, `${encodeURIComponent(name)}.json`)) : undefined;
    const all = { ...options, ...limits };
    const result = await exploreParallel({ ...source, module: url }, all, workers, undefined, checkpointing);
    const { verdict, executions, blocked, points, elapsed, share } = result;
    const reach = verdict === 'incomplete' ? `${(share * 100).toFixed(1)}% of ` : '';
    console.log(
      `${verdict.padEnd(10)} ${name}: ${reach}${executions} executions, ${blocked} blocked, ${points.reached} of ${points.known} deaths, ${(elapsed / 1000).toFixed(1)} s`,
    );
    for (const point of points.missed) console.log(`    missed: ${point}`);
    for (const what of result.notExcluded) console.log(`    not excluded: ${what}`);
    const [, room] = /^(?:pair|trio): ([^,(]+)/.exec(name) ?? [];
    if (room !== undefined) {
      const sum = reached.get(room) ?? { programs: 0, executions: 0, known: 0, reached: 0 };
      sum.programs++;
      sum.executions += executions;
      sum.known += points.known;
      sum.reached += points.reached;
      reached.set(room, sum);
    }
    if (result.failure === null) continue;
    failures++;
    console.log(printCounterexample(result.failure).replaceAll(/^/gm, '    '));
  } catch (error) {
    failures++;
    console.log(`error      ${name}: ${error instanceof Error ? error.message : error}`);
  }
}
if (reached.size > 0) console.table(Object.fromEntries(reached));
process.exitCode = failures > 0 ? 1 : 0;
