import { describe, expect, test } from 'vitest';
import { Arena, Mutex, Semaphore } from '../../lib/index.ts';
import { MutexWords } from '../../lib/locking/mutex-core.ts';
import { Header, NAME_BUCKETS } from '../../lib/memory/header.ts';
import { ObjectHeader } from '../../lib/memory/objects.ts';
import { Slot } from '../../lib/sched/slot.ts';
import { Task } from '../../lib/sched/task.ts';
import { joinList, waiters } from '../../lib/sched/wait-list.ts';
import { on, step, stepper } from '../support/stepper.ts';

const LINE = 16;

/** What is broken is not collected: the thread would leave such an arena, and look at everything in it. */
const broken: Arena[] = [];

/** An arena with a free block between two in use, and two named objects. */
function arenaInUse() {
  const arena = Arena.create({ bytes: 256 << 10, maxThreads: 4 });
  broken.push(arena);
  const [first, second] = [new Mutex(arena, 'first'), new Semaphore(arena, 'second', { permits: 1 })];
  const blocks = [40, 40, 40].map((words) => arena.alloc(words));
  arena.free(blocks[1]!);
  const map = arena.cpu.read(Header.map);
  const lineOf = (address: number) => map + (address - arena.cpu.read(Header.heap)) / LINE;
  return { arena, blocks: blocks as [number, number, number], first, second, lineOf };
}

describe('fsck', () => {
  test('finds nothing in an arena that is in order', () => {
    expect(arenaInUse().arena.fsck()).toEqual([]);
  });

  test('does not see a tag that lies inside a block', () => {
    const { arena, blocks, lineOf } = arenaInUse();
    arena.words[lineOf(blocks[0]) + 1] = 7;
    expect(arena.fsck()).toEqual([expect.stringMatching(/^line \d+, inside a block, has the tag 7, not 0$/)]);
  });

  test('does not see a tag that ends in the middle of nowhere', () => {
    const { arena, blocks, lineOf } = arenaInUse();
    arena.words[lineOf(blocks[2])] = 0;
    expect(arena.fsck().join()).toMatch(/has the tag 0: no block can start there/);
  });

  test.each([0, 3, -5])(
    'an arena whose map was written over, tag %i, in which whoever looks for objects never comes back',
    (tag) => {
      const { arena, blocks, lineOf, second } = arenaInUse();
      const { heap } = arena;
      const before = heap.objects();
      expect(before).toContain(second.address);
      arena.words[lineOf(blocks[2])] = tag;
      expect(heap.objects()).toEqual(before);
      expect(heap.objectsFrom(0, 100).objects).toEqual(before);
      expect(heap.use().blocks).toBe(before.length + 1);
      heap.rebuild([]);
      expect(heap.objects()).toEqual(before);
    },
  );

  test('does not see a free block that no bin has, or a bin that leads astray', () => {
    const { arena, blocks } = arenaInUse();
    const bin = Header.bins + 3;
    expect(arena.words[bin]).toBeGreaterThan(0);
    arena.words[blocks[1] + 1] = 9;
    expect(arena.fsck().join()).toMatch(/bin 3 leads to line \d+, where no free block of its size and links starts/);
    arena.words[bin] = 0;
    expect(arena.fsck()).toEqual([expect.stringMatching(/^the free block of 3 lines at line \d+ is in no bin$/)]);
  });

  test('does not see two free blocks side by side', () => {
    const { arena, blocks, lineOf } = arenaInUse();
    const free = arena.words[lineOf(blocks[1])]!;
    arena.words[lineOf(blocks[0])] = free;
    arena.words[lineOf(blocks[0]) + 2] = free;
    expect(arena.fsck().join()).toMatch(/was not merged with the one before/);
  });

  test('does not see a name that is lost, or one that leads to something else', () => {
    const { arena, first } = arenaInUse();
    const names = arena.cpu.read(Header.names);
    const bucket = Array.from({ length: NAME_BUCKETS }, (_, i) => names + i).find(
      (word) => arena.words[word] === first.address,
    )!;
    arena.words[bucket] = 0;
    expect(arena.fsck()).toEqual([`the named object at ${first.address} hangs in no bucket`]);
    arena.words[bucket] = first.address + LINE;
    expect(arena.fsck().join()).toMatch(/which is no named object/);
  });

  test('does not see an object of an unknown kind', () => {
    const { arena, first } = arenaInUse();
    arena.words[first.address + ObjectHeader.kind] = 12_345;
    expect(arena.fsck()).toEqual([`the object at ${first.address} is of a kind that this thread does not know`]);
  });

  test('never comes back from a list whose links go round without its first task', async () => {
    const { arena, first } = arenaInUse();
    const list = first.address + MutexWords.waiters;
    first.lock();
    const waiting = [1, 2, 3].map(() => first.lockAsync().then(() => first.unlock()));
    const [, , last] = waiters(arena.cpu, list) as [number, number, number];
    const [next, second] = [Task.next, Task.prev].map((link) => arena.words[last + link]) as [number, number];
    arena.words[last + Task.next] = second;
    const problem = `says that it is in the list at ${list}, which does not lead to it and back`;
    expect(arena.fsck().filter((each) => each.includes(problem))).toHaveLength(3);
    arena.words[last + Task.next] = next;
    expect(arena.fsck()).toEqual([]);
    first.unlock();
    await Promise.all(waiting);
  });

  test('does not see a task that is in no list, though it says so', () => {
    const { arena, first } = arenaInUse();
    const list = first.address + MutexWords.waiters;
    arena.words[arena.thread.current() + Task.list] = list;
    const problem = `says that it is in the list at ${list}, which does not lead to it and back`;
    expect(arena.fsck()).toEqual([expect.stringMatching(problem)]);
  });

  test('does not see what a free slot has left in it', () => {
    const { arenas, real } = stepper(2);
    const slot = arenas[1]!.thread.slot;
    real.store(slot + Slot.life, 0);
    real.store(slot + Slot.nascent, 4711);
    real.store(slot + Slot.mainTask + Task.blockedOn, 1);
    expect(arenas[0]!.fsck()).toHaveLength(2);
  });

  test('takes a thread that has just attached, and waits, for what another has left in the slot', () => {
    const { arenas, real, before, cancel } = stepper(2);
    const { slot } = arenas[1]!.thread;
    const task = slot + Slot.mainTask;
    const list = new Mutex(arenas[0]!, 'm').address + MutexWords.waiters;
    real.store(slot + Slot.life, 0);
    before(0, on('load', slot + Slot.nascent), () => {
      real.store(slot + Slot.life, 500);
      joinList(real, list, list, task);
    });
    expect(arenas[0]!.fsck()).toEqual([]);
    expect(cancel(0)).toBe(false);
  });
});

/** What a thread does that may die at any step of it; `first` lives on, and gives back what the errand is to leave. */
interface Errand {
  prepare?(first: Arena): void;
  run(victim: Arena): void;
  finish?(first: Arena): void;
}

/** Frees what is a block still. */
function freeAll(first: Arena, blocks: readonly number[]): void {
  for (const block of blocks) if (first.heap.isBlock(block)) first.free(block);
}

let blocks: number[] = [];
const errands: Record<string, Errand> = {
  'alloc that splits a block': { run: (arena) => void arena.alloc(100) },
  'alloc that takes the whole of a block': {
    prepare(first) {
      blocks = [first.alloc(100)];
      const hole = first.alloc(40);
      blocks.push(first.alloc(100));
      first.free(hole);
    },
    run: (arena) => void arena.alloc(40),
    finish: (first) => freeAll(first, blocks),
  },
  'free that merges with both neighbours': {
    prepare: (first) => void (blocks = [40, 40, 40, 40].map((words) => first.alloc(words))),
    run(arena) {
      for (const i of [0, 2, 1]) arena.free(blocks[i]!);
    },
    finish: (first) => freeAll(first, blocks),
  },
  'open of a new name': {
    run: (arena) => void new Mutex(arena, 'accounts'),
    finish: (first) => new Mutex(first, 'accounts').destroy(),
  },
  'an anonymous object': { run: (arena) => void new Mutex(arena) },
  'destroy of a named object': {
    prepare: (first) => void [new Mutex(first, 'accounts'), new Mutex(first, 'others')],
    run: (arena) => new Mutex(arena, 'accounts').destroy(),
    finish(first) {
      for (const name of ['accounts', 'others']) new Mutex(first, name).destroy();
    },
  },
};

test.each(Object.keys(errands))('%s leaves something behind when its thread dies at one of its steps', (name) => {
  const { prepare, run, finish } = errands[name]!;
  for (let n = 1; ; n++) {
    const { arenas, killBefore, reap } = stepper(3, { words: 1 << 13 });
    const [first, victim] = [arenas[0]!, arenas[1]!];
    prepare?.(first);
    if (!killBefore(1, step(n), () => run(victim))) break;
    expect(reap(0)).toBe('done');
    expect(first.fsck(), `step ${n}`).toEqual([]);
    finish?.(first);
    // What was destroyed is freed when nobody has views of it any more, and somebody looks.
    first.objects.makeRoom();
    // Once an anonymous object is complete, only its handle leads to it, and that died with the thread.
    const orphans = name === 'an anonymous object' ? first.heap.objects().length : 0;
    expect(first.use().blocks, `step ${n}`).toBe(orphans);
    expect(first.fsck(), `step ${n}`).toEqual([]);
  }
});
