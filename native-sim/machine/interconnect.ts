/**
 * How long messages take between cores, and how long they queue. Each group of a level has one link, which a message
 * that leaves the group at that level keeps busy; a bus has one link for all.
 *
 * An exchange between cores is three legs: the request to the line's home, which stands with the core that had the line
 * last; the forward, or the invalidation, to the core that has it; and the answer.
 */
import type { Profile } from './profile.ts';

/** A request and a forward are 3/10 of a transfer each, the answer, with the line, is 4/10. */
const REQUEST_PART = 0.3;
const FORWARD_PART = 0.3;
const ANSWER_PART = 0.4;
/** The forward and the answer as one, for a line that its sender keeps as it is. */
const READ_PART = FORWARD_PART + ANSWER_PART;
/** An upgrade's home stands with its requester, so there and back is all. */
const HALF = 0.5;

export const PS = 1000;

export class Interconnect {
  /** By pair of cores, ps: the legs of a transfer; how long the line stays; one way of an upgrade. */
  readonly #request: Int32Array;
  readonly #forward: Int32Array;
  readonly #answer: Int32Array;
  readonly #read: Int32Array;
  readonly #hold: Float64Array;
  readonly #half: Int32Array;
  readonly #level: Uint8Array;
  readonly #cores: number;
  /** By level and group: when its link is free. By level and core: its group. */
  readonly #free: Float64Array[];
  readonly #groups: Uint16Array[];
  readonly #occupancy: number[];
  readonly #isBus: boolean;
  /** By core: its inner domain, where there are several. */
  readonly #inner: readonly number[] | null;
  /** The shortest time in which a core's event can reach another core, ps. */
  readonly lookahead: number;
  /** Time that messages spent in queues, ps. */
  queued = 0;

  /** `places`: which of the profile's cores these are. */
  constructor(
    profile: Profile,
    cores: number,
    places: readonly number[] = Array.from({ length: cores }, (_, core) => core),
  ) {
    this.#cores = cores;
    this.#isBus = profile.interconnect === 'bus';
    const { innerCores } = profile;
    this.#inner = innerCores === undefined ? null : places.map((place) => Math.floor(place / innerCores));
    const pairs = () => new Int32Array(cores * cores);
    this.#request = pairs();
    this.#forward = pairs();
    this.#answer = pairs();
    this.#read = pairs();
    this.#hold = new Float64Array(cores * cores);
    this.#half = pairs();
    this.#level = new Uint8Array(cores * cores);
    this.#occupancy = profile.levels.map((level) => Math.round(level.occupancyNs * PS));
    this.#groups = profile.levels.map(({ cores: size }) =>
      Uint16Array.from(places, (place) => Math.floor(place / size)),
    );
    this.#free = this.#groups.map((groups) => new Float64Array(Math.max(...groups) + 1));
    let least = Number.POSITIVE_INFINITY;
    for (let a = 0; a < cores; a++) {
      for (let b = 0; b < cores; b++) {
        const [here, there] = [places[a]!, places[b]!];
        const level = profile.levels.findIndex(
          ({ cores: size }) => Math.floor(here / size) === Math.floor(there / size),
        );
        const { transferNs, upgradeNs } = profile.levels[level]!;
        const extra = level === 0 ? extraHops(profile, here, there) * profile.hopNs : 0;
        this.#level[a * cores + b] = level;
        const transfer = Math.max(1, Math.round((transferNs + extra) * PS));
        const upgrade = Math.max(1, Math.round((upgradeNs + extra) * PS));
        const pair = a * cores + b;
        this.#request[pair] = Math.round(transfer * REQUEST_PART);
        this.#forward[pair] = Math.round(transfer * FORWARD_PART);
        this.#answer[pair] = Math.round(transfer * ANSWER_PART);
        this.#read[pair] = Math.round(transfer * READ_PART);
        this.#hold[pair] = profile.hold * transfer;
        this.#half[pair] = Math.round(upgrade * HALF);
        least = Math.min(least, transfer, upgrade);
      }
    }
    this.lookahead = Math.max(1, Math.floor(least * REQUEST_PART));
  }

  /** Are the two in different inner domains? */
  isForeign(a: number, b: number): boolean {
    return this.#inner !== null && this.#inner[a] !== this.#inner[b];
  }

  level(a: number, b: number): number {
    return this.#level[a * this.#cores + b]!;
  }

  /** The three legs of a transfer of a line from core `to`, which has it, to core `from`, ps. */
  request(from: number, home: number): number {
    return this.#request[from * this.#cores + home]!;
  }
  forward(from: number, to: number): number {
    return this.#forward[from * this.#cores + to]!;
  }
  answer(from: number, to: number): number {
    return this.#answer[from * this.#cores + to]!;
  }

  /** The last two of these as one, for a line that is only read. */
  read(from: number, to: number): number {
    return this.#read[from * this.#cores + to]!;
  }

  /** How long a line stays with core `owner` before it can go on to core `to`. */
  hold(owner: number, to: number): number {
    return this.#hold[owner * this.#cores + to]!;
  }

  /** Half of an exchange that moves no data: there, or back. */
  half(a: number, b: number): number {
    return this.#half[a * this.#cores + b]!;
  }

  /** Books `messages` on the links between two cores, from `time` on, and returns how long they have to wait. */
  occupy(from: number, to: number, messages: number, time: number): number {
    const level = this.#isBus ? 0 : this.#level[from * this.#cores + to]!;
    const free = this.#free[level]!;
    const group = this.#groups[level]![from]!;
    const wait = Math.max(0, free[group]! - time);
    free[group] = time + wait + this.#occupancy[level]! * messages;
    this.queued += wait;
    return wait;
  }
}

/** Stops between two cores of one group, less what they are on average. */
function extraHops({ interconnect, levels }: Profile, a: number, b: number): number {
  const { cores } = levels[0]!;
  if (a === b || cores < 2) return 0;
  const [i, j] = [a % cores, b % cores];
  if (interconnect === 'ring') {
    const around = Math.abs(i - j);
    return Math.min(around, cores - around) - cores / 4;
  }
  if (interconnect === 'mesh') {
    const width = Math.ceil(Math.sqrt(cores));
    const hops = Math.abs((i % width) - (j % width)) + Math.abs(Math.floor(i / width) - Math.floor(j / width));
    return hops - (2 * width) / 3;
  }
  return 0;
}
