import { parentPort, workerData } from 'node:worker_threads';
import { Arena, Mutex } from 'holdfast';

const arena = Arena.attach(workerData.arena);
const mutex = new Mutex(arena, 'accounts');
if (workerData.role === 'holds') {
  mutex.lock();
  parentPort?.postMessage('inside');
  setInterval(() => {}, 1_000);
} else {
  // The first worker's slot is this one's: what was not repaired would look as if this thread held it.
  const held = mutex.acquire({ timeout: 10_000 });
  parentPort?.postMessage(held.ownerDied ? 'the lock came with ownerDied' : 'the lock came as if nothing had been');
  held.makeConsistent();
  held.release();
}
