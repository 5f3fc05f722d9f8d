/**
 * Where a thread sleeps. The task is SLEEPING already, by `prepareToPark`, and the caller has looked at its condition
 * since (`task.ts` has the picture). Three ways, and besides them only `Latch` sleeps, which is below tasks:
 *
 *   schedule        voluntary: a synchronous call has to wait for something. Other rooms hear of it (`SleepHooks`)
 *   pvWait          a spinner that has spun enough: it stands for a virtual CPU that is preempted, which nobody is told
 *   scheduleAsync   a task on the event loop: the thread goes on with other work, so it has not been switched
 *
 * The kernel's are `schedule()`, and `pv_wait()` in kernel/locking/qspinlock_paravirt.h.
 */
import type { Cpu } from '../machine/cpu.ts';
import { RUNNING, SLEEPING, Task } from './task.ts';
import type { Thread } from './thread.ts';

export type Woken = 'woken' | 'timed-out';

/** Sleeps until `unpark` or until `deadline` (ns on `cpu.now()`). The task is RUNNING afterwards. */
export function schedule(thread: Thread, task: number, deadline: number): Woken {
  const { cpu, counters, hooks } = thread;
  counters.parks++;
  const state = task + Task.state;
  if (cpu.load(state) !== SLEEPING) return 'woken';
  if (thread.waiters.size > 0) standAside(thread);
  hooks.sleeping(task);
  const woken = waitWhileAsleep(cpu, state, deadline);
  hooks.running(task);
  return woken;
}

/** The thread says that it sleeps, and is about to: its asynchronous tasks pass on what they cannot use before it comes back. */
function standAside({ waiters }: Thread): void {
  const done = new Set<number>();
  for (const { aside } of waiters.values()) {
    if (aside === undefined || done.has(aside.of)) continue;
    done.add(aside.of);
    aside.pass();
  }
}

/** `schedule` for a spinner: no hooks. */
export function pvWait(cpu: Cpu, task: number, deadline = Number.POSITIVE_INFINITY): Woken {
  const state = task + Task.state;
  return cpu.load(state) === SLEEPING ? waitWhileAsleep(cpu, state, deadline) : 'woken';
}

/** `schedule` on an event loop, until a deadline that may be put off meanwhile. */
export async function scheduleAsync(
  { cpu, counters }: Thread,
  waiter: { readonly task: number; readonly deadline: number },
): Promise<Woken> {
  counters.parks++;
  const state = waiter.task + Task.state;
  while (cpu.load(state) === SLEEPING) {
    const outcome = cpu.waitAsync(state, SLEEPING, waiter.deadline);
    if ((typeof outcome === 'string' ? outcome : await outcome) === 'timed-out' && cpu.now() >= waiter.deadline) {
      cpu.store(state, RUNNING);
      return 'timed-out';
    }
  }
  return 'woken';
}

/** The state was SLEEPING a moment ago: `wait` itself looks at it once more. */
function waitWhileAsleep(cpu: Cpu, state: number, deadline: number): Woken {
  do {
    if (cpu.wait(state, SLEEPING, deadline) === 'timed-out' && cpu.now() >= deadline) {
      cpu.store(state, RUNNING);
      return 'timed-out';
    }
  } while (cpu.load(state) === SLEEPING);
  return 'woken';
}
