import { expect, test } from 'vitest';
import type { Arena } from '../../lib/arena/arena.ts';
import type { ObjectHandle } from '../../lib/arena/shared-object.ts';
import { McsLock, RwLock, SpinLock } from '../../lib/index.ts';
import { McsNodes } from '../../lib/locking/mcs-lock.ts';
import { isEvicted, releaseNode, SpinNode } from '../../lib/locking/spin-queue.ts';
import { kindById } from '../../lib/memory/kinds.ts';
import { ObjectHeader } from '../../lib/memory/objects.ts';
import { Slot } from '../../lib/sched/slot.ts';
import { SLEEPING, Task } from '../../lib/sched/task.ts';
import { on, step, stepper, type When } from '../support/stepper.ts';

test('a live head that sleeps for ever, because a late store names the dead head before it', () => {
  for (let n = 1; ; n++) {
    const { arenas, real, die, before, cancel, reap, stopBefore } = stepper(5);
    const first = new SpinLock(arenas[0]!);
    const locks = arenas.map((arena, i) => (i === 0 ? first : SpinLock.from(arena, first.handle)));
    const sleepIn = (number: number) => stopBefore(number, on('wait'), () => locks[number]!.lock());
    let isHead = false;
    first.lock();
    before(1, on('wait'), () => {
      expect(sleepIn(2)).toBe(true);
      first.unlock();
      // Thread 1 gets the lock now. Before one of its steps thread 2, its successor, dies, and 3 comes.
      before(1, step(n), () => {
        die(2);
        if (reap(4) === 'done') isHead = sleepIn(3);
      });
    });
    locks[1]!.lock();
    const isOver = cancel(1);
    locks[1]!.unlock();
    if (isHead) expect(real.load(arenas[3]!.thread.self + Task.state)).not.toBe(SLEEPING);
    if (isOver) break;
  }
});

test('a head that grants a waiter late, when that one has been evicted and stands in line again', () => {
  let late = 0;
  for (let n = 1; ; n++) {
    const { arenas, real, die, before, cancel, reap, stopBefore } = stepper(4);
    const [first, second, third] = arenas.map((arena) => new McsLock(arena, 'lock')) as [McsLock, McsLock, McsLock];
    const lineUp = (number: number, lock: McsLock) => stopBefore(number, on('condLoad'), () => lock.lock());
    const node = arenas[1]!.thread.slot + McsNodes.waiters;
    first.lock();
    expect([lineUp(1, second), lineUp(2, third)]).toEqual([true, true]);
    die(2);
    let grant: [number, number, number] | undefined;
    const grants: When = ({ op, args }) => {
      if (op === 'cmpxchgRelease' && args[0] === node + SpinNode.locked) grant = [...args] as [number, number, number];
      return grant !== undefined || op === 'condLoad';
    };
    before(3, step(n), () => stopBefore(0, grants, () => first.unlock()));
    reap(3);
    if (cancel(3)) break;
    if (grant === undefined || !isEvicted(real.load(node + SpinNode.locked))) continue;
    // Thread 1 sees that it is evicted, and lines up with the same node, behind the reaper's.
    releaseNode(real, node);
    expect(lineUp(1, second)).toBe(true);
    expect(real.cmpxchgRelease(...grant)).not.toBe(grant[1]);
    late++;
  }
  expect(late).toBeGreaterThan(0);
});

const GARBAGE = -77_777_777;

interface Side {
  name: string;
  take(lock: RwLock | SpinLock): void;
  unlock(lock: RwLock | SpinLock): void;
  wait(lock: RwLock | SpinLock): void;
  open(arena: Arena, handle?: ObjectHandle): RwLock | SpinLock;
}
const rwLock = (arena: Arena, handle?: ObjectHandle) => new RwLock(arena, handle);
const write = (lock: RwLock | SpinLock) => (lock as RwLock).writeLock();
const SIDES: Side[] = [
  {
    name: 'SpinLock',
    open: (arena, handle) => new SpinLock(arena, handle),
    take: (lock) => (lock as SpinLock).lock(),
    unlock: (lock) => (lock as SpinLock).unlock(),
    wait: (lock) => (lock as SpinLock).lock(),
  },
  {
    name: 'RwLock, the reader',
    open: rwLock,
    take: (lock) => (lock as RwLock).readLock(),
    unlock: (lock) => (lock as RwLock).readUnlock(),
    wait: write,
  },
  {
    name: 'RwLock, the writer',
    open: rwLock,
    take: write,
    unlock: (lock) => (lock as RwLock).writeUnlock(),
    wait: write,
  },
];

test.each(SIDES)('unlock looks at a lock that its next owner has destroyed: $name', ({ open, take, unlock, wait }) => {
  let reused = 0;
  for (let n = 1; ; n++) {
    const { arenas, real, before, cancel, stopBefore } = stepper(3);
    const [first, second, third] = arenas as [Arena, Arena, Arena];
    const lock = open(first);
    take(lock);
    const theirs = open(second, lock.handle);
    expect(stopBefore(1, on('wait'), () => wait(theirs))).toBe(true);
    let block = 0;
    before(0, step(n), () => {
      const kind = kindById(real.read(lock.address + ObjectHeader.kind))!;
      if (kind.holder(real, lock.address) === 1 || kind.isHeldBy?.(real, lock.address, 1)) return;
      // It is released. The waiter gets it, unlocks and destroys it, and its memory is used for something else.
      for (let i = ObjectHeader.words; i < kind.words; i++) real.store(lock.address + i, 0);
      // Its call has come back: this test has only the waiter's sleep.
      real.store(second.thread.slot + Slot.entering, 0);
      open(third, lock.handle).destroy();
      // All have heard of it; of the two that are in a call, it is pretended.
      for (const each of arenas) each!.objects.makeRoom();
      block = third.alloc(kind.words);
      for (let i = 0; i < kind.words; i++) real.store(block + i, GARBAGE);
      reused++;
    });
    unlock(lock);
    if (block !== 0) expect(block).toBe(lock.address);
    if (block !== 0) expect(real.load(block + ObjectHeader.words)).toBe(GARBAGE);
    // The waiter was asleep, and has been woken.
    expect(real.load(second.thread.self + Task.state)).not.toBe(SLEEPING);
    if (cancel(0)) break;
  }
  expect(reused).toBeGreaterThan(0);
});

test.each([SIDES[0]!, SIDES[2]!])('a head that others pass again and again: $name', ({ open, take, unlock }) => {
  const { arenas, before, stopBefore } = stepper(4);
  const first = open(arenas[0]!);
  const locks = arenas.map((arena, i) => (i === 0 ? first : open(arena, first.handle)));
  const gets = (number: number) => !stopBefore(number, on('wait'), () => take(locks[number]!));
  take(first);
  const passed: boolean[] = [];
  before(1, on('wait'), () => {
    // Woken, and not running yet.
    unlock(first);
    passed.push(gets(2));
    before(1, on('wait'), () => {
      unlock(locks[2]!);
      passed.push(gets(3));
    });
  });
  take(locks[1]!);
  expect(passed).toEqual([true, false]);
});
