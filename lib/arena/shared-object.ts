import { inspect } from 'node:util';
import { HoldfastError, shown, type WaitsFor } from '../errors.ts';
import type { Kind } from '../memory/kinds.ts';
import type { TimeoutOptions } from '../sched/drive.ts';
import { isWaitedFor, maxThreads, Slot, slotAddress } from '../sched/slot.ts';
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
}

/**
 * A thread's view of an object in shared memory. Views are cheap, keep nothing of the object's state, and any number
 * of them, in any number of threads, may lead to one object.
 */
export abstract class SharedObject {
  readonly arena: Arena;
  /** The object's first word in the arena. */
  readonly address: number;
  protected readonly thread: Thread;
  readonly #kind: Kind;

  protected constructor(kind: Kind, arena: Arena, which: string | ObjectHandle | undefined) {
    if (typeof arena?.thread?.current !== 'function') {
      throw new HoldfastError('EINVAL', `a ${kind.name} lives in an Arena, received ${shown(arena)}`);
    }
    arena.thread.current();
    this.arena = arena;
    this.thread = arena.thread;
    this.#kind = kind;
    if (which === undefined) this.address = arena.objects.create(kind);
    else if (typeof which === 'object') this.address = addressIn(kind, arena, which);
    else this.address = arena.objects.open(kind, which);
  }

  /** Structured-cloneable: pass it to another thread, which calls the class's `from`. */
  get handle(): ObjectHandle {
    return { type: `holdfast.${this.#kind.name}`, arena: this.arena.id, address: this.address };
  }

  /** The name it was opened by, or undefined for an anonymous object. */
  get name(): string | undefined {
    return this.arena.objects.nameOf(this.address);
  }

  /**
   * Frees the object and its name. Throws EBUSY while it is held or waited for: a waiter that was woken counts until its
   * call has come back. All other views of it, in all threads, are invalid from then on.
   */
  destroy(): void {
    this.thread.current();
    const { cpu } = this.thread;
    this.arena.objects.destroy(this.#kind, this.address, (address, end) => isWaitedFor(cpu, address, end));
  }

  /** In a log line, or another JSON text, an object is what `util.inspect` shows. */
  toJSON(): string {
    return inspect(this);
  }

  /** How messages name the object. */
  protected get label(): string {
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

  /** The ETIMEDOUT of a wait for the object, with what its holders wait for or that they have ended. `state`: who holds it. */
  protected notInTime(options: TimeoutOptions | undefined, state: string): HoldfastError {
    // With a timeout of 0 nobody has waited, and the call is to be quick.
    const links = options?.timeout === 0 ? [] : waitsOfHolders(this.thread, this.address);
    const last = links.find(({ holders }) => holders.includes(this.thread.number));
    const end = last === undefined ? '' : `: ${last.async ? 'perhaps ' : ''}they wait for each other`;
    const rest = links.length === 0 ? '' : `; ${waitsShown(links)}${end}`;
    const ended = options?.timeout === 0 ? '' : this.#endedHolders();
    return new HoldfastError(
      'ETIMEDOUT',
      `no ${this.label} within ${options?.timeout} ms: ${state}${rest}${ended}`,
      links,
    );
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
  arena.objects.check(kind, handle.address);
  return handle.address;
}
