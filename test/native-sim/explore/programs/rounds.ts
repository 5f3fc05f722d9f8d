/** The memory of tasks goes back to the heap while another thread wakes one of them, or looks at all. */
import type { Arena } from '../../../../lib/arena/arena.ts';
import type { Cpu } from '../../../../lib/machine/cpu.ts';
import { Heap } from '../../../../lib/memory/heap.ts';
import { inheritLatch, latch, unlatch } from '../../../../lib/memory/latch.ts';
import type { Repairer } from '../../../../lib/memory/repairer.ts';
import { tellRound } from '../../../../lib/sched/rounds.ts';
import { asyncTasks, Chunk, retiredChunks, Slot, slotAddress, tasksIn } from '../../../../lib/sched/slot.ts';
import { prepareToPark, Task, unparkAll } from '../../../../lib/sched/task.ts';
import { TaskStore } from '../../../../lib/sched/task-store.ts';
import { firstWaiter, joinList, leaveList, rebuildList, WaitList } from '../../../../lib/sched/wait-list.ts';
import type { Program } from '../../../../native-sim/explore/program.ts';
import { makeArenas, reapDead, snapshot, type View } from './holdfast.ts';

/**
 * wake: takes the task out of its list, wakes it, and tells the round. again: tells the round before that as well.
 * early: tells the round in between, which is wrong.
 * walk: looks at all tasks of the slot that there are, twice, and tells the round in between.
 */
export type RoundAct = 'wake' | 'again' | 'early' | 'walk';

const WORDS = 8192;
const OWNER = 0;
const SPOILT = -1;
const isZero = (value: number) => value === 0;

interface Shared extends View {
  list: number;
  /** Of the chunk that is retired. */
  task: number;
}

function wake(cpu: Cpu, id: number, list: number, between = () => {}): void {
  latch(cpu, list + WaitList.latch, id);
  const task = firstWaiter(cpu, list);
  if (task !== 0) leaveList(cpu, list, task);
  unlatch(cpu, list + WaitList.latch);
  between();
  if (task !== 0) unparkAll(cpu, [task]);
}

function walk(cpu: Cpu): void {
  for (const task of asyncTasks(cpu, slotAddress(cpu, OWNER))) cpu.load(task + Task.state);
}

const BODIES: Record<RoundAct, (cpu: Cpu, arena: Arena, list: number) => void> = {
  wake: (cpu, { thread }, list) => wake(cpu, thread.id, list),
  again(cpu, { thread }, list) {
    tellRound(cpu, thread.slot);
    wake(cpu, thread.id, list);
  },
  early: (cpu, { thread }, list) => wake(cpu, thread.id, list, () => tellRound(cpu, thread.slot)),
  walk(cpu, { thread }) {
    walk(cpu);
    tellRound(cpu, thread.slot);
    walk(cpu);
  },
};

/** The owner's task is over once it is out of its list; then the owner tidies up, and uses the memory otherwise if it is free. */
export function rounds(act: RoundAct): Program {
  const isAwaited = act !== 'walk';
  const program: Program<Shared> = {
    words: WORDS + WaitList.words,
    setup(cpu) {
      const view = makeArenas(cpu, 2, 1, WORDS);
      const { thread, heap } = view.arenas[OWNER] as Arena;
      const tasks = Array.from({ length: 17 }, () => thread.tasks.take(heap, true) as number);
      const task = tasks.at(-1) as number;
      const list = view.shared;
      if (isAwaited) {
        joinList(cpu, list, list, task);
        prepareToPark(cpu, task);
      }
      // It attaches when it comes.
      cpu.store((view.arenas[2] as Arena).thread.slot + Slot.life, 0);
      return { ...view, list, task };
    },
    threads: [
      (cpu, _me, { arenas, task }) => {
        const { thread, heap } = arenas[OWNER] as Arena;
        if (isAwaited) cpu.condLoadAcquire(task + Task.list, isZero, 0, Number.POSITIVE_INFINITY);
        const store = new TaskStore(cpu, thread.slot, thread.id);
        const size = store.size;
        if (store.tidy(heap) === 0 && store.size < size) cpu.write(task + Task.state, SPOILT);
      },
      (cpu, _me, { arenas, list }) => {
        const arena = arenas[1] as Arena;
        BODIES[act](cpu, arena, list);
        tellRound(cpu, arena.thread.slot);
      },
    ],
    reaper(cpu, died, shared) {
      const { thread } = shared.arenas[2] as Arena;
      cpu.store(thread.slot + Slot.life, 3);
      reapDead(shared, died);
      const { list } = shared;
      const hasDied = inheritLatch(cpu, list + WaitList.latch, died + 1, thread.id);
      if (hasDied) {
        rebuildList({ cpu, threads: 3 } as Repairer, list);
        unlatch(cpu, list + WaitList.latch);
      }
      if (died !== OWNER && isAwaited) wake(cpu, thread.id, list);
    },
    check(memory, { task }) {
      const cpu = snapshot(memory, WORDS);
      const slot = slotAddress(cpu, OWNER);
      const chunks = new Set(retiredChunks(cpu, slot));
      for (let chunk = cpu.read(slot + Slot.chunks); chunk !== 0; chunk = cpu.read(chunk)) chunks.add(chunk);
      const heap = new Heap(cpu, 1);
      const { blocks } = heap.use();
      if (blocks !== chunks.size) throw new Error(`${blocks} blocks for ${chunks.size} chunks`);
      for (const chunk of chunks) if (!heap.isBlock(cpu.read(chunk + Chunk.block))) throw new Error('a chunk is freed');
      const isThere = [...chunks].some((chunk) => tasksIn(chunk).includes(task));
      const isLate = !isThere && !memory.died.includes(OWNER) && cpu.read(task + Task.state) !== SPOILT;
      if (isLate) throw new Error('a late wake-up wrote to freed memory');
    },
  };
  return program as unknown as Program;
}
