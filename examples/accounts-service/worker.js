/** A worker of the service: makes transfers, one at a time, and blocks while it waits for a branch's mutex. */
import { parentPort, workerData } from 'node:worker_threads';
import { Arena } from 'holdfast';
import { Branch } from './branch.js';

const arena = Arena.attach(workerData.arena);
/** @type {Map<string, Branch>} */
const branches = new Map(
  workerData.branches.map((/** @type {any} */ handle) => [handle.name, new Branch(arena, handle)]),
);

parentPort?.on('message', (/** @type {Job} */ job) => {
  parentPort?.postMessage({ error: transfer(job) });
});

/** @param {Job} job */
function transfer({ branch: name, transfer, stall }) {
  const branch = branches.get(name);
  if (branch === undefined) return 'no such branch';
  // On Node 24 and later: `using held = branch.mutex.acquire();`, and no try.
  const held = branch.mutex.acquire();
  try {
    branch.repair(held);
    branch.transfer(transfer, stall ? stallForEver : undefined);
  } catch (error) {
    return String(error);
  } finally {
    held.release();
  }
}

/** For the demonstration: says so, and waits to be killed. */
function stallForEver() {
  parentPort?.postMessage({ stalled: true });
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
}

/** @typedef {{ branch: string, transfer: import('./branch.js').Transfer, stall?: boolean }} Job */
