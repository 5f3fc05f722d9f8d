/** A thread destroys a lock while another one takes it, waits for it or has it. */
import { Arena } from '../../../../lib/arena/arena.ts';
import { Place } from '../../../../lib/arena/place.ts';
import type { ObjectHandle, SharedObject } from '../../../../lib/arena/shared-object.ts';
import { HoldfastError } from '../../../../lib/errors.ts';
import {
  McsLock,
  Mutex,
  PercpuRwSemaphore,
  PthreadMutex,
  PthreadRwlock,
  RtMutex,
  RwLock,
  RwSemaphore,
  SeqLock,
  SpinLock,
  TicketLock,
} from '../../../../lib/index.ts';
import type { Cpu } from '../../../../lib/machine/cpu.ts';
import { kindById } from '../../../../lib/memory/kinds.ts';
import { kindIdOf } from '../../../../lib/memory/objects.ts';
import { isWaitedFor } from '../../../../lib/sched/slot.ts';
import type { Program } from '../../../../native-sim/explore/program.ts';
import { type Body, onObject } from './on-object.ts';

type Which = string | ObjectHandle;

interface Section {
  readonly address: number;
  readonly handle: ObjectHandle;
  enter(): void;
  exit(): void;
}

const section = ({ address, handle }: SharedObject, enter: () => void, exit: () => void): Section => {
  return { address, handle, enter, exit };
};

const mutual = (lock: SharedObject & { lock(): void; unlock(): void }): Section =>
  section(
    lock,
    () => lock.lock(),
    () => lock.unlock(),
  );

const SECTIONS = {
  mutex: (arena: Arena, which: Which) => mutual(new Mutex(arena, which)),
  'rt-mutex': (arena: Arena, which: Which) => mutual(new RtMutex(arena, which)),
  'spin-lock': (arena: Arena, which: Which) => mutual(new SpinLock(arena, which)),
  'ticket-lock': (arena: Arena, which: Which) => mutual(new TicketLock(arena, which)),
  'mcs-lock': (arena: Arena, which: Which) => mutual(new McsLock(arena, which)),
  'pthread-mutex': (arena: Arena, which: Which) => mutual(new PthreadMutex(arena, which)),
  'rw-lock, write': (arena: Arena, which: Which) => {
    const lock = new RwLock(arena, which);
    return section(
      lock,
      () => lock.writeLock(),
      () => lock.writeUnlock(),
    );
  },
  'rw-lock, read': (arena: Arena, which: Which) => {
    const lock = new RwLock(arena, which);
    return section(
      lock,
      () => lock.readLock(),
      () => lock.readUnlock(),
    );
  },
  'rw-semaphore, write': (arena: Arena, which: Which) => {
    const lock = new RwSemaphore(arena, which);
    return section(
      lock,
      () => lock.downWrite(),
      () => lock.upWrite(),
    );
  },
  'rw-semaphore, read': (arena: Arena, which: Which) => {
    const lock = new RwSemaphore(arena, which);
    return section(
      lock,
      () => lock.downRead(),
      () => lock.upRead(),
    );
  },
  'percpu-rw-semaphore, write': (arena: Arena, which: Which) => {
    const lock = new PercpuRwSemaphore(arena, which);
    return section(
      lock,
      () => lock.downWrite(),
      () => lock.upWrite(),
    );
  },
  'percpu-rw-semaphore, read': (arena: Arena, which: Which) => {
    const lock = new PercpuRwSemaphore(arena, which);
    return section(
      lock,
      () => lock.downRead(),
      () => lock.upRead(),
    );
  },
  'pthread-rwlock, read': (arena: Arena, which: Which) => {
    const lock = new PthreadRwlock(arena, which);
    return section(
      lock,
      () => lock.readLock(),
      () => lock.unlock(),
    );
  },
} satisfies Record<string, (arena: Arena, which: Which) => Section>;

export type SectionName = keyof typeof SECTIONS;
export const SECTION_NAMES = Object.keys(SECTIONS) as SectionName[];

/** How `action` ended: 'gone' when it found that the lock was destroyed. */
function ending(action: () => void): string {
  try {
    action();
    return 'done';
  } catch (error) {
    if (!(error instanceof HoldfastError)) throw error;
    return error.message.includes('was destroyed') ? 'gone' : error.code;
  }
}

/** A view of the arena that knows nothing of other executions: of views that were retired, or of what a lock was like. */
const arenaOf = (cpu: Cpu, me: number) => new Arena(new Place(cpu, me, { spins: 1 }));

function destroy(cpu: Cpu, me: number, address: number): void {
  const { objects, thread } = arenaOf(cpu, me);
  objects.destroy(kindById(kindIdOf(cpu, address))!, address, (first, end) => isWaitedFor(cpu, first, end, thread.id));
}

/**
 * use: takes the lock, and leaves it. destroy: destroys it. drop: takes it, leaves it, and destroys it. A thread that has
 * destroyed it has what the lock protects for itself from then on.
 */
export type DestroyAct = 'use' | 'destroy' | 'drop';

export function destroyed(name: SectionName, acts: readonly DestroyAct[]): Program {
  const isReader = name.endsWith('read');
  // These keep in the view what they have seen.
  const remembers = name.includes('rw-semaphore');
  const use: Body<Section> = (cpu, me, _arena, given, cell) => {
    let own = given;
    const end = ending(() => {
      if (remembers) own = SECTIONS[name](arenaOf(cpu, me), given.handle);
      own.enter();
    });
    if (end === 'gone') return;
    if (end !== 'done') throw new Error(`it was not had: ${end}`);
    const seen = cpu.read(cell);
    if (!isReader) cpu.write(cell, seen + 1);
    own.exit();
  };
  const drop: Body<Section> = (cpu, me, _arena, { address }, cell) => {
    const end = ending(() => destroy(cpu, me, address));
    if (end === 'done') cpu.write(cell, cpu.read(cell) + 1);
    else if (end !== 'EBUSY' && end !== 'gone') throw new Error(`destroy() ended with ${end}`);
  };
  const bodies: Record<DestroyAct, Body<Section>> = {
    use,
    destroy: drop,
    drop(...args) {
      use(...args);
      drop(...args);
    },
  };
  return onObject(
    (arena, first) => SECTIONS[name](arena, first?.handle ?? 'x'),
    acts.map((act) => bodies[act]),
    1,
    // It is there or gone, wholly: whoever comes next has it, or learns that.
    { heir: (...args) => use(...args), settleSpins: 2 },
  );
}

/** A thread tries to take a lock that nobody ever holds, while another one destroys it: it has it, or learns that it is gone. */
export function refused(): Program {
  const attempt: Body<SeqLock> = (_cpu, _me, _arena, lock) => {
    let isMine = false;
    const end = ending(() => {
      isMine = lock.tryLock();
    });
    if (end === 'gone') return;
    if (!isMine) throw new Error(`nobody holds it, and it was not had: ${end}`);
    lock.unlock();
  };
  return onObject(
    (arena, first) => new SeqLock(arena, first?.handle ?? 'x'),
    [
      attempt,
      (cpu, me, _arena, { address }) => {
        const end = ending(() => destroy(cpu, me, address));
        if (end !== 'done' && end !== 'EBUSY') throw new Error(`destroy() ended with ${end}`);
      },
    ],
    1,
  );
}
