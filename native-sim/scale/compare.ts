/**
 * Which lock suits which machine: the locks that could do a piece of work, each tried with that work on that machine, best
 * first.
 */
import type { Profile } from '../machine/profile.ts';
import { runAll } from './jobs.ts';
import type { RunOptions, RunResult } from './laboratory.ts';

/** The library's own for exclusive sections, and those for work that reads, too. */
const EXCLUSIVE = ['qspinlock', 'holdfast-ticket', 'holdfast-mcs', 'mutex', 'rt-mutex', 'semaphore'] as const;
const READING = ['rwlock', 'rwsem', 'percpu-rwsem', 'seqlock', 'rcu'] as const;

export type Work = Omit<RunOptions, 'profile' | 'lock' | 'cores'>;

export interface Comparison {
  profile: string;
  cores: number;
  /** Best first. */
  places: { lock: string; throughput: number; p99Ns: number; jain: number; relative: number }[];
}

/** Locks for the work: with `reads` given, those with readers beside the others, under which every access is exclusive. */
export function candidates(reads: number | undefined): readonly string[] {
  return reads === undefined || reads === 0 ? EXCLUSIVE : [...EXCLUSIVE, ...READING];
}

/** Tries `locks` on each number of cores. */
export async function compare(
  profile: Profile,
  cores: readonly number[],
  locks: readonly string[],
  work: Work,
  workers: number,
  onProgress: (done: number, of: number) => void = () => {},
): Promise<Comparison[]> {
  const runs = cores.flatMap((count) => locks.map((lock): RunOptions => ({ ...work, profile, lock, cores: count })));
  const results = await runAll(runs, workers, (done) => onProgress(done, runs.length));
  return cores.map((count) => ranked(results.filter((result) => result.cores === count)));
}

/** By throughput; of two that are equal, the one that lets nobody wait as long. */
function ranked(results: readonly RunResult[]): Comparison {
  const { profile, cores } = results[0]!;
  const sorted = [...results].sort((a, b) => b.throughput - a.throughput || a.latencyNs.p99 - b.latencyNs.p99);
  const best = sorted[0]!.throughput;
  return {
    profile,
    cores,
    places: sorted.map(({ lock, throughput, latencyNs, jain }) => ({
      lock,
      throughput,
      p99Ns: latencyNs.p99,
      jain,
      relative: best === 0 ? 0 : throughput / best,
    })),
  };
}

export function showComparison({ profile, cores, places }: Comparison): string {
  const rows = places.map(({ lock, throughput, p99Ns, jain, relative }) =>
    [
      lock.padEnd(16),
      (throughput / 1e6).toFixed(3).padStart(8),
      `${(100 * relative).toFixed(0)} %`.padStart(6),
      p99Ns.toFixed(0).padStart(10),
      jain.toFixed(3).padStart(6),
    ].join('  '),
  );
  const head = ['lock'.padEnd(16), 'per us'.padStart(8), 'best'.padStart(6), 'p99 ns'.padStart(10), 'Jain'.padStart(6)];
  return `${profile}, ${cores} cores\n${head.join('  ')}\n${rows.join('\n')}\n`;
}
