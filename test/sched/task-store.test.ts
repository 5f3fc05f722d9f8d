/** The memory of tasks: kept while another thread may write to it, given back when nobody can, and lost by no death. */
import { beforeEach, describe, expect, test } from 'vitest';
import { Place } from '../../lib/arena/place.ts';
import { Futex, PercpuRwSemaphore, PiFutex, Semaphore } from '../../lib/index.ts';
import { PercpuWords } from '../../lib/locking/percpu-rw-semaphore/core.ts';
import { HELD, Hold } from '../../lib/sched/holds.ts';
import { tellRound } from '../../lib/sched/rounds.ts';
import { asyncTasks, CHUNK_TASKS, CHUNK_WORDS, retiredChunks, Slot } from '../../lib/sched/slot.ts';
import { TASK_ALIGN } from '../../lib/sched/task.ts';
import type { Thread } from '../../lib/sched/thread.ts';
import { on, step, stepper } from '../support/stepper.ts';

let stage: ReturnType<typeof stepper>;
const arenaOf = (number: number) => stage.arenas[number]!;
const blocks = () => arenaOf(1).heap.use().blocks;
const tell = (...numbers: number[]) => {
  for (const number of numbers) tellRound(stage.real, arenaOf(number).thread.slot);
};

beforeEach(() => {
  stage = stepper(2);
});

/** Takes and returns `count` tasks, which makes as many chunks as they need. */
function useAtOnce({ tasks }: Thread, count: number): void {
  const { heap } = arenaOf(0);
  const taken = Array.from({ length: count }, () => tasks.take(heap, true) as number);
  for (const task of taken) tasks.give(task);
}

/** Looks twice: what was needed before the first look may be needed again. */
function tidy(): number {
  const { thread, heap } = arenaOf(0);
  thread.tasks.tidy(heap);
  return thread.tasks.tidy(heap);
}

test('chunks that are not needed any more go back, but for one, when the other threads have told the round', () => {
  const { thread } = arenaOf(0);
  useAtOnce(thread, 5 * CHUNK_TASKS);
  expect(blocks()).toBe(5);
  const round = tidy();
  expect(round).not.toBe(0);
  expect(thread.tasks.size).toBe(CHUNK_TASKS);
  expect(blocks()).toBe(5);
  expect(tidy()).toBe(round);
  expect(blocks()).toBe(5);
  tell(1);
  expect(tidy()).toBe(0);
  expect(blocks()).toBe(1);
  // What was told is good for that round alone.
  useAtOnce(thread, 5 * CHUNK_TASKS);
  expect(tidy()).toBe(round + 1);
  tell(1);
  expect(tidy()).toBe(0);
  expect(blocks()).toBe(1);
  expect(arenaOf(1).fsck()).toEqual([]);
});

test('a thread that is dead, or has left, holds up no round', () => {
  useAtOnce(arenaOf(0).thread, 5 * CHUNK_TASKS);
  stage.die(1);
  expect(tidy()).toBe(0);
  expect(arenaOf(0).heap.use().blocks).toBe(1);
});

test('what is needed now and then stays', () => {
  const { thread, heap } = arenaOf(0);
  for (let look = 0; look < 5; look++) {
    useAtOnce(thread, 3 * CHUNK_TASKS);
    thread.tasks.tidy(heap);
    expect(thread.tasks.size).toBe(3 * CHUNK_TASKS);
  }
});

test('a chunk with a task in use stays, and so does one with a task that shared words may name', () => {
  const { thread, heap } = arenaOf(0);
  const { tasks } = thread;
  const all = Array.from({ length: 4 * CHUNK_TASKS }, () => tasks.take(heap, true) as number);
  const [first, second] = [all[0] as number, all[2 * CHUNK_TASKS] as number];
  tasks.keep(second);
  for (const task of all) if (task !== first) tasks.give(task);
  tidy();
  tell(1);
  expect(tidy()).toBe(0);
  expect(tasks.size).toBe(2 * CHUNK_TASKS);
  expect(tasks.inUse).toBe(1);
  tasks.give(first);
  tidy();
  tell(1);
  tidy();
  expect(blocks()).toBe(1);
  // The next to have the slot knows it, too.
  expect(stage.leave(0)).toBe('done');
  stage.real.store(thread.slot + Slot.life, 1);
  const next = new Place(arenaOf(0).cpu, 0, { spins: 4 }).thread.tasks;
  useAtOnce(arenaOf(0).thread, 2 * CHUNK_TASKS);
  expect(next.size).toBe(CHUNK_TASKS);
});

test('tasks that have waited for several futexes, and have nodes for that, stay', async () => {
  const arena = arenaOf(0);
  const futex = new Futex(arena);
  const word = arena.alloc(1);
  arena.words[word] = 1;
  const waits = Array.from({ length: 2 * CHUNK_TASKS }, () => futex.waitvAsync([{ word, value: 1 }]));
  await new Promise((resolve) => setImmediate(resolve));
  while (futex.wake(word, waits.length) > 0);
  await Promise.all(waits);
  const used = blocks();
  tidy();
  tell(1);
  tidy();
  expect(arena.thread.tasks.size).toBe(2 * CHUNK_TASKS);
  expect(blocks()).toBe(used);
});

test('tasks that have owned a word of the program stay: it may name them when their thread is dead', async () => {
  const { thread } = arenaOf(0);
  const word = arenaOf(0).alloc(1);
  useAtOnce(thread, 2 * CHUNK_TASKS);
  const task = await new PiFutex(arenaOf(0)).lockPiAsync(word);
  stage.die(0);
  expect(stage.reap(1)).toBe('done');
  stage.real.store(thread.slot + Slot.life, 1);
  const { tasks } = new Place(arenaOf(0).cpu, 0, { spins: 4 }).thread;
  // The thread that has the slot now is taken for the owner.
  const control = new AbortController();
  const waiting = new PiFutex(arenaOf(1)).lockPiAsync(word, { signal: control.signal });
  tasks.tidy(arenaOf(0).heap);
  tasks.tidy(arenaOf(0).heap);
  tell(1);
  expect(tasks.tidy(arenaOf(0).heap)).toBe(0);
  expect(asyncTasks(stage.real, thread.slot)).toContain(task);
  control.abort();
  await expect(waiting).rejects.toThrow('aborted');
});

describe('a record of a reader that the writer of a PercpuRwSemaphore has noted', () => {
  const readAll = async () => {
    const lock = new PercpuRwSemaphore(arenaOf(0));
    const guards = await Promise.all(Array.from({ length: 3 * CHUNK_TASKS }, () => lock.acquireReadAsync()));
    // The newest chunk goes first. What is noted is the record of a task there that still reads.
    for (const guard of guards.splice(0, 2 * CHUNK_TASKS)) guard.release();
    const leave = () => {
      for (const guard of guards) guard.release();
      tidy();
    };
    return { lock, leave, other: new PercpuRwSemaphore(arenaOf(1), lock.handle) };
  };
  const noted = (lock: PercpuRwSemaphore) => stage.real.load(lock.address + PercpuWords.inside);

  /** Another block has the memory of that record, with words that look like a reader's. */
  function reuse(record: number, lock: PercpuRwSemaphore): void {
    const { thread, heap } = arenaOf(0);
    tell(1);
    tidy();
    expect(thread.tasks.size).toBe(CHUNK_TASKS);
    for (let block = 0; record < block || block + CHUNK_WORDS + TASK_ALIGN <= record; ) {
      block = heap.alloc(CHUNK_WORDS + TASK_ALIGN, thread.nascent);
    }
    stage.real.store(record + Hold.lock, lock.address);
    stage.real.store(record + Hold.count, HELD);
  }

  test('is not looked at any more when its memory is free', async () => {
    const { lock, other, leave } = await readAll();
    expect(other.tryDownWrite()).toBe(false);
    const record = noted(lock);
    leave();
    reuse(record, lock);
    expect(other.tryDownWrite()).toBe(true);
  });

  test('of a chunk that is retired meanwhile', async () => {
    const { lock, other, leave } = await readAll();
    stage.before(1, on('store', lock.address + PercpuWords.inside), leave);
    other.tryDownWrite();
    reuse(noted(lock), lock);
    expect(other.tryDownWrite()).toBe(true);
  });

  test('by a writer that has died as it noted another one', async () => {
    const { lock, other, leave } = await readAll();
    other.tryDownWrite();
    const record = noted(lock);
    leave();
    reuse(record, lock);
    const late = await lock.acquireReadAsync();
    const note = on('storeRelease', lock.address + PercpuWords.inside);
    expect(stage.killBefore(1, note, () => other.tryDownWrite())).toBe(true);
    expect(stage.reap(0)).toBe('done');
    late.release();
    expect(lock.tryDownWrite()).toBe(true);
  });
});

describe('a thread dies while it gives memory back, at each step', () => {
  const later = (thread: Thread) => {
    stage.real.store(thread.slot + Slot.life, 1);
    return new Place(arenaOf(0).cpu, 0, { spins: 4 });
  };

  test.each(['before the round is over', 'when it is over'])('%s', (when) => {
    for (let n = 1, isOver = false; !isOver; n++) {
      stage = stepper(2);
      const { thread, heap } = arenaOf(0);
      // An object that the reaper looks at.
      new Semaphore(arenaOf(1));
      const before = arenaOf(1).heap.use().blocks;
      useAtOnce(thread, 4 * CHUNK_TASKS);
      thread.tasks.tidy(heap);
      if (when === 'when it is over') {
        thread.tasks.tidy(heap);
        tell(1);
      }
      isOver = !stage.killBefore(0, step(n), () => thread.tasks.tidy(heap));
      if (isOver) stage.die(0);
      expect(stage.reap(1)).toBe('done');
      expect(arenaOf(1).fsck()).toEqual([]);
      const next = later(thread);
      expect(retiredChunks(stage.real, thread.slot)).toEqual([]);
      expect(blocks() - before).toBe(next.thread.tasks.size / CHUNK_TASKS);
      expect(
        new Set(Array.from({ length: next.thread.tasks.size }, () => next.thread.tasks.take(next.heap, true))).size,
      ).toBe(next.thread.tasks.size);
    }
  });

  test('the next that has the slot may die while it takes them over', () => {
    for (let n = 1, isOver = false; !isOver; n++) {
      stage = stepper(2);
      const { thread } = arenaOf(0);
      useAtOnce(thread, 4 * CHUNK_TASKS);
      tidy();
      stage.die(0);
      expect(stage.reap(1)).toBe('done');
      isOver = !stage.killBefore(0, step(n), () => later(thread));
      if (isOver) stage.die(0);
      expect(stage.reap(1)).toBe('done');
      expect(later(thread).thread.tasks.size).toBe(4 * CHUNK_TASKS);
      expect(blocks()).toBe(4);
      expect(arenaOf(1).fsck()).toEqual([]);
    }
  });
});
