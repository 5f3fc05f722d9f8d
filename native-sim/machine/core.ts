/**
 * What a core holds beside its caches: the store buffer, the queue of invalidations that it has acknowledged and not
 * carried out, and the requests that it has sent for lines.
 */

/** A store that the core has made and that no other core can see yet. */
export interface BufferedStore {
  address: number;
  line: number;
  value: number;
  /** No earlier store may become visible after it. */
  isRelease: boolean;
  /** How many write barriers the thread had passed: those of an earlier epoch become visible first. */
  epoch: number;
  /** Its event, where a recorder follows the run. */
  id: number;
}

/** An invalidation that was acknowledged at `arrived` and is carried out at `until`: in between the core may still read. */
export interface QueuedInvalidation {
  line: number;
  arrived: number;
  until: number;
  /** The line as it was, and who wrote its words. */
  words: Int32Array;
  writers: Int32Array | null;
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
  clock = 0;
  /** The latest of the times at which memory answered a load that later loads must not go behind. */
  floor = 0;
  /** The next store's epoch. */
  epoch = 0;
  readonly stores: BufferedStore[] = [];
  readonly invalidations: QueuedInvalidation[] = [];
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
    const at = probes.indexOf(time);
    probes[at] = probes[probes.length - 1]!;
    probes.pop();
    let least = Number.POSITIVE_INFINITY;
    for (const probe of probes) if (probe < least) least = probe;
    this.probeAt = least;
  }

  requestFor(line: number): Request | undefined {
    const { requests } = this;
    for (let at = 0; at < requests.length; at++) if (requests[at]!.line === line) return requests[at];
    return undefined;
  }

  requestDone(request: Request): void {
    this.requests.splice(this.requests.indexOf(request), 1);
  }

  /** The latest store to `address` that is still in the buffer. */
  buffered(address: number): BufferedStore | undefined {
    const { stores } = this;
    for (let at = stores.length - 1; at >= 0; at--) if (stores[at]!.address === address) return stores[at];
    return undefined;
  }

  hasBufferedLine(line: number): boolean {
    for (const store of this.stores) if (store.line === line) return true;
    return false;
  }

  hasBufferedRelease(): boolean {
    for (const store of this.stores) if (store.isRelease) return true;
    return false;
  }

  hasEarlierEpoch(epoch: number): boolean {
    for (const store of this.stores) if (store.epoch < epoch) return true;
    return false;
  }

  /** The invalidation of `line` that still waits at `time`. */
  queuedInvalidation(line: number, time: number): QueuedInvalidation | undefined {
    for (const entry of this.invalidations) if (entry.line === line && entry.until > time) return entry;
    return undefined;
  }

  /** Carries out what is due at `time`, and what is queued for `line`. */
  retireInvalidations(time: number, line: number): void {
    const { invalidations } = this;
    let kept = 0;
    for (const entry of invalidations) {
      if (entry.until > time && entry.line !== line) invalidations[kept++] = entry;
    }
    invalidations.length = kept;
  }
}
