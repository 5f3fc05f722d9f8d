/**
 * One contending thread, as a long Piscina task: it meets the others at a barrier, then takes the lock, works inside
 * and thinks outside, over and over, until a deadline that all threads share.
 */
import { type PeerName, peers } from './peers.ts';
import { work } from './work.ts';

export interface Contest {
  readonly peer: PeerName;
  /** What the peer's `create` made. */
  readonly lock: unknown;
  readonly threads: number;
  readonly milliseconds: number;
  /** Steps of `work` inside the lock. */
  readonly inside: number;
  /** Steps of `work` between two sections, on average. */
  readonly outside: number;
  /** Laid out by `words` below. */
  readonly shared: SharedArrayBuffer;
}

export interface Contender {
  readonly acquisitions: number;
  /** From the call to the first moment inside, ms. */
  readonly longestWait: number;
}

/** The memory of one contest, besides the lock. */
export function words(shared: SharedArrayBuffer) {
  return {
    /** [threads that have arrived, 1 once all have] */
    barrier: new Int32Array(shared, 0, 2),
    /** [when the contest ends, ms of the process's clock] */
    deadline: new Float64Array(shared, 64, 1),
    /** [sections so far]: plain accesses that only the lock protects. */
    counter: new Int32Array(shared, 128, 1),
  };
}

export const SHARED_BYTES = 192;

/** Each thread's performance clock starts at its own zero. */
const clockOffset = Number(process.hrtime.bigint()) / 1e6 - performance.now();

export default async function contend(contest: Contest): Promise<Contender> {
  const { barrier, deadline, counter } = words(contest.shared);
  const open = peers[contest.peer].open as (lock: unknown) => ReturnType<(typeof peers)['holdfast']['open']>;
  const exclusive = await open(contest.lock);
  const { inside, outside } = contest;
  let acquisitions = 0;
  let longestWait = 0;
  let called = 0;
  let random = 1;

  const section = () => {
    longestWait = Math.max(longestWait, performance.now() - called);
    random = work(inside, random);
    counter[0] = (counter[0] as number) + 1;
    acquisitions++;
  };

  meet(barrier, contest.threads, () => {
    deadline[0] = performance.now() + clockOffset + contest.milliseconds;
  });
  const end = (deadline[0] as number) - clockOffset;
  while ((called = performance.now()) < end) {
    exclusive(section);
    // From 0 to twice the average, so that the threads do not fall into step.
    random = work((outside * (random >>> 16)) >>> 15, random);
  }
  return { acquisitions, longestWait };
}

function meet(barrier: Int32Array, threads: number, last: () => void): void {
  if (Atomics.add(barrier, 0, 1) === threads - 1) {
    last();
    Atomics.store(barrier, 1, 1);
    Atomics.notify(barrier, 1);
  } else {
    Atomics.wait(barrier, 1, 0);
  }
}
