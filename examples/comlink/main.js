/**
 * A Mutex as an argument of a Comlink call: the transfer handler in mutex-handler.js makes it just work. And an error of the
 * library that a call throws, with its code: error-handler.js.
 *
 *   npm run build && node examples/comlink/main.js
 */
import { Worker } from 'node:worker_threads';
import { wrap } from 'comlink';
import nodeEndpoint from 'comlink/dist/esm/node-adapter.mjs';
import { Arena, HoldfastError, Mutex } from 'holdfast';
import './error-handler.js';
import './mutex-handler.js';

const TIMES = 50_000;

const arena = Arena.create({ bytes: 1 << 20 });
// Without a name: only who is given the mutex can open it.
const mutex = new Mutex(arena);
const total = arena.alloc(1);

const workers = Array.from({ length: 3 }, () => {
  const worker = new Worker(new URL('./worker.js', import.meta.url));
  worker.once('error', (error) => {
    throw error;
  });
  arena.watch(worker);
  return worker;
});

/** @type {import('comlink').Remote<import('./worker.js').Teller>[]} */
const tellers = workers.map((worker) => wrap(nodeEndpoint(worker)));
const results = await Promise.all(tellers.map((teller) => teller.add(mutex, total, TIMES)));
const refused = await tellers[0]?.unlock(mutex).catch((error) => error);

// The workers gave the mutex back, and it is the same one.
const isSame = results.every((result) => result.address === mutex.address);
const held = await mutex.acquireAsync();
const sum = arena.words[total];
held.release();
await Promise.all(workers.map((worker) => worker.terminate()));

console.log(`unlocked by a thread that does not hold it: ${refused?.code}`);
console.log(`${workers.length} workers added ${TIMES} each under one mutex: ${sum}`);
if (!(refused instanceof HoldfastError) || refused.code !== 'EPERM') process.exitCode = 1;
if (!isSame || sum !== workers.length * TIMES) process.exitCode = 1;
