/** A thread of the process: it reads and runs its text, and writes its data, and now and then tries to write its text. */
import { parentPort, workerData } from 'node:worker_threads';
import { Arena } from 'holdfast';
import { AddressSpace, EXEC, READ, WRITE } from './address-space.js';

const FAULTS = 60_000;

const space = new AddressSpace(Arena.attach(workerData.arena), 'init');
const { text, data } = workerData;
let served = 0;
let refused = 0;
for (let i = 0; i < FAULTS; i++) {
  const may =
    i % 3 === 0 ? space.fault(text + (i % 16), READ | EXEC) : space.fault(i % 3 === 1 ? data : text, READ | WRITE);
  if (may) served++;
  else refused++;
}
parentPort?.postMessage({ served, refused });
