/** Programs whose threads, each with its own view of the arena, use one shared object of the library, and may die. */

import type { Arena } from '../../../../lib/arena/arena.ts';
import type { Cpu } from '../../../../lib/machine/cpu.ts';
import type { FinalMemory, Program } from '../../../../native-sim/explore/program.ts';
import { makeArenas, reapAll, reapDead, reapOnce, reapSliced } from './holdfast.ts';
import { inspectAfterDeath } from './inspection.ts';

/** Words of the simulated memory behind the arena: the cells, for what the object protects. */
const CELLS = 4;
const ARENA_WORDS = 4096;

/** What thread `me` does with its `view` of the object; `cell` is the first of the words that the object protects. */
export type Body<View> = (cpu: Cpu, me: number, arena: Arena, view: View, cell: number) => void;

export interface OnObjectOptions<View> {
  /** Size of the arena. */
  words?: number;
  /** Views keep what they have seen: a replay, which starts from nothing, opens its own. */
  remembers?: boolean;
  /** Loads after which the reaper gives up waiting for a live thread, and comes again. @default it waits for ever */
  settleSpins?: number;
  /** How many may die in one execution. @default 1 */
  deaths?: number;
  /** A thread that sleeps for long is a reaper as well, as in production: it may sleep with the names latched, for what a dead one holds. @default where several may die */
  stalls?: boolean;
  /** Reapers have an event loop: they work in slices. */
  slices?: boolean;
  /** Some hold or leave something in the end. */
  isLeft?: boolean;
  /** As that of a program. */
  clock?: Program['clock'];
  /** Threads that do the same, and use their numbers for names only. */
  alike?: Program['alike'];
  /** Looks at what thread `me`, which is dead, leaves to the reaper. */
  beforeReaping?: Body<View>;
  /** What a survivor does once the reaper is done, for thread `me`, which is dead. */
  heir?: Body<View>;
  /** Looks at the memory that an execution left. */
  check?: (memory: FinalMemory, cell: number, views: readonly [View, ...View[]]) => void;
}

/**
 * `open` makes the object, and then a view of it for each other arena, before the threads start; waiters spin for
 * `spins` loads.
 */
export function onObject<View>(
  open: (arena: Arena, first?: View) => View,
  bodies: readonly Body<View>[],
  spins: number,
  {
    words = ARENA_WORDS,
    remembers = false,
    settleSpins,
    deaths = 1,
    stalls = deaths > 1,
    slices = false,
    isLeft = false,
    clock,
    alike,
    beforeReaping,
    heir,
    check,
  }: OnObjectOptions<View> = {},
): Program {
  type Shared = { arenas: Arena[]; views: [View, ...View[]]; cell: number };
  const program: Program<Shared> = {
    words: words + CELLS,
    alike,
    clock,
    setup(cpu) {
      const { arenas, shared: cell } = makeArenas(cpu, bodies.length, spins, words, deaths);
      const first = open(arenas[0]!);
      return { arenas, views: [first, ...arenas.slice(1).map((arena) => open(arena, first))], cell };
    },
    threads: bodies.map((body) => (cpu: Cpu, me: number, { arenas, views, cell }: Shared) => {
      const arena = arenas[me]!;
      body(cpu, me, arena, remembers ? open(arena, views[0]) : views[me]!, cell);
    }),
    reaper(cpu, died, { arenas, views, cell }, me, inherited) {
      const [arena, view] = [arenas[me]!, views[me]!];
      const dead = [died, ...inherited];
      for (const each of dead) if (each < bodies.length) beforeReaping?.(cpu, each, arena, view, cell);
      if (slices) reapSliced({ arenas }, dead, me);
      else if (deaths === 1 && !stalls) reapDead({ arenas, shared: cell }, died, settleSpins);
      else reapAll({ arenas }, dead, me, settleSpins);
      for (const each of dead) if (each < bodies.length) heir?.(cpu, each, arena, view, cell);
    },
    ...(stalls && {
      stalled: (_cpu: Cpu, died: number, { arenas }: Shared, me: number) => reapOnce({ arenas }, died, me),
    }),
    check(memory, { views, cell }) {
      if (!isLeft) inspectAfterDeath(memory);
      check?.(memory, cell, views);
    },
  };
  return program as unknown as Program;
}
