/** The arena in the end, when all threads have come back or are dead and reaped: nobody waits, holds, lends or is about to. */

import type { Cpu } from '../../../../lib/machine/cpu.ts';
import { Header } from '../../../../lib/memory/header.ts';
import { Grant } from '../../../../lib/sched/grant.ts';
import { HOLDS, Hold, HoldTable } from '../../../../lib/sched/holds.ts';
import { Priorities } from '../../../../lib/sched/priority.ts';
import { eachTask, maxThreads, Slot, slotAddress } from '../../../../lib/sched/slot.ts';
import { Task } from '../../../../lib/sched/task.ts';
import type { FinalMemory } from '../../../../native-sim/explore/program.ts';

const LATCHES = ['heapLatch', 'namesLatch', 'reaperLatch', 'priorityLatch'] as const;
const OF_SLOT = ['nascent', 'entering'] as const;
const OF_TASK = ['state', 'blockedOn', 'within', 'list'] as const;

/** `inspect` where somebody has died: where nobody has, that costs much for what the long search looks at as well. */
export function inspectAfterDeath(memory: FinalMemory): void {
  if (memory.died.length > 0) inspect(memory);
}

/** Throws unless every thread has let go of everything. */
export function inspect({ read, died }: FinalMemory): void {
  const cpu = { read, load: read, loadAcquire: read } as unknown as Cpu;
  const left: string[] = [];
  /** The word at `address` is `wanted`. */
  const expect = (address: number, wanted: number, name: string, of: number, kind: string) => {
    const value = read(address);
    if (value !== wanted) left.push(`${name} of ${kind} ${of} is ${value}`);
  };
  for (const name of LATCHES) expect(Header[name], 0, name, 0, 'arena');
  for (let number = 0; number < maxThreads(cpu); number++) {
    const slot = slotAddress(cpu, number);
    if (died.includes(number)) expect(slot + Slot.life, 0, 'life', number, 'slot');
    for (const name of OF_SLOT) expect(slot + Slot[name], 0, name, number, 'slot');
    for (const task of eachTask(cpu, slot)) {
      for (const name of OF_TASK) expect(task + Task[name], 0, name, task, 'task');
      expect(task + Grant.from, 0, 'grant', task, 'task');
    }
    expect(slot + Slot.mainTask + Task.priority, read(slot + Priorities.own), 'priority', number, 'slot');
    expect(slot + Priorities.topWaiters, 0, 'topWaiters', number, 'slot');
    const table = slot + HoldTable.records;
    // Those behind the first without a lock are all unused.
    for (let record = table; record < table + HOLDS * Hold.words && read(record) !== 0; record += Hold.words) {
      expect(record + Hold.count, 0, 'count', record, 'record');
    }
  }
  if (left.length > 0) throw new Error(`in the end ${left.join('; ')}`);
}
