import { once } from 'node:events';
import { describe, expect, test } from 'vitest';
import { Arena as View } from '../../lib/arena/arena.ts';
import { Place } from '../../lib/arena/place.ts';
import type { ObjectHandle } from '../../lib/arena/shared-object.ts';
import { Arena, McsLock, Mutex, OsqLock, RwLock, SpinLock, TicketLock } from '../../lib/index.ts';
import { MutexWords } from '../../lib/locking/mutex-core.ts';
import { TicketEntry, Tickets } from '../../lib/locking/ticket-lock.ts';
import { Header } from '../../lib/memory/header.ts';
import { defineKind, kindById } from '../../lib/memory/kinds.ts';
import { latch, latchOwner, unlatch } from '../../lib/memory/latch.ts';
import { ObjectHeader } from '../../lib/memory/objects.ts';
import { Slot } from '../../lib/sched/slot.ts';
import { TASK_ALIGN } from '../../lib/sched/task.ts';
import { on, type Step, step, stepper } from '../support/stepper.ts';
import { inThread, thrown } from '../support/threads.ts';

const THREADS = new URL('./arena.threads.ts', import.meta.url).href;

/** A new thread in the slot that thread `number` has left. */
function successor({ arenas, real }: ReturnType<typeof stepper>, number: number): View {
  const { cpu, thread } = arenas[number]!;
  expect(real.load(thread.slot + Slot.life)).toBe(0);
  real.store(thread.slot + Slot.life, 500 + number);
  const arena = new View(new Place(cpu, number, { spins: 4 }));
  arenas[number] = arena;
  return arena;
}

const isEnd = (word: number) => (s: Step) => s.op === 'store' && s.address === word && s.args[1] === 0;

test('a block freed twice, when the reaper is killed at any step while it frees what a dead thread had', () => {
  for (let n = 1; ; n++) {
    const { arenas, real, killBefore, before, cancel, reap } = stepper(4);
    const [dead, , third, fourth] = arenas as [View, View, View, View];
    const { nascent } = dead.thread;
    expect(killBefore(0, isEnd(nascent), () => dead.alloc(100))).toBe(true);
    const wasKilled = killBefore(1, step(n), () => reap(1));
    // Another thread allocates as soon as the heap is in order, and keeps what it gets.
    let mine = 0;
    before(2, on('load', nascent, 2), () => {
      if (latchOwner(real, Header.heapLatch) === 0) mine = fourth.alloc(100);
    });
    expect(reap(2)).toBe('done');
    cancel(2);
    expect(third.use().blocks).toBe(mine === 0 ? 0 : 1);
    if (mine !== 0) expect(third.heap.isBlock(mine)).toBe(true);
    if (!wasKilled) break;
  }
});

test('a thread that makes an object by its name sleeps for the heap, finds that its owner is dead, and waits for the names, which it has', () => {
  const { arenas, real, killBefore, before, reap } = stepper(2);
  const [first, dead] = arenas as [View, View];
  expect(killBefore(1, on('xchgRelease', Header.heapLatch), () => dead.alloc(100))).toBe(true);
  let reaped = '';
  before(0, on('wait', Header.heapLatch), () => {
    expect(latchOwner(real, Header.namesLatch)).toBe(first.thread.id);
    reaped = reap(0);
    // Its own call goes on with them.
    expect(latchOwner(real, Header.namesLatch)).toBe(first.thread.id);
  });
  const mutex = new Mutex(first, 'm');
  expect(reaped).toBe('done');
  expect(real.load(dead.thread.slot + Slot.life)).toBe(0);
  expect(latchOwner(real, Header.namesLatch)).toBe(0);
  expect(new Mutex(first, 'm').address).toBe(mutex.address);
  expect(first.fsck()).toEqual([]);
});

test("a dead thread's block that is lost, because a chunk of tasks begins where it ends", () => {
  const { arenas, killBefore, reap } = stepper(2);
  const [first, second] = arenas as [View, View];
  let block = first.alloc(1);
  if (block % TASK_ALIGN === 0) block = first.alloc(1);
  first.thread.takeTask(first.heap);
  first.free(block);
  const { blocks } = second.use();
  expect(killBefore(0, isEnd(first.thread.nascent), () => first.alloc(1))).toBe(true);
  expect(reap(1)).toBe('done');
  expect(second.use().blocks).toBe(blocks);
});

describe('a thread dies in a lock that is destroyed before the reaper comes; the next thread in its slot', () => {
  test('is refused a ticket lock that it does not hold, and may unlock it', () => {
    const stage = stepper(2);
    const [first, second] = stage.arenas as [View, View];
    const lock = new TicketLock(first);
    const entry = first.thread.slot + Tickets.entries + TicketEntry.lock;
    const isLast = (s: Step) => s.op === 'storeRelease' && s.address === entry && s.args[1] === 0;
    const body = () => {
      lock.lock();
      lock.unlock();
    };
    expect(stage.killBefore(0, isLast, body)).toBe(true);
    TicketLock.from(second, lock.handle).destroy();
    expect(stage.reap(1)).toBe('done');
    // Nobody can have a view of it any more: its memory is to be had.
    second.objects.makeRoom();
    const other = new TicketLock(second);
    expect(other.address).toBe(lock.address);
    const mine = TicketLock.from(successor(stage, 0), other.handle);
    expect(mine.tryLock()).toBe(true);
    mine.unlock();
    expect(thrown(() => mine.unlock()).code).toBe('EPERM');
  });

  test.each([
    { name: 'MCS lock', make: (arena: View, handle?: ObjectHandle) => new McsLock(arena, handle) },
    { name: 'spinlock', make: (arena: View, handle?: ObjectHandle) => new SpinLock(arena, handle) },
  ])('is refused a lock that it does not hold, or counts as one in its queue: $name', ({ make }) => {
    const stage = stepper(3);
    const [first, second] = stage.arenas as [View, View, View];
    const holder = make(second);
    const lock = make(first, holder.handle);
    // About to line up, behind a holder that unlocks and destroys the lock.
    const isLiningUp = (s: Step) => s.op === 'storeRelease' && s.args[1] === lock.address;
    let journalled = false;
    const next = (s: Step) => {
      if (journalled) return true;
      journalled = isLiningUp(s);
      return false;
    };
    holder.lock();
    expect(stage.killBefore(0, next, () => lock.lock())).toBe(true);
    holder.unlock();
    holder.destroy();
    expect(stage.reap(1)).toBe('done');
    // Nobody can have a view of it any more: its memory is to be had.
    second.objects.makeRoom();
    const other = make(second);
    expect(other.address).toBe(lock.address);
    const mine = make(successor(stage, 0), other.handle);
    mine.lock();
    mine.unlock();
    const { slot } = stage.arenas[0]!.thread;
    for (let word = slot; word < slot + Slot.words; word++) expect(stage.real.load(word)).not.toBe(lock.address);
  });
});

test('a mutex that is destroyed while its queue of spinners has somebody in it', () => {
  const { arenas, killBefore, reap } = stepper(2);
  const [first, second] = arenas as [View, View];
  const mutex = new Mutex(second);
  mutex.lock();
  const spins = on('condLoad', mutex.address + MutexWords.owner);
  expect(killBefore(0, spins, () => Mutex.from(first, mutex.handle).lock())).toBe(true);
  mutex.unlock();
  expect(thrown(() => mutex.destroy()).code).toBe('EBUSY');
  expect(reap(1)).toBe('done');
  mutex.destroy();
});

test('a reaper that takes the latch from a live one, whose slot was a dead one’s a moment before', () => {
  const stage = stepper(4);
  const { real, die, before, cancel, reap } = stage;
  die(0);
  // Thread 1 has seen that thread 0 is dead, and looks whether that has the latch.
  before(1, on('load', Header.reaperLatch), () => {
    expect(reap(2)).toBe('done');
    const next = successor(stage, 0);
    latch(real, Header.reaperLatch, next.thread.id);
  });
  expect(reap(1)).toBe('again');
  expect(cancel(1)).toBe(false);
  expect(latchOwner(real, Header.reaperLatch)).toBe(1);
  unlatch(real, Header.reaperLatch);
  die(3);
  expect(reap(1)).toBe('done');
});

test.each([
  ['RwLock, for reading', (arena: Arena) => new RwLock(arena).readLock()],
  ['RwLock, for writing', (arena: Arena) => new RwLock(arena).writeLock()],
  ['OsqLock', (arena: Arena) => new OsqLock(arena).lock()],
  ['SpinLock', (arena: Arena) => new SpinLock(arena).lock()],
])('detach while the thread holds a lock: %s', (_name, take) => {
  const arena = Arena.create({ bytes: 512 << 10, maxThreads: 4 });
  take(arena);
  expect(thrown(() => arena.detach()).code).toBe('EBUSY');
});

describe('an object of a kind that the reaping thread does not know', () => {
  const FOREIGN = 4711;

  test('is taken for repaired, and its dead thread has a successor that seems to hold it', () => {
    const { arenas, real, die, reap } = stepper(3);
    const mutex = new Mutex(arenas[0]!, 'accounts');
    const kind = real.load(mutex.address);
    mutex.lock();
    die(0);
    real.store(mutex.address, FOREIGN);
    expect(reap(1)).toBe('unknown');
    expect(real.load(arenas[0]!.thread.slot + Slot.life)).toBeLessThan(0);
    // A thread that knows the kind repairs it.
    real.store(mutex.address, kind);
    expect(reap(2)).toBe('done');
    const other = Mutex.from(arenas[2]!, mutex.handle);
    other.lock();
    expect(other.ownerDied).toBe(true);
  });

  test('keeps a thread that leaves from being repaired by others later', () => {
    const { arenas, real, leave, reap } = stepper(3);
    const mutex = new Mutex(arenas[0]!, 'accounts');
    const kind = real.load(mutex.address);
    mutex.lock();
    real.store(mutex.address, FOREIGN);
    expect(leave(0)).toBe('unknown');
    real.store(mutex.address, kind);
    expect(reap(1)).toBe('done');
    const other = Mutex.from(arenas[1]!, mutex.handle);
    other.lock();
    expect(other.ownerDied).toBe(true);
  });

  test('holds up a reaper without a word', async () => {
    const arena = Arena.create({ bytes: 512 << 10, maxThreads: 4 });
    const mutex = new Mutex(arena, 'accounts');
    const warned = once(process, 'warning');
    arena.words[mutex.address] = FOREIGN;
    const { exited } = inThread(arena, THREADS, 'cpuNumber');
    await exited;
    expect(await warned).toMatchObject([{ name: 'HoldfastWarning', code: 'HOLDFAST_UNKNOWN_KIND' }]);
  });
});

test('two kinds of one name, of which the reaper would know one', () => {
  const mutex = new Mutex(stepper(1).arenas[0]!);
  const kind = kindById(mutex.arena.cpu.read(mutex.address + ObjectHeader.kind))!;
  expect(thrown(() => defineKind({ ...kind }))).toMatchObject({
    code: 'EINVAL',
    message: expect.stringMatching(/the kinds "mutex" and "mutex" have the same id/),
  });
});
