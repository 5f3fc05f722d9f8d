import { describe, expect, test } from 'vitest';
import { Arena } from '../../lib/arena/arena.ts';
import { Place } from '../../lib/arena/place.ts';
import { Slot } from '../../lib/sched/slot.ts';
import { Backlog } from '../../lib/workqueue/backlog.ts';
import { Item, LOST, PHASE, pwqAt, SLAB_ITEMS, workerAt } from '../../lib/workqueue/layout.ts';
import { openPool, openWq } from '../../lib/workqueue/objects.ts';
import { WorkerPool } from '../../lib/workqueue/pool.ts';
import { Submitter } from '../../lib/workqueue/submitter.ts';
import { on, step, stepper, type When } from '../support/stepper.ts';
import { f } from './functions.ts';

/** Thread 0 submits, threads 1 and 2 are the workers, thread 3 reaps. An item's result is what it was given. */
function stage() {
  const stepped = stepper(4);
  const { arenas, real } = stepped;
  const address = openPool(arenas[3]!, { address: 0, slots: 2, maxWorkers: 2, maxAwaited: 8 }, -1, false);
  const pwq = pwqAt(openWq(arenas[3]!, 'wq', 0, 2 * SLAB_ITEMS, [address]), 0);
  const viewOf = ({ cpu, thread }: Arena) => new WorkerPool(cpu, address, thread.id, () => {});
  const views = arenas.map(viewOf);
  const record = (thread: number) => workerAt(address, thread - 1);
  for (const thread of [1, 2]) {
    const { heap, thread: own } = arenas[thread]!;
    views[thread]!.join(record(thread), own.takeTask(heap));
  }
  return {
    ...stepped,
    /** A thread in slot 0 that has just come. */
    newcomer() {
      real.store(arenas[0]!.thread.slot + Slot.life, 1);
      const arena = new Arena(new Place(arenas[0]!.cpu, 0));
      const submitter = new Submitter(arena, () => viewOf(arena));
      return {
        submitter,
        submit: (value: number) => {
          const call = submitter.submit(pwq, f.echo, [value], new Backlog());
          // Of a thread that ends before, it never comes to anything.
          call.promise.catch(() => {});
          return call;
        },
        slabOf: (item: number) => arena.heap.objectAt(item),
        /** What its event loop still does, it does no more. */
        end: () => arena.thread.leave(),
      };
    },
    /** The worker runs so many items, or all that there are. Returns how many. */
    work(thread: number, most = Number.POSITIVE_INFINITY) {
      let ran = 0;
      for (let item = views[thread]!.step(record(thread), 0); item !== 0 && ++ran < most; ) {
        item = views[thread]!.step(record(thread), item);
      }
      return ran;
    },
    phase: (item: number) => real.load(item + Item.state) & PHASE,
  };
}

/** It has all items of the slab that there is, each once, before it makes another. */
function hasAll({ submit, slabOf }: ReturnType<ReturnType<typeof stage>['newcomer']>): void {
  const items: number[] = [];
  for (let { item } = submit(0); slabOf(item) === slabOf(items[0] ?? item); { item } = submit(0)) items.push(item);
  expect([items.length, new Set(items).size]).toEqual([SLAB_ITEMS, SLAB_ITEMS]);
}

describe('the next thread in a dead submitter’s slot', () => {
  test('that hands out twice an item which had come back, and was lost with its worker as well', async () => {
    const here = stage();
    const first = here.newcomer();
    const calls = [first.submit(1), first.submit(2)];
    first.submitter.publish();
    // Both come back, and nobody has received them yet, when their worker dies, and the submitter.
    expect(here.work(1)).toBe(2);
    first.end();
    here.die(1);
    here.die(0);
    expect(here.reap(3)).toBe('done');
    expect(calls.map(({ item }) => here.phase(item))).toEqual([LOST, LOST]);
    const next = here.newcomer();
    const call = next.submit(3);
    next.submitter.publish();
    expect(here.work(2)).toBe(1);
    expect(await call.promise).toBe(3);
    hasAll(next);
    next.end();
  });

  test('that never gets the items which had come back, and which the dead thread was receiving at any step', async () => {
    for (let k = 1; ; k++) {
      const here = stage();
      const first = here.newcomer();
      for (let i = 0; i < 3; i++) first.submit(i);
      first.submitter.publish();
      expect(here.work(1)).toBe(3);
      const died = here.killBefore(0, step(k), () => first.submitter.receive());
      first.end();
      if (!died) {
        expect(k).toBeGreaterThan(10);
        return;
      }
      // One of them is lost besides.
      if (k % 2 === 0) here.die(1);
      expect(here.reap(3)).toBe('done');
      const next = here.newcomer();
      hasAll(next);
      next.end();
    }
  });

  test('that dies as well before it has all of them, which nobody gets then', () => {
    // Of the steps that others see: those by which it gets the port, takes a chain, and frees the first few items.
    for (let k = 1; k < 12; k++) {
      const here = stage();
      const first = here.newcomer();
      for (let i = 0; i < 2; i++) first.submit(i);
      first.submitter.publish();
      expect(here.work(1)).toBe(2);
      for (let i = 0; i < 2; i++) first.submit(i);
      first.submitter.publish();
      // Two are in its hands when it dies, and two more come back.
      expect(here.killBefore(0, on('storeUnordered'), () => first.submitter.receive())).toBe(true);
      first.end();
      expect(here.work(2)).toBe(2);
      here.die(1);
      expect(here.reap(3)).toBe('done');
      let seen = 0;
      const isSeen: When = ({ op }) => (op === 'cmpxchg' || op === 'storeUnordered') && ++seen === k;
      expect(here.killBefore(0, isSeen, () => here.newcomer())).toBe(true);
      expect(here.reap(3)).toBe('done');
      const next = here.newcomer();
      hasAll(next);
      next.end();
    }
  });
});

describe('a microtask that queues many calls', () => {
  test('keeps all of them back until its end, or one that its caller may still take back', async () => {
    const here = stage();
    const first = here.newcomer();
    const calls = Array.from({ length: 2 * 256 }, (_, i) => first.submit(i));
    // The 257th published those before it.
    expect(here.work(1)).toBe(256);
    calls.push(first.submit(512), first.submit(513));
    expect(here.work(1)).toBe(256);
    first.submitter.publish();
    expect(here.work(1)).toBe(2);
    first.submitter.receive();
    expect(await Promise.all(calls.map(({ promise }) => promise))).toEqual(calls.map((_, i) => i));
    first.end();
  });

  test('uses no item again that has come back meanwhile, or loses what the call came to', async () => {
    const here = stage();
    const first = here.newcomer();
    const calls = Array.from({ length: 257 }, (_, i) => first.submit(i));
    expect(here.work(1)).toBe(256);
    calls.push(...Array.from({ length: 256 }, (_, i) => first.submit(257 + i)));
    expect(first.submitter.outstanding).toBe(257);
    // The last of them was made when the 256 were free again.
    expect(calls.slice(0, 256).map(({ item }) => item)).toContain(first.submit(513).item);
    first.submitter.publish();
    expect(here.work(2)).toBe(258);
    first.submitter.receive();
    expect(await Promise.all(calls.map(({ promise }) => promise))).toEqual(calls.map((_, i) => i));
    first.end();
  });
});
