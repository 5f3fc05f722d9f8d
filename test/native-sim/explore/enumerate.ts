/**
 * The slow way to all executions of a straight-line program: add events one at a time in every order, let every read
 * read from every write there is and every write go anywhere in coherence, and ask the published model about each
 * complete graph. Shares nothing with the explored machine but the meaning of `Cpu`.
 */
import type { Cpu } from '../../../lib/machine/cpu.ts';
import { Execution, Fence, type Model } from '../../../native-sim/models/execution.ts';
import type { Mapping, Order } from '../../../native-sim/models/mapping.ts';

export type Step =
  | { do: 'load' | 'await'; at: number; order: 'relaxed' | 'acquire' }
  | { do: 'store'; at: number; value: number; order: 'relaxed' | 'release' }
  | { do: 'add' | 'xchg'; at: number; value: number; order: Order }
  | { do: 'cas'; at: number; expected: number; value: number; order: Order }
  | { do: 'mb' }
  | { do: 'rmb' }
  | { do: 'wmb' };

export type Straight = Step[][];

const isNotZero = (value: number) => value !== 0;
const SUFFIX: Record<Order, string> = { relaxed: 'Relaxed', acquire: 'Acquire', release: 'Release', full: '' };

/** Performs a step on a machine. */
export function perform(cpu: Cpu, step: Step): void {
  const methods = cpu as unknown as Record<string, (...args: number[]) => number>;
  switch (step.do) {
    case 'load':
      if (step.order === 'acquire') cpu.loadAcquire(step.at);
      else cpu.load(step.at);
      return;
    case 'await':
      if (step.order === 'acquire') cpu.condLoadAcquire(step.at, isNotZero, 0, Number.POSITIVE_INFINITY);
      else cpu.condLoad(step.at, isNotZero, 0, Number.POSITIVE_INFINITY);
      return;
    case 'store':
      if (step.order === 'release') cpu.storeRelease(step.at, step.value);
      else cpu.store(step.at, step.value);
      return;
    case 'add':
      methods[`fetchAdd${SUFFIX[step.order]}`]!.call(cpu, step.at, step.value);
      return;
    case 'xchg':
      methods[`xchg${SUFFIX[step.order]}`]!.call(cpu, step.at, step.value);
      return;
    case 'cas':
      methods[`cmpxchg${SUFFIX[step.order]}`]!.call(cpu, step.at, step.expected, step.value);
      return;
    default:
      cpu[step.do]();
  }
}

interface Event {
  thread: number;
  step: number;
  half: 'read' | 'write' | 'fence';
  at: number;
  value: number;
  /** Index of the write read from, or -1. */
  from: number;
}

interface State {
  events: Event[];
  co: Map<number, number[]>;
  done: number[];
}

/** `thread.step` of an event: independent of the order of insertion. */
const nameOf = (e: Event) => `${e.thread}.${e.step}`;

function keyOf(s: State): string {
  const reads = s.events
    .filter((e) => e.half === 'read')
    .map((e) => `${nameOf(e)}<${e.from < 0 ? '-' : nameOf(s.events[e.from]!)}`)
    .sort();
  const orders = [...s.co]
    .filter(([, list]) => list.length > 0)
    .sort(([a], [b]) => a - b)
    .map(([at, list]) => `${at}:${list.map((w) => nameOf(s.events[w]!)).join('>')}`);
  return `${reads.join(' ')} | ${orders.join(' ')}`;
}

/** The keys of all complete executions that the model allows. */
export function enumerate(program: Straight, model: Model, mapping: Mapping): Set<string> {
  const seen = new Set<string>();
  const found = new Set<string>();
  const x = new Execution();

  const visit = (s: State): void => {
    const key = `${s.done.join()} ${keyOf(s)}`;
    if (seen.has(key)) return;
    seen.add(key);
    let complete = true;
    for (let t = 0; t < program.length; t++) {
      const step = program[t]![s.done[t]!];
      if (step === undefined) continue;
      complete = false;
      for (const next of extensions(s, t, step)) visit(next);
    }
    if (complete && allows(x, program, s, model, mapping)) found.add(keyOf(s));
  };
  visit({ events: [], co: new Map(), done: program.map(() => 0) });
  return found;
}

function extensions(s: State, thread: number, step: Step): State[] {
  const done = [...s.done];
  const number = done[thread]!++;
  const with_ = (events: Event[], co: Map<number, number[]>): State => ({ events, co, done });
  if (step.do === 'mb' || step.do === 'rmb' || step.do === 'wmb') {
    return [with_([...s.events, { thread, step: number, half: 'fence', at: -1, value: 0, from: -1 }], s.co)];
  }
  const list = s.co.get(step.at) ?? [];
  const result: State[] = [];
  const place = (events: Event[], value: number, at: number) => {
    const id = events.length;
    const co = new Map(s.co);
    co.set(step.at, [...list.slice(0, at), id, ...list.slice(at)]);
    result.push(with_([...events, { thread, step: number, half: 'write', at: step.at, value, from: -1 }], co));
  };
  if (step.do === 'store') {
    for (let i = 0; i <= list.length; i++) place(s.events, step.value, i);
    return result;
  }
  for (const from of [-1, ...list]) {
    const old = from < 0 ? 0 : s.events[from]!.value;
    const read: Event = { thread, step: number, half: 'read', at: step.at, value: old, from };
    const events = [...s.events, read];
    if (step.do === 'await' && old === 0) continue;
    if (step.do === 'load' || step.do === 'await' || (step.do === 'cas' && old !== step.expected)) {
      result.push(with_(events, s.co));
      continue;
    }
    const value = step.do === 'add' ? old + step.value : (step as { value: number }).value;
    for (let i = 0; i <= list.length; i++) place(events, value, i);
  }
  return result;
}

function allows(x: Execution, program: Straight, s: State, model: Model, mapping: Mapping): boolean {
  x.begin(s.events.length * 3);
  const ids = new Map<Event, number>();
  for (let t = 0; t < program.length; t++) {
    const own = s.events.filter((e) => e.thread === t);
    let exclusive = -1;
    let readIndex = -1;
    for (const [i, e] of own.entries()) {
      const step = program[t]![e.step]!;
      if (e.half === 'fence') {
        const fence = mapping[step.do as 'mb' | 'rmb' | 'wmb'];
        if (fence !== Fence.none) ids.set(e, x.barrier(t, fence));
      } else if (e.half === 'read') {
        const succeeded = own[i + 1]?.step === e.step;
        const order = (step as { order: Order }).order;
        const instructions = succeeded
          ? mapping.rmw[order]
          : step.do === 'cas'
            ? mapping.failed
            : mapping.load[order as 'relaxed' | 'acquire'];
        if (succeeded && instructions.before !== Fence.none) x.barrier(t, instructions.before);
        const id = x.read(t, e.at, e.value, instructions.read);
        ids.set(e, id);
        exclusive = succeeded ? e.step : -1;
        readIndex = id;
      } else {
        const order = (step as { order: Order }).order;
        const isHalf = exclusive === e.step;
        const instructions = isHalf ? mapping.rmw[order] : mapping.store[order as 'relaxed' | 'release'];
        const id = x.write(t, e.at, e.value, instructions.write);
        ids.set(e, id);
        if (isHalf) {
          x.rmw.add(readIndex, id);
          if (instructions.after !== Fence.none) x.barrier(t, instructions.after);
        }
      }
    }
  }
  for (const e of s.events) if (e.half === 'read' && e.from >= 0) x.rf.add(ids.get(s.events[e.from]!)!, ids.get(e)!);
  for (const list of s.co.values()) x.coherence(list.map((w) => ids.get(s.events[w]!)!));
  x.finish();
  return model.violation(x) === null;
}
