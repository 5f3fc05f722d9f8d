// What a user's plain JavaScript does with the installed package; scripts/test-nodes.ts runs it on each version of Node.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { Arena, HoldfastError, Mutex } from 'holdfast';

const ADDITIONS = 5_000;

const arena = Arena.create({ bytes: 1 << 20 });
const mutex = new Mutex(arena, 'sum');
const sum = arena.alloc(1);

/** @param {string} role */
function start(role) {
  const worker = new Worker(new URL('./worker.js', import.meta.url), {
    workerData: { arena: arena.handle, sum, additions: ADDITIONS, role },
  });
  worker.once('error', (error) => {
    throw error;
  });
  arena.watch(worker);
  return worker;
}

// Three threads and this one's asynchronous code add to one word.
const adders = ['blocking', 'blocking', 'async'].map(start);
for (let i = 0; i < ADDITIONS; i++) {
  const held = await mutex.acquireAsync();
  arena.words[sum] = (arena.words[sum] ?? 0) + 1;
  held.release();
}
await Promise.all(adders.map((worker) => once(worker, 'exit')));
assert.equal(arena.words[sum], 4 * ADDITIONS);

// A thread is killed inside; the next owner learns of it, and puts things in order.
const doomed = start('holds');
await once(doomed, 'message');
assert.equal(mutex.tryLock(), false);
const waiting = mutex.acquireAsync({ timeout: 10_000 });
await doomed.terminate();
const held = await waiting;
assert.equal(held.ownerDied, true);
held.makeConsistent();
held.release();

// Errors carry the kernel's codes; a timeout and an abort end a wait.
assert.throws(
  () => mutex.unlock(),
  (error) => error instanceof HoldfastError && error.code === 'EPERM',
);
const mine = mutex.acquire();
await assert.rejects(mutex.acquireAsync({ timeout: 1 }), { code: 'ETIMEDOUT' });
await assert.rejects(mutex.acquireAsync({ signal: AbortSignal.abort(new Error('enough')) }), { message: 'enough' });
assert.throws(() => mutex.lock(), { code: 'EDEADLK' });
mine.release();
assert.equal(mutex.isLocked, false);
console.log('package works');
