import { parentPort, workerData } from 'node:worker_threads';
import { Arena, Mutex } from 'holdfast';

const { arena: handle, sum, additions, role } = workerData;
const arena = Arena.attach(handle);
const mutex = new Mutex(arena, 'sum');

if (role === 'holds') {
  mutex.lock();
  parentPort?.postMessage('inside');
  setInterval(() => {}, 1_000);
} else {
  for (let i = 0; i < additions; i++) {
    const held = role === 'async' ? await mutex.acquireAsync() : mutex.acquire();
    arena.words[sum] = (arena.words[sum] ?? 0) + 1;
    held.release();
  }
}
