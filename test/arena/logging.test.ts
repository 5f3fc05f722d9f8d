import { inspect } from 'node:util';
import { MessageChannel } from 'node:worker_threads';
import { expect, test } from 'vitest';
import * as holdfast from '../../lib/index.ts';
import { f } from '../workqueue/functions.ts';

const { Arena, Mutex, WwClass, WwMutex } = holdfast;

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
  }
  const { bytes } = arena.use();
  expect(inspect(arena)).toMatch(new RegExp(`^Arena\\(\\d+ of ${bytes} bytes used, 1 of 64 threads\\)$`));
  expect(JSON.parse(JSON.stringify(arena))).toEqual({ bytes, used: arena.use().used, threads: 1, maxThreads: 64 });
});

test('a lock sent to another thread with a message that does not say what to send instead', () => {
  const arena = Arena.create({ bytes: 1 << 20 });
  const { port1 } = new MessageChannel();
  for (const view of [arena, new Mutex(arena), new WwMutex(new WwClass(arena))]) {
    expect(() => port1.postMessage(view)).toThrow('send its .handle');
  }
  port1.close();
});
