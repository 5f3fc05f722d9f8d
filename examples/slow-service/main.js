/**
 * A service that is slow, and does not know why. Its workers answer requests; two locks are in their way: one that all of them
 * take for each request, and one that is held for long now and then. Two others are taken in two orders, and could deadlock one day.
 * The profile names all of them, and where they are waited for.
 *
 *   npm run build && node examples/slow-service/main.js [report.html]
 *   npx holdfast profile --lockdep -o report.html -- node examples/slow-service/main.js
 */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { Arena, profileTable, saveProfile, startLockdep, startProfile } from 'holdfast';

const WORKERS = 3;
const REQUESTS = 400;

const arena = Arena.create({ bytes: 4 << 20 });
// Under `holdfast profile`, HOLDFAST_PROFILE and `--import holdfast/profile` there is one already.
const isProfiled = process.env.HOLDFAST_PROFILE || Symbol.for('holdfast.profile') in globalThis;
const profile = isProfiled ? undefined : startProfile(arena);
if (profile !== undefined) startLockdep(arena, { quiet: true });

const workers = Array.from({ length: WORKERS }, (_, number) => {
  const worker = new Worker(new URL('./worker.js', import.meta.url), {
    workerData: { arena: arena.handle, number, requests: REQUESTS, workers: WORKERS },
  });
  arena.watch(worker);
  return worker;
});
await Promise.all(workers.map((worker) => once(worker, 'exit')));

if (profile !== undefined) {
  const result = profile.stop();
  process.stdout.write(await profileTable(result, process.stdout.columns));
  const file = process.argv[2];
  if (file !== undefined) await saveProfile(result, file);
}
