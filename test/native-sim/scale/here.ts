/**
 * `npx tsx test/native-sim/scale/here.ts [PROFILE [THREADS]]`: locks on two cores of this machine, on real threads, beside what a profile of
 * two cores says of them. A figure is ns of processor time for an acquisition, of both cores together: what other programs
 * use does not count. Medians over turns that begin when all threads are there, and in which all of them got the lock.
 */
import { cpus, loadavg } from 'node:os';
import { spawnWorker } from '../../../lib/arena/spawn.ts';
import { profiles } from '../../../native-sim/machine/profiles.ts';
import { runLock } from '../../../native-sim/scale/laboratory.ts';
import { ALTERNATING, CONTROL_WORDS, LOCKS, type Order, type Turns } from './here-thread.ts';

const profile = profiles.get(process.argv[2] ?? 'vm-2')!;
const THREADS = (process.argv[3] ?? '2,4,8').split(',').map(Number);

async function measure(lock: string, threads: number): Promise<number> {
  const control = new Int32Array(new SharedArrayBuffer(4 * CONTROL_WORDS));
  const memory = new SharedArrayBuffer(1 << 18);
  const turns = threads <= 2 ? 200 : 15;
  const workers = Array.from({ length: threads }, (_, me) =>
    spawnWorker(new URL('./here-thread.ts', import.meta.url), {
      name: `here/${me}`,
      workerData: { lock, threads, me, turns, control, memory } satisfies Order,
    }),
  );
  const all = await Promise.all(
    workers.map((worker) => new Promise<Turns>((resolve) => worker.once('message', resolve))),
  );
  await Promise.all(workers.map((worker) => worker.terminate()));
  const each = Array.from({ length: turns }, (_, turn) => {
    const sum = (of: (thread: Turns) => Float64Array) => all.reduce((total, thread) => total + of(thread)[turn]!, 0);
    return sum(({ times }) => times) / sum(({ counts }) => counts);
  });
  // On a busy machine one of two threads may have been without a core for much of a turn: then the other was alone. Where they
  // take turns, both have it as often.
  const least = lock === 'ticket' || lock === 'mcs' ? 0.9 : 0.25;
  const isShared = (turn: number) => {
    const counts = all.map((thread) => thread.counts[turn]!);
    return threads > 2 || Math.min(...counts) > Math.max(...counts) * least;
  };
  // Of two threads that alternate the first turns are spent on compiling.
  const shared = each.filter((_, turn) => turn > turns / 5 && isShared(turn)).sort((a, b) => a - b);
  return shared[shared.length >> 1] ?? Number.NaN;
}

function simulate(lock: string, threads: number, outside: number): number {
  const cores = Math.min(2, threads);
  // The library's own waiters sleep after so many looks, as they do here; of the textbooks' none does.
  const spins = lock === 'qspinlock' ? 1000 : 1e9;
  const simulatedNs = threads > 2 ? 1e7 : 1e6;
  const work = { section: 0, shared: 0, outside, simulatedNs };
  return (1e9 * cores) / runLock({ profile, lock, cores, threads, spins, ...work }).throughput;
}

const load = () => `load ${loadavg()[0]!.toFixed(1)}`;
console.log(`${cpus()[0]!.model}, ${load()}, beside ${profile.name}; measured | simulated`);
for (const lock of LOCKS) {
  const isAlternating = ALTERNATING.includes(lock);
  const alone = isAlternating ? 0 : await measure(lock, 1);
  // What surrounds the operations of an acquisition, which the simulated machine has no instructions for.
  const outside = isAlternating ? 0 : Math.max(0, alone - simulate(lock, 1, 0));
  console.log(lock);
  if (!isAlternating) console.log(`  1 thread ${alone.toFixed(0)}, ${outside.toFixed(0)} of them outside`);
  for (const threads of isAlternating ? [2] : THREADS) {
    const measured = await measure(lock, threads);
    const simulated = simulate(lock, threads, outside);
    const cells = `${measured.toFixed(0)} | ${simulated.toFixed(0)}  x ${(simulated / measured).toFixed(2)}`;
    console.log(`  ${threads} threads ${cells}  ${load()}`);
  }
}
