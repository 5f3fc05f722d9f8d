/** The port of a submitting thread: the one that a thread before it in its slot has left, and the items there. */
import type { Arena } from '../arena/arena.ts';
import { HoldfastError } from '../errors.ts';
import type { Cpu } from '../machine/cpu.ts';
import { kindIdOf } from '../memory/objects.ts';
import { FREE, Item, itemAt, LOST, Port, SLAB_ITEMS, Slab, WorkerRecord, workerAt } from './layout.ts';
import { takeCompleted, takenCompleted } from './lists.ts';
import { PORT_KIND } from './objects.ts';
import { kworkerName } from './pools.ts';
import { identityAt } from './work.ts';

/**
 * The port of a thread that had the calling thread's slot before, or 0: by now a reaper is through with all that it left. Another slot's may
 * be in the middle of that.
 */
export function findPort({ cpu, heap, thread }: Arena): number {
  for (const port of heap.objects()) {
    if (kindIdOf(cpu, port) !== PORT_KIND.id) continue;
    if (cpu.cmpxchg(port + Port.owner, -thread.id, thread.id) === -thread.id) return port;
  }
  return 0;
}

/** All items of the port. */
function itemsOf(cpu: Cpu, port: number): number[] {
  const items: number[] = [];
  for (let slab = cpu.load(port + Port.slabs); slab !== 0; slab = cpu.read(slab + Slab.next)) {
    for (let i = 0; i < SLAB_ITEMS; i++) items.push(itemAt(slab, i));
  }
  return items;
}

/**
 * Its items: those that are queued or run still come back here, and nobody asks for them. What has come back is in one of two
 * chains, or FREE, or LOST; an item that has come back and is LOST as well is in a chain, and may not be had twice. `recycle` is called
 * once with each of them. Returns how many items the port has.
 */
export function adoptItems(cpu: Cpu, port: number, recycle: (item: number) => void): number {
  const items = itemsOf(cpu, port);
  // First: what is lost by now, and was pushed before, is in a chain.
  const idle = items.filter((item) => cpu.load(item + Item.state) === FREE || cpu.load(item + Item.state) === LOST);
  const back = new Set<number>();
  const recycleChain = (chain: readonly number[]) => {
    for (const item of chain.toReversed()) {
      back.add(item);
      recycle(item);
    }
    cpu.write(port + Port.taking, 0);
  };
  recycleChain(takenCompleted(cpu, port));
  recycleChain(takeCompleted(cpu, port));
  for (const item of idle) if (!back.has(item)) recycle(item);
  return items.length;
}

/** What has come back to the port, and what is LOST there, each once and in order. The caller clears `Port.taking` behind all. */
export function takeBack(cpu: Cpu, port: number): number[] {
  const hasLost = cpu.load(port + Port.rescan) !== 0 && cpu.xchg(port + Port.rescan, 0) !== 0;
  // First: what is lost by now, and was pushed before, is in the list.
  const lost = hasLost ? itemsOf(cpu, port).filter((item) => cpu.load(item + Item.state) === LOST) : [];
  if (lost.length === 0 && cpu.load(port + Port.completed) === 0) return lost;
  const back = takeCompleted(cpu, port).reverse();
  if (lost.length === 0) return back;
  const pushed = new Set(back);
  return [...back, ...lost.filter((item) => !pushed.has(item))];
}

/** The error of a call whose worker has died while it ran. */
export function deathOf(arena: Arena, item: number): HoldfastError {
  const { cpu } = arena;
  const { name } = identityAt(arena, cpu.read(item + Item.fn));
  const worker = cpu.read(item + Item.worker);
  const pool = cpu.read(worker + WorkerRecord.pool);
  const index = (worker - workerAt(pool, 0)) / WorkerRecord.words;
  return new HoldfastError('EOWNERDEAD', `${kworkerName(arena, pool, index)} died while it ran ${name}()`);
}
