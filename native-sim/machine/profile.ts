/**
 * A machine as data. `parseProfile` checks one that a user has written; `profiles.ts` has those that come with holdfast.
 *
 * The distance of two cores is the first level whose group holds both: level 0 is the socket (or the cluster that
 * shares a last-level cache), the last level the whole machine. `transferNs` is what a core pays for an atomic on a line
 * that a core at that distance has modified; `upgradeNs` what a core that shares the line with such a core pays to own it.
 */
export interface Level {
  name: string;
  /** Cores in one group of this level. */
  cores: number;
  transferNs: number;
  upgradeNs: number;
  /** How long one message keeps the link of a group busy. */
  occupancyNs: number;
}

export interface CacheSize {
  lines: number;
  ways: number;
  hitNs: number;
}

export const MODELS = ['sc', 'x86-tso', 'armv8', 'alpha', 'power'] as const;
export const PROTOCOLS = ['mesi', 'moesi', 'mesif'] as const;
export const INTERCONNECTS = ['bus', 'ring', 'mesh', 'point-to-point'] as const;

export interface Profile {
  name: string;
  description: string;
  /** The most cores that the machine has. */
  cores: number;
  /** Which orders its cores keep. `alpha`: loads may be answered from lines whose invalidation still waits. */
  model: (typeof MODELS)[number];
  protocol: (typeof PROTOCOLS)[number];
  /** What joins the cores of level 0; sockets are joined by point-to-point links. */
  interconnect: (typeof INTERCONNECTS)[number];
  levels: Level[];
  /** What one stop of a ring or mesh costs, around the mean that `levels[0].transferNs` is. */
  hopNs: number;
  l1: CacheSize;
  l2: CacheSize;
  memoryNs: number;
  /** How long a home is busy with one request for a line that is shared. */
  directoryNs: number;
  /** Which part of a transfer a line stays where it went before the next request takes it away, 0 to 1. */
  hold: number;
  storeBuffer: { entries: number; forwards: boolean };
  /** Invalidations that were acknowledged and wait; 0 entries: a core acknowledges when it has invalidated. */
  invalidateQueue: { entries: number; delayNs: number };
  /** Read-modify-writes are pairs of a load-exclusive and a store-exclusive, of which so many fail for no reason, 0 to 0.5. */
  exclusives?: { spurious: number };
  /** Cores of one inner shareable domain, of which there are several: a DMB ISH orders nothing for the cores of another. @default all */
  innerCores?: number;
  /** A read-modify-write of an owned line, a full barrier with nothing to wait for, one turn of a spin loop. */
  atomicNs: number;
  fenceNs: number;
  spinNs: number;
  /** System calls: going to sleep, waking somebody, until the sleeper runs; a switch; a time slice. */
  system: { sleepNs: number; wakeNs: number; wakeLatencyNs: number; switchNs: number; sliceNs: number };
}

/** A field of a profile, or an argument of a run, that no machine can have. */
export class SimError extends Error {
  override readonly name = 'SimError';
}

export const MOST_CORES = 512;

type Fields = Record<string, unknown>;

function shown(value: unknown): string {
  return value === undefined ? 'nothing' : (JSON.stringify(value) ?? String(value));
}

class Checker {
  readonly #where: string;

  constructor(where: string) {
    this.#where = where;
  }

  fail(field: string, expected: string, value: unknown): never {
    throw new SimError(`${this.#where}: ${field} must be ${expected}; received ${shown(value)}`);
  }

  object(value: unknown, field: string): Fields {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) this.fail(field, 'an object', value);
    return value as Fields;
  }

  number(from: Fields, field: string, least: number, most: number, prefix = ''): number {
    const value = from[field];
    const isFine = typeof value === 'number' && value >= least && value <= most;
    if (!isFine) this.fail(prefix + field, `a number from ${least} to ${most}`, value);
    return value;
  }

  whole(from: Fields, field: string, least: number, most: number, prefix = ''): number {
    const value = from[field];
    if (!Number.isInteger(value) || (value as number) < least || (value as number) > most) {
      this.fail(prefix + field, `a whole number from ${least} to ${most}`, value);
    }
    return value as number;
  }

  boolean(from: Fields, field: string, prefix: string): boolean {
    const value = from[field];
    if (typeof value !== 'boolean') this.fail(prefix + field, 'true or false', value);
    return value;
  }

  oneOf<T extends string>(from: Fields, field: string, choices: readonly T[]): T {
    const value = from[field];
    if (!choices.includes(value as T)) this.fail(field, `one of ${choices.join(', ')}`, value);
    return value as T;
  }

  text(from: Fields, field: string, prefix = ''): string {
    const value = from[field];
    if (typeof value !== 'string' || value === '') this.fail(prefix + field, 'a text', value);
    return value;
  }

  /** A machine has no other fields: one that is misspelt would be ignored. */
  noOthers(from: Fields, known: readonly string[], prefix = ''): void {
    for (const field of Object.keys(from)) {
      if (!known.includes(field)) this.fail(prefix + field, `one of the fields ${known.join(', ')}`, from[field]);
    }
  }
}

/** Times up to a millisecond: enough for any machine, and no run overflows. */
const MOST_NS = 1e6;
/** No two events of different cores at one time: each message takes some. */
const LEAST_NS = 0.5;

/** Checks a profile and copies it. Throws SimError, which names the field and what it may be. */
export function parseProfile(value: unknown, where = 'profile'): Profile {
  const check = new Checker(where);
  const from = check.object(value, 'it');
  const name = check.text(from, 'name');
  const cores = check.whole(from, 'cores', 1, MOST_CORES);
  const parts = from as {
    readonly [part in
      | 'exclusives'
      | 'innerCores'
      | 'storeBuffer'
      | 'invalidateQueue'
      | 'system'
      | 'levels'
      | 'l1'
      | 'l2']?: unknown;
  };
  const buffer = check.object(parts.storeBuffer, 'storeBuffer');
  const queue = check.object(parts.invalidateQueue, 'invalidateQueue');
  const system = check.object(parts.system, 'system');
  const ns = (field: string, least = 0) => check.number(from, field, least, MOST_NS);
  const call = (field: string, least = 0) => check.number(system, field, least, 1e9, 'system.');
  const profile: Profile = {
    name,
    description: check.text(from, 'description'),
    cores,
    model: check.oneOf(from, 'model', MODELS),
    protocol: check.oneOf(from, 'protocol', PROTOCOLS),
    interconnect: check.oneOf(from, 'interconnect', INTERCONNECTS),
    levels: parseLevels(check, parts.levels, cores),
    hopNs: ns('hopNs'),
    l1: parseCache(check, parts.l1, 'l1'),
    l2: parseCache(check, parts.l2, 'l2'),
    memoryNs: ns('memoryNs', LEAST_NS),
    directoryNs: ns('directoryNs'),
    hold: check.number(from, 'hold', 0, 1),
    storeBuffer: {
      entries: check.whole(buffer, 'entries', 0, 256, 'storeBuffer.'),
      forwards: check.boolean(buffer, 'forwards', 'storeBuffer.'),
    },
    invalidateQueue: {
      entries: check.whole(queue, 'entries', 0, 64, 'invalidateQueue.'),
      delayNs: check.number(queue, 'delayNs', 0, MOST_NS, 'invalidateQueue.'),
    },
    atomicNs: ns('atomicNs'),
    fenceNs: ns('fenceNs'),
    spinNs: ns('spinNs', 0.1),
    system: {
      sleepNs: call('sleepNs'),
      wakeNs: call('wakeNs'),
      wakeLatencyNs: call('wakeLatencyNs'),
      switchNs: call('switchNs'),
      sliceNs: call('sliceNs', 1000),
    },
  };
  if (parts.exclusives !== undefined) profile.exclusives = parseExclusives(check, parts.exclusives, profile.model);
  if (parts.innerCores !== undefined) {
    if (profile.model !== 'armv8') check.fail('innerCores', 'left out under any model but armv8', parts.innerCores);
    profile.innerCores = check.whole(from, 'innerCores', 1, cores);
  }
  check.noOthers(from, [...Object.keys(profile), 'exclusives', 'innerCores']);
  check.noOthers(buffer, ['entries', 'forwards'], 'storeBuffer.');
  check.noOthers(queue, ['entries', 'delayNs'], 'invalidateQueue.');
  check.noOthers(system, Object.keys(profile.system), 'system.');
  if (profile.l2.hitNs < profile.l1.hitNs)
    check.fail('l2.hitNs', `at least l1.hitNs (${profile.l1.hitNs})`, profile.l2.hitNs);
  checkHops(check, profile);
  return profile;
}

function parseExclusives(check: Checker, value: unknown, model: Profile['model']): { spurious: number } {
  const from = check.object(value, 'exclusives');
  if (model === 'sc' || model === 'x86-tso') check.fail('exclusives', `left out under ${model}`, value);
  check.noOthers(from, ['spurious'], 'exclusives.');
  return { spurious: check.number(from, 'spurious', 0, 0.5, 'exclusives.') };
}

function parseCache(check: Checker, value: unknown, field: string): CacheSize {
  const from = check.object(value, field);
  const ways = check.whole(from, 'ways', 1, 64, `${field}.`);
  const lines = check.whole(from, 'lines', 1, 1 << 20, `${field}.`);
  if (lines % ways !== 0) check.fail(`${field}.lines`, `a multiple of ${field}.ways (${ways})`, lines);
  check.noOthers(from, ['lines', 'ways', 'hitNs'], `${field}.`);
  return { lines, ways, hitNs: check.number(from, 'hitNs', 0, MOST_NS, `${field}.`) };
}

function parseLevels(check: Checker, value: unknown, cores: number): Level[] {
  if (!Array.isArray(value) || value.length === 0 || value.length > 4) check.fail('levels', 'a list of 1 to 4', value);
  const levels: Level[] = [];
  for (const [at, entry] of value.entries()) {
    const prefix = `levels[${at}].`;
    const from = check.object(entry, `levels[${at}]`);
    const inner = levels.at(-1);
    // A farther core cannot be nearer.
    const level: Level = {
      name: check.text(from, 'name', prefix),
      cores: check.whole(from, 'cores', inner === undefined ? 1 : inner.cores, MOST_CORES, prefix),
      transferNs: check.number(from, 'transferNs', inner?.transferNs ?? 2, MOST_NS, prefix),
      upgradeNs: check.number(from, 'upgradeNs', inner?.upgradeNs ?? 2, MOST_NS, prefix),
      occupancyNs: check.number(from, 'occupancyNs', 0, MOST_NS, prefix),
    };
    check.noOthers(from, Object.keys(level), prefix);
    if (inner !== undefined && level.cores % inner.cores !== 0) {
      check.fail(`${prefix}cores`, `a multiple of levels[${at - 1}].cores (${inner.cores})`, level.cores);
    }
    levels.push(level);
  }
  const last = levels.at(-1)!;
  if (last.cores < cores) check.fail(`levels[${levels.length - 1}].cores`, `at least cores (${cores})`, last.cores);
  return levels;
}

/** With the fewest hops a message must still take some time. */
function checkHops(check: Checker, { interconnect, hopNs, levels }: Profile): void {
  if (interconnect !== 'ring' && interconnect !== 'mesh') return;
  const { cores, transferNs } = levels[0]!;
  const hops = interconnect === 'ring' ? cores / 4 : Math.ceil(Math.sqrt(cores));
  const most = (transferNs - 3 * LEAST_NS) / Math.max(1, hops);
  if (hopNs > most)
    check.fail('hopNs', `at most ${most.toFixed(2)}, which is levels[0].transferNs over the hops`, hopNs);
}
