/**
 * A reader: finds the current element, stays for a while, and looks how many grace periods the element has outlived its removal
 * by. None that began after the reader may be among them: an element that was removed under its eyes is in bucket 1 at most.
 */
import { setImmediate as turn } from 'node:timers/promises';
import type { Guard } from '../../arena/guard.ts';
import { Rcu } from '../../rcu/rcu.ts';
import { Srcu } from '../../rcu/srcu.ts';
import type { Performer } from './performer.ts';
import { BUCKETS, count, Element, Seat, Stage } from './stage.ts';

const READS = 64;
const OVERLAPPING = 3;
/** One read in so many counts the periods that go by: it costs barriers, which would hide that others miss theirs. */
const BATCH_EVERY = 4;
/** One read in so many is this long, ns, as rcutorture's `shortdelay_us`; one in so many sleeps, ms. */
const LONG_EVERY = 200;
const LONG_NS = 200_000;
const NAP_EVERY = 2000;
const NAP_MS = 1;
const MOST_TURNS = 3;
/** Numbers of a cookie to a period. */
const PER_PERIOD = 4;

export async function read(performer: Performer): Promise<void> {
  const { side, random } = performer;
  const { rcu } = side;
  while (!performer.isOver) {
    for (let i = 0; i < READS; i++) readOnce(performer);
    side.pause();
    if ((rcu instanceof Rcu || rcu instanceof Srcu) && random.oneIn(4)) {
      await Promise.all(Array.from({ length: OVERLAPPING }, () => readAcross(performer, rcu.read())));
    }
    await performer.rest();
  }
}

function readOnce(performer: Performer): void {
  const { side, random } = performer;
  const index = side.enter();
  const before = random.oneIn(BATCH_EVERY) ? periodOf(performer) : undefined;
  const element = find(performer);
  if (random.oneIn(LONG_EVERY)) performer.spin(random.below(LONG_NS));
  else if (random.oneIn(NAP_EVERY)) performer.nap(NAP_MS);
  look(performer, element, before);
  side.leave(index);
}

/** A reader with a guard, which overlaps with others of its thread. */
async function readAcross(performer: Performer, guard: Guard): Promise<void> {
  using _reader = guard;
  const before = periodOf(performer);
  const element = find(performer);
  for (let turns = performer.random.below(MOST_TURNS); turns >= 0; turns--) await turn();
  look(performer, element, before);
}

function find(performer: Performer): number {
  const { cpu, seat, side, stage } = performer;
  const element = side.rcu.dereference(stage + Stage.current);
  if (cpu.load(element + Element.isWritten) === 0) count(cpu, seat, Seat.torn);
  return element;
}

function look(performer: Performer, element: number, before: number | undefined): void {
  const { cpu, seat } = performer;
  count(cpu, seat, Seat.pipe + Math.min(cpu.load(element + Element.pipe), BUCKETS - 1));
  if (before === undefined) return;
  const periods = (periodOf(performer) - before) / PER_PERIOD;
  count(cpu, seat, Seat.batch + Math.min(periods, BUCKETS - 1));
}

/** The number with which the first full period of now ends. */
function periodOf({ side }: Performer): number {
  return side.rcu.getState().normal;
}
