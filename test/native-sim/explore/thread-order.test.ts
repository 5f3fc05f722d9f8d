import { expect, test } from 'vitest';
import {
  ACQUIRE,
  CHOICE,
  FENCE,
  FENCE_LD,
  FENCE_ST,
  FULL,
  INIT,
  READ,
  RELEASE,
  RMW,
  WRITE,
} from '../../../native-sim/explore/events.ts';
import { Graph } from '../../../native-sim/explore/graph.ts';
import { PPO } from '../../../native-sim/explore/ppo.ts';
import { randomSource } from '../../../native-sim/explore/random.ts';
import { ThreadOrder } from '../../../native-sim/explore/thread-order.ts';

const FENCES = [FULL, FENCE_LD, FENCE_ST, CHOICE];
const READS = [0, 0, ACQUIRE];
const WRITES = [0, 0, RELEASE, RELEASE | FULL];

/** A thread at random, as the flags and locations of its events; a read-modify-write has two. */
function randomThread(random: () => number, length: number): { flags: number; location: number }[] {
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)]!;
  const events: { flags: number; location: number }[] = [];
  while (events.length < length) {
    const location = Math.floor(random() * 3);
    const kind = random();
    if (kind < 0.2) events.push({ flags: FENCE | pick(FENCES), location: -1 });
    else if (kind < 0.5) events.push({ flags: READ | pick(READS), location });
    else if (kind < 0.8) events.push({ flags: WRITE | pick(WRITES.slice(0, 3)), location });
    else {
      events.push({ flags: READ | RMW | pick(READS), location });
      events.push({ flags: WRITE | RMW | pick(WRITES), location });
    }
  }
  return events;
}

type Order = (a: number, b: number) => boolean;

/** By event, the accesses that are before it by a chain of `directly`. */
function closure(events: readonly { flags: number }[], directly: Order): string[] {
  const before: Set<number>[] = [];
  for (let b = 0; b < events.length; b++) {
    const all = new Set<number>();
    for (let a = 0; a < b; a++) if (directly(a, b)) for (const each of [a, ...before[a]!]) all.add(each);
    before.push(all);
  }
  return before.flatMap((all, b) => {
    if (events[b]!.flags & FENCE) return [];
    return `${b}: ${[...all].filter((a) => !(events[a]!.flags & FENCE)).sort((x, y) => x - y)}`;
  });
}

test.each(['sc', 'x86-tso', 'armv8'] as const)('keeps what the model demands, and nothing else, on %s', (model) => {
  const random = randomSource(7);
  for (let run = 0; run < 2000; run++) {
    const events = randomThread(random, 3 + (run % 12));
    const g = new Graph(1);
    const order = new ThreadOrder(model);
    const edges: Set<number>[] = [];
    for (const { flags, location } of events) {
      g.reserve();
      if (location >= 0) g.touch(location);
      const e = g.push(0, 0, flags, location, 0, INIT);
      order.find(g, 0, e, flags, g.sameBefore[e]!);
      edges.push(new Set(order.edges.subarray(0, order.count)));
      order.note(g, e);
    }
    const demanded: Order = (a, b) => {
      const { location } = events[b]!;
      const isSame = location >= 0 && events[a]!.location === location;
      const near = !events.slice(a + 1, b).some((each) => each.flags & WRITE && each.location === location);
      return PPO[model](events[a]!.flags, events[b]!.flags, isSame, near);
    };
    const what = events.map(({ flags, location }) => `${flags.toString(2)}@${location}`).join(' ');
    expect(
      closure(events, (a, b) => edges[b]!.has(a)),
      what,
    ).toEqual(closure(events, demanded));
  }
});
