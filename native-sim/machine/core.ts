/**
 * What a core holds beside its caches: the store buffer, the queue of invalidations that it has acknowledged and not
 * carried out, and the requests that it has sent for lines.
 */

import { LINE_SHIFT, LINE_WORDS } from './caches.ts';
import { ZERO } from './event-queue.ts';

/** A store that the core has made and that no other core can see yet. */
export interface BufferedStore {
  address: number;
  line: number;
  value: number;
  /** No earlier store may become visible after it. */
  isRelease: boolean;
  /** See `propagation.ts`; 0 on other machines. */
  base: number;
  /** How many write barriers the thread had passed: those of an earlier epoch become visible first. */
  epoch: number;
  /** Its event, where a recorder follows the run. */
  id: number;
}

/** An invalidation that was acknowledged at `arrived` and is carried out at `until`: in between the core may still read. */
export class QueuedInvalidation {
  line = 0;
  arrived = ZERO;
  until = ZERO;
  /** It comes from another inner domain. */
  isForeign = false;
  /** The line as it was, and who wrote its words. */
  readonly words = new Int32Array(LINE_WORDS);
  writers: Int32Array | null = null;
}

/** A request for a line on its way, or at its home. */
export interface Request {
  core: number;
  /** The word that it is sent for. */
  address: number;
  line: number;
  /** To own it, rather than to read it. */
  isOwning: boolean;
  /** For a read-modify-write, rather than for a store: it goes to M by itself. */
  isAtomic: boolean;
  keepsHomeBusy: boolean;
}

export class Core {
  readonly number: number;
  /** How far the core has got, ps. It may be ahead of the machine's clock. */
  clock = ZERO;
  /** The latest of the times at which memory answered a load that later loads must not go behind. */
  floor = ZERO;
  /** The same for invalidations that come from another inner domain; see `barriers.ts`. */
  foreignFloor = ZERO;
  /** A DMB was passed, and no load since: `Gate`. */
  gate = 0;
  /** See `propagation.ts`: of the next store; what has been read or written; when the last store became visible, its epoch, and the last of an earlier one. */
  base = ZERO;
  seen = ZERO;
  committedLast = ZERO;
  committedBefore = ZERO;
  committedEpoch = 0;
  /** The next store's epoch. */
  epoch = 0;
  /** The line that the exclusive monitor watches, or -1; what the word held that was loaded, and its writer. */
  reserved = -1;
  reservedValue = 0;
  reservedWriter = 0;
  readonly stores: BufferedStore[] = [];
  readonly invalidations: QueuedInvalidation[] = [];
  /** Entries of that queue to use again. */
  readonly #spare: QueuedInvalidation[] = [];
  readonly requests: Request[] = [];
  /** When messages that take a line away or down arrive here, and the earliest of these times. */
  readonly probes: number[] = [];
  probeAt = Number.POSITIVE_INFINITY;

  constructor(number: number) {
    this.number = number;
  }

  expectProbe(time: number): void {
    this.probes.push(time);
    if (time < this.probeAt) this.probeAt = time;
  }

  probeArrived(time: number): void {
    const { probes } = this;
    let isFound = false;
    let least = Number.POSITIVE_INFINITY;
    const last = probes.length - 1;
    for (let at = 0; at <= last; at++) {
      let probe = probes[at]!;
      if (!isFound && probe === time) {
        isFound = true;
        if (at === last) break;
        probe = probes[last]!;
        probes[at] = probe;
      }
      if (probe < least) least = probe;
    }
    probes.pop();
    this.probeAt = least;
  }

  requestFor(line: number): Request | undefined {
    const { requests } = this;
    for (let at = 0; at < requests.length; at++) if (requests[at]!.line === line) return requests[at];
    return undefined;
  }

  requestDone(request: Request): void {
    const { requests } = this;
    const last = requests.pop()!;
    if (last === request) return;
    for (let at = 0; at < requests.length; at++) if (requests[at] === request) requests[at] = last;
  }

  /** The store at place `at` of the buffer has become visible. */
  storeDone(at: number): void {
    const { stores } = this;
    for (let next = at + 1; next < stores.length; next++) stores[next - 1] = stores[next]!;
    stores.pop();
  }

  /** The latest store to `address` that is still in the buffer. */
  buffered(address: number): BufferedStore | undefined {
    const { stores } = this;
    for (let at = stores.length - 1; at >= 0; at--) if (stores[at]!.address === address) return stores[at];
    return undefined;
  }

  hasBufferedLine(line: number): boolean {
    const { stores } = this;
    for (let at = 0; at < stores.length; at++) if (stores[at]!.line === line) return true;
    return false;
  }

  hasBufferedRelease(): boolean {
    const { stores } = this;
    for (let at = 0; at < stores.length; at++) if (stores[at]!.isRelease) return true;
    return false;
  }

  hasEarlierEpoch(epoch: number): boolean {
    const { stores } = this;
    for (let at = 0; at < stores.length; at++) if (stores[at]!.epoch < epoch) return true;
    return false;
  }

  /** The invalidation of `line` that still waits at `time`. */
  queuedInvalidation(line: number, time: number): QueuedInvalidation | undefined {
    const { invalidations } = this;
    for (let at = 0; at < invalidations.length; at++) {
      const entry = invalidations[at]!;
      if (entry.line === line && entry.until > time) return entry;
    }
    return undefined;
  }

  /** Queues an invalidation, with the line as it is. The queue holds `most`. */
  queueInvalidation(
    line: number,
    arrived: number,
    until: number,
    most: number,
    memory: Int32Array,
    writers: Int32Array | null,
  ): QueuedInvalidation {
    const { invalidations } = this;
    if (invalidations.length >= most) this.#spare.push(invalidations.shift()!);
    const entry = this.#spare.pop() ?? new QueuedInvalidation();
    entry.line = line;
    entry.arrived = arrived;
    entry.until = until;
    const from = line << LINE_SHIFT;
    for (let word = 0; word < LINE_WORDS; word++) entry.words[word] = memory[from + word]!;
    entry.writers = writers === null ? null : writers.slice(from, from + LINE_WORDS);
    invalidations.push(entry);
    return entry;
  }

  /** Carries out what is due at `time`, and what is queued for `line`. */
  retireInvalidations(time: number, line: number): void {
    const { invalidations } = this;
    let kept = 0;
    for (let at = 0; at < invalidations.length; at++) {
      const entry = invalidations[at]!;
      if (entry.until > time && entry.line !== line) invalidations[kept++] = entry;
      else this.#spare.push(entry);
    }
    while (invalidations.length > kept) invalidations.pop();
  }
}
