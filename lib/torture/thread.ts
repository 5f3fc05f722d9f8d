/**
 * A worker's side of the torture run: takes its seat, runs its acquirers until the director says stop, and leaves. The
 * director is a worker as well; see `direct.ts`.
 */
import { parentPort } from 'node:worker_threads';
import { expose } from 'comlink/dist/esm/comlink.mjs';
import nodeEndpoint from 'comlink/dist/esm/node-adapter.mjs';
import { Arena } from '../arena/arena.ts';
import { RealCpu } from '../machine/real.ts';
import { Acquirer, armSeat } from './actor.ts';
import { Decider } from './decisions.ts';
import type { LockType, View } from './lock-type.ts';
import { lockTypeNamed } from './lock-types.ts';
import type { Outcome, Progress, Settings } from './outcome.ts';
import type { Part, Performance, TortureThread } from './performance.ts';
import { tortureType } from './run.ts';
import { Section, Violation } from './section.ts';
import { ACTORS, Seat, Stage, seatAddress } from './words.ts';

export function runTortureThread(): void {
  if (parentPort === null) throw new Error('this is the entry of a worker thread');
  expose({ perform, leave, direct } satisfies TortureThread, nodeEndpoint(parentPort));
}

let arena: Arena;
let own: Part;

async function perform(part: Part): Promise<string | undefined> {
  if (part.aim !== 0) armSeat(new RealCpu(new Int32Array(part.arena.buffer)), part.stage, part.seat, part.aim);
  own = part;
  arena = Arena.attach(part.arena);
  const { cpu } = arena;
  try {
    const type = namedType(part.type);
    const performance = performanceOf(arena, part, type.open(arena, part.lock), type.isRobust);
    const acquirers = Array.from(
      { length: type.isAsync ? ACTORS : 1 },
      (_, i) => new Acquirer(performance, new Decider(part.seed, type, part.seat, part.incarnation, i), i),
    );
    await Promise.all(acquirers.map((acquirer) => acquirer.run()));
    return undefined;
  } catch (error) {
    cpu.store(part.stage + Stage.stop, 1);
    cpu.fetchAdd(part.stage + Stage.violations, 1);
    return error instanceof Violation ? error.message : String((error as Error).stack);
  }
}

function leave(aim: number): void {
  if (aim !== 0) armSeat(arena.cpu, own.stage, own.seat, aim);
  arena.detach();
}

function direct(
  type: string,
  settings: Settings,
  source: string,
  onProgress: (progress: Progress) => void,
): Promise<Outcome> {
  return tortureType(namedType(type), settings, source, onProgress);
}

function namedType(name: string): LockType {
  const type = lockTypeNamed(name);
  if (type === undefined) throw new Error(`no lock type ${name}`);
  return type;
}

function performanceOf(arena: Arena, part: Part, view: View, isRobust: boolean): Performance {
  const { cpu, thread } = arena;
  const words = seatAddress(part.stage, part.seat);
  const parksBefore = cpu.load(words + Seat.parks);
  const handoffsBefore = cpu.load(words + Seat.handoffs);
  return {
    arena,
    cpu,
    thread,
    view,
    stage: part.stage,
    seat: part.seat,
    section: new Section(cpu, part.stage, part.seats, part.seat, view, isRobust),
    waits: part.waits,
    holds: part.holds,
    asyncUnderWay: 0,
    publishCounters() {
      cpu.store(words + Seat.parks, parksBefore + thread.counters.parks);
      cpu.store(words + Seat.handoffs, handoffsBefore + thread.counters.handoffs);
    },
  };
}
