/** One thread on which a test makes events by hand, and the program that hears them. */
import { LockFinder } from '../../../lib/debug/trace/locks.ts';
import { POINTS, pointNamed } from '../../../lib/debug/trace/points.ts';
import { type TraceProgramOptions, traceProgram } from '../../../lib/debug/trace/program/session.ts';
import { openSinks } from '../../../lib/debug/trace/sink.ts';
import { Arena, type Mutex } from '../../../lib/index.ts';
import { Header } from '../../../lib/memory/header.ts';

type Fields = { readonly time?: number; readonly lock?: Pick<Mutex, 'address'> } & {
  readonly [field: string]: unknown;
};

/** The program runs in `arena`. `emit` tells it, and all others, of an event of this thread. */
export function stage(
  source: string,
  { arena = Arena.create(), ...options }: TraceProgramOptions & { arena?: Arena } = {},
) {
  const program = traceProgram(arena, source, options);
  const { cpu, thread } = arena;
  const finder = new LockFinder(thread, cpu.load(Header.traceTables));
  const traced = { thread, lockOf: () => undefined, stackHere: () => 0 };
  const emit = (name: string, fields: Fields = {}) => {
    const point = pointNamed(name) as number;
    const values = POINTS[point]!.fields.map((field) => {
      if (field.type === 'lock') return fields.lock === undefined ? 0 : finder.find(fields.lock.address);
      return (fields[field.name] as number | undefined) ?? 0;
    });
    const [a = 0, b = 0, c = 0, d = 0, e = 0] = values;
    for (const sink of openSinks(traced)) {
      if ((sink.points & (1 << point)) !== 0) sink.emit(point, fields.time ?? 1, a, b, c, d, e);
    }
  };
  return { arena, program, emit };
}

/** The values of a map, by key. */
export function valuesOf(
  result: {
    readonly maps: readonly { name: string; entries: readonly { key: readonly unknown[]; value: unknown }[] }[];
  },
  name: string,
) {
  const map = result.maps.find((other) => other.name === name);
  return Object.fromEntries(map!.entries.map(({ key, value }) => [key.join(), value]));
}
