/** The kinds of objects that workqueues are made of, and how each is found or made. */
import { availableParallelism } from 'node:os';
import type { Arena } from '../arena/arena.ts';
import type { Cpu } from '../machine/cpu.ts';
import { defineKind, type Kind, kindById } from '../memory/kinds.ts';
import { ObjectHeader } from '../memory/objects.ts';
import type { Repairer } from '../memory/repairer.ts';
import { TIMER_KIND, TimerWords } from '../sched/timer.ts';
import { inspectPool } from './fsck.ts';
import {
  AddedPwq,
  CLOSED,
  DRAINER_SHIFT,
  Item,
  isDraining,
  itemAt,
  MOST_WORKERS,
  OPEN,
  Pool,
  Port,
  Pwq,
  pwqAt,
  Root,
  SLAB_ITEMS,
  Slab,
  WorkerRecord,
  WorkWords,
  Wq,
  workerAt,
} from './layout.ts';
import { hasItems, releaseQueue } from './release.ts';
import { repairPool } from './repair.ts';
import { biasOf, effectiveMaxActive, maskOf } from './root.ts';
import { isWorkBusy, releaseTimer, repairWork, runnerOf } from './twins.ts';
import { POOL_TIMER } from './watch.ts';

const PREFIX = 'workqueue/';
/** In front of a workqueue's name. */
export const WQ_PREFIX = `${PREFIX}wq/`;

/** The kernel's HIGHPRI_NICE_LEVEL. */
export const HIGHPRI_NICE = -20;

/** Threads in a pool at most, and items that each may await, unless configured. */
export const MAX_WORKERS = 16;
export const MAX_AWAITED = 1024;

export const POOL_KIND: Kind = defineKind<Repairer>({
  name: 'worker pool',
  words: Pool.words,
  format: () => {},
  holder: () => 0,
  isBusy: () => true,
  repair: (repairer, pool) => repairPool(repairer, pool),
  inspect: inspectPool,
}) as Kind;

export const WQ_KIND: Kind = defineKind<Repairer>({
  name: 'workqueue',
  words: Wq.words,
  format: () => {},
  holder: () => 0,
  isBusy: (cpu, wq) => cpu.load(wq + Wq.state) !== CLOSED || hasItems(cpu, wq),
  release: releaseQueue,
  // The pools repair what is in it.
  repair({ cpu, isDead }, wq) {
    const state = cpu.load(wq + Wq.state);
    if (isDraining(state) && isDead(state >> DRAINER_SHIFT)) cpu.cmpxchg(wq + Wq.state, state, OPEN);
    return true;
  },
}) as Kind;

/** What attributes have added to a workqueue goes with that. */
const PWQ_KIND: Kind = defineKind<Repairer>({
  name: 'pool workqueue',
  words: AddedPwq.words,
  format: () => {},
  holder: () => 0,
  isBusy: () => true,
  repair: () => true,
}) as Kind;

export const SLAB_KIND: Kind = defineKind<Repairer>({
  name: 'work items',
  words: Slab.words,
  format: () => {},
  holder: () => 0,
  isBusy: () => true,
  repair: () => true,
}) as Kind;

export const PORT_KIND: Kind = defineKind<Repairer>({
  name: 'workqueue port',
  words: Port.words,
  format: () => {},
  holder: () => 0,
  isBusy: () => true,
  repair({ cpu, isDead }, port) {
    const owner = cpu.load(port + Port.owner);
    if (owner > 0 && isDead(owner)) cpu.cmpxchg(port + Port.owner, owner, -owner);
    return true;
  },
}) as Kind;

export const WORK_KIND: Kind = defineKind<Repairer>({
  name: 'work',
  words: WorkWords,
  format: () => {},
  holder: runnerOf,
  isBusy: isWorkBusy,
  release: releaseTimer,
  repair: repairWork,
}) as Kind;

const ROOT_KIND: Kind = defineKind<Repairer>({
  name: 'workqueues',
  words: Root.words,
  format: () => {},
  holder: () => 0,
  isBusy: () => true,
  repair: () => true,
}) as Kind;

export interface RootWords {
  readonly address: number;
  readonly slots: number;
  readonly maxWorkers: number;
  readonly maxAwaited: number;
  readonly powerEfficient: boolean;
}

/** What is the same for all workqueues of the arena; `asked` is what it becomes if nobody has asked before. */
export function openRoot(arena: Arena, asked: Partial<Omit<RootWords, 'address'>> = {}): RootWords {
  const { slots = availableParallelism(), maxWorkers = MAX_WORKERS, maxAwaited = MAX_AWAITED } = asked;
  const { powerEfficient = false } = asked;
  const { cpu } = arena;
  const root = arena.objects.open(
    formatted(ROOT_KIND, Root.words, (_cpu, address) => {
      cpu.write(address + Root.slots, slots);
      cpu.write(address + Root.maxWorkers, Math.min(maxWorkers, MOST_WORKERS));
      cpu.write(address + Root.maxAwaited, maxAwaited);
      cpu.write(address + Root.powerEfficient, powerEfficient ? 1 : 0);
    }),
    `${PREFIX}root`,
  );
  return {
    address: root,
    slots: cpu.read(root + Root.slots),
    maxWorkers: cpu.read(root + Root.maxWorkers),
    maxAwaited: cpu.read(root + Root.maxAwaited),
    powerEfficient: cpu.read(root + Root.powerEfficient) === 1,
  };
}

/** What a pool takes from `Root`. */
export type PoolRoot = Omit<RootWords, 'powerEfficient'>;

/** The pool of that slot, or the unbound pool for -1. */
export function openPool(arena: Arena, root: PoolRoot, slot: number, isHighpri: boolean): number {
  const nice = isHighpri ? HIGHPRI_NICE : 0;
  if (slot < 0) return openPoolFor(arena, root, nice, everySlot(root));
  return openPoolAt(arena, root, { slot, nice, slots: [slot] });
}

/** The unbound pool with these attributes: `get_unbound_pool`. */
export function openPoolFor(arena: Arena, root: PoolRoot, nice: number, slots: readonly number[]): number {
  return openPoolAt(arena, root, { slot: -1, nice, slots: everySlot(root).filter((slot) => slots.includes(slot)) });
}

function everySlot({ slots }: PoolRoot): number[] {
  return Array.from({ length: slots }, (_, slot) => slot);
}

interface PoolPlace {
  readonly slot: number;
  readonly nice: number;
  readonly slots: readonly number[];
}

function openPoolAt(arena: Arena, root: PoolRoot, { slot, nice, slots }: PoolPlace): number {
  const mask = slots.length === root.slots ? '' : slots.join('.');
  const place = `${slot < 0 ? `u${mask}` : slot}${nice === 0 ? '' : `n${nice}`}`;
  const kind = formatted(POOL_KIND, Pool.words, (cpu, pool) => {
    cpu.write(pool + Pool.limit, slots.length);
    cpu.write(pool + Pool.slot, slot);
    cpu.write(pool + Pool.nice, nice);
    maskOf(slots).forEach((word, i) => {
      cpu.write(pool + Pool.slots + i, word);
    });
    cpu.write(pool + Pool.maxWorkers, root.maxWorkers);
    cpu.write(pool + Pool.maxAwaited, root.maxAwaited);
    cpu.write(pool + Pool.root, root.address);
    const bias = biasOf(cpu, pool);
    cpu.write(pool + Pool.bias, bias);
    cpu.store(pool + Pool.running, bias);
    for (let i = 0; i <= MOST_WORKERS; i++) cpu.write(workerAt(pool, i) + WorkerRecord.pool, pool);
  });
  const pool = arena.objects.open(kind, `${PREFIX}pool/${place}`);
  addTimer(arena, pool, `${PREFIX}timer/${place}`);
  return pool;
}

/** The pool's timer, which stays as long as the pool does. */
function addTimer(arena: Arena, pool: number, name: string): void {
  const { cpu } = arena;
  if (cpu.load(pool + Pool.timer) !== 0) return;
  const kind = formatted(TIMER_KIND as Kind, TIMER_KIND.words, (cpu, timer) => {
    cpu.store(timer + TimerWords.action, POOL_TIMER);
    cpu.store(timer + TimerWords.data, pool);
  });
  // Several threads may write it: all write the same.
  cpu.store(pool + Pool.timer, arena.objects.open(kind, name));
}

/** The workqueue of that name, with a pwq for each of `pools` if it is new. */
export function openWq(arena: Arena, name: string, flags: number, maxActive: number, pools: readonly number[]): number {
  const kind = formatted(WQ_KIND, Wq.words + pools.length * Pwq.words, (cpu, wq) => {
    cpu.write(wq + Wq.state, OPEN);
    cpu.write(wq + Wq.flags, flags);
    cpu.write(wq + Wq.nrPwqs, pools.length);
    cpu.store(wq + Wq.savedMaxActive, maxActive);
    cpu.store(wq + Wq.current, pwqAt(wq, 0));
    pools.forEach((pool, i) => {
      formatPwq(cpu, pwqAt(wq, i), wq, pool);
    });
  });
  return arena.objects.open(kind, `${WQ_PREFIX}${name}`);
}

function formatPwq(cpu: Cpu, pwq: number, wq: number, pool: number): void {
  cpu.write(pwq + Pwq.pool, pool);
  cpu.write(pwq + Pwq.workqueue, wq);
  cpu.store(pwq + Pwq.maxActive, effectiveMaxActive(cpu, pwq));
}

/** Another pwq for the queue, in that pool: an `AddedPwq`, which nothing leads to yet. */
export function makePwq(arena: Arena, wq: number, pool: number): number {
  const format = (cpu: Cpu, added: number) => formatPwq(cpu, added + AddedPwq.pwq, wq, pool);
  return arena.objects.create(formatted(PWQ_KIND, AddedPwq.words, format));
}

/** A port of the calling thread's. */
export function makePort(arena: Arena): number {
  const kind = formatted(PORT_KIND, Port.words, (cpu, port) => cpu.write(port + Port.owner, arena.thread.id));
  return arena.objects.create(kind);
}

/** A slab of FREE items for `port`, whose newest slab is `next`. */
export function makeSlab(arena: Arena, port: number, next: number, firstIndex: number): number {
  const kind = formatted(SLAB_KIND, Slab.words, (cpu, slab) => {
    cpu.write(slab + Slab.next, next);
    cpu.write(slab + Slab.port, port);
    for (let i = 0; i < SLAB_ITEMS; i++) {
      cpu.write(itemAt(slab, i) + Item.port, port);
      cpu.write(itemAt(slab, i) + Item.index, firstIndex + i);
    }
  });
  return arena.objects.create(kind);
}

/** Whether the thread with that CPU number plus one is a worker of some pool. */
export function isWorker({ cpu, heap }: Arena, id: number): boolean {
  return workersOf(cpu, heap.objects()).some((worker) => cpu.read(worker + WorkerRecord.thread) === id);
}

/** The records of all pools among the objects. */
export function workersOf(cpu: Cpu, objects: readonly number[]): number[] {
  const pools = objects.filter((object) => cpu.read(object + ObjectHeader.kind) === POOL_KIND.id);
  return pools.flatMap((pool) => Array.from({ length: MOST_WORKERS + 1 }, (_, i) => workerAt(pool, i)));
}

/** Objects of workqueues, and of system tasks, which stay with the arena. */
export function countStanding({ cpu, heap }: Arena): number {
  const names = [POOL_KIND, WQ_KIND, PWQ_KIND, SLAB_KIND, PORT_KIND, ROOT_KIND].map(({ name }) => name);
  const standing = new Set([...names, 'work function', 'kthread']);
  const kinds = heap.objects().map((object) => kindById(cpu.read(object + ObjectHeader.kind))?.name ?? '');
  // Each pool has a timer.
  return kinds.filter((kind) => standing.has(kind)).length + kinds.filter((kind) => kind === POOL_KIND.name).length;
}

/** `kind` with another first state, and perhaps more words. */
function formatted(kind: Kind, words: number, format: (cpu: Cpu, address: number) => void): Kind {
  return { ...kind, words, format } as Kind;
}
