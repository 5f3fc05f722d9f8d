/** Which threads are attached to an arena. */
import type { Cpu } from '../machine/cpu.ts';
import { maxThreads, phaseOf, Slot, slotAddress, threadOf } from '../sched/slot.ts';

/** A thread that is attached to an arena. */
export interface ThreadState {
  /** Its number in the arena, by which messages and `arena.waits()` name it. */
  readonly thread: number;
  /** `threadId` of its Worker, 0 for the main thread. */
  readonly threadId: number;
  /** The operating system's number, as `top -H` shows it; 0 where it is not known. */
  readonly osThread: number;
  /** False once it is known to have ended, until it is repaired and is not listed any more. */
  readonly isAlive: boolean;
}

export function threadStates(cpu: Cpu): ThreadState[] {
  const threads: ThreadState[] = [];
  for (let thread = 0; thread < maxThreads(cpu); thread++) {
    const slot = slotAddress(cpu, thread);
    const life = cpu.loadAcquire(slot + Slot.life);
    const phase = phaseOf(life);
    if (phase === 'free') continue;
    const threadId = threadOf(Math.abs(life)) - 1;
    threads.push({ thread, threadId, osThread: cpu.load(slot + Slot.osThread), isAlive: phase === 'attached' });
  }
  return threads;
}
