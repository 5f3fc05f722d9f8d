/**
 * An HTTP service on three workers that share one cache. It starts, sends itself requests, and kills a worker that makes a page
 * for which another one waits.
 *
 *   npm run build && node examples/cached-service/main.js
 */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { Arena, AtomicInt, SharedCache } from 'holdfast';

const PAGES = 40;
const REQUESTS = 360;

const arena = Arena.create({ bytes: 4 << 20 });
const made = new AtomicInt(arena, 'made');
const pages = new SharedCache(arena, 'pages', { max: 1000, ttl: 60 * 60_000 });

function startWorker() {
  const worker = new Worker(new URL('./worker.js', import.meta.url), { workerData: { arena: arena.handle } });
  // When it ends, however it does, what it was computing is left to whoever waits for it.
  arena.watch(worker);
  return worker;
}
const doomedWorker = startWorker();
const workers = [doomedWorker, startWorker(), startWorker()];
const ports = await Promise.all(workers.map(async (worker) => (await once(worker, 'message'))[0].port));

/**
 * @param {number} worker
 * @param {string} path
 */
async function get(worker, path) {
  const response = await fetch(`http://127.0.0.1:${ports[worker]}${path}`);
  return response.text();
}

// All at once: most requests for a page come while it is being made.
const answers = await Promise.all(
  Array.from({ length: REQUESTS }, (_, i) =>
    get(i % workers.length, `/pages/${Math.floor(i / workers.length) % PAGES}`),
  ),
);
console.log(`${answers.length} requests for ${PAGES} pages at ${workers.length} workers: ${made.read()} pages made`);
console.log(`three caches of their own would have made ${workers.length * PAGES}`);

// A worker dies while it makes a page; a request at another one waits for that page.
const stalled = once(doomedWorker, 'message');
const doomed = get(0, '/report?stall').catch(() => 'none: the worker died');
await stalled;
const report = get(1, '/report');
await doomedWorker.terminate();
console.log(`the answer of the killed worker: ${await doomed}`);
console.log(`the answer of the one that waited for its page: ${await report}`);

const { entries, misses, evictions } = pages.stats();
console.log(`${entries} pages in the cache, ${evictions} put out`);
await Promise.all(workers.map((worker) => worker.terminate()));
process.exitCode = entries === PAGES + 1 && misses > 0 ? 0 : 1;
