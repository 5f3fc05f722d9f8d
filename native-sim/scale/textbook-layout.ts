/** The memory of the textbooks' locks: how much it is, what stands where, and what it holds at first. */
import { arrayOf, type Layout, struct, wordName } from '../../lib/memory/struct.ts';
import { LINE_WORDS } from '../machine/caches.ts';
import type { TextbookName } from './textbook.ts';
import type { Place } from './textbook-parts.ts';
import { ALL, BUCKETS } from './textbook-readers.ts';

const Node = struct({ next: 1, locked: 1, pad: LINE_WORDS - 2 });
const Flag = struct({ locked: 1, pad: LINE_WORDS - 1 });
const padded = { pad: LINE_WORDS - 1 } as const;

/** The structs of a lock's memory, one behind the other. */
function layoutOf(name: TextbookName, { threads, perCohort }: Pick<Place, 'threads' | 'perCohort'>): Layout {
  const sockets = Math.ceil(threads / perCohort);
  switch (name) {
    case 'packed-counters':
      return struct({ count: threads });
    case 'ticket':
      return struct({ next: 1, serving: 1 });
    case 'mcs':
    case 'mcs-park':
    case 'mcs-sleep':
      return struct({ tail: 1, ...padded, node: arrayOf(threads, Node) });
    case 'plain-qspinlock':
    case 'plain-qspinlock-try':
    case 'plain-qspinlock-prefetch':
      return struct({ lock: 1, ...padded, node: arrayOf(threads, Node) });
    case 'cna': {
      const CnaNode = struct({ next: 1, spin: 1, socket: 1, last: 1, turns: 1, pad: LINE_WORDS - 5 });
      return struct({ tail: 1, ...padded, node: arrayOf(threads, CnaNode) });
    }
    case 'plain-qrwlock':
      return struct({ word: 1, ...padded, node: arrayOf(threads, Node), tail: 1 });
    case 'plain-rwsem':
      return struct({ count: 1, owner: 1 });
    case 'glibc-rwlock':
      return struct({ readers: 1, writer: 1 });
    case 'own-counter':
      return struct({ unused: LINE_WORDS, thread: arrayOf(threads, struct({ count: 1, ...padded })) });
    case 'hash-global':
    case 'hash-buckets':
    case 'hash-rcu':
    case 'hash-qsbr': {
      const Bucket = struct({ lock: 1, first: 1, pad: LINE_WORDS - 2 });
      const [bucket, element] = [arrayOf(BUCKETS, Bucket), arrayOf(BUCKETS, struct({ value: 1, ...padded }))];
      const thread = arrayOf(threads, struct({ reads: 1, ...padded }));
      return struct({ lock: 1, ...padded, bucket, element, thread });
    }
    case 'plain-rcu':
      return struct({ unused: LINE_WORDS, thread: arrayOf(threads, struct({ nesting: 1, ...padded })) });
    case 'clh': {
      const Mine = struct({ node: 1, prev: 1, pad: LINE_WORDS - 2 });
      return struct({ tail: 1, ...padded, node: arrayOf(threads + 1, Flag), thread: arrayOf(threads, Mine) });
    }
    case 'cohort': {
      const Socket = struct({ tail: 1, passed: 1, pad: LINE_WORDS - 2 });
      const [socket, globalNode] = [arrayOf(sockets, Socket), arrayOf(sockets, Node)];
      return struct({ globalTail: 1, ...padded, node: arrayOf(threads, Node), socket, globalNode });
    }
    default:
      return struct({ word: 1 });
  }
}

/** Names for the words of a lock's memory, from `base` on. */
export function textbookWordNames(name: TextbookName, place: Pick<Place, 'base' | 'threads' | 'perCohort'>) {
  const layout = layoutOf(name, place);
  return (address: number): string => `${name}.${wordName(layout, address - place.base)}`;
}

/** Words that a lock needs; without a name, one that is no hash table. */
export function textbookWords(threads: number, name?: TextbookName): number {
  const table = name?.startsWith('hash-') === true ? 2 * BUCKETS : 0;
  return LINE_WORDS * (4 * threads + 4 + table);
}

/** What the lock's memory holds before anybody takes it. */
export function formatTextbook(
  name: TextbookName,
  memory: Int32Array,
  { base, threads }: Pick<Place, 'base' | 'threads'>,
): void {
  if (name === 'plain-rwlock') memory[base] = ALL;
  if (name !== 'clh') return;
  // A free node is at the tail, and each thread has one.
  memory[base] = base + LINE_WORDS * (1 + threads);
  for (let me = 0; me < threads; me++) memory[base + LINE_WORDS * (2 + threads + me)] = base + LINE_WORDS * (1 + me);
}
