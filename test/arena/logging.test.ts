import { inspect } from 'node:util';
import { MessageChannel } from 'node:worker_threads';
import { expect, test } from 'vitest';
import * as holdfast from '../../lib/index.ts';
import { f } from '../workqueue/functions.ts';

const { Arena, kthreadRun, Mutex, Vdso, Workqueue, WwClass, WwMutex } = holdfast;

/** A name for each exported class whose objects live in an arena, and one of its objects. */
function objects() {
  const arena = Arena.create({ bytes: 1 << 20 });
  const wwClass = new WwClass(arena, 'ordered');
  const all: [string, object][] = [];
  for (const [name, Class] of Object.entries(holdfast)) {
    if (typeof Class !== 'function' || !('from' in Class) || !('destroy' in Class.prototype)) continue;
    const args: unknown[] = {
      WwMutex: [wwClass, 'ww'],
      PthreadBarrier: [arena, 'barrier', { count: 2 }],
      KmemCache: [arena, 'cache', { words: 8 }],
      Work: [arena, 'work', f.add, 1, 2],
      DelayedWork: [arena, 'later', f.add, 1, 2],
    }[name] ?? [arena, name];
    all.push([name, new (Class as new (...args: unknown[]) => object)(...args)]);
  }
  return { arena, all };
}

test('a log line with megabytes of shared memory in it', () => {
  const { arena, all } = objects();
  expect(all.length).toBeGreaterThan(20);
  for (const [name, object] of all) {
    const shown = inspect(object);
    expect(shown, name).toMatch(/^\w+\(.{2,60}\)$/);
    expect(JSON.stringify({ lock: object }), name).toBe(JSON.stringify({ lock: shown }));
    expect(`${object}`, name).toBe(shown);
  }
  const { bytes } = arena.use();
  expect(String(arena)).toBe(inspect(arena));
  expect(inspect(arena)).toMatch(new RegExp(`^Arena\\(\\d+ of ${bytes} bytes used, 1 of 64 threads\\)$`));
  expect(JSON.parse(JSON.stringify(arena))).toEqual({ bytes, used: arena.use().used, threads: 1, maxThreads: 64 });
});

test('a log line with a guard, a futex or a thread that is {}, or the whole arena', async () => {
  const { arena } = objects();
  const { Futex, PiFutex, PthreadMutex, PthreadRwlock, RwLock, RwSemaphore, Semaphore, SpinLock } = holdfast;
  const pthread = new PthreadRwlock(arena, 'c');
  const shown: [object, string][] = [
    [new Mutex(arena, 'a').acquire(), 'Guard of Mutex(a, held by thread 0)'],
    [await new Mutex(arena, 'b').acquireAsync(), 'Guard of Mutex(b, held by thread 0, async)'],
    [new SpinLock(arena, 'd').acquire(), 'Guard of SpinLock(d, held by thread 0)'],
    [new RwLock(arena, 'e').acquireRead(), 'Guard of RwLock(e, read by thread 0)'],
    [new RwSemaphore(arena, 'f').acquireRead(), 'Guard of RwSemaphore(f, 1 reader)'],
    [new Semaphore(arena, 'g', { permits: 2 }).acquire(), 'Guard of Semaphore(g, 1 permit)'],
    [new PthreadMutex(arena, 'h').acquire(), 'Guard of PthreadMutex(h, held by thread 0)'],
    [pthread.acquireRead(), 'Guard of PthreadRwlock(c, 1 reader)'],
    [new Futex(arena), 'Futex of Arena('],
    [new PiFutex(arena), 'PiFutex of Arena('],
    [arena.thread, 'Thread(0)'],
    [new Vdso(arena), 'Vdso(not mapped)'],
    [new Workqueue(arena, 'w'), 'Workqueue(w, 0 active, 0 inactive)'],
    [kthreadRun(arena, import.meta.url, 'absent', 'k'), 'Kthread(k, '],
  ];
  for (const [object, text] of shown) {
    expect(inspect(object)).toContain(text);
    expect(JSON.stringify([object])).toBe(JSON.stringify([inspect(object)]));
    expect(`${object}`).toBe(inspect(object));
  }
  const guard = new Mutex(arena, 'released').acquire();
  guard.release();
  expect(`${inspect(guard)} ${JSON.stringify(guard)}`).toBe('Guard(released) "Guard(released)"');
});

test('a lock sent to another thread with a message that does not say what to send instead', () => {
  const arena = Arena.create({ bytes: 1 << 20 });
  const { port1 } = new MessageChannel();
  for (const view of [arena, new Mutex(arena), new WwMutex(new WwClass(arena))]) {
    expect(() => port1.postMessage(view)).toThrow('send the .handle');
  }
  expect(() => port1.postMessage(new Workqueue(arena, 'w'))).toThrow('send its name');
  expect(() => port1.postMessage(kthreadRun(arena, import.meta.url, 'absent', 'k'))).toThrow('send its name');
  for (const view of [new Vdso(arena), arena.thread]) {
    expect(() => port1.postMessage(view)).toThrow("send the arena's .handle");
  }
  port1.close();
});
