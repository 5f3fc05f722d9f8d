/**
 * A contest of locks: real threads, more of them than cores. Each peer has a pool of its own, so that its threads have
 * never run another peer's code; peers take turns, round after round.
 */
import { createHistogram } from 'node:perf_hooks';
import { Piscina } from 'piscina';
import { type Contender, type Contest, SHARED_BYTES, words } from './contender.ts';
import type { Effort } from './effort.ts';
import type { Figures } from './figure.ts';
import { type PeerName, peers } from './peers.ts';
import { stepsPerNanosecond } from './work.ts';

/** Time inside the lock, and on average between two sections, ns. */
export const SECTIONS = {
  short: { inside: 100, outside: 200 },
  medium: { inside: 3_000, outside: 6_000 },
  'back to back': { inside: 3_000, outside: 300 },
};

export interface Rules {
  readonly scenario: string;
  readonly peers: readonly PeerName[];
  readonly threads: number;
  readonly section: keyof typeof SECTIONS;
  readonly reads: Contest['reads'];
}

export async function contest(figures: Figures, { rounds, milliseconds }: Effort, rules: Rules): Promise<void> {
  const present = rules.peers.filter((name) => peers[name].create !== undefined);
  for (const name of present) await once(rules, name, milliseconds / 5);
  for (let round = 0; round < rounds; round++) {
    // Each round starts with another peer, so that none always follows the same one.
    for (let i = 0; i < present.length; i++) {
      const peer = present[(i + round) % present.length] as PeerName;
      const { throughput, longestWait, p999, evenness } = await once(rules, peer, milliseconds);
      figures.add(rules.scenario, peer, 'k/s', throughput);
      figures.add(rules.scenario, peer, 'ms', longestWait);
      figures.add(rules.scenario, peer, 'us, p99.9', p999);
      figures.add(rules.scenario, peer, 'least/most', evenness);
    }
  }
}

let stepsPerNs = 0;

async function once({ threads, section, reads }: Rules, peer: PeerName, milliseconds: number) {
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
    reads,
    shared,
  };
  const pool = poolOf(peer);
  const contenders: Contender[] = await Promise.all(Array.from({ length: threads }, () => pool.run(task)));
  const sum = (of: 'acquisitions' | 'writes' | 'intruders') =>
    contenders.reduce((total, contender) => total + contender[of], 0);
  const counted = words(shared).counter[0];
  if (counted !== sum('writes') || sum('intruders') > 0) {
    throw new Error(`${peer} let too many in: ${sum('writes')} writes left ${counted}, ${sum('intruders')} intruders`);
  }
  const waits = createHistogram();
  for (const contender of contenders) waits.add(contender.waits);
  const acquisitions = contenders.map((contender) => contender.acquisitions);
  return {
    /** Thousands of sections per second, all threads together. */
    throughput: sum('acquisitions') / milliseconds,
    /** ms. */
    longestWait: Math.max(...contenders.map((contender) => contender.longestWait)),
    /** us. */
    p999: waits.percentile(99.9) / 1e3,
    /** The least served thread's acquisitions over the most served one's. */
    evenness: Math.min(...acquisitions) / Math.max(...acquisitions),
  };
}

const pools = new Map<PeerName, Piscina>();

function poolOf(peer: PeerName): Piscina {
  let pool = pools.get(peer);
  if (pool === undefined) {
    pool = new Piscina({
      filename: new URL('./contender.js', import.meta.url).href,
      minThreads: 1,
      maxThreads: 8,
      idleTimeout: Number.POSITIVE_INFINITY,
      recordTiming: false,
    });
    pools.set(peer, pool);
  }
  return pool;
}
