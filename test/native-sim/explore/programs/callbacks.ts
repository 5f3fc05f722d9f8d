/**
 * A domain of `Srcu` as programs use it: readers, callbacks on event loops, barriers, and threads that wait for readers, all of which drive
 * the periods. An element that is spoilt under its reader, a callback that never runs, or a barrier that is over before a callback of
 * before, is found.
 */
import { Arena } from '../../../../lib/arena/arena.ts';
import { Place } from '../../../../lib/arena/place.ts';
import type { ObjectHandle } from '../../../../lib/arena/shared-object.ts';
import type { Cpu } from '../../../../lib/machine/cpu.ts';
import { Callbacks } from '../../../../lib/rcu/callbacks.ts';
import { advance } from '../../../../lib/rcu/grace-period.ts';
import { domainAt, PACES } from '../../../../lib/rcu/layout.ts';
import { readersOf } from '../../../../lib/rcu/reader.ts';
import { Srcu } from '../../../../lib/rcu/srcu.ts';
import type { Program } from '../../../../native-sim/explore/program.ts';
import { pointTo, publish, spoil, use } from './element.ts';
import { makeArenas, reapAll, reapOnce, snapshot, type View } from './holdfast.ts';
import { inspect } from './inspection.ts';

/**
 * read: a reader; overlap: two of one thread, the second of which begins inside the first and stays for longer. call: replaces the
 * element, and spoils the old one in a callback; barrier: waits, on an event loop, for the callbacks that it knows of; barrier sync: the
 * same, blocking. replace: replaces the element, waits, and spoils the old one; hurry: in an expedited period; later: waits for that on
 * an event loop.
 */
export const CALLBACK_ACTS = [
  'read',
  'overlap',
  'call',
  'barrier',
  'barrier sync',
  'replace',
  'hurry',
  'later',
] as const;
export type CallbackAct = (typeof CALLBACK_ACTS)[number];

const ARENA_WORDS = 8192;
const MISSED = 1;

interface Shared extends View {
  handle: ObjectHandle;
  pointer: number;
  /** By thread: whether it has queued a callback, and whether that has run. */
  queued: number;
  ran: number;
}

export function callbacks(acts: readonly CallbackAct[], deaths = 1): Program {
  const open = (cpu: Cpu, me: number, { handle }: Shared) => {
    const arena = new Arena(new Place(cpu, me, { spins: Number.POSITIVE_INFINITY }));
    return { arena, srcu: new Srcu(arena, handle) };
  };
  /** As those that wait do after a while: a reader may have gone that was not told of them. */
  const look = (cpu: Cpu, { thread }: Arena, { handle }: Shared) => {
    const domain = domainAt(cpu, handle.address);
    for (const pace of PACES) advance(thread, domain, pace, 0);
  };
  /** What a barrier has to wait for: callbacks of the threads that say that they have queued one. */
  const known = (cpu: Cpu, { queued }: Shared) =>
    acts.flatMap((_, t) => (cpu.loadAcquire(queued + t) === 1 ? [t] : []));
  const areOver = (cpu: Cpu, threads: readonly number[], { ran }: Shared) => {
    // Plain: what a callback did comes before the end of a barrier that has waited for it. Only that of a dead thread has not run.
    for (const thread of threads) if (cpu.read(ran + thread) !== 1) cpu.store(ran + acts.length + thread, MISSED);
  };
  const call = (cpu: Cpu, me: number, srcu: Srcu, shared: Shared, arena: Arena): Promise<void> =>
    new Promise((resolve, reject) => {
      const old = publish(cpu, me, shared.pointer);
      // As `srcu.call`, which leaves it to itself.
      const queue = new Callbacks(readersOf(arena.thread, srcu.address), arena.heap);
      queue
        .add(() => {
          try {
            spoil(cpu, old);
            cpu.write(shared.ran + me, 1);
          } catch {
            // The machine stops the thread here, and says so again at the next operation: a callback's error would be reported.
          }
        })
        ?.then(resolve, reject);
      cpu.storeRelease(shared.queued + me, 1);
    });
  const synchronously: Partial<Record<CallbackAct, (cpu: Cpu, me: number, srcu: Srcu, shared: Shared) => void>> = {
    read(cpu, _me, srcu, { pointer }) {
      const index = srcu.readLock();
      use(cpu, pointer);
      srcu.readUnlock(index);
    },
    overlap(cpu, _me, srcu, { pointer }) {
      const outer = srcu.readLock();
      use(cpu, pointer);
      const inner = srcu.readLock();
      srcu.readUnlock(outer);
      use(cpu, pointer);
      srcu.readUnlock(inner);
    },
    'barrier sync'(cpu, _me, srcu, shared) {
      const threads = known(cpu, shared);
      srcu.barrier();
      areOver(cpu, threads, shared);
    },
    replace(cpu, me, srcu, { pointer }) {
      const old = publish(cpu, me, pointer);
      srcu.synchronize();
      spoil(cpu, old);
    },
    hurry(cpu, me, srcu, { pointer }) {
      const old = publish(cpu, me, pointer);
      srcu.synchronizeExpedited();
      spoil(cpu, old);
    },
  };
  const onLoop: Partial<
    Record<CallbackAct, (cpu: Cpu, me: number, srcu: Srcu, shared: Shared, arena: Arena) => Promise<void>>
  > = {
    call,
    async barrier(cpu, _me, srcu, shared) {
      const threads = known(cpu, shared);
      await srcu.barrierAsync();
      areOver(cpu, threads, shared);
    },
    async later(cpu, me, srcu, { pointer }) {
      const old = publish(cpu, me, pointer);
      await srcu.synchronizeAsync();
      spoil(cpu, old);
    },
  };
  const program: Program<Shared> = {
    words: ARENA_WORDS + acts.length * 4 + 2 + deaths,
    setup(cpu) {
      const view = makeArenas(cpu, acts.length, Number.POSITIVE_INFINITY, ARENA_WORDS, deaths);
      const queued = view.shared;
      const ran = queued + acts.length;
      const pointer = ran + 2 * acts.length;
      for (let word = queued; word < pointer; word++) cpu.store(word, 0);
      pointTo(cpu, pointer);
      const { handle } = new Srcu(view.arenas[0] as Arena);
      // Each event loop has its first tasks.
      for (const { thread, heap } of view.arenas) thread.returnTask(thread.takeTask(heap));
      return { ...view, handle, pointer, queued, ran };
    },
    threads: acts.map((act) => {
      const body = synchronously[act];
      if (body !== undefined) {
        return (cpu: Cpu, me: number, shared: Shared) => {
          const { arena, srcu } = open(cpu, me, shared);
          body(cpu, me, srcu, shared);
          look(cpu, arena, shared);
        };
      }
      return async (cpu: Cpu, me: number, shared: Shared) => {
        const { arena, srcu } = open(cpu, me, shared);
        await onLoop[act]?.(cpu, me, srcu, shared, arena);
        look(cpu, arena, shared);
      };
    }),
    reaper(cpu, died, shared, me, inherited) {
      reapAll(shared, [died, ...inherited], me, 2);
      const { arena, srcu } = open(cpu, me, shared);
      look(cpu, arena, shared);
      // No period and no barrier waits for the dead.
      const old = publish(cpu, me, shared.pointer);
      srcu.synchronize();
      spoil(cpu, old);
      srcu.barrier();
      look(cpu, arena, shared);
    },
    stalled: (_cpu, died, shared, me) => reapOnce(shared, died, me),
    check(memory, { ran }) {
      if (memory.died.length > 0) inspect(memory);
      acts.forEach((act, thread) => {
        if (act === 'call' && !memory.died.includes(thread) && memory.read(ran + thread) !== 1) {
          throw new Error('a callback has not run');
        }
        const isMissed = memory.read(ran + acts.length + thread) === MISSED && !memory.died.includes(thread);
        if (isMissed) throw new Error('a barrier was over before a callback that it knew of');
      });
      const arena = new Arena(new Place(snapshot(memory, ARENA_WORDS), acts.length + deaths - 1, { spins: 1 }));
      const problems = [...arena.fsck(), ...arena.waits().map((each) => JSON.stringify(each))];
      if (problems.length > 0) throw new Error(`in the end ${problems.join('; ')}`);
    },
  };
  return program as unknown as Program;
}
