/**
 * A slot becomes free while an item comes: thread 0 queues it, and thread 1, the worker that has the slot, gives it away. One of the two
 * sees what the other has done, and wakes the idle worker. That one has no thread here: whether it is woken stands in its record.
 */
import type { Arena } from '../../../../lib/arena/arena.ts';
import type { Cpu } from '../../../../lib/machine/cpu.ts';
import { Header } from '../../../../lib/memory/header.ts';
import { BUSY, Item, itemAt, PENDING, Pool, Root, WorkerRecord, workerAt } from '../../../../lib/workqueue/layout.ts';
import { CPU_INTENSIVE } from '../../../../lib/workqueue/options.ts';
import { WorkerPool } from '../../../../lib/workqueue/pool.ts';
import { hogs, rebias } from '../../../../lib/workqueue/pool-care.ts';
import { NEEDY } from '../../../../lib/workqueue/watch.ts';
import type { FinalMemory, Program } from '../../../../native-sim/explore/program.ts';
import { makeQueues } from '../../../workqueue/needy.ts';
import { makeArenas, reapDead, type View } from './holdfast.ts';

const ARENA_WORDS = 12_288;

/**
 * offline: the slot goes offline. hog: kthreadd finds that the worker computes for long. intensive: the worker begins an item that does.
 * death: the worker is dead, and a reaper comes.
 */
export type Freeing = 'offline' | 'hog' | 'intensive' | 'death';

interface Shared extends View {
  root: number;
  pool: number;
  coming: number;
  first: number;
  began: number;
}

export function freedSlot(freeing: Freeing): Program {
  const view = ({ cpu, thread }: Arena, pool: number) => new WorkerPool(cpu, pool, thread.id, () => {});
  const program: Program<Shared> = {
    words: ARENA_WORDS,
    setup(cpu) {
      const made = makeArenas(cpu, 3, Number.POSITIVE_INFINITY, ARENA_WORDS, 0);
      const [submitter, worker, idle] = made.arenas as [Arena, Arena, Arena];
      const flags = freeing === 'intensive' ? CPU_INTENSIVE : 0;
      const { root, pool, slab, pwqs } = makeQueues(submitter, { slot: 0, maxWorkers: 2 }, [flags]);
      const [first, coming] = [itemAt(slab, 0), itemAt(slab, 1)];
      for (const item of [first, coming]) cpu.write(item + Item.pwq, pwqs[0] as number);
      view(idle, pool).join(workerAt(pool, 1), idle.thread.takeTask(idle.heap));
      view(idle, pool).step(workerAt(pool, 1), 0);
      view(worker, pool).join(workerAt(pool, 0), worker.thread.takeTask(worker.heap));
      cpu.store(first + Item.state, PENDING);
      view(submitter, pool).queue(first, first);
      if (freeing !== 'intensive') view(worker, pool).step(workerAt(pool, 0), 0);
      // Without the steps of a timer, which is another matter.
      cpu.write(pool + Pool.watched, NEEDY);
      return { ...made, root, pool, first, coming, began: cpu.read(workerAt(pool, 0) + WorkerRecord.began) };
    },
    threads: [
      (cpu: Cpu, _me: number, { arenas, pool, coming }: Shared) => {
        cpu.storeUnordered(coming + Item.state, PENDING);
        view(arenas[0] as Arena, pool).queue(coming, coming);
      },
      (cpu: Cpu, _me: number, shared: Shared) => {
        const pool = view(shared.arenas[1] as Arena, shared.pool);
        const worker = workerAt(shared.pool, 0);
        if (freeing === 'offline') {
          cpu.store(shared.root + Root.offline, 1);
          rebias(pool);
        } else if (freeing === 'hog') {
          hogs(pool, { worker, item: shared.first, began: shared.began });
        } else if (freeing === 'intensive') {
          pool.step(worker, 0);
        } else {
          reapDead(shared, 1, 2);
          // As kthreadd, which is asked for where there is work.
          if (cpu.load(Header.kthreaddWanted) === 1) view(shared.arenas[2] as Arena, shared.pool).kick();
        }
      },
    ],
    check(memory: FinalMemory, { pool }) {
      if (memory.read(workerAt(pool, 1) + WorkerRecord.state) !== BUSY) throw new Error('no worker was woken');
    },
  };
  return program as unknown as Program;
}
