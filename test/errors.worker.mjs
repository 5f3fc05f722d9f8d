// Throws one of the library's errors: as a task of Piscina, through Comlink, or as a worker that nobody catches.
import { parentPort, workerData } from 'node:worker_threads';
import { register } from 'tsx/esm/api';

register();
const { Arena, Mutex } = await import('../lib/index.ts');

export default function lockTwice() {
  const mutex = new Mutex(Arena.create({ bytes: 1 << 20 }), 'accounts');
  mutex.lock();
  mutex.lock();
}

if (workerData === 'uncaught') lockTwice();
if (workerData === 'comlink') {
  const { expose } = await import('comlink');
  const { default: nodeEndpoint } = await import('comlink/dist/esm/node-adapter.mjs');
  expose({ lockTwice }, nodeEndpoint(/** @type {import('node:worker_threads').MessagePort} */ (parentPort)));
}
