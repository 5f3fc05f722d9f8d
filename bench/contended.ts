/**
 * Locks under contention: real threads, more of them than cores. Each peer has a pool of its own, so that its threads
 * have never run another peer's code; peers take turns, round after round.
 */
import { Piscina } from 'piscina';
import { type Contender, type Contest, SHARED_BYTES, words } from './contender.ts';
import type { Effort } from './effort.ts';
import type { Figures } from './figure.ts';
import { type PeerName, peers } from './peers.ts';
import { stepsPerNanosecond } from './work.ts';

/** Time inside the lock, and on average between two sections, ns. */
const SECTIONS = {
  short: { inside: 100, outside: 200 },
  medium: { inside: 3_000, outside: 6_000 },
};

const MUTEXES: readonly PeerName[] = ['holdfast', 'textbook', 'v8', 'multithreading'];
const SPINLOCKS: readonly PeerName[] = ['holdfast', 'spin', 'ticket', 'mcs'];

export async function contended(figures: Figures, effort: Effort): Promise<void> {
  for (const section of ['short', 'medium'] as const) {
    for (const threads of [2, 4, 8]) await contest(figures, effort, MUTEXES, threads, section, `contended, ${section}`);
  }
  await contest(figures, effort, SPINLOCKS, 4, 'short', 'spinning, short');
}

async function contest(
  figures: Figures,
  { rounds, milliseconds }: Effort,
  names: readonly PeerName[],
  threads: number,
  section: keyof typeof SECTIONS,
  what: string,
): Promise<void> {
  const present = names.filter((name) => peers[name].create !== undefined);
  const run = (peer: PeerName, duration: number) => once(peer, threads, section, duration);
  for (const name of present) await run(name, milliseconds / 5);
  for (let round = 0; round < rounds; round++) {
    // Each round starts with another peer, so that none always follows the same one.
    for (let i = 0; i < present.length; i++) {
      const peer = present[(i + round) % present.length] as PeerName;
      const { throughput, longestWait, evenness } = await run(peer, milliseconds);
      const scenario = `${what}, ${threads} threads`;
      figures.add(scenario, peer, 'k/s', throughput);
      figures.add(scenario, peer, 'ms', longestWait);
      figures.add(scenario, peer, 'least/most', evenness);
    }
  }
}

let stepsPerNs = 0;

async function once(peer: PeerName, threads: number, section: keyof typeof SECTIONS, milliseconds: number) {
  stepsPerNs ||= stepsPerNanosecond();
  const { inside, outside } = SECTIONS[section];
  const shared = new SharedArrayBuffer(SHARED_BYTES);
  const task: Contest = {
    peer,
    lock: peers[peer].create?.(),
    threads,
    milliseconds,
    inside: Math.round(inside * stepsPerNs),
    outside: Math.round(outside * stepsPerNs),
    shared,
  };
  const pool = poolOf(peer);
  const contenders: Contender[] = await Promise.all(Array.from({ length: threads }, () => pool.run(task)));
  const acquisitions = contenders.map((contender) => contender.acquisitions);
  const total = acquisitions.reduce((sum, count) => sum + count, 0);
  const counted = words(shared).counter[0];
  if (counted !== total) throw new Error(`${peer} let two threads in at once: ${total} sections left ${counted}`);
  return {
    /** Thousands of sections per second, all threads together. */
    throughput: total / milliseconds,
    /** ms. */
    longestWait: Math.max(...contenders.map((contender) => contender.longestWait)),
    /** The least served thread's acquisitions over the most served one's. */
    evenness: Math.min(...acquisitions) / Math.max(...acquisitions),
  };
}

const pools = new Map<PeerName, Piscina>();

function poolOf(peer: PeerName): Piscina {
  let pool = pools.get(peer);
  if (pool === undefined) {
    pool = new Piscina({
      filename: new URL('./contender.ts', import.meta.url).href,
      execArgv: ['--import', import.meta.resolve('tsx')],
      minThreads: 1,
      maxThreads: 8,
      idleTimeout: Number.POSITIVE_INFINITY,
      recordTiming: false,
    });
    pools.set(peer, pool);
  }
  return pool;
}
