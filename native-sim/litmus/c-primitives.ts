/**
 * The kernel's primitives as litmus tests call them (tools/memory-model/linux-kernel.def lists them): marked accesses,
 * fences, atomic read-modify-writes, spin locks, RCU and SRCU.
 */
import { Fence, Tag } from '../models/execution.ts';
import type { Instructions, Order } from '../models/mapping.ts';
import type { Expression } from './c-syntax.ts';
import { LitmusSyntaxError, UnsupportedConstruct } from './errors.ts';
import { combine, constant, infeasible, type Tainted, type ThreadRun, zero } from './thread-run.ts';
import type { Token } from './tokens.ts';

/** What a primitive needs of the thread that calls it. */
export interface Caller {
  readonly thread: ThreadRun;
  evaluate(expression: Expression): Tainted;
  /** The address that an lvalue stands for. */
  addressOf(expression: Expression): Tainted;
}

type Primitive = (c: Caller, args: readonly Expression[]) => Tainted;

interface Entry {
  readonly arity: number;
  readonly run: Primitive;
}

const primitives = new Map<string, Entry>();

export function callPrimitive(c: Caller, name: string, args: readonly Expression[], at: Token): Tainted {
  const entry = primitives.get(name.replace(/^atomic(?:_long|64)_/, 'atomic_'));
  if (entry === undefined) throw new UnsupportedConstruct(`function ${name}()`, at.line, at.column);
  if (args.length !== entry.arity) {
    throw new LitmusSyntaxError(at.line, at.column, `${entry.arity} argument(s) to ${name}()`, String(args.length));
  }
  return entry.run(c, args);
}

function define(name: string, arity: number, run: Primitive): void {
  primitives.set(name, { arity, run });
}

/** What the fence is under this model. */
function requireFence(c: Caller, kind: number, name: string): number {
  const here = c.thread.dialect.fence(kind);
  if (here === undefined) throw new UnsupportedConstruct(`${name}() under the model ${c.thread.dialect.name}`);
  return here;
}

function fence(c: Caller, kind: number, name: string, address?: Tainted): void {
  c.thread.fence(requireFence(c, kind, name), address);
}

// Loads and stores

function load(order: 'relaxed' | 'acquire', address: (c: Caller, e: Expression) => Tainted): Primitive {
  return (c, args) => {
    const how = c.thread.dialect.mapping.load[order];
    const value = c.thread.read(address(c, args[0]!), how.read);
    c.thread.fence(how.after);
    return value;
  };
}

function store(order: 'relaxed' | 'release', address: (c: Caller, e: Expression) => Tainted): Primitive {
  return (c, args) => {
    const how = c.thread.dialect.mapping.store[order];
    const value = c.evaluate(args[1]!);
    const at = address(c, args[0]!);
    c.thread.fence(how.before);
    c.thread.write(at, value, how.write);
    return zero;
  };
}

const lvalue = (c: Caller, e: Expression): Tainted => c.addressOf(e);
const pointer = (c: Caller, e: Expression): Tainted => c.evaluate(e);

define('READ_ONCE', 1, load('relaxed', lvalue));
define('rcu_dereference', 1, load('relaxed', lvalue));
define('rcu_dereference_protected', 1, load('relaxed', lvalue));
define('WRITE_ONCE', 2, store('relaxed', lvalue));
define('rcu_assign_pointer', 2, store('release', lvalue));
define('smp_load_acquire', 1, load('acquire', pointer));
define('smp_store_release', 2, store('release', pointer));
define('atomic_read', 1, load('relaxed', pointer));
define('atomic_read_acquire', 1, load('acquire', pointer));
define('atomic_set', 2, store('relaxed', pointer));
define('atomic_set_release', 2, store('release', pointer));
for (const name of ['smp_store_mb', 'set_mb']) {
  define(name, 2, (c, args) => {
    store('relaxed', lvalue)(c, args);
    fence(c, Fence.mb, name);
    return zero;
  });
}

// Fences

const fences: readonly (readonly [string, number])[] = [
  ['smp_mb', Fence.mb],
  // Its name before it was smp_mb.
  ['smp_memb', Fence.mb],
  ['smp_rmb', Fence.rmb],
  ['smp_wmb', Fence.wmb],
  ['barrier', Fence.barrier],
  ['smp_mb__before_atomic', Fence.beforeAtomic],
  ['smp_mb__after_atomic', Fence.afterAtomic],
  ['smp_mb__after_spinlock', Fence.afterSpinlock],
  ['smp_mb__after_unlock_lock', Fence.afterUnlockLock],
  ['smp_mb__after_srcu_read_unlock', Fence.afterSrcuReadUnlock],
  ['rcu_read_lock', Fence.rcuLock],
  ['rcu_read_unlock', Fence.rcuUnlock],
  ['synchronize_rcu', Fence.syncRcu],
  ['synchronize_rcu_expedited', Fence.syncRcu],
];
for (const [name, kind] of fences) {
  define(name, 0, (c) => {
    fence(c, kind, name);
    return zero;
  });
}

// Read-modify-writes

function modify(
  c: Caller,
  how: Instructions,
  address: Tainted,
  change: (old: Tainted) => Tainted,
  extra: number = Tag.none,
): Tainted {
  const { thread } = c;
  thread.fence(how.before);
  const old = thread.read(address, how.read | extra);
  thread.write(address, change(old), how.write, { rmw: thread.last });
  thread.fence(how.after);
  return old;
}

/** Write where `test` holds for the value found; the value found, and whether it held. */
function modifyIf(
  c: Caller,
  how: Instructions,
  at: Expression,
  test: (old: bigint) => boolean,
  change: (old: Tainted) => Tainted,
): { old: Tainted; done: boolean } {
  const { thread } = c;
  const address = c.evaluate(at);
  if (thread.choose(2) === 0) {
    const old = thread.read(address, thread.dialect.mapping.failed.read);
    if (test(old.value)) throw infeasible;
    thread.decide(at, false);
    return { old, done: false };
  }
  const old = modify(c, how, address, (found) => {
    if (!test(found.value)) throw infeasible;
    return change(found);
  });
  thread.decide(at, true);
  return { old, done: true };
}

const orders: readonly (readonly [string, Order])[] = [
  ['', 'full'],
  ['_relaxed', 'relaxed'],
  ['_acquire', 'acquire'],
  ['_release', 'release'],
];

const operations: Readonly<Record<string, (old: bigint, operand: bigint) => bigint>> = {
  add: (old, operand) => old + operand,
  sub: (old, operand) => old - operand,
  and: (old, operand) => old & operand,
  or: (old, operand) => old | operand,
  xor: (old, operand) => old ^ operand,
  andnot: (old, operand) => old & ~operand,
};

for (const [suffix, order] of orders) {
  for (const prefix of ['', 'atomic_']) {
    define(`${prefix}xchg${suffix}`, 2, (c, args) => {
      const value = c.evaluate(args[1]!);
      return modify(c, c.thread.dialect.mapping.rmw[order], c.evaluate(args[0]!), () => value);
    });
    define(`${prefix}cmpxchg${suffix}`, 3, (c, args) => {
      const expected = c.evaluate(args[1]!);
      const value = c.evaluate(args[2]!);
      const how = c.thread.dialect.mapping.rmw[order];
      return modifyIf(
        c,
        how,
        args[0]!,
        (old) => old === expected.value,
        () => value,
      ).old;
    });
  }
  for (const [name, operation] of Object.entries(operations)) {
    const apply = (c: Caller, operand: Tainted, at: Expression): { old: Tainted; now: Tainted } => {
      let now = zero;
      const old = modify(c, c.thread.dialect.mapping.rmw[order], c.evaluate(at), (found) => {
        now = combine(operation(found.value, operand.value), found, operand);
        return now;
      });
      return { old, now: { ...now, from: old.from | operand.from } };
    };
    define(`atomic_fetch_${name}${suffix}`, 2, (c, args) => apply(c, c.evaluate(args[0]!), args[1]!).old);
    define(`atomic_${name}_return${suffix}`, 2, (c, args) => apply(c, c.evaluate(args[0]!), args[1]!).now);
    const step = name === 'add' ? 'inc' : name === 'sub' ? 'dec' : undefined;
    if (step !== undefined) {
      define(`atomic_fetch_${step}${suffix}`, 1, (c, args) => apply(c, constant(1n), args[0]!).old);
      define(`atomic_${step}_return${suffix}`, 1, (c, args) => apply(c, constant(1n), args[0]!).now);
      if (suffix === '') {
        const isZero = (now: Tainted): Tainted => ({ ...now, value: now.value === 0n ? 1n : 0n });
        define(`atomic_${step}_and_test`, 1, (c, args) => isZero(apply(c, constant(1n), args[0]!).now));
        define(`atomic_${name}_and_test`, 2, (c, args) => isZero(apply(c, c.evaluate(args[0]!), args[1]!).now));
      }
    }
    if (name === 'add' && suffix === '') {
      define('atomic_add_negative', 2, (c, args) => {
        const { now } = apply(c, c.evaluate(args[0]!), args[1]!);
        return { ...now, value: now.value < 0n ? 1n : 0n };
      });
    }
  }
}

for (const [name, operation] of Object.entries(operations)) {
  const silent = (c: Caller, operand: Tainted, at: Expression): Tainted => {
    const change = (old: Tainted): Tainted => combine(operation(old.value, operand.value), old, operand);
    modify(c, c.thread.dialect.mapping.rmw.relaxed, c.evaluate(at), change, Tag.noReturn);
    return zero;
  };
  define(`atomic_${name}`, 2, (c, args) => silent(c, c.evaluate(args[0]!), args[1]!));
  const step = name === 'add' ? 'inc' : name === 'sub' ? 'dec' : undefined;
  if (step !== undefined) define(`atomic_${step}`, 1, (c, args) => silent(c, constant(1n), args[0]!));
}

/** Adds unless the value is the given one: true where it added. */
define('atomic_add_unless', 3, (c, args) => {
  const operand = c.evaluate(args[1]!);
  const unless = c.evaluate(args[2]!);
  const { old, done } = modifyIf(
    c,
    c.thread.dialect.mapping.rmw.full,
    args[0]!,
    (found) => found !== unless.value,
    (found) => combine(found.value + operand.value, found, operand),
  );
  return { ...old, value: done ? 1n : 0n };
});

// Spin locks: 0 is free, 1 is held

function lock(c: Caller, address: Tainted): void {
  const { thread } = c;
  thread.read(address, thread.dialect.lock.read, { only: 0n });
  thread.write(address, constant(1n), thread.dialect.lock.write, { rmw: thread.last });
  thread.fence(thread.dialect.locked);
}

function unlock(c: Caller, address: Tainted): void {
  c.thread.fence(c.thread.dialect.unlocking);
  c.thread.write(address, zero, c.thread.dialect.lock.unlock);
}

define('spin_lock', 1, (c, args) => {
  lock(c, c.evaluate(args[0]!));
  return zero;
});

define('spin_unlock', 1, (c, args) => {
  unlock(c, c.evaluate(args[0]!));
  return zero;
});

/** The kernel says what it orders in these words: as a lock that is released at once. */
define('spin_unlock_wait', 1, (c, args) => {
  const address = c.evaluate(args[0]!);
  lock(c, address);
  unlock(c, address);
  return zero;
});

define('spin_trylock', 1, (c, args) => {
  const { thread } = c;
  const address = c.evaluate(args[0]!);
  if (thread.choose(2) === 0) {
    const held = thread.read(address, thread.dialect.lock.look, { only: 1n });
    return { ...held, value: 0n };
  }
  const free = thread.read(address, thread.dialect.lock.read, { only: 0n });
  thread.write(address, constant(1n), thread.dialect.lock.write, { rmw: thread.last });
  thread.fence(thread.dialect.locked);
  return { ...free, value: 1n };
});

define('spin_is_locked', 1, (c, args) => {
  return c.thread.read(c.evaluate(args[0]!), c.thread.dialect.lock.look);
});

// SRCU

for (const name of ['synchronize_srcu', 'synchronize_srcu_expedited']) {
  define(name, 1, (c, args) => {
    fence(c, Fence.syncSrcu, name, c.evaluate(args[0]!));
    return zero;
  });
}

/** `srcu_down_read` and `srcu_up_read` are the same, but may be in different threads. */
for (const name of ['srcu_read_lock', 'srcu_down_read']) {
  define(name, 1, (c, args) => {
    const address = c.evaluate(args[0]!);
    requireFence(c, Fence.srcuLock, name);
    return c.thread.tokenFence(Fence.srcuLock, address);
  });
}

for (const name of ['srcu_read_unlock', 'srcu_up_read']) {
  define(name, 2, (c, args) => {
    const index = c.evaluate(args[1]!);
    const address = c.evaluate(args[0]!);
    requireFence(c, Fence.srcuUnlock, name);
    c.thread.tokenFence(Fence.srcuUnlock, address, index);
    return zero;
  });
}
