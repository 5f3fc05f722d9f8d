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

export const PS = 1000;

export class Interconnect {
  /** By pair of cores, ps: a whole transfer, and a whole upgrade. */
  readonly #transfer: Int32Array;
  readonly #upgrade: Int32Array;
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
    this.#transfer = new Int32Array(cores * cores);
    this.#upgrade = new Int32Array(cores * cores);
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
        this.#transfer[a * cores + b] = Math.max(1, Math.round((transferNs + extra) * PS));
        this.#upgrade[a * cores + b] = Math.max(1, Math.round((upgradeNs + extra) * PS));
        least = Math.min(least, this.#transfer[a * cores + b]!, this.#upgrade[a * cores + b]!);
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

  transfer(a: number, b: number): number {
    return this.#transfer[a * this.#cores + b]!;
  }

  /** Half of an exchange that moves no data: there, or back. */
  upgrade(a: number, b: number): number {
    return this.#upgrade[a * this.#cores + b]!;
  }

  request(from: number, home: number): number {
    return Math.round(this.#transfer[from * this.#cores + home]! * REQUEST_PART);
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
