// Starts a worker that is killed while it holds a lock, and a second one in its place. Uses the arena, and no lock.
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { Arena } from 'holdfast';

const arena = Arena.create({ bytes: 1 << 20, maxThreads: 2 });

/** @param {string} role */
function start(role) {
  const worker = new Worker(new URL('./worker.js', import.meta.url), { workerData: { arena: arena.handle, role } });
  arena.watch(worker);
  return worker;
}

const doomed = start('holds');
await once(doomed, 'message');
await doomed.terminate();
const next = start('locks');
const [answer] = await once(next, 'message');
console.log(answer);
