/** RCU's grace periods as programs to explore: elements that writers replace and then spoil, and readers that must not see it. */

import type { Arena } from '../../../../lib/arena/arena.ts';
import type { Cpu } from '../../../../lib/machine/cpu.ts';
import { defineDomain } from '../../../../lib/rcu/domain.ts';
import { advance, isOver, snapshot } from '../../../../lib/rcu/grace-period.ts';
import { type Domain, domainAt, EXPEDITED, NORMAL, PACES } from '../../../../lib/rcu/layout.ts';
import { enter, Readers, SYNC } from '../../../../lib/rcu/reader.ts';
import type { Thread } from '../../../../lib/sched/thread.ts';
import type { Program } from '../../../../native-sim/explore/program.ts';
import { check, pointTo, publish, replace, spoil, use } from './element.ts';
import { makeArenas, reapFor, type View } from './holdfast.ts';
import { inspectAfterDeath } from './inspection.ts';

/** Trees of one, and of two and of three levels for few threads. */
const KINDS = {
  flat: defineDomain('explored-rcu', false),
  deep: defineDomain('explored-rcu-deep', false, { leafThreads: 1, fanOut: 2 }),
};
export type Shape = keyof typeof KINDS;

/**
 * read: a reader; nested: one inside another; twice: one after the other; guards: two that overlap, with a third that begins
 * when the first is out. replace: replaces the element, waits, and spoils the old one; hurry: in an expedited period; poll:
 * asks for a period and spoils the old element if it is over. look: once all readers are out, looks again for those who wait,
 * as they do themselves after a while.
 */
export type RcuAct = 'read' | 'nested' | 'twice' | 'guards' | 'replace' | 'hurry' | 'poll' | 'look';

/**
 * How a thread waits that has to: it spins for readers until they are out, or sleeps until it is woken. A thread that would
 * look again after a while by itself could do so for ever.
 */
export type Waiting = 'spins' | 'sleeps';

const ARENA_WORDS = 4096;

interface Shared extends View {
  domain: Domain;
  /** The pointer; element `i` is the i-th word behind it. */
  pointer: number;
  /** How many readers are out, and how many there are. */
  out: number;
  readers: number;
}

type Body = (cpu: Cpu, thread: Thread, me: number, shared: Shared) => void;

const BODIES: Record<RcuAct, Body> = {
  read(cpu, thread, _me, { domain, pointer }) {
    const readers = new Readers(thread, domain.rcu);
    enter(cpu, readers.sync);
    use(cpu, pointer);
    readers.exit(SYNC);
  },
  nested(cpu, thread, _me, { domain, pointer }) {
    const readers = new Readers(thread, domain.rcu);
    const outer = readers.join();
    const inner = readers.join();
    use(cpu, pointer);
    readers.leave(inner);
    use(cpu, pointer);
    readers.leave(outer);
  },
  twice(cpu, thread, _me, { domain, pointer }) {
    const readers = new Readers(thread, domain.rcu);
    for (let i = 0; i < 2; i++) {
      enter(cpu, readers.sync);
      use(cpu, pointer);
      readers.exit(SYNC);
    }
  },
  guards(cpu, thread, _me, { domain, pointer }) {
    const readers = new Readers(thread, domain.rcu);
    const first = readers.join();
    const second = readers.join();
    const element = cpu.loadDependent(pointer);
    readers.leave(first);
    const third = readers.join();
    check(cpu, element);
    readers.leave(second);
    use(cpu, pointer);
    readers.leave(third);
  },
  replace: (cpu, thread, me, shared) => replace(cpu, thread, me, shared, NORMAL),
  hurry: (cpu, thread, me, shared) => replace(cpu, thread, me, shared, EXPEDITED),
  poll(cpu, thread, me, { domain, pointer }) {
    const old = publish(cpu, me, pointer);
    const end = snapshot(thread, domain, NORMAL);
    advance(thread, domain, NORMAL, end);
    if (isOver(thread, domain, NORMAL, end)) spoil(cpu, old);
  },
  look(cpu, thread, _me, { domain, out, readers }) {
    cpu.condLoadAcquire(out, isAtLeast, readers, Number.POSITIVE_INFINITY);
    for (const pace of PACES) advance(thread, domain, pace, 0);
  },
};
const READING: readonly RcuAct[] = ['read', 'nested', 'twice', 'guards'];

const isAtLeast = (count: number, least: number) => count >= least;

/** Each thread does one thing. After a death the reaper replaces the element as well: no period may wait for the dead. */
export function rcu(acts: readonly RcuAct[], shape: Shape = 'flat', waiting: Waiting = 'spins', deaths = 1): Program {
  const spins = waiting === 'spins' ? Number.POSITIVE_INFINITY : 1;
  const program: Program<Shared> = {
    words: ARENA_WORDS + acts.length + 3 + deaths,
    setup(cpu) {
      const view = makeArenas(cpu, acts.length, spins, ARENA_WORDS, deaths);
      for (const { thread } of view.arenas) Object.defineProperty(thread, 'isPreemptible', { value: false });
      const out = view.shared;
      const pointer = out + 1;
      pointTo(cpu, pointer);
      const domain = domainAt(cpu, (view.arenas[0] as Arena).objects.create(KINDS[shape]));
      return { ...view, domain, pointer, out, readers: acts.filter((act) => READING.includes(act)).length };
    },
    threads: acts.map((act) => (cpu: Cpu, me: number, shared: Shared) => {
      BODIES[act](cpu, (shared.arenas[me] as Arena).thread, me, shared);
      if (READING.includes(act) && acts.includes('look')) cpu.fetchAddRelease(shared.out, 1);
    }),
    reaper(cpu, died, shared, me, inherited) {
      reapFor(shared, died, me, inherited, deaths, 2);
      // They were about to say so, or have not been inside.
      for (const each of [died, ...inherited]) {
        if (READING.includes(acts[each] as RcuAct)) cpu.fetchAddRelease(shared.out, 1);
      }
      replace(cpu, (shared.arenas[me] as Arena).thread, me, shared, NORMAL);
    },
    check: inspectAfterDeath,
  };
  return program as unknown as Program;
}
