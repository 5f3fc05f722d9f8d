/** What a machine counts: arcs of the coherence protocol, messages, and what the cores met with. */

/**
 * The arcs of MESI, by the letters of "Memory Barriers: a Hardware View for Software Hackers" (McKenney 2010), whose
 * transition diagram they are. The arcs behind `l` are not in it: a load miss that finds no other copy (I to E), what
 * MOESI adds (M to O on a read, O to M on a write, O to I), and evictions.
 */
export const ARCS = [
  'a',
  'b',
  'c',
  'd',
  'e',
  'f',
  'g',
  'h',
  'i',
  'j',
  'k',
  'l',
  'I>E',
  'M>O',
  'O>M',
  'O>I',
  'evict',
] as const;
export type ArcName = (typeof ARCS)[number];

export const Arc = {
  a: 0,
  b: 1,
  c: 2,
  d: 3,
  e: 4,
  f: 5,
  g: 6,
  h: 7,
  i: 8,
  j: 9,
  k: 10,
  l: 11,
  alone: 12,
  lend: 13,
  reclaim: 14,
  lose: 15,
  evict: 16,
} as const;

export const MESSAGES = [
  'read',
  'read response',
  'invalidate',
  'invalidate acknowledge',
  'read invalidate',
  'write-back',
] as const;
export type MessageName = (typeof MESSAGES)[number];

export const Message = {
  read: 0,
  response: 1,
  invalidate: 2,
  acknowledge: 3,
  readInvalidate: 4,
  writeBack: 5,
} as const;

const HEADER_BYTES = 16;
const LINE_BYTES = 64;
/** By message. */
const BYTES = [
  HEADER_BYTES,
  HEADER_BYTES + LINE_BYTES,
  HEADER_BYTES,
  HEADER_BYTES,
  HEADER_BYTES,
  HEADER_BYTES + LINE_BYTES,
];

export class Counters {
  readonly arcs = new Float64Array(ARCS.length);
  readonly messages = new Float64Array(MESSAGES.length);
  /** Calls of `Cpu`, each once, however long it takes. */
  operations = 0;
  /** Loads of spin loops, turn by turn. */
  spins = 0;
  /** Loads that an invalidated line answered, from the queue. */
  stale = 0;
  forwarded = 0;
  /** Store-exclusives that failed, by cause. */
  readonly failedExclusives = { write: 0, eviction: 0, spurious: 0 };
  /** Threads taken from their core in the middle of something, and system calls. */
  switches = 0;
  sleeps = 0;
  wakes = 0;
  /** How often a thread's step was run again from its start. */
  replays = 0;
  events = 0;

  get messageCount(): number {
    return this.messages.reduce((sum, count) => sum + count, 0);
  }

  get bytes(): number {
    return this.messages.reduce((sum, count, message) => sum + count * BYTES[message]!, 0);
  }
}
