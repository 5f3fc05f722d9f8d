/** A worker of the service: asks the flags for each request that it handles. */
import { parentPort, workerData } from 'node:worker_threads';
import { Arena, RcuQsbr } from 'holdfast';
import { Flags } from './flags.js';

const arena = Arena.attach(workerData.arena);
const flags = new Flags(arena, new RcuQsbr(arena), workerData.current);
const { number, requests } = workerData;

let torn = 0;
let goesBack = 0;
let latest = 0;

/** @param {number} user */
function handle(user) {
  const { version, isTorn } = flags.forUser(user);
  if (isTorn) torn++;
  if (version < latest) goesBack++;
  latest = version;
}

// Requests come in by the event loop; its turns are what grace periods wait for.
for (let request = 0; request < requests; request++) {
  handle(request * 7 + number);
  if (request % 500 === 0) await new Promise((resolve) => setImmediate(resolve));
}
// Then until the last version has come.
while (latest < workerData.versions) {
  handle(number);
  await new Promise((resolve) => setImmediate(resolve));
}
parentPort?.postMessage({ torn, goesBack, latest });
