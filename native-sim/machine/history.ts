/**
 * A window of a run as a candidate execution: what threads read and wrote from some moment on, for the axiomatic models to
 * judge. What memory holds when the window begins counts as initial; stores that wait in buffers then are its first events.
 */
import { Execution, Fence, type Model, Tag } from '../models/execution.ts';
import {
  armv8LlscMapping,
  armv8LseMapping,
  type Order as MappedOrder,
  type Mapping,
  powerMapping,
  scMapping,
  x86Mapping,
} from '../models/mapping.ts';
import { Domain, Orders } from './barrier.ts';
import { Code } from './codes.ts';
import type { Machine } from './machine.ts';
import type { Recorder } from './memory-system.ts';
import type { History } from './operation.ts';
import type { SimThread } from './thread.ts';

const MAPPINGS: Readonly<Record<string, Mapping>> = {
  sc: scMapping,
  'x86-tso': x86Mapping,
  armv8: armv8LseMapping,
  alpha: armv8LseMapping,
  power: powerMapping,
};
/** Numbers of threads that are single events of other inner domains: no machine has so many threads. */
const OTHERS = 1024;

const ORDERS: readonly MappedOrder[] = ['relaxed', 'acquire', 'release', 'full'];

interface Recorded {
  kind: 'read' | 'write' | 'fence';
  thread: number;
  address: number;
  tags: number;
  /** Of a read: the write that it read from, 0 for the initial value. Of a write: the read of its atomic, or -1. */
  partner: number;
  fence: number;
  /** A barrier that orders nothing outside its thread's inner domain. */
  isInner?: boolean;
}

/** Threads of one inner domain, where there are several; `inner` barriers count between them only. */
export type InnerDomain = (thread: number) => boolean;

export class Window implements History, Recorder {
  readonly #machine: Machine;
  readonly #mapping: Mapping;
  readonly #most: number;
  readonly #events: Recorded[] = [];
  /** By address: its writes, oldest first. */
  readonly #coherence = new Map<number, number[]>();

  /** Follows the machine from now on, for at most `most` events. */
  constructor(machine: Machine, most = 1000) {
    const { system, operations } = machine;
    this.#machine = machine;
    const { model, exclusives } = machine.profile;
    this.#mapping = model === 'armv8' && exclusives !== undefined ? armv8LlscMapping : MAPPINGS[model]!;
    this.#most = most;
    system.writers = new Int32Array(system.memory.length);
    for (const core of system.cores) {
      for (const queued of core.invalidations) queued.writers = new Int32Array(queued.words.length);
      const running = machine.scheduler.current(core.number);
      for (const store of core.stores) {
        store.id = this.#write(running?.number ?? 0, store.address, store.isRelease ? Tag.release : Tag.none);
      }
    }
    system.recorder = this;
    operations.history = this;
  }

  get isFull(): boolean {
    return this.#events.length >= this.#most;
  }

  #add(event: Recorded): number {
    if (this.isFull) return 0;
    this.#events.push(event);
    return this.#events.length;
  }

  #write(thread: number, address: number, tags: number, partner = -1): number {
    return this.#add({ kind: 'write', thread, address, tags, partner, fence: Fence.none });
  }

  read(thread: SimThread, address: number, writer: number): void {
    const isAcquire = thread.code === Code.loadAcquire || thread.code === Code.condLoadAcquire;
    const { read, after } = this.#mapping.load[isAcquire ? 'acquire' : 'relaxed'];
    this.#add({ kind: 'read', thread: thread.number, address, tags: read, partner: writer, fence: Fence.none });
    this.#barrier(thread.number, after);
  }

  store(thread: SimThread, address: number): number {
    const { before, write } = this.#mapping.store[thread.code === Code.storeRelease ? 'release' : 'relaxed'];
    this.#barrier(thread.number, before);
    return this.#write(thread.number, address, write);
  }

  modify(thread: SimThread, address: number, writer: number, value: number | null): number {
    const how = value === null ? this.#mapping.failed : this.#mapping.rmw[ORDERS[thread.order]!];
    const { number } = thread;
    this.#barrier(number, how.before);
    const read = this.#add({
      kind: 'read',
      thread: number,
      address,
      tags: how.read,
      partner: writer,
      fence: Fence.none,
    });
    if (value === null || read === 0) return 0;
    const write = this.#write(number, address, how.write, read);
    this.#barrier(number, how.after);
    return write;
  }

  fence(thread: SimThread): void {
    if (thread.code >= Code.dmb) {
      const isInner = thread.code !== Code.isb && thread.x === Domain.inner;
      this.#add({
        kind: 'fence',
        thread: thread.number,
        address: -1,
        tags: Tag.none,
        partner: 0,
        fence: armFence(thread),
        isInner,
      });
      return;
    }
    const { mb, rmb, wmb } = this.#mapping;
    const fence = thread.code === Code.mb ? mb : thread.code === Code.rmb ? rmb : wmb;
    this.#barrier(thread.number, fence);
  }

  /** The kernel's barriers are ISH. */
  #barrier(thread: number, fence: number): void {
    if (fence === Fence.none) return;
    const isInner = this.#machine.profile.innerCores !== undefined;
    this.#add({ kind: 'fence', thread, address: -1, tags: Tag.none, partner: 0, fence, isInner });
  }

  commit(address: number, id: number): void {
    if (id === 0) return;
    const order = this.#coherence.get(address);
    if (order === undefined) this.#coherence.set(address, [id]);
    else order.push(id);
  }

  /** Have all stores of the window become visible? */
  get isSettled(): boolean {
    return this.#machine.system.cores.every(({ stores }) => stores.every(({ id }) => id === 0));
  }

  /**
   * The axiom of `model` that the window breaks, or null. The window must be settled. With `domain`, on a machine with several
   * inner domains: as its threads may see it. What others have done stands alone then, in no order but that of memory,
   * and their barriers count for nothing. With null instead inner barriers count for nothing at all.
   */
  violation(model: Model, x = new Execution(), domain?: InnerDomain | null): string | null {
    const events = this.#events;
    x.begin(Math.max(1, events.length));
    for (const [at, { kind, thread: by, address, tags, fence, isInner }] of events.entries()) {
      const isOther = domain?.(by) === false;
      const thread = isOther ? OTHERS + at : by;
      if (kind === 'read') x.read(thread, address, 0, isOther ? Tag.none : tags);
      else if (kind === 'write') x.write(thread, address, 0, isOther ? Tag.none : tags);
      else x.barrier(thread, isInner === true && domain === null ? Fence.dmbNsh : fence);
    }
    for (const [at, { kind, thread, partner }] of events.entries()) {
      if (kind === 'read' && partner > 0) x.rf.add(partner - 1, at);
      if (kind === 'write' && partner > 0 && domain?.(thread) !== false) {
        x.rmw.add(partner - 1, at);
        if (this.#machine.profile.exclusives === undefined) x.instruction[at] = partner - 1;
      }
    }
    for (const order of this.#coherence.values()) x.coherence(order.map((id) => id - 1));
    x.finish();
    return model.violation(x);
  }

  get size(): number {
    return this.#events.length;
  }
}

function armFence({ code, x: domain, y: orders }: SimThread): number {
  if (code === Code.isb) return Fence.isb;
  if (domain === Domain.nonShareable) return Fence.dmbNsh;
  if (orders === Orders.all) return Fence.dmbFull;
  if (orders === Orders.loads) return Fence.dmbLd;
  return code === Code.dsb ? Fence.dsbSt : Fence.dmbSt;
}

/** The same for a machine whose inner domains have `innerCores` cores each, with a thread on each core. */
export function splitViolation(window: Window, model: Model, innerCores: number, cores: number): string | null {
  for (let first = 0; first < cores; first += innerCores) {
    const broken = window.violation(
      model,
      undefined,
      (thread) => Math.floor(thread / innerCores) * innerCores === first,
    );
    if (broken !== null) return broken;
  }
  return window.violation(model, undefined, null);
}
