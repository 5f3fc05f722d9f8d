/** Programs whose threads read and change one structure that is read under RCU, and may die. */
import type { Arena } from '../../../../lib/arena/arena.ts';
import type { Cpu } from '../../../../lib/machine/cpu.ts';
import type { Kind } from '../../../../lib/memory/kinds.ts';
import type { Repairer } from '../../../../lib/memory/repairer.ts';
import { defineDomain } from '../../../../lib/rcu/domain.ts';
import { enter, Readers, SYNC } from '../../../../lib/rcu/reader.ts';
import type { Stretch } from '../../../../lib/rcu/stretch.ts';
import type { Core, StructureView } from '../../../../lib/structures/core.ts';
import { Packed } from '../../../../lib/structures/map/codec.ts';
import type { FinalMemory, Program } from '../../../../native-sim/explore/program.ts';
import { makeArenas, reapFor, type View } from './holdfast.ts';
import { inspectAfterDeath } from './inspection.ts';

const DOMAIN = defineDomain('explored-structure-qsbr', false);

export interface OnStructure<Hands extends Core> {
  readonly kind: Kind<Repairer>;
  /** Words of the arena. */
  readonly words: number;
  /** One thread's hands on the structure. */
  open(arena: Arena, structure: StructureView, stretch: Stretch): Hands;
  /** Fills it before the threads start. */
  fill(hands: Hands, arena: Arena): void;
  /** What each thread does. `read` runs its argument as a reader. */
  readonly threads: readonly ((cpu: Cpu, hands: Hands, arena: Arena, read: (body: () => void) => void) => void)[];
  /** What the next thread does after a death. */
  next(hands: Hands): void;
  check?(memory: FinalMemory, structure: number): void;
  /** How many may die in one execution. @default 1 */
  readonly deaths?: number;
}

export function onStructure<Hands extends Core>(given: OnStructure<Hands>): Program {
  const { kind, words, open, fill, threads, next, check, deaths = 1 } = given;
  interface Shared extends View {
    structure: number;
    rcu: number;
  }
  const handsOf = (arena: Arena, { structure, rcu }: Shared) => {
    // No period interrupts the stretch: readers go in and out by `read`.
    const readers = new Readers(arena.thread, rcu);
    return open(arena, { address: structure, checkThere() {} }, { readers, quiescent: () => true } as Stretch);
  };
  const program: Program<Shared> = {
    words,
    setup(cpu) {
      const view = makeArenas(cpu, threads.length, Number.POSITIVE_INFINITY, words, deaths);
      const arena = view.arenas[0] as Arena;
      const shared = { ...view, rcu: arena.objects.create(DOMAIN), structure: arena.objects.create(kind) };
      const hands = handsOf(arena, shared);
      hands.write(() => fill(hands, arena));
      return shared;
    },
    threads: threads.map((body) => (cpu: Cpu, me: number, shared: Shared) => {
      const arena = shared.arenas[me] as Arena;
      body(cpu, handsOf(arena, shared), arena, (read) => {
        const readers = new Readers(arena.thread, shared.rcu);
        enter(cpu, readers.sync);
        read();
        readers.exit(SYNC);
      });
    }),
    reaper(_cpu, died, shared, me, inherited) {
      reapFor(shared, died, me, inherited, deaths, 2);
      next(handsOf(shared.arenas[me] as Arena, shared));
    },
    check(memory, { structure }) {
      inspectAfterDeath(memory);
      check?.(memory, structure);
    },
  };
  return program as unknown as Program;
}

/** A key or a value of a map. */
export function packed(value: number): Packed {
  const words = new Packed();
  words.pack(value);
  return words;
}
