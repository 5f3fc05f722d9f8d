/** Locks under contention. */
import { contest } from './contest.ts';
import type { Effort } from './effort.ts';
import type { Figures } from './figure.ts';
import type { PeerName } from './peers.ts';

const LENGTHS = ['short', 'medium'] as const;

export async function contended(figures: Figures, effort: Effort): Promise<void> {
  await mutexes(figures, effort, ['Mutex', 'textbook', 'multithreading'], '');
  await contest(figures, effort, {
    scenario: 'spinning, short, 4 threads',
    peers: ['Mutex', 'SpinLock', 'TicketLock', 'McsLock'],
    threads: 4,
    section: 'short',
    reads: 0,
  });
}

/** In a process of its own, because V8's mutex needs a flag. */
export async function contendedBesideV8(figures: Figures, effort: Effort): Promise<void> {
  await mutexes(figures, effort, ['Mutex', 'v8'], ", beside V8's");
}

/** What a contention profile costs the locks that it sees. */
export async function profile(figures: Figures, effort: Effort): Promise<void> {
  for (const section of LENGTHS) {
    const scenario = `a contention profile, ${section}, 4 threads`;
    await contest(figures, effort, { scenario, peers: ['Mutex', 'Mutex, profiled'], threads: 4, section, reads: 0 });
  }
}

export async function reading(figures: Figures, effort: Effort): Promise<void> {
  for (const section of [...LENGTHS, 'back to back'] as const) {
    await contest(figures, effort, {
      scenario: `95 % reads, ${section}, 4 threads`,
      peers: ['RwSemaphore', 'Mutex', 'textbook RwLock', 'multithreading RwLock'],
      threads: 4,
      section,
      reads: 0.95,
    });
  }
  await contest(figures, effort, {
    scenario: '99.9 % reads, short, 4 threads',
    peers: ['RwSemaphore', 'PercpuRwSemaphore', 'Mutex', 'textbook RwLock', 'multithreading RwLock'],
    threads: 4,
    section: 'short',
    reads: 0.999,
  });
}

export async function permits(figures: Figures, effort: Effort): Promise<void> {
  for (const section of LENGTHS) {
    await contest(figures, effort, {
      scenario: `2 permits, ${section}, 8 threads`,
      peers: ['Semaphore', 'multithreading Semaphore'],
      threads: 8,
      section,
      reads: 'permits',
    });
  }
}

async function mutexes(figures: Figures, effort: Effort, peers: readonly PeerName[], where: string): Promise<void> {
  for (const section of LENGTHS) {
    for (const threads of [2, 4, 8]) {
      const scenario = `contended, ${section}, ${threads} threads${where}`;
      await contest(figures, effort, { scenario, peers, threads, section, reads: 0 });
    }
  }
}
