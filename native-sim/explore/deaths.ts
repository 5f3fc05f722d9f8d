/**
 * Which deaths are explored. A point is a thread and the number of an operation before which it dies; a second death
 * is a point of its own for each first victim, and a reaper is a thread like any other. Points are not chosen: all that
 * any run has shown are known, and each is either reached, or named as missed.
 */
import type { Graph } from './graph.ts';
import type { Kill, Program } from './program.ts';

export interface KillOptions {
  /** Most deaths in one execution. @default 1 */
  count?: number;
  /** Whose; reapers follow the threads. @default all threads, and from the second death on the reapers */
  threads?: readonly number[];
  /** In random mode: executions in which each point is reached. @default 4 */
  walks?: number;
}

/** How many points there are, and how many of them were reached. */
export interface Points {
  known: number;
  reached: number;
  /** What was not reached, as `thread 0 before its operation 17`. */
  missed: string[];
}

export interface Deaths {
  count: number;
  walks: number;
  /** The threads that may die after `kills`. */
  victims(kills: readonly Kill[]): number[];
}

const NO_DEATHS: Deaths = { count: 0, walks: 0, victims: () => [] };

export function deathsOf(program: Program, kill: boolean | KillOptions | undefined): Deaths {
  if (kill === undefined || kill === false) return NO_DEATHS;
  const { count = 1, threads, walks = 4 } = kill === true ? {} : kill;
  const all = program.threads.map((_, t) => t);
  const chosen = threads ?? all;
  return {
    count: chosen.length === 0 ? 0 : count,
    walks,
    victims(kills) {
      if (kills.length >= count) return [];
      const reapers =
        program.reaper === undefined || threads !== undefined ? [] : kills.map((_, i) => program.threads.length + i);
      return [...chosen, ...reapers].filter((t) => kills.every(({ thread }) => thread !== t));
    },
  };
}

/** The last death, and who died before it. When they died makes no point of its own: there would be too many. */
export function describePoint(kills: readonly Kill[]): string {
  const last = kills[kills.length - 1]!;
  const earlier = kills.slice(0, -1).map(({ thread }) => `after thread ${thread}, `);
  return `${earlier.join('')}thread ${last.thread} before its operation ${last.step}`;
}

/** A graph at a moment at which `kills`, the last of which is about to happen, can be made to happen. */
export interface Origin {
  graph: Graph;
  /** The first event that does not happen any more. */
  stamp: number;
  kills: readonly Kill[];
}

interface Visits {
  count: number;
  origin: Origin;
}

/** The points that random executions have shown, and how often each was reached. */
export class Coverage {
  readonly #visits = new Map<string, Visits>();
  readonly #walks: number;

  constructor(walks: number) {
    this.#walks = walks;
  }

  /** How often the point was reached; one that was not known is, from now on. */
  visits(origin: Origin): Visits {
    const key = describePoint(origin.kills);
    let visits = this.#visits.get(key);
    if (visits === undefined) this.#visits.set(key, (visits = { count: 0, origin }));
    return visits;
  }

  isEnough({ count }: Visits): boolean {
    return count >= this.#walks;
  }

  /** The points that were not reached often enough. */
  *scarce(): Generator<Visits> {
    for (const visits of this.#visits.values()) if (!this.isEnough(visits)) yield visits;
  }

  report(): Points {
    return pointsOf(this.tally());
  }

  /** By the name of a point, how often it was reached. */
  tally(): Map<string, number> {
    return new Map([...this.#visits.values()].map(({ origin, count }) => [describePoint(origin.kills), count]));
  }
}

export function pointsOf(tally: ReadonlyMap<string, number>): Points {
  const missed = [...tally].filter(([, count]) => count === 0).map(([name]) => name);
  return { known: tally.size, reached: tally.size - missed.length, missed };
}

/** What one plan came to, as far as the plans after it depend on that. */
export interface PlanOutcome {
  executions: number;
  blocked: number;
  complete: boolean;
  /** By thread: the operations of its longest run. */
  longest: ArrayLike<number>;
}

/** The operations of one thread, after the same earlier deaths. */
interface Series {
  readonly before: readonly Kill[];
  readonly thread: number;
  next: number;
  /** Operations of its longest run so far. */
  longest: number;
}

/** Whether a plan's last death has happened, was not seen to happen, or was seen not to happen at all. */
type Reach = 'reached' | 'missed' | 'none';

/** Where the plans are, for a search that goes on another time. */
export interface PlansState {
  readonly series: readonly Series[];
  readonly reaches: readonly (readonly [plan: readonly Kill[], reach: Reach])[];
}

/**
 * The plans of an exhaustive search: none dies; then every thread before every operation of its longest run; then, for
 * each of these, every other.
 */
export class DeathPlans {
  readonly #deaths: Deaths;
  readonly #series: Series[];
  /** By the plan's deaths. */
  readonly #reaches: Map<string, readonly [readonly Kill[], Reach]>;

  constructor(deaths: Deaths, { series, reaches }: PlansState = { series: [], reaches: [] }) {
    this.#deaths = deaths;
    this.#series = series.map((each) => ({ ...each }));
    this.#reaches = new Map(reaches.map((each) => [keyOf(each[0]), each]));
  }

  get state(): PlansState {
    return { series: this.#series, reaches: [...this.#reaches.values()] };
  }

  /** How many plans are known to be left. */
  get left(): number {
    return this.#series.reduce((sum, { next, longest }) => sum + Math.max(0, longest - next), 0);
  }

  next(): Kill[] | null {
    const series = this.#series.find(({ next, longest }) => next < longest);
    return series === undefined ? null : [...series.before, { thread: series.thread, step: series.next++ }];
  }

  /** What `plan`, the empty one or one that `next` gave, came to; again, when more of it was looked at. */
  done(plan: readonly Kill[], { executions, blocked, complete, longest }: PlanOutcome): void {
    const isReached = executions + blocked > 0;
    // A search that saw everything and never got there has proved that there is no such point.
    if (plan.length > 0) {
      this.#reaches.set(keyOf(plan), [plan, isReached ? 'reached' : complete ? 'none' : 'missed']);
    }
    for (const series of this.#series) {
      if (series.before.every((kill, i) => isSame(kill, plan[i]))) {
        series.longest = Math.max(series.longest, longest[series.thread] ?? 0);
      }
    }
    if (!isReached) return;
    for (const thread of this.#deaths.victims(plan)) {
      // In which order two threads die is not told apart, but a reaper dies second.
      if (plan.some((kill) => kill.thread > thread)) continue;
      if (
        this.#series.some(
          (s) => s.thread === thread && s.before.length === plan.length && plan.every((k, i) => isSame(k, s.before[i])),
        )
      )
        continue;
      this.#series.push({ before: plan, thread, next: 0, longest: longest[thread] ?? 0 });
    }
  }

  /** Plans that are left are missed. */
  report(): Points {
    const seen = [...this.#reaches.values()];
    const missed = seen.filter(([, reach]) => reach === 'missed').map(([plan]) => describePoint(plan));
    for (const { before, thread, next, longest } of this.#series) {
      for (let step = next; step < longest; step++) missed.push(describePoint([...before, { thread, step }]));
    }
    const reached = seen.filter(([, reach]) => reach === 'reached').length;
    return { known: reached + missed.length, reached, missed };
  }
}

function keyOf(plan: readonly Kill[]): string {
  return plan.map(({ thread, step }) => `${thread}:${step}`).join(' ');
}

function isSame(a: Kill, b: Kill | undefined): boolean {
  return b !== undefined && a.thread === b.thread && a.step === b.step;
}
