/**
 * Locks under contention: real threads, more of them than cores. Each peer has a pool of its own, so that its threads
 * have never run another peer's code; peers take turns, round after round.
 */
import { Piscina } from 'piscina';
import { type Contender, type Contest, SHARED_BYTES, words } from './contender.ts';
import { median } from './median.ts';
import { type PeerName, peers } from './peers.ts';
import { stepsPerNanosecond } from './work.ts';

export interface Setting {
  readonly threads: number;
  /** Time inside the lock, ns. */
  readonly inside: number;
  /** Time between two sections, ns on average. */
  readonly outside: number;
}

export interface Standing {
  /** Sections per second, all threads together. */
  readonly throughput: number;
  /** ms. */
  readonly longestWait: number;
  /** The least served thread's share of the acquisitions, over the most served one's. */
  readonly evenness: number;
}

export class Contests {
  readonly #pools = new Map<PeerName, Piscina>();
  readonly #stepsPerNs = stepsPerNanosecond();

  /** Every peer in every setting, `rounds` times, in turns; the medians. Peers that this Node lacks are left out. */
  async run(
    names: readonly PeerName[],
    setting: Setting,
    { rounds, milliseconds }: { rounds: number; milliseconds: number },
  ): Promise<Map<PeerName, Standing>> {
    const present = names.filter((name) => peers[name].create !== undefined);
    const standings = new Map<PeerName, Standing[]>(present.map((name) => [name, []]));
    for (const name of present) await this.#once(name, setting, milliseconds / 5);
    for (let round = 0; round < rounds; round++) {
      // Each round starts with another peer, so that none always follows the same one.
      for (let i = 0; i < present.length; i++) {
        const name = present[(i + round) % present.length] as PeerName;
        standings.get(name)?.push(await this.#once(name, setting, milliseconds));
      }
    }
    return new Map([...standings].map(([name, all]) => [name, medians(all)]));
  }

  async close(): Promise<void> {
    await Promise.all([...this.#pools.values()].map((pool) => pool.destroy()));
  }

  async #once(peer: PeerName, { threads, inside, outside }: Setting, milliseconds: number): Promise<Standing> {
    const shared = new SharedArrayBuffer(SHARED_BYTES);
    const contest: Contest = {
      peer,
      lock: peers[peer].create?.(),
      threads,
      milliseconds,
      inside: Math.round(inside * this.#stepsPerNs),
      outside: Math.round(outside * this.#stepsPerNs),
      shared,
    };
    const pool = this.#poolOf(peer);
    const contenders: Contender[] = await Promise.all(Array.from({ length: threads }, () => pool.run(contest)));
    const acquisitions = contenders.map((contender) => contender.acquisitions);
    const total = acquisitions.reduce((sum, count) => sum + count, 0);
    const counted = words(shared).counter[0];
    if (counted !== total) throw new Error(`${peer} let two threads in at once: ${total} sections left ${counted}`);
    return {
      throughput: total / (milliseconds / 1000),
      longestWait: Math.max(...contenders.map((contender) => contender.longestWait)),
      evenness: Math.min(...acquisitions) / Math.max(...acquisitions),
    };
  }

  #poolOf(peer: PeerName): Piscina {
    let pool = this.#pools.get(peer);
    if (pool === undefined) {
      pool = new Piscina({
        filename: new URL('./contender.ts', import.meta.url).href,
        execArgv: ['--import', import.meta.resolve('tsx')],
        minThreads: 1,
        maxThreads: 8,
        idleTimeout: Number.POSITIVE_INFINITY,
        recordTiming: false,
      });
      this.#pools.set(peer, pool);
    }
    return pool;
  }
}

function medians(all: readonly Standing[]): Standing {
  return {
    throughput: median(all.map((one) => one.throughput)),
    longestWait: median(all.map((one) => one.longestWait)),
    evenness: median(all.map((one) => one.evenness)),
  };
}
