/** Priorities that are lent to readers, as programs to explore: a reader goes out while a task that waits for it lends. */

import type { Arena } from '../../../../lib/arena/arena.ts';
import type { Cpu } from '../../../../lib/machine/cpu.ts';
import { Loans } from '../../../../lib/rcu/boost.ts';
import { defineDomain } from '../../../../lib/rcu/domain.ts';
import { advance, snapshot } from '../../../../lib/rcu/grace-period.ts';
import { type Domain, domainAt, NORMAL } from '../../../../lib/rcu/layout.ts';
import { enter, leave, Readers, SYNC } from '../../../../lib/rcu/reader.ts';
import { awaitedThreads, isAwaited } from '../../../../lib/rcu/stall.ts';
import { Priorities, setOwnPriority } from '../../../../lib/sched/priority.ts';
import { Slot } from '../../../../lib/sched/slot.ts';
import { runLatching, type Waiter } from '../../../../lib/sched/slow-path.ts';
import { Task } from '../../../../lib/sched/task.ts';
import type { Program } from '../../../../native-sim/explore/program.ts';
import { makeArenas, reapDead, type View } from './holdfast.ts';

const KIND = defineDomain('explored-boost', false);
const ARENA_WORDS = 4096;
const READER = 0;
const LENDERS = [-1, -2];
const LAZY = 5;

interface Shared extends View {
  domain: Domain;
  /** 1 when the reader has been told that a period waits for it. */
  told: number;
}

/**
 * A reader goes in and out; `lenders` tasks begin a period, and lend their priority to whom it waits for. `takesBack`: they end
 * their waits. Then nothing is lent in the end; else nothing is to a reader that was told to look.
 */
export function boost(lenders: number, takesBack: boolean): Program {
  const count = 1 + lenders;
  const program: Program<Shared> = {
    words: ARENA_WORDS + 1,
    setup(cpu) {
      const view = makeArenas(cpu, count, 1, ARENA_WORDS);
      for (const { thread } of view.arenas) {
        Object.defineProperty(thread, 'isPreemptible', { value: false });
        if (thread.number < count)
          setOwnPriority(thread, thread.number === READER ? LAZY : LENDERS[thread.number - 1]!, 0);
      }
      const domain = domainAt(cpu, (view.arenas[0] as Arena).objects.create(KIND));
      return { ...view, domain, told: view.shared };
    },
    threads: Array.from({ length: count }, (_, number) => (number === READER ? read : lend)),
    reaper: (_cpu, died, view) => reapDead(view, died, 2),
    check({ read, died }, { arenas, told }) {
      if (!takesBack && (read(told) === 0 || died.length > 0)) return;
      const { slot } = (arenas[READER] as Arena).thread;
      if (died.includes(READER)) return;
      if (read(slot + Priorities.lent) !== 0) throw new Error('a priority is lent to a reader that has left');
      const priority = read(slot + Slot.mainTask + Task.priority);
      if (priority !== LAZY) throw new Error(`the reader has priority ${priority} still`);
    },
  };
  return program as unknown as Program;

  function read(cpu: Cpu, me: number, { arenas, domain, told }: Shared): void {
    const readers = new Readers((arenas[me] as Arena).thread, domain.rcu);
    enter(cpu, readers.sync);
    if (!leave(cpu, readers.sync)) return;
    readers.report(SYNC);
    cpu.store(told, 1);
  }

  function lend(cpu: Cpu, me: number, { arenas, domain }: Shared): void {
    const { thread } = arenas[me] as Arena;
    advance(thread, domain, NORMAL, snapshot(thread, domain, NORMAL));
    const waiter = { thread, task: thread.self, deadline: Number.POSITIVE_INFINITY, async: false, aborted: false };
    const loans = new Loans(waiter as Waiter);
    loans.lend(awaitedThreads(cpu, domain, NORMAL), (number) => isAwaited(cpu, domain, number));
    if (takesBack) runLatching(thread, () => loans.takeBack());
  }
}
