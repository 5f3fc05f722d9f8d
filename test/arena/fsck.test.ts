/** What `fsck` must see: an arena in use, in which one word after the other is written over. */
import { expect, test } from 'vitest';
import { inspectDump } from '../../lib/arena/dump.ts';
import { openFutexes } from '../../lib/futex/open.ts';
import { Bucket, bucketOf } from '../../lib/futex/table.ts';
import { Arena, Futex, KmemCache, Mutex, PercpuRwSemaphore, RtMutex } from '../../lib/index.ts';
import { MutexWords } from '../../lib/locking/mutex-core.ts';
import { RtWords } from '../../lib/locking/rt-mutex/words.ts';
import { Header, NAME_BUCKETS } from '../../lib/memory/header.ts';
import { latch, unlatch } from '../../lib/memory/latch.ts';
import { ObjectHeader } from '../../lib/memory/objects.ts';
import { LINE_WORDS } from '../../lib/memory/struct.ts';
import { CacheWords, firstSlot, Magazine, magazineOf, Slab } from '../../lib/rcu/slab/layout.ts';
import { HOLDS, Hold, HoldTable } from '../../lib/sched/holds.ts';
import { Chunk, Slot } from '../../lib/sched/slot.ts';
import { Task } from '../../lib/sched/task.ts';
import { startTimer, TIMER_KIND, TimerWords } from '../../lib/sched/timer.ts';
import { underLatch } from '../../lib/sched/under-latch.ts';
import { Vector } from '../../lib/sched/vector.ts';
import { WaitList, waiters } from '../../lib/sched/wait-list.ts';
import { Random } from '../../lib/torture/random.ts';
import { IDLE, Item, itemAt, LISTED, Pool, WorkerRecord, workerAt } from '../../lib/workqueue/layout.ts';
import { append } from '../../lib/workqueue/lists.ts';
import { Hang, on, stepper } from '../support/stepper.ts';
import { makeQueues } from '../workqueue/needy.ts';

/** No thread has that number plus one. */
const NOBODY = 1000;
/** Outside the arena. */
const NOWHERE = 0x3fffffff;

function inUse() {
  const { arenas, real } = stepper(4);
  const arena = arenas[0] as Arena;
  const ignore = (wait: Promise<unknown>) => void wait.catch(() => {});
  const [mutex, rw, rt] = [new Mutex(arena, 'm'), new PercpuRwSemaphore(arena, 'rw'), new RtMutex(arena, 'rt')];
  mutex.lock();
  rw.downRead();
  rt.lock();
  for (let i = 0; i < 3; i++) {
    ignore(mutex.lockAsync());
    ignore(rt.lockAsync());
  }
  const word = arena.alloc(1);
  real.store(word, 0);
  const futex = new Futex(arena);
  ignore(futex.waitAsync(word, 0));
  ignore(futex.waitvAsync([{ word, value: 0 }]));
  const slabs = new KmemCache(arena, 'cache', { words: 8 });
  slabs.free(slabs.alloc());
  const { address: cache } = slabs;
  const timers = [3, 1, 2].map((ms) => {
    const timer = arena.objects.create(TIMER_KIND);
    startTimer(real, 1, timer, ms * 1e6);
    return timer;
  });
  // Another thread has a view of it still.
  const gone = new Mutex(arena, 'gone');
  const ofOther = new Mutex(arenas[1]!, 'gone');
  gone.destroy();
  const list = mutex.address + MutexWords.waiters;
  const [first, second, third] = waiters(real, list) as [number, number, number];
  const { slot } = arena.thread;
  // That thread has left.
  real.store(arenas[3]!.thread.slot + Slot.life, 0);
  return {
    ...{ arena, real, mutex, rw, rt, word, cache, timers, list, first, second, third, slot, ofOther },
    gone: real.read(Header.destroyed),
    bucket: bucketOf(openFutexes(arena).table, word),
    free: arenas[3]!.thread.slot,
    chunk: real.load(slot + Slot.chunks),
    ...poolInUse(arena),
  };
}

/** A pool with two items on its worklist, and two workers, which are idle. */
function poolInUse(arena: Arena) {
  const { cpu } = arena;
  const { pool, pwqs, slab } = makeQueues(arena, { slots: 2, maxWorkers: 2 }, [0]);
  const items = [itemAt(slab, 0), itemAt(slab, 1)] as [number, number];
  for (const item of items) {
    cpu.write(item + Item.pwq, pwqs[0]!);
    cpu.write(item + Item.home, pool);
    cpu.write(item + Item.state, LISTED);
    append(cpu, pool + Pool.first, pool + Pool.last, item);
  }
  const workers = [workerAt(pool, 0), workerAt(pool, 1)] as [number, number];
  for (const worker of workers) {
    cpu.write(worker + WorkerRecord.state, IDLE);
    cpu.write(worker + WorkerRecord.nextIdle, cpu.read(pool + Pool.idle));
    cpu.write(pool + Pool.idle, worker);
  }
  cpu.write(pool + Pool.nrIdle, 2);
  cpu.write(pool + Pool.nrWorkers, 2);
  return { pool, items, workers };
}

type InUse = ReturnType<typeof inUse>;

/** The word of the table of names that leads to that object. */
function nameWord({ real }: InUse, object: number): number {
  const names = real.read(Header.names);
  return Array.from({ length: NAME_BUCKETS }, (_, i) => names + i).find((word) => real.read(word) === object) as number;
}

/** A word, what it is written over with, and what `fsck` says then. */
type Fault = (use: InUse) => readonly [word: number, value: number, said: RegExp];

/** The latch's word, as that thread holds it. */
const heldBy = (id: number) => id << 2;

const FAULTS: Record<string, Fault> = {
  'the latch of the names': () => [Header.namesLatch, heldBy(NOBODY), /namesLatch is held by thread 999/],
  'the latch of the heap': () => [Header.heapLatch, heldBy(4), /heapLatch is held by thread 3, and there is none/],
  'the latch of the timers': () => [Header.timerLatch, heldBy(NOBODY), /timerLatch is held/],
  'the place of the heap': () => [Header.heap, NOWHERE, /the header says 1073741823 for heap, and that is \d+/],
  'the number of slots': () => [Header.slots, 3e8, /the header says \d+ for heap/],
  'the count of free lines': () => [Header.freeLines, 1, /1 lines of the heap are counted as free/],
  'the count of destroyed objects': () => [Header.destroyedCount, 7, /7 objects are counted as destroyed, and 1 are/],
  'the list of destroyed objects': () => [Header.destroyed, 0, /the destroyed object at \d+ is not in the list/],
  'a link of that list': ({ gone, mutex }) => [
    gone + ObjectHeader.nextNamed,
    mutex.address,
    /the list of destroyed objects leads to \d+, which is none/,
  ],
  "an object's kind": ({ mutex }) => [
    mutex.address + ObjectHeader.kind,
    4 * 4711 + 1,
    /of a kind that this thread does/,
  ],
  'the place of a name': ({ mutex }) => [
    mutex.address + ObjectHeader.name,
    1,
    /the mutex at \d+ has its name at a wrong/,
  ],
  'the text of a name': ({ mutex }) => [
    mutex.address + MutexWords.words,
    'q'.charCodeAt(0),
    /hangs in bucket \d+, where nobody looks for its name "q"/,
  ],
  'a bucket of the names': (use) => [nameWord(use, use.mutex.address), 0, /the named object at \d+ hangs in no bucket/],
  "a mutex's owner, which is no task": ({ mutex }) => [
    mutex.address + MutexWords.owner,
    NOWHERE & ~31,
    /is held by a thread/,
  ],
  "a mutex's owner, a thread that has left": ({ mutex, free }) => [
    mutex.address + MutexWords.owner,
    free + Slot.mainTask,
    /the mutex at \d+ is held by a thread that there is not/,
  ],
  'the latch of a wait list': ({ list }) => [
    list + WaitList.latch,
    heldBy(NOBODY),
    /has a latch that thread 999 holds/,
  ],
  'the head of a wait list': ({ list }) => [
    list + WaitList.first,
    0,
    /says that it is in the list at \d+, which does not/,
  ],
  'the head of a wait list, which leads away': ({ list }) => [list + WaitList.first, NOWHERE, /which is no task/],
  'a link of a waiter, which ends the list': ({ second }) => [second + Task.next, 0, /does not lead to it and back/],
  'a link of a waiter, which leads round': ({ first, second }) => [
    second + Task.prev,
    second,
    new RegExp(`back to ${first}`),
  ],
  'what a waiter waits in': ({ second }) => [second + Task.list, 0, /in its wait list, which says otherwise/],
  'the rank of a waiter': ({ first }) => [first + Task.rank, 5, /behind less urgent ones/],
  'what a waiter waits in, which is no wait list': ({ second, mutex }) => [
    second + Task.list,
    // As a latch, it would be held for ever.
    mutex.address + MutexWords.owner - WaitList.latch,
    /says that it is in the list at \d+, which does not/,
  ],
  'whose a task is': ({ second }) => [second + Task.thread, 3, /says that it is another thread's/],
  'the sort of a task': ({ third }) => [third + Task.mode, 0, /says that it is another thread's, or of another sort/],
  "a slot's chunks of tasks": ({ slot }) => [slot + Slot.chunks, NOWHERE, /slot 0 leads to \d+ as a chunk of its own/],
  'a link of a chunk, which leads round': ({ chunk }) => [chunk + Chunk.next, chunk, /or to it twice/],
  'the block of a chunk': ({ chunk }) => [chunk + Chunk.block, NOWHERE, /slot 0 leads to \d+ as a chunk of its own/],
  "a slot's retired chunks": ({ slot, mutex }) => [
    slot + Slot.retired,
    mutex.address,
    /slot 0 leads to \d+ as a chunk/,
  ],
  "a task's chunk of nodes": ({ first }) => [
    first + Vector.chunks,
    NOWHERE,
    /slot 0 leads to \d+ as a chunk of its own/,
  ],
  "a slot's chunk of records": ({ slot }) => [
    slot + HoldTable.more,
    NOWHERE,
    /slot 0 leads to \d+ as a chunk of its own/,
  ],
  'what a free slot notes': ({ free }) => [free + Slot.nascent, 4711, /the free slot 3 still notes the new block 4711/],
  'what a free slot enters': ({ free }) => [free + Slot.entering, 4711, /the free slot 3 is still about to change/],
  'what a free slot waits for': ({ free }) => [free + Slot.mainTask + Task.within, 9, /of the free slot 3 still waits/],
  'a record of a hold, in the middle of a change': ({ slot }) => [
    slot + HoldTable.records + Hold.count,
    3,
    /slot 0 has a record of \d+ that was left in the middle of a change/,
  ],
  'the lock of a record': ({ slot, word }) => [slot + HoldTable.records + Hold.lock, word, /which is no object/],
  "a futex bucket's count": ({ bucket }) => [bucket + Bucket.waiting, 0, /counts 0 waiters in bucket \d+, where 2 are/],
  "a futex bucket's mark": ({ bucket }) => [bucket + Bucket.used, 0, /says that nobody has used bucket \d+/],
  'the word of a futex waiter': ({ real, bucket }) => [
    real.load(bucket + WaitList.first) + Task.blockedOn,
    1,
    /in bucket \d+, which waits for the word 1/,
  ],
  "a futex bucket's list": ({ bucket, first }) => [
    bucket + WaitList.first,
    first,
    /the futex table at \d+ has the task/,
  ],
  "an rt-mutex's tree": ({ rt }) => [rt.address + RtWords.waiters, 0, /has a tree of waiters that does not lead to/],
  "an rt-mutex's tree, which leads away": ({ rt, first }) => [rt.address + RtWords.waiters, first, /none of its nodes/],
  'a link of a timer': ({ timers }) => [timers[0]! + TimerWords.left, timers[2]!, /the tree of timers/],
  'the parent of a timer': ({ timers }) => [
    timers[0]! + TimerWords.parent,
    timers[1]! | 1,
    /below another node than that/,
  ],
  'the deadline of a timer': ({ timers }) => [
    timers[1]! + TimerWords.second + 1,
    9e6,
    /behind one that it comes before/,
  ],
  'the state of a timer': ({ timers }) => [timers[1]! + TimerWords.state, 0, /the tree of timers leads to/],
  "a slab cache's slabs": ({ cache }) => [cache + CacheWords.slabs, NOWHERE, /as a slab, which is none of its/],
  "a slab cache's slots": ({ cache, real }) => {
    const first = firstSlot(real.read(cache + CacheWords.slabs));
    return [first, first, /the kmem-cache at \d+ leads to \d+ as the slot of a free object/];
  },
  "a thread's free objects": ({ cache }) => [
    magazineOf(cache, 0) + Magazine.head,
    0,
    /the free object of slot \d+ in no/,
  ],
  "a slab cache's size of objects": ({ cache }) => [
    cache + CacheWords.objectWords,
    -1,
    /the kmem-cache at \d+ has objects of -1 words/,
  ],
  "a slab's length": ({ cache, real }) => [
    real.read(cache + CacheWords.slabs) + Slab.objects,
    1e9,
    /as a slab, which is/,
  ],
  "a pool's worklist": ({ pool }) => [pool + Pool.first, NOWHERE, /in the worklist, which is no item of its/],
  "the end of a pool's worklist": ({ pool }) => [pool + Pool.last, 0, /has 0 for the end of the worklist/],
  'a link of an item': ({ items: [, last] }) => [last + Item.prev, 0, /leads on to \d+, and not back/],
  'the state of an item': ({ items: [first] }) => [first + Item.state, 0, /in the worklist, which is no item of its/],
  'a ring of items': ({ items: [first, last] }) => [last + Item.next, first, /in the worklist twice/],
  "a pool's latch": ({ pool }) => [pool + Pool.latch, heldBy(NOBODY), /the worker pool at \d+ has a latch that/],
  "a pool's idle workers": ({ pool }) => [pool + Pool.idle, NOWHERE, /as an idle worker, which is none/],
  'the state of a worker': ({ workers: [first] }) => [
    first + WorkerRecord.state,
    3,
    /counts 2 workers that are idle, and has 1/,
  ],
  "a pool's workers": ({ pool }) => [pool + Pool.nrWorkers, 1, /counts 1 workers in all, and has 2/],
  "a pool's running workers": ({ pool }) => [pool + Pool.running, 9, /counts 9 workers that run, and has 0/],
};

test.each(Object.keys(FAULTS))('%s', (name) => {
  const use = inUse();
  expect(use.arena.fsck()).toEqual([]);
  const [word, value, said] = (FAULTS[name] as Fault)(use);
  const before = use.real.read(word);
  expect(before).not.toBe(value);
  use.real.write(word, value);
  expect(use.arena.fsck().join('\n')).toMatch(said);
  // The look has changed nothing, and released what it took.
  use.real.write(word, before);
  expect(use.arena.fsck()).toEqual([]);
});

const SEEDS = 60;

test('a look at a memory in which any words are written over does not come to its end, or throws', () => {
  const { arena } = inUse();
  const dump = arena.dump();
  const words = new Int32Array(dump.buffer);
  const taken = Array.from(words.keys()).filter((word) => words[word] !== 0 && word >= Header.slots);
  for (let seed = 1; seed <= SEEDS; seed++) {
    const random = new Random(seed);
    const copy = dump.slice();
    const [word, other] = [random.pick(taken), random.pick(taken)];
    const value = random.pick([0, -1, 1 + random.below(64), words[other] as number, other, random.word() | 0]);
    new Int32Array(copy.buffer)[word] = value;
    expect(() => inspectDump(copy), `${value} in the word ${word}`).not.toThrow();
  }
});

test('a thread that leaves while fsck looks is taken for one that there is not', () => {
  const { arenas, before, cancel, real } = stepper(2);
  const [mine, other] = arenas as [Arena, Arena];
  const mutex = new Mutex(other, 'm');
  let isThrough = false;
  for (let n = 1; !isThrough; n++) {
    real.store(other.thread.slot + Slot.life, 2);
    mutex.lock();
    latch(real, mutex.address + MutexWords.waiters + WaitList.latch, other.thread.id);
    latch(real, Header.timerLatch, other.thread.id);
    before(0, on('loadAcquire', other.thread.slot + Slot.life, n), () => {
      unlatch(real, Header.timerLatch);
      unlatch(real, mutex.address + MutexWords.waiters + WaitList.latch);
      mutex.unlock();
      real.store(other.thread.slot + Slot.life, 0);
    });
    let said: readonly string[] = [];
    try {
      said = mine.fsck();
    } catch (error) {
      // It would wait for the latch of the timers for ever: it has not looked so often before.
      expect(error).toBeInstanceOf(Hang);
    }
    isThrough = cancel(0);
    expect(said, `left before look ${n} at its slot`).toEqual([]);
  }
});

test('a thread that has come while fsck looks, and holds a lock, is one that has left', () => {
  const { arenas, before, cancel, real } = stepper(2);
  const [mine, other] = arenas as [Arena, Arena];
  const lock = new PercpuRwSemaphore(other, 'rw');
  const { slot } = other.thread;
  const life = real.load(slot + Slot.life);
  real.store(slot + Slot.life, 0);
  before(0, on('loadAcquire', slot + HoldTable.records + Hold.lock), () => {
    real.store(slot + Slot.life, life);
    lock.downRead();
  });
  expect(mine.fsck()).toEqual([]);
  expect(cancel(0)).toBe(false);
});

test('a latch stays with a look that leads out of the memory', () => {
  const { arena, real } = inUse();
  const look = () => [String(real.load(NOWHERE))];
  expect(underLatch(real, Header.timerLatch, arena.thread.id, look)).toEqual(['leads out of the memory']);
  expect(real.load(Header.timerLatch)).toBe(0);
});

test("a slot's chunk of records ends behind the memory", () => {
  const arena = Arena.create({ bytes: 256 << 10, maxThreads: 2 });
  const { thread, words } = arena;
  for (let i = 0; i < HOLDS; i++) words[thread.slot + HoldTable.records + i * Hold.words + Hold.lock] = 1;
  arena.alloc(arena.heap.use().largestFree / 4 - LINE_WORDS);
  const last = arena.alloc(LINE_WORDS);
  words.fill(1, last + 1);
  words[last] = 0;
  words[thread.slot + HoldTable.more] = last;
  expect(arena.fsck().join()).toMatch(/the thread table leads out of the memory/);
  words[thread.slot + HoldTable.more] = 0;
  expect(arena.fsck()).toEqual([]);
});
