/**
 * What the torture of workqueues runs on workers. The workers import it from `workers/torture-items.ts`, a module of its
 * own, since the module of a work function is loaded by every worker that runs one.
 */

import { workerEntry } from '../arena/spawn.ts';
import { HoldfastError } from '../errors.ts';
import { Completion } from '../locking/completion.ts';
import type { Cpu } from '../machine/cpu.ts';
import { struct } from '../memory/struct.ts';
import { maxThreads, Slot, slotAddress } from '../sched/slot.ts';
import { currentWork } from '../workqueue/context.ts';
import { work } from '../workqueue/work.ts';

/** Ticks of one thread that are out at once, at most. */
export const TICKS = 16;
/** Ticks that may run at once. */
export const TICKS_ACTIVE = 3;

/** What a thread shares with its items. A thread has those of its CPU number. */
export const Desk = struct({
  /** Which turn the thread waits for, or has: `turn << 1`, and 1 when it has it. 0: none. */
  turn: 1,
  /** The last turn and the last note, which the next owner of the desk goes on from. */
  lastTurn: 1,
  lastNote: 1,
  /** The last note that ran. */
  noted: 1,
  /** `which << 2 | QUEUED` or RAN. */
  ticks: TICKS,
  lastTick: 1,
  /** The thread's number in `life`. */
  life: 1,
  /** How often its own work was queued and not cancelled, and has run. */
  owed: 1,
  own: 1,
  /** 1 while it changes `owed`: the next owner of the desk knows whether that is true. */
  unsure: 1,
  pad: 7,
});
/** A Completion that is never complete. */
export const NOBODY = 'torture nobody';
export const QUEUED = 1;
export const RAN = 2;

/** In front of the desks. */
export const Counters = struct({ inside: 1, started: 1, ticks: 1, deaths: 1, pad: 12 });

/** How often an item looks whether the thread that it has let in is alive, ns. */
const LOOK = 5e6;
/** How long a tick sleeps, ms. */
const NAP = 0.2;

export const items = work(workerEntry('torture-items').href, {
  started(counters: number) {
    currentWork().arena.cpu.fetchAdd(counters + Counters.started, 1);
  },

  /** Lets the thread with that number in `life` in, and ends when it has gone out again, or is dead. */
  async admit(desk: number, turn: number, life: number) {
    await letIn(currentWork().arena.cpu, desk, turn, life);
  },

  /** Lets in, one after the other, all threads that want in. */
  async admitAll(counters: number) {
    const { cpu } = currentWork().arena;
    for (let number = 0; number < maxThreads(cpu); number++) {
      const desk = counters + Counters.words + number * Desk.words;
      const turn = cpu.load(desk + Desk.turn);
      if (turn !== 0 && (turn & 1) === 0) await letIn(cpu, desk, turn >> 1, cpu.load(desk + Desk.life));
    }
  },

  /** A thread's own work. */
  own(desk: number) {
    currentWork().arena.cpu.fetchAdd(desk + Desk.own, 1);
  },

  /** Notes of one desk come in order. */
  note(desk: number, which: number) {
    const { cpu } = currentWork().arena;
    const before = cpu.xchg(desk + Desk.noted, which);
    if (before >= which) throw new Error(`note ${which} ran behind note ${before}`);
  },

  /** Runs once, and beside no more than it may; or kills its worker. */
  tick(counters: number, word: number, which: number, dies: boolean) {
    const { arena } = currentWork();
    const { cpu } = arena;
    const found = cpu.cmpxchg(word, (which << 2) | QUEUED, (which << 2) | RAN);
    if (found === ((which << 2) | RAN)) throw new Error(`tick ${which} ran twice`);
    cpu.fetchAdd(counters + Counters.ticks, 1);
    if (dies) {
      cpu.fetchAdd(counters + Counters.deaths, 1);
      process.exit();
    }
    const inside = cpu.fetchAdd(counters + Counters.inside, 1) + 1;
    nap(new Completion(arena, NOBODY));
    cpu.fetchSub(counters + Counters.inside, 1);
    if (inside > TICKS_ACTIVE) throw new Error(`${inside} ticks ran at once`);
  },
});

/** If it wants in with that turn. Resolves when it has gone out again, or is dead. */
async function letIn(cpu: Cpu, desk: number, turn: number, life: number): Promise<void> {
  const word = desk + Desk.turn;
  if (cpu.cmpxchg(word, turn << 1, (turn << 1) | 1) !== turn << 1) return;
  cpu.wake(word, 1);
  const numbers = Array.from({ length: maxThreads(cpu) }, (_, number) => number);
  const isAlive = () => numbers.some((number) => cpu.load(slotAddress(cpu, number) + Slot.life) === life);
  while (cpu.load(word) === ((turn << 1) | 1) && isAlive()) {
    await cpu.waitAsync(word, (turn << 1) | 1, cpu.now() + LOOK);
  }
}

/** Gives the slot to another worker. */
function nap(nobody: Completion): void {
  try {
    nobody.wait({ timeout: NAP });
  } catch (error) {
    if (!(error instanceof HoldfastError) || error.code !== 'ETIMEDOUT') throw error;
  }
}
