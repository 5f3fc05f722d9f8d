/**
 * One contending thread, as a long Piscina task: it meets the others at a barrier, then takes the lock, works inside
 * and thinks outside, over and over, until a deadline that all threads share.
 */
import { createHistogram, type RecordableHistogram } from 'node:perf_hooks';
import { type Opened, PERMITS, type PeerName, peers } from './peers.ts';
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
  /** The share of sections that only read, 0 to 1; or 'permits' where several may be inside. */
  readonly reads: number | 'permits';
  /** Laid out by `words` below. */
  readonly shared: SharedArrayBuffer;
}

export interface Contender {
  readonly acquisitions: number;
  /** Sections that others saw the end of: with permits none. */
  readonly writes: number;
  /** From the call to the first moment inside, ms; where some only read, of those that write. */
  readonly longestWait: number;
  /** The same of every sixteenth of those, ns: recording takes longer than a short section. */
  readonly waits: RecordableHistogram;
  /** How often this thread met somebody inside who should not have been there. */
  readonly intruders: number;
}

/** The memory of one contest, besides the lock. */
export function words(shared: SharedArrayBuffer) {
  return {
    /** [threads that have arrived, 1 once all have] */
    barrier: new Int32Array(shared, 0, 2),
    /** [when the contest ends, ms of the process's clock] */
    deadline: new Float64Array(shared, 64, 1),
    /** [writes so far]: plain accesses of writers, which only the lock protects. */
    counter: new Int32Array(shared, 128, 1),
    /** [threads with a permit] */
    inside: new Int32Array(shared, 192, 1),
  };
}

export const SHARED_BYTES = 256;

/** Each thread's performance clock starts at its own zero. */
const clockOffset = Number(process.hrtime.bigint()) / 1e6 - performance.now();

export default async function contend(contest: Contest): Promise<Contender> {
  const { barrier, deadline, counter, inside } = words(contest.shared);
  const open = peers[contest.peer].open as (lock: unknown) => Opened | Promise<Opened>;
  const { write, read = write } = await open(contest.lock);
  const { outside, reads } = contest;
  let acquisitions = 0;
  let writes = 0;
  let longestWait = 0;
  let intruders = 0;
  let called = 0;
  let random = 1;

  const waits = createHistogram();
  const arrived = () => {
    const wait = performance.now() - called;
    longestWait = Math.max(longestWait, wait);
    if ((acquisitions & 15) === 0) waits.record(Math.max(1, Math.round(wait * 1e6)));
  };
  const writing = () => {
    arrived();
    random = work(contest.inside, random);
    counter[0] = (counter[0] as number) + 1;
    writes++;
  };
  const reading = () => {
    const before = Atomics.load(counter, 0);
    random = work(contest.inside, random);
    if (Atomics.load(counter, 0) !== before) intruders++;
  };
  const permitted = () => {
    arrived();
    if (Atomics.add(inside, 0, 1) >= PERMITS) intruders++;
    random = work(contest.inside, random);
    Atomics.sub(inside, 0, 1);
  };

  meet(barrier, contest.threads, () => {
    deadline[0] = performance.now() + clockOffset + contest.milliseconds;
  });
  const end = (deadline[0] as number) - clockOffset;
  while ((called = performance.now()) < end) {
    if (reads === 'permits') write(permitted);
    else if (reads > 0 && random >>> 16 < reads * 0x10000) read(reading);
    else write(writing);
    acquisitions++;
    // From 0 to twice the average, so that the threads do not fall into step.
    random = work(1 + ((outside * (random >>> 16)) >>> 15), random);
  }
  return { acquisitions, writes, longestWait, waits, intruders };
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
