/**
 * The Linux kernel memory model's litmus tests of RCU and SRCU as programs against the implementation: each thread makes two
 * accesses, inside one reader or on both sides of a grace period. The model forbids a cycle that has at least as many grace
 * periods as readers.
 */
import type { Arena } from '../../../../lib/arena/arena.ts';
import type { Cpu } from '../../../../lib/machine/cpu.ts';
import { defineDomain } from '../../../../lib/rcu/domain.ts';
import { type Domain, domainAt, EXPEDITED, NORMAL } from '../../../../lib/rcu/layout.ts';
import { enter, Readers, SYNC } from '../../../../lib/rcu/reader.ts';
import { synchronize } from '../../../../lib/rcu/wait.ts';
import type { Thread } from '../../../../lib/sched/thread.ts';
import type { FinalMemory, Program } from '../../../../native-sim/explore/program.ts';
import { makeArenas, type View } from './holdfast.ts';

const KIND = defineDomain('explored-rcu-litmus', false);

/**
 * reader: `readLock` … `readUnlock`; guard: one of overlapping readers; nested: with a reader inside that goes out between the
 * two accesses; gp, hurry: a normal or an expedited period between them. `other` readers are in another domain.
 */
export type Around = 'reader' | 'guard' | 'nested' | 'other' | 'gp' | 'hurry';
/** Reads the variable with that number, or writes 1 there. */
export type Access = `R${number}` | `W${number}`;
/** One thread, for example `['gp', 'R0', 'W1']`. */
export type Line = readonly [Around, Access, Access];

interface Shared extends View {
  domain: Domain;
  other: Domain;
}

const ARENA_WORDS = 4096;

/** `isSeen`: the outcome that must not be, of what the threads have read, thread by thread; -1 where one has written. */
export function rcuLitmus(lines: readonly Line[], isSeen: (seen: readonly number[]) => boolean): Program {
  const variables = ARENA_WORDS;
  const registers = ARENA_WORDS + 8;
  const program: Program<Shared> = {
    words: registers + 2 * lines.length,
    setup(cpu) {
      const view = makeArenas(cpu, lines.length, Number.POSITIVE_INFINITY, ARENA_WORDS, 0);
      for (const { thread } of view.arenas) Object.defineProperty(thread, 'isPreemptible', { value: false });
      const { objects } = view.arenas[0] as Arena;
      const [domain, other] = [objects.create(KIND), objects.create(KIND)].map((rcu) => domainAt(cpu, rcu));
      return { ...view, domain: domain as Domain, other: other as Domain };
    },
    threads: lines.map(([around, first, second]) => (cpu: Cpu, me: number, shared: Shared) => {
      const { thread } = shared.arenas[me] as Arena;
      const access = (what: Access, register: number) => {
        const at = variables + Number(what.slice(1));
        if (what.startsWith('W')) cpu.store(at, 1);
        else cpu.store(registers + 2 * me + register, cpu.load(at));
      };
      run(
        cpu,
        thread,
        around,
        shared,
        () => access(first, 0),
        () => access(second, 1),
      );
    }),
    check(memory: FinalMemory) {
      const seen = lines.flatMap(([, ...accesses], thread) =>
        accesses.map((what, i) => (what.startsWith('W') ? -1 : memory.read(registers + 2 * thread + i))),
      );
      if (isSeen(seen)) throw new Error(`the model forbids ${seen.join()}`);
    },
  };
  return program as unknown as Program;
}

/** `first`, `second`, and what is around or between them. */
function run(
  cpu: Cpu,
  thread: Thread,
  around: Around,
  { domain, other }: Shared,
  first: () => void,
  second: () => void,
): void {
  if (around === 'gp' || around === 'hurry') {
    first();
    synchronize(thread, domain, around === 'gp' ? NORMAL : EXPEDITED);
    second();
    return;
  }
  const readers = new Readers(thread, (around === 'other' ? other : domain).rcu);
  if (around === 'guard' || around === 'nested') {
    const outer = readers.join();
    const inner = around === 'nested' ? readers.join() : undefined;
    first();
    if (inner !== undefined) readers.leave(inner);
    second();
    readers.leave(outer);
    return;
  }
  enter(cpu, readers.sync);
  first();
  second();
  readers.exit(SYNC);
}

/** Thread i writes variable i, then reads the next one; the cycle is that nobody has read what another wrote. */
export function ring(arounds: readonly Around[]): Program {
  const lines = arounds.map((around, i): Line => [around, `W${i}`, `R${(i + 1) % arounds.length}`]);
  return rcuLitmus(lines, (seen) => !seen.includes(1));
}
