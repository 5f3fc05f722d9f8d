/**
 * Feature flags that every worker reads for each request, without a lock and without a copy, while the main thread
 * publishes new versions: one word is swapped, and the old version is freed when no worker can see it any more.
 *
 *   npm run build && node examples/feature-flags/main.js
 */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { Arena, RcuQsbr } from 'holdfast';
import { FLAGS, Flags } from './flags.js';

const WORKERS = 3;
const REQUESTS = 100_000;
const VERSIONS = 200;

const arena = Arena.create({ bytes: 1 << 20 });
const rcu = new RcuQsbr(arena);
const current = arena.alloc(1);
arena.words[current] = 0;
const flags = new Flags(arena, rcu, current);
const percentagesOf = (/** @type {number} */ version) => FLAGS.map((_, flag) => (version * (flag + 1)) % 101);
flags.publish(1, percentagesOf(1));

const workers = Array.from({ length: WORKERS }, (_, number) => {
  const workerData = { arena: arena.handle, current, number, requests: REQUESTS, versions: VERSIONS };
  const worker = new Worker(new URL('./worker.js', import.meta.url), { workerData });
  // A worker that dies inside a reader holds nothing up.
  arena.watch(worker);
  return worker;
});
const results = workers.map((worker) => once(worker, 'message'));

for (let version = 2; version <= VERSIONS; version++) {
  flags.publish(version, percentagesOf(version));
  await new Promise((resolve) => setTimeout(resolve, 1));
}

const totals = { torn: 0, goesBack: 0 };
for (const [{ torn, goesBack, latest }] of await Promise.all(results)) {
  totals.torn += torn;
  totals.goesBack += goesBack;
  if (latest !== VERSIONS) process.exitCode = 1;
}
await rcu.barrierAsync();
// One version is left, and the library has some blocks of its own: far fewer than there were versions.
const isFreed = arena.use().blocks < VERSIONS / 2;

console.log(
  `${WORKERS} workers handled ${WORKERS * REQUESTS} requests under ${VERSIONS} versions of ${FLAGS.length} flags`,
);
console.log(
  `torn reads: ${totals.torn}, reads that went back: ${totals.goesBack}, all but the last version freed: ${isFreed}`,
);
if (totals.torn + totals.goesBack > 0 || !isFreed) process.exitCode = 1;
