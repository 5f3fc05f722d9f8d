/** `TasksRcu` as programs to explore: threads that use an element without saying so, and writers that replace and spoil it. */

import type { Arena } from '../../../../lib/arena/arena.ts';
import type { Cpu } from '../../../../lib/machine/cpu.ts';
import { defineDomain } from '../../../../lib/rcu/domain.ts';
import { advance, INSIDE, isOver, snapshot } from '../../../../lib/rcu/grace-period.ts';
import { type Domain, domainAt, EXPEDITED, GEOMETRY, NORMAL, PACES } from '../../../../lib/rcu/layout.ts';
import { Readers } from '../../../../lib/rcu/reader.ts';
import { Presence } from '../../../../lib/rcu/tasks-rcu.ts';
import type { Thread } from '../../../../lib/sched/thread.ts';
import type { Program } from '../../../../native-sim/explore/program.ts';
import { pointTo, publish, replace, spoil, use } from './element.ts';
import { makeArenas, reapDead, type View } from './holdfast.ts';
import { inspectAfterDeath } from './inspection.ts';

const KIND = defineDomain('explored-tasks', false, GEOMETRY, true);

/**
 * use: uses the element, says that nothing is in use, and uses it again; nap: the same with a sleep in between; idle: is in its
 * event loop, uses the element when it is rung; late: takes part only once it runs. replace: replaces the element, sleeps until
 * the period is over, and spoils the old one; hurry: in an expedited period; poll: asks for a period, and spoils the old element
 * if it is over. look: once all that use it are gone, looks again for those who wait, as they do themselves after a while.
 */
export type TasksAct = 'use' | 'nap' | 'idle' | 'late' | 'replace' | 'hurry' | 'poll' | 'look';
const USING: readonly TasksAct[] = ['use', 'nap', 'idle', 'late'];
const WATCHING: readonly TasksAct[] = ['look'];

const ARENA_WORDS = 4096;

interface Member {
  readonly readers: Readers;
  readonly presence: Presence;
}

interface Shared extends View {
  domain: Domain;
  /** Of the threads that take part from the start. */
  members: (Member | undefined)[];
  /** The pointer; element `i` is the i-th word behind it. */
  pointer: number;
  /** How many threads that use the element are gone, and how many there are. */
  gone: number;
  users: number;
}

type Body = (cpu: Cpu, member: Member, me: number, shared: Shared) => void;

function join(thread: Thread, rcu: number): Member {
  const readers = new Readers(thread, rcu);
  return { readers, presence: new Presence(readers) };
}

const isRung = (lane: number) => lane !== INSIDE;
const isAtLeast = (count: number, least: number) => count >= least;

const BODIES: Record<TasksAct, Body> = {
  use(cpu, { presence }, _me, { pointer }) {
    use(cpu, pointer);
    presence.quiescent();
    use(cpu, pointer);
  },
  nap(cpu, { presence }, _me, { pointer }) {
    use(cpu, pointer);
    presence.sleeping();
    presence.running();
    use(cpu, pointer);
  },
  idle(cpu, { readers, presence }, _me, { pointer }) {
    // What `waitAsync` does for the event loop.
    while (!isRung(cpu.load(readers.sync))) cpu.wait(readers.sync, INSIDE, Number.POSITIVE_INFINITY);
    presence.quiescent();
    use(cpu, pointer);
  },
  late: (cpu, _member, _me, { pointer }) => use(cpu, pointer),
  replace: (cpu, member, me, shared) => replace(cpu, member.readers.thread, me, shared, NORMAL),
  hurry: (cpu, member, me, shared) => replace(cpu, member.readers.thread, me, shared, EXPEDITED),
  poll(cpu, { readers: { thread }, presence }, me, { domain, pointer }) {
    const old = publish(cpu, me, pointer);
    const end = snapshot(thread, domain, NORMAL);
    advance(thread, domain, NORMAL, end);
    presence.quiescent();
    if (isOver(thread, domain, NORMAL, end)) spoil(cpu, old);
  },
  look(cpu, { readers: { thread } }, _me, { domain, gone, users }) {
    cpu.condLoadAcquire(gone, isAtLeast, users, Number.POSITIVE_INFINITY);
    for (const pace of PACES) advance(thread, domain, pace, 0);
  },
};

/**
 * Each thread does one thing, and leaves. After a death the reaper replaces the element as well, as a thread that takes no part:
 * no period may wait for the dead.
 */
export function tasksRcu(acts: readonly TasksAct[]): Program {
  const takesPart = (act: TasksAct) => act !== 'late' && !WATCHING.includes(act);
  const program: Program<Shared> = {
    words: ARENA_WORDS + acts.length + 4,
    setup(cpu) {
      const view = makeArenas(cpu, acts.length, 1, ARENA_WORDS);
      for (const { thread } of view.arenas) Object.defineProperty(thread, 'isPreemptible', { value: false });
      // It waits for threads that may go without being told, when nobody is left who looks again.
      const reaper = (view.arenas.at(-1) as Arena).thread;
      Object.defineProperty(reaper, 'spins', { value: Number.POSITIVE_INFINITY });
      const gone = view.shared;
      const pointer = gone + 1;
      pointTo(cpu, pointer);
      const domain = domainAt(cpu, (view.arenas[0] as Arena).objects.create(KIND));
      const members = acts.map((act, i) => {
        const { thread } = view.arenas[i] as Arena;
        const member = takesPart(act) ? join(thread, domain.rcu) : undefined;
        if (member !== undefined) thread.hooks.add(member.presence);
        return member;
      });
      return { ...view, domain, members, pointer, gone, users: acts.filter((act) => USING.includes(act)).length };
    },
    threads: acts.map((act) => (cpu: Cpu, me: number, shared: Shared) => {
      const { thread } = shared.arenas[me] as Arena;
      if (WATCHING.includes(act)) {
        const readers = new Readers(thread, shared.domain.rcu);
        BODIES[act](cpu, { readers, presence: undefined as never }, me, shared);
        return;
      }
      const member = shared.members[me] ?? join(thread, shared.domain.rcu);
      BODIES[act](cpu, member, me, shared);
      member.presence.sleeping();
      if (USING.includes(act)) cpu.fetchAddRelease(shared.gone, 1);
    }),
    reaper(cpu, died, shared) {
      const { thread } = shared.arenas.at(-1) as Arena;
      reapDead(shared, died, 2);
      const act = acts[died] as TasksAct;
      // It was about to say so, or is gone in any case.
      if (USING.includes(act)) cpu.fetchAddRelease(shared.gone, 1);
      if (!WATCHING.includes(act)) return replace(cpu, thread, acts.length, shared, NORMAL);
      const readers = new Readers(thread, shared.domain.rcu);
      BODIES[act](cpu, { readers, presence: undefined as never }, died, shared);
    },
    check: inspectAfterDeath,
  };
  return program as unknown as Program;
}
