/**
 * The views that one thread has of the arena's objects, by address; held weakly. When an object is gone its views are
 * retired: they get another prototype, on which everything throws. So they can't touch the memory, which may be
 * somebody else's by then, and no call of a view that is in order looks whether it is. One that was retired costs more to call,
 * because V8 meets objects of two shapes there; nothing else does.
 */
import { inspect } from 'node:util';
import { HoldfastError } from '../errors.ts';

/** Why views are retired, and how messages say so. */
export type Reason = 'destroyed' | 'detached';

const MESSAGES: Record<Reason, string> = {
  destroyed: 'was destroyed',
  detached: 'is in an arena that this thread has detached from',
};

/** Addresses at which those without a view are looked for the first time, and views of one address. */
const FIRST_SWEEP = 64;
const FIRST_SWEEP_OF_ONE = 8;

/** The views of one object. */
interface ViewsOfOne {
  views: WeakRef<object>[];
  sweepAt: number;
}

export class Views {
  readonly #all = new Map<number, ViewsOfOne>();
  #sweepAt = FIRST_SWEEP;

  /** The thread has another view of the object at `address`. */
  add(address: number, view: object): void {
    const known = this.#all.get(address);
    if (known === undefined) {
      this.#all.set(address, { views: [new WeakRef(view)], sweepAt: FIRST_SWEEP_OF_ONE });
      if (this.#all.size >= this.#sweepAt) this.#sweep();
      return;
    }
    // When there are twice as many: so that a view costs the same however many there are.
    if (known.views.length >= known.sweepAt) {
      known.views = known.views.filter(isAlive);
      known.sweepAt = Math.max(FIRST_SWEEP_OF_ONE, 2 * known.views.length);
    }
    known.views.push(new WeakRef(view));
  }

  /** The object at `address` was destroyed. */
  retire(address: number): void {
    for (const view of this.#all.get(address)?.views ?? []) retire(view.deref(), 'destroyed');
    this.#all.delete(address);
  }

  /** The thread has left the arena. */
  retireAll(): void {
    for (const { views } of this.#all.values()) for (const view of views) retire(view.deref(), 'detached');
    this.#all.clear();
  }

  /** Forgets objects of which all views were collected; so seldom that an object costs the same however many there are. */
  #sweep(): void {
    for (const [address, { views }] of this.#all) if (!views.some(isAlive)) this.#all.delete(address);
    this.#sweepAt = Math.max(FIRST_SWEEP, 2 * this.#all.size);
  }
}

function isAlive(view: WeakRef<object>): boolean {
  return view.deref() !== undefined;
}

/** What a retired view has still: what it is, and what shows that. */
const KEPT = new Set<string | symbol>(['constructor', 'handle', 'toString', 'toJSON', inspect.custom]);

const prototypes: Record<Reason, WeakMap<object, object>> = { destroyed: new WeakMap(), detached: new WeakMap() };

function retire(view: object | undefined, reason: Reason): void {
  if (view === undefined) return;
  const prototype = Object.getPrototypeOf(view) as object;
  let retired = prototypes[reason].get(prototype);
  if (retired === undefined) {
    retired = retiredPrototype(prototype, reason);
    prototypes[reason].set(prototype, retired);
    // Of a view that is retired already.
    prototypes[reason].set(retired, retired);
  }
  Object.setPrototypeOf(view, retired);
}

/** The prototype below `prototype` on which each call and each property throws EINVAL, or rejects with it. */
function retiredPrototype(prototype: object, reason: Reason): object {
  const { name, rejecting = [] } = prototype.constructor as { name: string; rejecting?: readonly string[] };
  const retired: object = Object.create(prototype) as object;
  const refuse = (): never => {
    throw new HoldfastError('EINVAL', `this ${name} ${MESSAGES[reason]}`);
  };
  for (let each = prototype; each !== Object.prototype; each = Object.getPrototypeOf(each) as object) {
    for (const key of Reflect.ownKeys(each)) {
      if (KEPT.has(key) || Object.hasOwn(retired, key)) continue;
      const isAccessor = Object.getOwnPropertyDescriptor(each, key)?.get !== undefined;
      const isAsync = typeof key === 'string' && (key.endsWith('Async') || rejecting.includes(key));
      const value = isAsync ? async () => refuse() : refuse;
      Object.defineProperty(retired, key, isAccessor ? { get: refuse } : { value });
    }
  }
  const shown = () => `${name}(${reason})`;
  Object.defineProperty(retired, inspect.custom, { value: shown });
  Object.defineProperty(retired, 'toJSON', { value: shown });
  return retired;
}
