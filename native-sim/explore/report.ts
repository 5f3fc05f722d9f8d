/**
 * A failure that a person can follow: what each thread did and where, what each read read from, and, where there was
 * something newer, what would have had to be ordered for the read to see it.
 */
import { Op, opName, orderOf } from '../replay/operations.ts';
import { ACQUIRE, CAS, CHOICE, FENCE, FULL, HIDDEN, INIT, NOTHING, READ, RELEASE, RMW, WRITE } from './events.ts';
import type { FutexQueues } from './futex.ts';
import { type Graph, Stop } from './graph.ts';
import { FOREVER } from './idle.ts';
import type { Memory } from './memory.ts';
import type { FailureKind, Kill } from './program.ts';
import type { Failure, Replay } from './replay.ts';
import { placeOf, type Site, siteHere } from './site.ts';

export interface Event {
  /** A1, A2, ... for thread 0, B1, ... for thread 1. */
  name: string;
  thread: number;
  /** What was done, as `cmpxchg lock: 0 -> 1`. */
  text: string;
  site: Site | null;
  /** What it read from: a name, 'initial', or null. */
  readsFrom: string | null;
  /** Why it may, where something newer exists. */
  because: string | null;
}

export interface Edge {
  kind: 'rf' | 'co' | 'fr';
  from: string;
  to: string;
}

export interface Counterexample {
  kind: FailureKind;
  message: string;
  model: string;
  kills: readonly Kill[];
  threads: Event[][];
  /** How each thread ended. */
  endings: string[];
  edges: Edge[];
  /** The events that the message is about. */
  culprits: string[];
}

const threadLetter = (t: number) => String.fromCharCode(65 + t);

export function counterexample(
  machine: Replay & { futexes: FutexQueues },
  failure: Failure,
  model: string,
  memory: Memory,
  labels: ReadonlyMap<number, string>,
  kills: readonly Kill[],
): Counterexample {
  const { graph: g } = failure;
  const sites: (Site | null)[] = [];
  const next: string[] = [];
  collectSites(machine, failure, sites, next, (location) => memory.name(location, labels));

  const names = nameEvents(machine, failure);
  const name = (e: number) => (e === INIT ? 'initial' : names[e]!);
  const value = (location: number, v: number) =>
    memory.addresses[location]! < memory.words
      ? String(v)
      : memory.addresses[location]! < 2 * memory.words
        ? machine.futexes.describe(v)
        : 'dead';
  const describe = (e: number): string => {
    const op = opName(g.op[e]!);
    const flags = g.flags[e]!;
    if (flags & CHOICE) return describeChoice(g, e);
    if (flags & FENCE) return op;
    const location = g.location[e]!;
    const where = memory.name(location, labels);
    const second = isHalf(failure, e + 1, e) ? e + 1 : -1;
    if (flags & WRITE) return `${op} ${where} = ${value(location, g.value[e]!)}${weakened(g.op[e]!, flags)}`;
    if (isRacing(failure, e)) return `${op} ${where}`;
    if (g.rf[e] === NOTHING) return `${op} ${where}: waits`;
    const read = value(location, g.value[e]!);
    if (second >= 0) {
      const written = value(location, g.value[second]!);
      return `${op} ${where}: ${read} -> ${written}${weakened(g.op[e]!, flags | g.flags[second]!)}`;
    }
    return `${op} ${where}: ${read}${weakened(g.op[e]!, flags)}`;
  };

  const threads = g.threads.map((list, t) =>
    list
      .filter((e) => !isHalf(failure, e, g.index[e]! > 0 ? list[g.index[e]! - 1]! : -1))
      .filter((e) => isTelling(failure, e))
      .map((e): Event => {
        const reads = (g.flags[e]! & READ) !== 0 && g.rf[e] !== NOTHING && !isRacing(failure, e);
        return {
          name: names[e]!,
          thread: t,
          text: describe(e),
          site: sites[e] ?? null,
          readsFrom: reads ? name(g.rf[e]!) : null,
          because: reads ? whyStale(machine, failure, e, name) : null,
        };
      }),
  );
  const lastValue = (t: number): string => {
    const stop = g.stop[t]!;
    if (stop !== Stop.blocked && stop !== Stop.atAwait) return '';
    const location = stop === Stop.atAwait ? g.pending[t]!.location : g.location[g.lastOf(t)]!;
    const co = g.co[location] ?? [];
    const last = co.length === 0 ? INIT : co[co.length - 1]!;
    const where = memory.name(location, labels);
    return `; ${where} stays ${value(location, machine.valueOf(location, last))}, ${last === INIT ? 'as it was initially' : `as ${name(last)} left it`}`;
  };
  const culprits = [failure.event, failure.other].filter((e) => e >= 0 && e < g.n).map((e) => names[e]!);
  return {
    kind: failure.kind,
    message: relabel(failure.message, memory, labels),
    model,
    kills,
    threads,
    endings: g.threads.map((_, t) => ending(g.stop[t]!, next[t]) + lastValue(t)),
    edges: edgesOf(failure, name),
    culprits,
  };
}

/** A read that a data race is about: what it reads is nothing to go by. */
function isRacing({ kind, event, graph: g }: Failure, e: number): boolean {
  return kind === 'data-race' && e === event && (g.flags[e]! & (READ | RMW)) === READ;
}

function describeChoice(g: Graph, e: number): string {
  const value = g.value[e]!;
  if (g.op[e] !== Op.relax) return opName(g.op[e]!);
  if (value === FOREVER) return 'relax: and so on, for ever';
  return value === 0 ? 'relax' : `relax: ${value} more such turns`;
}

function relabel(message: string, memory: Memory, labels: ReadonlyMap<number, string>): string {
  let text = message;
  for (const [address, label] of labels) text = text.replaceAll(memory.wordName(address, new Map()), label);
  return text;
}

/** Reads of what nobody writes say nothing. */
function isTelling(failure: Failure, e: number): boolean {
  const { graph: g } = failure;
  if (!(g.flags[e]! & READ) || g.rf[e] !== INIT || e === failure.event || e === failure.other) return true;
  return g.co[g.location[e]!]!.length > 0;
}

/** Is `e` the write half of the read `before`? */
function isHalf(failure: Failure, e: number, before: number): boolean {
  const { graph: g } = failure;
  if (e < 0 || e >= g.n || before < 0) return false;
  const both = RMW | WRITE;
  return (
    (g.flags[e]! & both) === both &&
    (g.flags[before]! & READ) !== 0 &&
    g.thread[e] === g.thread[before] &&
    g.location[e] === g.location[before]
  );
}

function nameEvents(machine: Replay, failure: Failure): string[] {
  const { graph: g } = failure;
  const names: string[] = [];
  for (let t = 0; t < machine.bodies.length; t++) {
    let number = 0;
    let before = -1;
    for (const e of g.threads[t]!) {
      if (!isHalf(failure, e, before)) number++;
      names[e] = `${threadLetter(t)}${number}`;
      before = e;
    }
  }
  return names;
}

function weakened(op: number, flags: number): string {
  const stated = opName(op);
  const acquire = stated.endsWith('Acquire');
  const release = stated.endsWith('Release');
  const missing: string[] = [];
  const hasFailed = (flags & (CAS | RMW)) === CAS;
  if (acquire && !hasFailed && flags & READ && !(flags & ACQUIRE)) missing.push('acquire');
  if (release && flags & WRITE && !(flags & RELEASE)) missing.push('release');
  if (orderOf(op) === 'full' && flags & WRITE && !(flags & FULL)) missing.push('full order');
  return missing.length === 0 ? '' : ` (without its ${missing.join(', ')})`;
}

function whyStale(machine: Replay, failure: Failure, e: number, name: (e: number) => string): string | null {
  const { graph: g } = failure;
  const co = g.co[g.location[e]!]!;
  const from = g.rf[e]!;
  const newer = co.slice(from === INIT ? 0 : co.indexOf(from) + 1).filter((w) => !isHalf(failure, w, e));
  if (newer.length === 0 || g.flags[e]! & HIDDEN) return null;
  const list = newer.map(name).join(', ');
  return newer.some((w) => g.isBefore(e, w))
    ? `${list} ${newer.length > 1 ? 'come' : 'comes'} later`
    : `nothing that ${threadLetter(g.thread[e]!)} has seen orders ${list} before it on ${machine.ordering.model}`;
}

function ending(stop: number, next: string | undefined): string {
  switch (stop) {
    case Stop.finished:
      return 'finished';
    case Stop.dead:
      return 'killed';
    case Stop.blocked:
      return 'waits for ever';
    case Stop.atAwait:
      return `waits for ever: ${next ?? ''}`;
    case Stop.spinning:
      return 'repeats these reads for ever';
    default:
      return next === undefined ? 'stopped here' : `next: ${next}`;
  }
}

function edgesOf(failure: Failure, name: (e: number) => string): Edge[] {
  const { graph: g } = failure;
  const edges: Edge[] = [];
  const add = (kind: Edge['kind'], a: number, b: number) => {
    if (name(a) !== name(b)) edges.push({ kind, from: name(a), to: name(b) });
  };
  for (const co of g.co) for (let i = 1; i < co.length; i++) add('co', co[i - 1]!, co[i]!);
  for (let e = 0; e < g.n; e++) {
    if (!(g.flags[e]! & READ) || g.rf[e] === NOTHING) continue;
    const co = g.co[g.location[e]!]!;
    const from = g.rf[e]!;
    if (from !== INIT) add('rf', from, e);
    const overwriter = co[from === INIT ? 0 : co.indexOf(from) + 1];
    if (overwriter !== undefined) add('fr', e, overwriter);
  }
  return edges;
}

/** Replays every thread once more, to see where each operation is called from. */
function collectSites(
  machine: Replay,
  failure: Failure,
  sites: (Site | null)[],
  next: string[],
  where: (location: number) => string,
): void {
  const current = machine.g;
  const stop = failure.graph.stop.slice();
  machine.g = failure.graph;
  machine.frozen = true;
  machine.onEvent = (e) => {
    sites[e] = siteHere(failure.graph.op[e]!);
  };
  for (let t = 0; t < machine.bodies.length; t++) {
    machine.onFrontier = (op, location) => {
      next[t] = `${opName(op)}${location < 0 ? '' : ` ${where(location)}`} at ${placeOf(siteHere(op))}`;
    };
    machine.run(t);
  }
  machine.frozen = false;
  machine.onEvent = null;
  machine.onFrontier = null;
  failure.graph.stop.set(stop);
  machine.g = current;
}

/** The counterexample as text. */
export function printCounterexample(c: Counterexample): string {
  const lines = [`${c.kind} on ${c.model}: ${c.message}`];
  for (const kill of c.kills) lines.push(`(thread ${kill.thread} is killed before its operation ${kill.step})`);
  const width = Math.max(20, ...c.threads.flat().map((e) => e.text.length));
  for (const [t, events] of c.threads.entries()) {
    lines.push('', `thread ${t}`);
    for (const e of events) {
      const mark = c.culprits.includes(e.name) ? '>' : ' ';
      const where = e.site === null || e.site.line === 0 ? '' : placeOf(e.site);
      lines.push(`${mark} ${e.name.padEnd(4)} ${e.text.padEnd(width)}  ${where}${why(e)}`);
    }
    lines.push(`       ${c.endings[t]}`);
  }
  return lines.join('\n');
}

function why(e: Event): string {
  if (e.readsFrom === null) return '';
  const source = e.readsFrom === 'initial' ? 'the initial value' : e.readsFrom;
  return `  reads ${source}${e.because === null ? '' : `: ${e.because}`}`;
}
