// Runs a system task, then starts a worker that is killed while it holds a lock, and a second one in its place. Uses the arena, and no lock.
import { once } from 'node:events';
import { dirname, join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { Arena, kthreadRun } from 'holdfast';

const arena = Arena.create({ bytes: 1 << 20, maxThreads: 2 });

/** @param {string} role */
function start(role) {
  // Not by import.meta.url, nor with await outside of functions: this may become a CommonJS module.
  const worker = new Worker(join(dirname(/** @type {string} */ (process.argv[1])), 'worker.js'), {
    workerData: { arena: arena.handle, role },
  });
  arena.watch(worker);
  return worker;
}

async function main() {
  // A bundle has no file to start the system thread from, and says so.
  await kthreadRun(arena, 'data:text/javascript,export const tick = () => {}', 'tick', 'clock').readyAsync();
  const doomed = start('holds');
  await once(doomed, 'message');
  await doomed.terminate();
  const next = start('locks');
  const [answer] = await once(next, 'message');
  console.log(answer);
}

main();
