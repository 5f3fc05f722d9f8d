/** Programs whose threads, each with its own view of the arena, use one shared object of the library, and may die. */
import type { Cpu } from '../../../../lib/machine/cpu.ts';
import type { Arena } from '../../../../lib/sched/arena.ts';
import type { ObjectHandle } from '../../../../lib/sched/shared-object.ts';
import type { FinalMemory, Program } from '../../../../native-sim/explore/program.ts';
import { makeArenas, reapDead, type View } from './holdfast.ts';

/** Words of the simulated memory behind the arena: the cells, for what the object protects. */
const CELLS = 4;
const ARENA_WORDS = 4096;

/** What thread `me` does, with its view of the object; `cell` is the first of the words that the object protects. */
export type Body<Handle = ObjectHandle> = (cpu: Cpu, me: number, arena: Arena, handle: Handle, cell: number) => void;

export interface OnObjectOptions<Handle> {
  /** Size of the arena. */
  words?: number;
  /** Looks at the memory that an execution left. */
  check?: (memory: FinalMemory, cell: number, handle: Handle) => void;
}

/** `make` makes the object before the threads start; its waiters spin for `spins` loads. */
export function onObject<Handle = ObjectHandle>(
  make: (arena: Arena) => { readonly handle: Handle },
  bodies: readonly Body<Handle>[],
  spins: number,
  { words = ARENA_WORDS, check }: OnObjectOptions<Handle> = {},
): Program {
  type Shared = View & { handle: Handle };
  const program: Program<Shared> = {
    words: words + CELLS,
    setup(cpu) {
      const view = makeArenas(cpu, bodies.length, spins, words);
      return { ...view, handle: make(view.arenas[0]!).handle };
    },
    threads: bodies.map((body) => (cpu: Cpu, me: number, { arenas, handle, shared }: Shared) => {
      // A replay starts from nothing, also in what a thread keeps outside shared memory.
      arenas[me]!.thread.qspinDepth = 0;
      body(cpu, me, arenas[me]!, handle, shared);
    }),
    reaper: (_cpu, died, view) => reapDead(view, died),
    ...(check && { check: (memory: FinalMemory, view: Shared) => check(memory, view.shared, view.handle) }),
  };
  return program as unknown as Program;
}
