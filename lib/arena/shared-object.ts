import { inspect } from 'node:util';
import { HoldfastError, shown, type WaitsFor } from '../errors.ts';
import type { Cpu } from '../machine/cpu.ts';
import type { Kind } from '../memory/kinds.ts';
import { isPresent } from '../memory/objects.ts';
import type { Waitable } from '../sched/drive.ts';
import { isWaitedFor, maxThreads, Slot, slotAddress } from '../sched/slot.ts';
import { endWait, Task } from '../sched/task.ts';
import type { Thread } from '../sched/thread.ts';
import { waitsOfHolders, waitsShown } from '../sched/waits-for.ts';
import type { Arena } from './arena.ts';
import { isGone } from './liveness.ts';

/** What another thread needs to open the same object: plain structured-cloneable data. */
export interface ObjectHandle {
  /** 'holdfast.' and the kind's name. */
  readonly type: string;
  /** The id of the object's arena. */
  readonly arena: number;
  readonly address: number;
  /** Tells it from others that there have been at its address. */
  readonly serial: number;
}

/** What keeps the holders of an object, as an ETIMEDOUT says it. */
interface Report {
  readonly links: readonly WaitsFor[];
  /** Those that have ended, in words. */
  readonly ended: string;
}

const NO_REPORT: Report = { links: [], ended: '' };
/** How long a report is good, ns; or as many times as long as it took, so that reports never take the most of a thread's time. */
const REPORT_NS = 1e6;
const REPORT_SHARE = 4;

/**
 * A thread's view of an object in shared memory. Views are cheap, keep nothing of the object's state, and any number
 * of them, in any number of threads, may lead to one object.
 */
export abstract class SharedObject {
  readonly arena: Arena;
  /** The object's first word in the arena. */
  readonly address: number;
  /** @internal */
  protected readonly thread: Thread;
  readonly #kind: Kind;
  readonly #serial: number;
  /** The view's last report, and until when it is good, ns. */
  #lastReport: Report & { readonly until: number } = { ...NO_REPORT, until: 0 };

  /** @internal */
  protected constructor(kind: Kind, arena: Arena, which: string | ObjectHandle | undefined) {
    if (typeof arena?.thread?.current !== 'function') {
      throw new HoldfastError('EINVAL', `a ${kind.name} lives in an Arena, received ${shown(arena)}`);
    }
    arena.thread.current();
    this.arena = arena;
    this.thread = arena.thread;
    this.#kind = kind;
    // Before there is another view, which a constructor may go on to work with.
    arena.objects.acknowledge();
    if (which === undefined) this.address = arena.objects.create(kind);
    else if (typeof which === 'object') this.address = addressIn(kind, arena, which);
    else this.address = arena.objects.open(kind, which);
    this.#serial = arena.objects.serial;
    arena.objects.views.add(this.address, this);
  }

  /** Structured-cloneable: pass it to another thread, which calls the class's `from`. */
  get handle(): ObjectHandle {
    const { address, arena } = this;
    return { type: `holdfast.${this.#kind.name}`, arena: arena.id, address, serial: this.#serial };
  }

  /** The name it was opened by, or undefined for an anonymous object. */
  get name(): string | undefined {
    this.checkThere();
    return this.arena.objects.nameOf(this.address);
  }

  /**
   * Frees the object and its name. Throws EBUSY while it is held, waited for or about to be: a waiter that was woken counts
   * until its call has come back. From then on all calls of all views of it, in all threads, throw EINVAL. Its memory
   * can be had again when each thread that has opened it has opened, made or destroyed another object, or has ended.
   */
  destroy(): void {
    this.current();
    const { cpu, id } = this.thread;
    this.arena.objects.destroy(this.#kind, this.address, (address, end) => isWaitedFor(cpu, address, end, id));
  }

  /** In a log line, or another JSON text, an object is what `util.inspect` shows. */
  toJSON(): string {
    return inspect(this);
  }

  toString(): string {
    return inspect(this);
  }

  [inspect.custom](): string {
    return this.isThere ? this.shown : `${this.constructor.name}(destroyed)`;
  }

  /** What `util.inspect` shows of an object that is there. */
  protected abstract get shown(): string;

  /** @internal Throws EINVAL when the object was destroyed. */
  checkThere(): void {
    // The caller may have seen a word of an object that is closed: pairs with the barriers of `Objects.destroy`.
    this.thread.cpu.rmb();
    if (!this.isThere) this.#settle();
  }

  /**
   * The thread changes the object's words from here on until `endChange`, without lining up in `block`. Throws EINVAL when the object
   * was destroyed; until `endChange` it cannot be.
   */
  protected beginChange(): void {
    const { cpu, slot } = this.thread;
    for (;;) {
      cpu.store(slot + Slot.entering, this.address);
      // As in `beginWait`.
      cpu.mb();
      if (this.isThere) return;
      this.endChange();
      this.#settle();
    }
  }

  /** `beginChange`, `body`, and `endChange`, also when `body` throws. */
  protected changing(body: () => void): void {
    this.beginChange();
    try {
      body();
    } catch (error) {
      // What ends a simulated thread goes through without another step.
      if (error instanceof HoldfastError) this.endChange();
      throw error;
    }
    this.endChange();
  }

  protected endChange(): void {
    const { cpu, slot } = this.thread;
    // Pairs with the acquire in `isWaitedFor`.
    cpu.storeRelease(slot + Slot.entering, 0);
  }

  /** @internal For `block`: the task waits for the object from here on. Throws EINVAL when it was destroyed. */
  beginWait(task: number): void {
    const { cpu } = this.thread;
    for (;;) {
      cpu.store(task + Task.within, this.address);
      // Pairs with the barrier in `Objects.destroy`: that sees that the task is here, or this that the object is to go.
      cpu.mb();
      if (this.isThere) return;
      endWait(cpu, task);
      this.#settle();
    }
  }

  /**
   * The main task of the calling thread, for a call that is no fast path: those fail by themselves (`Kind.close`). Throws
   * EINVAL after detach, and when the object was destroyed.
   */
  protected current(): number {
    const task = this.thread.current();
    this.checkThere();
    return task;
  }

  /** The machine, for what only looks at the object. Throws EINVAL when it was destroyed. */
  protected get living(): Cpu {
    this.checkThere();
    return this.thread.cpu;
  }

  /** Whether the object was not destroyed, nor is about to be. Enough for a call that looks once it has got in. */
  protected get isThere(): boolean {
    return isPresent(this.thread.cpu, this.address);
  }

  /** Throws EINVAL unless the object is there after all, because it could not be destroyed. */
  #settle(): void {
    this.arena.objects.settle();
    if (this.isThere) return;
    throw new HoldfastError('EINVAL', `the ${this.#kind.name} that was at ${this.address} was destroyed`);
  }

  /** `error`, of a call to give back what the caller does not hold: whoever observes the thread hears of it. */
  protected unheld(error: HoldfastError): HoldfastError {
    this.checkThere();
    this.thread.observer?.notHeld(this);
    return error;
  }

  /** How messages name the object. Throws EINVAL when it was destroyed: whatever else is wrong, it is for that reason. */
  protected get label(): string {
    this.checkThere();
    return this.arena.objects.labelOf(this.address, this.#kind as Kind<never>);
  }

  /**
   * The EDEADLK of a synchronous wait. `cycle`: the lock, the number of the thread that has it, the lock that this one
   * waits for, and so on, back to this thread; a chain of `limit` locks was not followed to its end.
   */
  protected wouldDeadlock(cycle: readonly number[], limit: number): HoldfastError {
    const links: WaitsFor[] = [];
    let thread = this.thread.number;
    for (let i = 0; i < cycle.length; i += 2) {
      const [lock, holder] = [cycle[i] as number, cycle[i + 1] as number];
      links.push({ thread, async: false, object: this.arena.objects.labelOf(lock), holders: [holder] });
      thread = holder;
    }
    const kind = links.length < limit ? 'a deadlock' : `a chain of ${limit} locks or more`;
    const message =
      links.length <= 1
        ? `this thread already holds the ${this.label}: waiting for it here would never end`
        : `waiting for the ${this.label} would make ${kind}: ${waitsShown(links)}`;
    return new HoldfastError('EDEADLK', message, links);
  }

  /** @internal For `block`: the ETIMEDOUT of a wait for the object, with what its holders wait for or that they have ended. */
  notInTime(timeout: number | undefined): HoldfastError {
    const { label } = this;
    // With a timeout of 0 nobody has waited, and the call is to be quick.
    const { links, ended } = timeout === 0 ? NO_REPORT : this.#report();
    const last = links.find(({ holders }) => holders.includes(this.thread.number));
    const end = last === undefined ? '' : `: ${last.async ? 'perhaps ' : ''}they wait for each other`;
    const rest = links.length === 0 ? '' : `; ${waitsShown(links)}${end}`;
    return new HoldfastError('ETIMEDOUT', `no ${label} within ${timeout} ms: ${this.obstacle}${rest}${ended}`, links);
  }

  /** What a call has waited for that gave up. Thousands may give up at once: illegal to take longer the more there are. */
  protected get obstacle(): string {
    return '';
  }

  /** For a call of the object that gives up with an error of its own. */
  protected awaiting(notInTime: (timeout: number | undefined) => HoldfastError): Waitable {
    return { address: this.address, beginWait: (task) => this.beginWait(task), notInTime };
  }

  /** What keeps those that hold the object. All tasks are looked at for it, and thousands of calls may give up at once: they share one. */
  #report(): Report {
    const { cpu } = this.thread;
    const start = cpu.now();
    if (start < this.#lastReport.until) return this.#lastReport;
    const links = waitsOfHolders(this.thread, this.address);
    const ended = this.#endedHolders();
    const end = cpu.now();
    const until = end + Math.max(REPORT_NS, REPORT_SHARE * (end - start));
    this.#lastReport = { until, links, ended };
    return this.#lastReport;
  }

  /** Which of the threads that hold the object are dead: whoever waits for them waits for a reaper. */
  #endedHolders(): string {
    const { cpu } = this.thread;
    const ended: number[] = [];
    for (let number = 0; number < maxThreads(cpu); number++) {
      const slot = slotAddress(cpu, number);
      if (cpu.loadAcquire(slot + Slot.life) >= 0 && !isGone(cpu.load(slot + Slot.osThread))) continue;
      const isHolder = this.#kind.holder(cpu, this.address) === number + 1;
      if (isHolder || this.#kind.isHeldBy?.(cpu, this.address, number + 1)) ended.push(number);
    }
    if (ended.length === 0) return '';
    return `; ${ended.map((number) => `thread ${number}`).join(', ')} has ended, and its locks are not recovered yet`;
  }
}

/** The address in `handle`. Throws EINVAL unless it is a live object of that kind in that arena. */
function addressIn(kind: Kind, arena: Arena, handle: ObjectHandle): number {
  if (handle?.type !== `holdfast.${kind.name}`) {
    throw new HoldfastError(
      'EINVAL',
      `expected a name or the handle of a ${kind.name}, received ${shown(handle?.type ?? handle)}`,
    );
  }
  if (handle.arena !== arena.id) {
    throw new HoldfastError(
      'EINVAL',
      `the ${kind.name} is in arena ${shown(handle.arena)}, not in this one, ${arena.id}`,
    );
  }
  arena.objects.reopen(kind, handle.address, handle.serial);
  return handle.address;
}
