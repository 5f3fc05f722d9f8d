/**
 * The homes of lines. A line's home serves one request for it at a time, in order of arrival, except that reads of a line
 * that nobody has modified go on side by side.
 */
import type { Request } from './core.ts';
import type { Directory } from './directory.ts';
import type { Interconnect } from './interconnect.ts';

/** Of a line for which no request has come yet. */
const NOBODY: Request[] = [];

/** What a home has done elsewhere. */
export interface Household {
  /** The home serves the request now. */
  serve(request: Request, time: number): void;
  /** The home looks again, on behalf of `core`, at `time`. */
  lookAgain(line: number, core: number, time: number): void;
}

export class Homes {
  readonly #directory: Directory;
  readonly #network: Interconnect;
  readonly #household: Household;
  /** How long a home takes for a request, ps. */
  readonly #directoryPs: number;
  readonly #busy: Uint8Array;
  readonly #hasTimer: Uint8Array;
  /** By line: until when reads are under way; when its home is free again. */
  readonly #readsUntil: Float64Array;
  readonly #free: Float64Array;
  /** By line: requests that have arrived at its home and are not served yet. */
  readonly #waiting: Request[][];

  constructor(lines: number, directoryPs: number, directory: Directory, network: Interconnect, household: Household) {
    this.#directory = directory;
    this.#network = network;
    this.#household = household;
    this.#directoryPs = directoryPs;
    this.#busy = new Uint8Array(lines);
    this.#hasTimer = new Uint8Array(lines);
    this.#readsUntil = new Float64Array(lines);
    this.#free = new Float64Array(lines);
    this.#waiting = new Array<Request[]>(lines).fill(NOBODY);
  }

  /** A request has arrived. */
  arrive(request: Request, time: number): void {
    const { line } = request;
    const waiting = this.#waiting[line]!;
    if (waiting.length === 0 && this.#busy[line] === 0 && this.#freeFor(request) <= time) {
      this.#serve(request, time);
      return;
    }
    if (waiting === NOBODY) this.#waiting[line] = [];
    this.#waiting[line]!.push(request);
    this.serveWaiting(line, time);
  }

  /** `lookAgain`, at its time. */
  look(line: number, time: number): void {
    this.#hasTimer[line] = 0;
    this.serveWaiting(line, time);
  }

  /** Serves the requests for `line` that wait at its home, as far as may be now. */
  serveWaiting(line: number, time: number): void {
    const waiting = this.#waiting[line]!;
    if (waiting.length === 0) return;
    while (waiting.length > 0 && this.#busy[line] === 0) {
      const request = waiting[0]!;
      const free = this.#freeFor(request);
      if (free > time) {
        if (this.#hasTimer[line] === 0) {
          this.#hasTimer[line] = 1;
          this.#household.lookAgain(line, request.core, free);
        }
        return;
      }
      waiting.shift();
      this.#serve(request, time);
    }
  }

  #serve(request: Request, time: number): void {
    this.#free[request.line] = time + this.#directoryPs;
    this.#household.serve(request, time);
  }

  /** When may the line be asked of those that have it? */
  #freeFor({ core, line, isOwning }: Request): number {
    const directory = this.#directory;
    const owner = directory.owner[line]!;
    let free = this.#free[line]!;
    if (owner >= 0 && owner !== core) {
      free = Math.max(free, Math.round(directory.ownedSince[line]! + this.#network.hold(owner, core)));
    }
    // Data under way to readers must get there before one core has the line for itself.
    const isExclusive = isOwning || (owner < 0 && directory.nearestSharer(core, line) < 0);
    return isExclusive ? Math.max(free, this.#readsUntil[line]! + 1) : free;
  }

  /** Until `done` the line's home serves no other request. */
  keepBusy(request: Request): void {
    request.keepsHomeBusy = true;
    this.#busy[request.line] = 1;
  }

  done(request: Request): void {
    if (request.keepsHomeBusy) this.#busy[request.line] = 0;
  }

  /** Data of the line are under way to a reader, until `time`. */
  readUntil(line: number, time: number): void {
    this.#readsUntil[line] = Math.max(this.#readsUntil[line]!, time);
  }

  /** Requests that have arrived at their home and are not served yet. */
  get waiting(): Request[] {
    return this.#waiting.flat();
  }
}
