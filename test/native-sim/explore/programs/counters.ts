/** Counts as programs to explore: what several threads add to at once, and references, the last of which frees. */
import { Arena } from '../../../../lib/arena/arena.ts';
import { Place } from '../../../../lib/arena/place.ts';
import { PercpuCounter } from '../../../../lib/locking/percpu-counter.ts';
import { Refcount } from '../../../../lib/locking/refcount.ts';
import type { FinalMemory, Program } from '../../../../native-sim/explore/program.ts';
import { snapshot } from './holdfast.ts';
import { type Body, onObject } from './on-object.ts';

const WORDS = 4096;

/** The arena as the next thread finds it, whole. */
function left(memory: FinalMemory, number: number): Arena {
  const arena = new Arena(new Place(snapshot(memory, WORDS), number, { spins: 1 }));
  const problems = arena.fsck();
  if (problems.length > 0) throw new Error(`in the end ${problems.join('; ')}`);
  return arena;
}

/** add: 3, and 4 more, of which each is a batch; less: adds 2 to its own line, which nobody else hears of; sum: looks at all lines; read: at what was folded. */
export const COUNTER_ACTS = ['add', 'less', 'sum', 'read'] as const;
export type CounterAct = (typeof COUNTER_ACTS)[number];

/** What a thread adds in each of its calls. */
const ADDED: Record<CounterAct, readonly number[]> = { add: [3, 4], less: [2], sum: [], read: [] };

/** Nothing that was added is lost, or counted twice, whoever dies: but for the call that a thread dies in, which counts or does not. */
export function percpuCounter(acts: readonly CounterAct[], deaths = 1): Program {
  const most = acts.flatMap((act) => ADDED[act]).reduce((sum, each) => sum + each, 0) + deaths;
  const bodies = acts.map(
    (act): Body<PercpuCounter> =>
      (cpu, me, _arena, counter, cell) => {
        for (const each of ADDED[act]) {
          counter.add(each);
          cpu.store(cell + me, cpu.load(cell + me) + each);
        }
        const seen = act === 'sum' ? counter.sum() : act === 'read' ? counter.read() : 0;
        if (seen < 0 || seen > most) throw new Error(`${seen} of at most ${most}`);
      },
  );
  return onObject((arena, first?: PercpuCounter) => new PercpuCounter(arena, first?.handle, { batch: 3 }), bodies, 1, {
    deaths,
    stalls: true,
    settleSpins: 1,
    heir: (_cpu, _died, _arena, counter) => counter.add(1),
    check(memory, cell, [{ handle }]) {
      const sum = new PercpuCounter(left(memory, acts.length + deaths - 1), handle).sum();
      const heirs = memory.died.filter((thread) => thread >= acts.length);
      const told = acts.reduce((all, _, me) => all + memory.read(cell + me), 0);
      const inTheMiddle = memory.died.flatMap((thread) =>
        thread < acts.length ? Math.max(0, ...ADDED[acts[thread]!]) : 0,
      );
      const slack = inTheMiddle.reduce((all, each) => all + each, 0) + deaths + heirs.length;
      const isExact = memory.died.length === 0 && sum === told;
      if (!isExact && (memory.died.length === 0 || sum < told || sum > told + slack)) {
        throw new Error(`the sum is ${sum}, and ${told} were added`);
      }
    },
  });
}

/** use: has a reference, uses the thing, and lets go; found: has none, gets one if it still can; twice: takes another one in between. */
export const REFERENCE_ACTS = ['use', 'found', 'twice'] as const;
export type ReferenceAct = (typeof REFERENCE_ACTS)[number];

/** The last thread that lets go frees the thing: nobody uses it then, or after. References of the dead stay, and so does the thing. */
export function references(acts: readonly ReferenceAct[], deaths = 1): Program {
  const holders = acts.filter((act) => act !== 'found').length;
  const bodies = acts.map(
    (act): Body<Refcount> =>
      (cpu, me, _arena, count, cell) => {
        if (act === 'found' && !count.tryInc()) return;
        if (act === 'twice') count.inc();
        for (let i = act === 'twice' ? 2 : 1; i > 0; i--) {
          // Plain, as the end of it is: a data race where the two meet.
          cpu.read(cell);
          if (count.dec()) cpu.write(cell, me + 1);
        }
      },
  );
  return onObject(
    (arena, first?: Refcount) => {
      const count = new Refcount(arena, first?.handle);
      if (first === undefined) count.set(Math.max(1, holders));
      return count;
    },
    bodies,
    1,
    {
      deaths,
      stalls: true,
      settleSpins: 1,
      check(memory, cell, [{ handle }]) {
        const { count } = new Refcount(left(memory, acts.length + deaths - 1), handle);
        const isFreed = memory.read(cell) !== 0;
        if (isFreed && count !== 0) throw new Error(`it is freed, with ${count} references`);
        if (holders > 0 && memory.died.length === 0 && !isFreed) throw new Error('nobody has freed it');
      },
    },
  );
}
