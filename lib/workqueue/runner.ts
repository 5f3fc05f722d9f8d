/**
 * What a thread that runs items does with each of them: finds its function, calls it, and writes what comes of it. A function
 * that returns a promise leaves the thread free; its item is awaited.
 */
import { inspect } from 'node:util';
import type { Arena } from '../arena/arena.ts';
import { report } from '../arena/spawn.ts';
import type { Cpu } from '../machine/cpu.ts';
import { UNREADABLE } from './cloned.ts';
import { WorkContext, withContext } from './context.ts';
import { Item, Pwq, WorkWords } from './layout.ts';
import { hasOutstanding, publishHere } from './submitters.ts';
import { isTwin, workOf } from './twins.ts';
import { Values } from './values.ts';
import { identityAt, knownFunction, loadFunction, type WorkFunction } from './work.ts';
import { decodeArguments } from './work-arguments.ts';

const runners = new WeakMap<Arena, Runner>();

/** Whether the calling thread is a worker that runs or awaits an item of that workqueue: `is_chained_work`. */
export function runsItemOf(arena: Arena, wq: number): boolean {
  return runners.get(arena)?.runs(wq) ?? false;
}

/** How many items of that pool_workqueue the calling thread runs or awaits. */
export function itemsHeldIn(arena: Arena, pwq: number): number {
  return runners.get(arena)?.heldIn(pwq) ?? 0;
}

export class Runner {
  readonly #arena: Arena;
  readonly #cpu: Cpu;
  readonly #values: Values;
  readonly #functions = new Map<number, WorkFunction>();
  /** An item that was awaited has come to its end. */
  readonly #onSettled: (item: number) => void;
  /** Items whose promises have not settled, with what their functions were told about themselves. */
  readonly #awaited = new Map<number, WorkContext>();
  /** The item whose function has not returned yet, or 0. */
  #current = 0;

  /** The calling thread's. */
  constructor(arena: Arena, onSettled: (item: number) => void) {
    this.#arena = arena;
    this.#cpu = arena.cpu;
    this.#values = new Values(arena);
    this.#onSettled = onSettled;
    runners.set(arena, this);
  }

  /** How many items it awaits. */
  get awaited(): number {
    return this.#awaited.size;
  }

  /**
   * Whether something of this thread's goes on only while its event loop turns: items that it awaits, calls that it waits for, locks
   * that a function has asked for and left to come.
   */
  get needsEventLoop(): boolean {
    const { thread } = this.#arena;
    // One task is the thread's own.
    return this.#awaited.size > 0 || hasOutstanding(this.#arena) || thread.tasksInUse > 1;
  }

  /** Whether an item of that workqueue is in its hands. */
  runs(wq: number): boolean {
    return this.#held().some((item) => this.#workqueueOf(item) === wq);
  }

  heldIn(pwq: number): number {
    return this.#held().filter((item) => this.#cpu.load(item + Item.pwq) === pwq).length;
  }

  #held(): number[] {
    return [this.#current, ...this.#awaited.keys()].filter((item) => item !== 0);
  }

  /** The item's function, if it is known here already. */
  known(item: number): WorkFunction | undefined {
    return this.#functions.get(this.#cpu.read(item + Item.fn));
  }

  /**
   * The function of an item, which is not known here yet: its module is loaded. The worker takes no further item until then:
   * they may all be of that module, and one of them may block for what another does. It keeps its slot, since it loads.
   * Undefined when there is none; the item says why.
   */
  async find(item: number): Promise<WorkFunction | undefined> {
    const address = this.#cpu.read(item + Item.fn);
    const identity = identityAt(this.#arena, address);
    try {
      const run = knownFunction(identity) ?? (await loadFunction(identity));
      this.#functions.set(address, run);
      return run;
    } catch (error) {
      this.#writeError(item, error);
      return undefined;
    }
  }

  /** Runs the item. Returns it if it has come to its end, or 0 when it is awaited. */
  call(item: number, run: WorkFunction): number {
    const cpu = this.#cpu;
    const context = new WorkContext(this.#arena, item);
    let result: unknown;
    let isPending: boolean;
    this.#current = item;
    this.#arena.thread.tracer?.startsWork(this.#workqueueOf(item), item);
    try {
      const args = isTwin(cpu, item)
        ? decodeArguments(cpu, workOf(cpu, item))
        : this.#values.decode(item, cpu.read(item + Item.encoding), Item.argument);
      result = withContext(context, run, args);
      isPending = typeof (result as PromiseLike<unknown> | undefined)?.then === 'function';
    } catch (error) {
      this.#writeError(item, error);
      this.#tellEnd(item);
      publishHere(this.#arena);
      return item;
    } finally {
      this.#current = 0;
    }
    if (isPending) {
      this.#awaited.set(item, context);
      // Where it is no promise: one that calls back twice, or throws, must not end the item twice, or the worker.
      Promise.resolve(result).then(
        (value) => {
          this.#writeResult(item, value);
          this.#settled(item);
        },
        (error) => this.#failed(item, error),
      );
      return 0;
    }
    this.#writeResult(item, result);
    this.#tellEnd(item);
    // Before the item ends: a thread that drains its queue waits for what it has queued as well.
    publishHere(this.#arena);
    return item;
  }

  #tellEnd(item: number): void {
    this.#arena.thread.tracer?.endsWork(this.#workqueueOf(item), item);
  }

  #workqueueOf(item: number): number {
    return this.#cpu.read(this.#cpu.load(item + Item.pwq) + Pwq.workqueue);
  }

  #failed(item: number, error: unknown): void {
    this.#writeError(item, error);
    this.#settled(item);
  }

  #settled(item: number): void {
    this.#awaited.delete(item);
    this.#tellEnd(item);
    this.#onSettled(item);
  }

  /** A work's result is nobody's. */
  #writeResult(item: number, value: unknown): void {
    if (isTwin(this.#cpu, item)) return;
    try {
      this.#cpu.write(item + Item.encoding, this.#values.encode(item, [value], Item.result));
    } catch (error) {
      // It can't be cloned, or the arena is full.
      this.#values.free(item, Item.result);
      this.#writeError(item, error);
    }
  }

  #writeError(item: number, error: unknown): void {
    if (isTwin(this.#cpu, item)) {
      const work = workOf(this.#cpu, item);
      this.#cpu.fetchAddRelaxed(work + WorkWords.failures, 1);
      report(`the ${this.#arena.objects.labelOf(work)} failed: ${inspected(error)}`);
      return;
    }
    this.#cpu.write(item + Item.encoding, this.#values.encodeError(item, error));
  }

  /** Tells awaited functions that their callers have given up. */
  tellAborts(): void {
    for (const context of this.#awaited.values()) context.tell();
  }
}

/** An error may throw when it is looked at: a getter, a proxy that was revoked. */
function inspected(error: unknown): string {
  try {
    return inspect(error);
  } catch {
    return UNREADABLE;
  }
}
