/** A thread of `here.ts`: takes a lock again and again, in turns that begin when all threads are there. */
import { readFileSync } from 'node:fs';
import { performance } from 'node:perf_hooks';
import { parentPort, workerData } from 'node:worker_threads';
import { Arena, format } from '../../../lib/arena/arena.ts';
import { Place } from '../../../lib/arena/place.ts';
import { SpinLock } from '../../../lib/locking/spin-lock.ts';
import { RealCpu } from '../../../lib/machine/real.ts';
import { Slot } from '../../../lib/sched/slot.ts';
import { type TextbookName, textbook } from '../../../native-sim/scale/textbook.ts';

export interface Order {
  lock: string;
  threads: number;
  me: number;
  turns: number;
  control: Int32Array;
  memory: SharedArrayBuffer;
}

/** Of one thread, by turn: acquisitions, and ns. */
export interface Turns {
  counts: Float64Array;
  times: Float64Array;
}

export const LOCKS = ['baton', 'ping-pong', 'tas', 'ttas', 'ticket', 'mcs', 'qspinlock'];
/** Two threads by turns, so that one alone would wait for ever. */
export const ALTERNATING: readonly string[] = ['baton', 'ping-pong'];

/** Words on lines of their own: threads that have arrived, in all turns; turns that are over; threads that have the lock open. */
const ARRIVED = 0;
const OVER = 16;
const READY = 32;
export const CONTROL_WORDS = 48;

/** Acquisitions in a turn of a thread that shares its core with nobody: some 100 us to 1 ms. */
const SHORT = 3000;
const WARM = 300_000;
/** A turn of threads that share cores lasts for several time slices, ms. */
const LONG_MS = 20;

interface Taken {
  lock(): void;
  unlock(): void;
}

function open({ lock, threads, me, memory }: Order): Taken {
  const words = new Int32Array(memory);
  const cpu = new RealCpu(words);
  if (lock !== 'qspinlock') {
    const place = { base: 0, me, threads, perCohort: 2, pause: () => {} };
    return textbook[lock as TextbookName](cpu, place);
  }
  if (me === 0) format(cpu, words.length, threads, 1);
  const arena = new Arena(new Place(cpu, me));
  cpu.store(arena.thread.slot + Slot.life, 1 + me);
  return new SpinLock(arena, 'here');
}

/** ns that this thread has had a core, by the kernel's account. */
const ownNs = () => Number(readFileSync('/proc/thread-self/schedstat', 'utf8').split(' ')[0]);

/** Until all are there: awake where each has a core, so that the turn begins at once. */
function meet({ threads, control }: Order, turn: number): void {
  Atomics.add(control, ARRIVED, 1);
  Atomics.notify(control, ARRIVED);
  for (let seen = Atomics.load(control, ARRIVED); seen < threads * (turn + 1); seen = Atomics.load(control, ARRIVED)) {
    if (threads > 2) Atomics.wait(control, ARRIVED, seen);
  }
}

function short(taken: Taken, isOver: () => boolean): number {
  let count = 0;
  for (; count < SHORT && !isOver(); count++) {
    taken.lock();
    taken.unlock();
  }
  return count;
}

function long(taken: Taken): number {
  let count = 0;
  for (const end = performance.now() + LONG_MS; performance.now() < end; count += 32) {
    for (let at = 0; at < 32; at++) {
      taken.lock();
      taken.unlock();
    }
  }
  return count;
}

async function run(order: Order): Promise<void> {
  const { lock, threads, me, turns, control } = order;
  const turnOf = { counts: new Float64Array(turns), times: new Float64Array(turns) };
  // One after the other, so that each has compiled code before they meet.
  while (Atomics.load(control, READY) !== me) await new Promise((resolve) => setTimeout(resolve, 1));
  const taken = open(order);
  const isAlternating = ALTERNATING.includes(lock);
  for (let count = 0; !isAlternating && count < WARM; count++) {
    taken.lock();
    taken.unlock();
  }
  Atomics.store(control, READY, me + 1);
  for (let turn = 0; turn < turns; turn++) {
    meet(order, turn);
    const clock = threads > 2 ? ownNs : () => 1e6 * performance.now();
    const begun = clock();
    turnOf.counts[turn] = threads > 2 ? long(taken) : short(taken, () => !isAlternating && control[OVER]! > turn);
    // The first that is through ends the turn: from then on the other would be alone.
    Atomics.store(control, OVER, turn + 1);
    turnOf.times[turn] = clock() - begun;
  }
  parentPort!.postMessage(turnOf);
}

if (parentPort !== null) void run(workerData as Order);
