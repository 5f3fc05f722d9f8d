/** Barrier tests, and floods: rcu_torture_barrier, and the forward-progress tests of rcu_torture_fwd_prog_cr. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Performer } from './performer.ts';
import { count, Seat, Stage } from './stage.ts';

const LOOK_MS = 1;
/** A flood: so long, ms, and then so long a pause; so many callbacks and frees between two turns of the loop. */
const FLOOD_MS = 100;
const EBB_MS = 200;
const CALLS = 500;
const FREES = 100;
const BLOCK_WORDS = 4;
const PER_PERIOD = 4;

/** Queues a callback for each barrier test. */
export async function postCallbacks(performer: Performer): Promise<void> {
  const { cpu, stage, side } = performer;
  let seen = 0;
  while (!performer.isOver) {
    const test = cpu.loadAcquire(stage + Stage.barriers);
    if (test !== seen) {
      seen = test;
      side.rcu.call(() => void cpu.fetchAdd(stage + Stage.invoked, 1));
      cpu.fetchAdd(stage + Stage.posted, 1);
    }
    side.pause();
    await performer.rest();
    await delay(LOOK_MS);
  }
}

/** Has all callback threads queue one, waits for them, and looks whether they have run. */
export async function testBarriers(performer: Performer): Promise<void> {
  const { cpu, stage, seat, side, part } = performer;
  const restUnless = async (isDone: () => boolean) => {
    while (!performer.isOver && !isDone()) {
      await performer.rest();
      await delay(LOOK_MS);
    }
  };
  for (;;) {
    cpu.store(stage + Stage.posted, 0);
    cpu.store(stage + Stage.invoked, 0);
    cpu.fetchAdd(stage + Stage.barriers, 1);
    await restUnless(() => cpu.loadAcquire(stage + Stage.posted) === part.callbacks);
    // The others may have come to their end before they have queued theirs.
    if (cpu.loadAcquire(stage + Stage.posted) !== part.callbacks) return;
    await side.rcu.barrierAsync();
    if (cpu.loadAcquire(stage + Stage.invoked) !== part.callbacks) count(cpu, seat, Seat.failed);
    if (performer.isOver) return;
  }
}

/** Queues callbacks and frees blocks as fast as it can, for a while, and looks whether all are over in the end. */
export async function flood(performer: Performer, tell: (line: string) => void): Promise<void> {
  const { cpu, seat } = performer;
  while (!performer.isOver) {
    tell(await floodOnce(performer));
    count(cpu, seat, Seat.floods);
    for (let waited = 0; waited < EBB_MS && !performer.isOver; waited += 10) {
      await performer.rest();
      await delay(10);
    }
  }
}

async function floodOnce(performer: Performer): Promise<string> {
  const { arena, cpu, seat, side } = performer;
  const { rcu } = side;
  let [launched, invoked, most, freed] = [0, 0, 0, 0];
  const before = rcu.getState().normal;
  const started = cpu.now();
  while (!performer.isOver && cpu.now() - started < FLOOD_MS * 1e6) {
    for (let i = 0; i < CALLS; i++) rcu.call(() => void invoked++);
    launched += CALLS;
    for (let i = 0; i < FREES; i++) rcu.kfree(arena.alloc(BLOCK_WORDS));
    freed += FREES;
    most = Math.max(most, launched - invoked);
    side.pause();
    await performer.rest();
  }
  const flooded = cpu.now();
  const periods = (rcu.getState().normal - before) / PER_PERIOD;
  await rcu.barrierAsync();
  const pending = launched - invoked;
  if (pending !== 0) count(cpu, seat, Seat.failed);
  const [duration, barrier] = [flooded - started, cpu.now() - flooded].map((ns) => Math.round(ns / 1e6));
  return `rcu_torture_fwd_prog_cr Duration ${duration} barrier: ${barrier} pending ${pending} n_launders: ${launched} n_max_cbs: ${most} kfreed: ${freed} gps: ${periods}`;
}
