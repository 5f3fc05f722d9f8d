/**
 * Charges waiting to the unlock that ends it: the place of the program that gave back what others have waited for, as Go's mutex profile and
 * Abseil's have it. A lock is held for too long at the place that holds it, and not where somebody waits.
 *
 * A thread that wakes a task charges all that sleep for the same lock, each with its time since the last unlock that has charged it, or
 * since it went to sleep. So a waiter's time is divided among those that have held the lock meanwhile, and none of it is charged twice.
 */
import type { Cpu } from '../../machine/cpu.ts';
import { Header } from '../../memory/header.ts';
import { latchOwner } from '../../memory/latch.ts';
import { eachTask, maxThreads, Slot, slotAddress } from '../../sched/slot.ts';
import { Task } from '../../sched/task.ts';
import type { Thread } from '../../sched/thread.ts';
import type { UnlockHearer } from '../../sched/watch.ts';
import { HeldRow, heldRowAt } from './holds-layout.ts';
import { Blocked, blockedAt, blockedFor, claimEntry, Profile, Share, shareKey, UNLOCKS } from './layout.ts';
import type { RowFinder } from './rows.ts';
import { type Chance, recording } from './samples.ts';
import { capture, framesOf, type StackTable } from './stacks.ts';
import { tallyAdd } from './tally.ts';

/** Tasks of one thread that an unlock looks at: of thousands that wait on one event loop it charges the first. */
const MOST_LOOKED_AT = 64;

export class UnlockRecorder implements UnlockHearer {
  readonly #thread: Thread;
  readonly #session: number;
  readonly #profile: number;
  readonly #rows: RowFinder;
  readonly #stacks: StackTable;
  readonly #chance: Chance;

  constructor(thread: Thread, session: number, profile: number, rows: RowFinder, stacks: StackTable, chance: Chance) {
    this.#thread = thread;
    this.#session = session;
    this.#profile = profile;
    this.#rows = rows;
    this.#stacks = stacks;
    this.#chance = chance;
  }

  /** The thread has released what `task` waits for. */
  wakes(task: number): void {
    const { cpu, id } = this.#thread;
    const word = cpu.load(task + Task.within);
    // Of those that wait until something happens nobody notes since when.
    if (word === 0 || cpu.load(task + Blocked.uncharged) === 0) return;
    // It wakes all that sleep, and has released nothing.
    if (latchOwner(cpu, Header.reaperLatch) === id) return;
    // A thread that has not heard of a session's end takes no time from those that charge in the next one.
    recording(this.#thread, this.#session, () => this.#charge(word));
  }

  handsOver(lock: number): void {
    const { cpu } = this.#thread;
    const holds = cpu.load(this.#profile + Profile.holds);
    if (holds === 0) return;
    recording(this.#thread, this.#session, () => {
      const row = this.#rows.rowOf(this.#rows.objectAt(lock), false);
      if (row >= 0) cpu.fetchAddRelaxed(heldRowAt(holds, row) + HeldRow.handoffs, 1);
    });
  }

  #charge(word: number): void {
    const { cpu } = this.#thread;
    const { waiters, us } = charge(cpu, word, blockedAt(cpu.now()), this.#session);
    const ns = us * 1000;
    const weight = ns === 0 ? 0 : this.#chance.weightOf(ns);
    if (weight > 0) this.#record(word, framesOf(capture()), waiters * weight, ns * weight);
  }

  #record(word: number, frames: string, waiters: number, ns: number): void {
    const { cpu, number } = this.#thread;
    const row = this.#rows.rowOf(this.#rows.objectAt(word), false);
    const stack = row < 0 ? -1 : this.#stacks.numberOf(frames);
    const key = stack < 0 ? 0 : shareKey(row, stack, number, false);
    const share = key === 0 ? 0 : claimEntry(cpu, this.#profile + Profile.unlocks, UNLOCKS, Share.words, key);
    if (share === 0) {
      cpu.fetchAddRelaxed(this.#profile + Profile.droppedSamples, 1);
      return;
    }
    tallyAdd(cpu, share + Share.count, Math.round(waiters));
    tallyAdd(cpu, share + Share.delay, Math.round(ns));
  }
}

/** Takes the time of all that sleep for what is at `word`, as the session has heard: how many they are, and us. */
function charge(cpu: Cpu, word: number, now: number, session: number): { waiters: number; us: number } {
  let [waiters, us] = [0, 0];
  for (let number = 0; number < maxThreads(cpu); number++) {
    const slot = slotAddress(cpu, number);
    if (cpu.load(slot + Slot.life) <= 0) continue;
    let looked = 0;
    for (const task of eachTask(cpu, slot)) {
      if (looked++ === MOST_LOOKED_AT) break;
      if (cpu.load(task + Task.within) !== word || cpu.load(task + Blocked.session) !== session) continue;
      const since = cpu.load(task + Blocked.uncharged);
      const time = since === 0 ? 0 : blockedFor(since, now);
      // Of two that charge at once, one has the time. A task that has its lock meanwhile writes 0.
      if (time === 0 || cpu.cmpxchg(task + Blocked.uncharged, since, now) !== since) continue;
      waiters++;
      us += time;
    }
  }
  return { waiters, us };
}
