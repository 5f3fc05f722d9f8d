/**
 * Works that run once all readers of RCU are out: `queue_rcu_work`. The work is DELAYED, and its timer fires at once: kthreadd waits for
 * the readers, and queues it. So it runs whatever becomes of the thread that has queued it. Until the readers are out the timer is
 * started again and again: should kthreadd die, the next one waits for them.
 */
import type { Arena } from '../arena/arena.ts';
import { HoldfastError } from '../errors.ts';
import { ObjectHeader } from '../memory/objects.ts';
import { Rcu } from '../rcu/rcu.ts';
import { startTimer } from '../sched/timer.ts';
import { WorkWords } from './layout.ts';

/** After how long a kthreadd looks whether the work waits still, ns. */
const AGAIN_NS = 1e9;

/** The queueings for which the calling thread waits: address and number of the work. */
const waiting = new WeakMap<Arena, Set<string>>();

/** Calls `queue` with the number of the work's queueing once the readers are out that are inside now. For kthreadd. */
export function awaitReaders(arena: Arena, work: number, timer: number, queue: (number: number) => void): void {
  const { cpu, thread } = arena;
  startTimer(cpu, thread.id, timer, cpu.now() + AGAIN_NS);
  const number = cpu.load(work + WorkWords.number);
  const key = `${work}:${cpu.read(work + ObjectHeader.serial)}:${number}`;
  let own = waiting.get(arena);
  if (own === undefined) {
    own = new Set();
    waiting.set(arena, own);
  }
  if (own.has(key)) return;
  new Rcu(arena).call(() => {
    own.delete(key);
    try {
      queue(number);
    } catch (error) {
      // It was cancelled and destroyed meanwhile.
      if (!(error instanceof HoldfastError) || error.code !== 'EINVAL') throw error;
    }
  });
  own.add(key);
}
