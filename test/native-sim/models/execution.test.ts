/**
 * Executions built by hand, as the explorer builds them: what is derived from them, and that each model names the axiom
 * that breaks.
 */
import { describe, expect, it } from 'vitest';
import { armv8 } from '../../../native-sim/models/armv8.ts';
import { Execution, Fence, type Model, Tag } from '../../../native-sim/models/execution.ts';
import { javascript } from '../../../native-sim/models/javascript.ts';
import { lkmm } from '../../../native-sim/models/lkmm.ts';
import { sc } from '../../../native-sim/models/sc.ts';
import { x86Tso } from '../../../native-sim/models/x86-tso.ts';

const [X, Y] = [0, 1];
const x = new Execution();

/** Both threads store, then read the initial value of what the other stored. */
function storeBuffering(fence: number): void {
  x.begin(6);
  for (const thread of [0, 1]) {
    x.write(thread, thread === 0 ? X : Y, 1);
    if (fence !== Fence.none) x.barrier(thread, fence);
    x.read(thread, thread === 0 ? Y : X, 0);
  }
  x.finish();
}

/** Thread 1 sees the flag, and the message that was there before. */
function messagePassing(write: number, read: number): void {
  x.begin(4);
  x.write(0, X, 1);
  const flag = x.write(0, Y, 1, write);
  const seen = x.read(1, Y, 1, read);
  x.read(1, X, 0);
  x.rf.add(flag, seen);
  x.finish();
}

describe('an execution', () => {
  it('derives program order, and from-read of initial and of overwritten values', () => {
    x.begin(5);
    const first = x.write(0, X, 1);
    const second = x.write(1, X, 2);
    const old = x.read(1, X, 1);
    const initial = x.read(0, X, 0);
    const other = x.read(0, Y, 0);
    x.rf.add(first, old);
    x.coherence([first, second]);
    x.finish();
    expect(x.po.pairs()).toEqual([
      [first, initial],
      [first, other],
      [second, old],
      [initial, other],
    ]);
    expect(x.fr.pairs()).toEqual([
      [old, second],
      [initial, first],
      [initial, second],
    ]);
    expect(x.loc.has(first, old)).toBe(true);
    expect(x.loc.has(first, other)).toBe(false);
  });

  it('is empty again when begun again', () => {
    storeBuffering(Fence.mb);
    messagePassing(Tag.none, Tag.none);
    expect(x.count).toBe(4);
    expect(x.tagged(1, Tag.none).has(2)).toBe(true);
    expect(x.fences(Fence.mb).isEmpty()).toBe(true);
  });

  it('refuses more events than were begun', () => {
    x.begin(1);
    x.read(0, X, 0);
    expect(() => x.read(0, X, 0)).toThrow(RangeError);
  });
});

describe('the axiom that breaks', () => {
  const named = (model: Model): string | null => model.violation(x);

  it('store buffering', () => {
    storeBuffering(Fence.none);
    expect([sc, x86Tso, armv8, lkmm, javascript].map(named)).toEqual([
      'sequential consistency',
      null,
      null,
      null,
      'SC atomics',
    ]);
    storeBuffering(Fence.mfence);
    expect(named(x86Tso)).toBe('tso');
    storeBuffering(Fence.dmbFull);
    expect(named(armv8)).toBe('external');
    storeBuffering(Fence.dmbSt);
    expect(named(armv8)).toBeNull();
    storeBuffering(Fence.mb);
    expect(named(lkmm)).toBe('propagation');
  });

  it('message passing', () => {
    messagePassing(Tag.none, Tag.none);
    expect([x86Tso, armv8, lkmm].map(named)).toEqual(['tso', null, null]);
    messagePassing(Tag.release, Tag.acquire);
    expect([armv8, lkmm].map(named)).toEqual(['external', 'happens-before']);
  });

  it('an atomic that another write came into', () => {
    x.begin(3);
    const read = x.read(0, X, 0, Tag.rmw);
    const write = x.write(0, X, 1, Tag.rmw);
    const intruder = x.write(1, X, 2);
    x.rmw.add(read, write);
    x.coherence([intruder, write]);
    x.finish();
    expect([sc, x86Tso, armv8, lkmm, javascript].map(named)).toEqual([
      'atomicity',
      'atomicity',
      'atomic',
      'atomic',
      'atomicity',
    ]);
  });

  it('a read of the thread’s own future', () => {
    x.begin(2);
    const read = x.read(0, X, 1);
    x.rf.add(x.write(0, X, 1), read);
    x.finish();
    expect([sc, x86Tso, armv8, lkmm].map(named)).toEqual([
      'sequential consistency',
      'uniproc',
      'internal',
      'coherence',
    ]);
  });

  it('a grace period that a reader spans', () => {
    x.begin(7);
    x.barrier(0, Fence.rcuLock);
    const seen = x.read(0, X, 1);
    const told = x.write(0, Y, 1);
    x.barrier(0, Fence.rcuUnlock);
    const heard = x.read(1, Y, 1);
    x.barrier(1, Fence.syncRcu);
    x.rf.add(x.write(1, X, 1), seen);
    x.rf.add(told, heard);
    x.finish();
    expect(named(lkmm)).toBe('rcu');
  });
});

describe('races', () => {
  const race = (tag: number): string[] => {
    messagePassing(Tag.none, Tag.none);
    x.tags[0] = Tag.plain;
    x.tags[1] = tag;
    x.tags[3] = Tag.plain;
    x.finish();
    return lkmm.flags!(x);
  };

  it('plain data behind a relaxed flag races, in the kernel', () => {
    expect(race(Tag.none)).toEqual(['data-race']);
  });

  it('plain data behind release and acquire does not', () => {
    x.begin(4);
    const message = x.write(0, X, 1, Tag.plain);
    const flag = x.write(0, Y, 1, Tag.release);
    const seen = x.read(1, Y, 1, Tag.acquire);
    const read = x.read(1, X, 1, Tag.plain);
    x.rf.add(flag, seen);
    x.rf.add(message, read);
    x.finish();
    expect([lkmm.violation(x), lkmm.flags!(x)]).toEqual([null, []]);
  });
});
