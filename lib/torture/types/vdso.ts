/**
 * The shared clock. A Mutex puts the threads' reads of MONOTONIC in an order, so each must find a time that is not before
 * the last one of the owner before. The threads bring the pages up to date as well, beside kthreadd, and are killed there
 * like anywhere else. A word torn there would be an error as long as the time between two updates.
 *
 *   worst    the most that a time was before one that was read earlier, ns
 *   pairs    how often one thread's time was compared with another's
 *   begun    updates, and how many of them came to their end
 *   ended
 *   current  which of the two `times` is the last owner's
 *   times    high and low word
 */
import type { Arena } from '../../arena/arena.ts';
import type { ObjectHandle } from '../../arena/shared-object.ts';
import { CLOCK_MONOTONIC, CLOCK_MONOTONIC_COARSE, pairOf } from '../../arena/time-namespace.ts';
import { count, duration } from '../../debug/reports/figures.ts';
import { Mutex } from '../../locking/mutex.ts';
import { struct } from '../../memory/struct.ts';
import { TICKING, WATCHED } from '../../vdso/read.ts';
import { Updater } from '../../vdso/updater.ts';
import { Vdso } from '../../vdso/vdso.ts';
import { openVvar } from '../../vdso/vvar.ts';
import { type LockType, SLEEPING, type View, within } from '../lock-type.ts';
import { Violation } from '../section.ts';

const Record = struct({ worst: 1, pairs: 1, begun: 1, ended: 1, current: 1, times: 4 });

interface Handle {
  readonly mutex: ObjectHandle;
  readonly address: number;
}

/** What a thread reads: ns. */
interface Clock {
  fine(): number;
  coarse(): number;
}

/** How far the clocks of two threads may be apart, ns. */
const APART = 1000;
/** Reads in a row, beside the updates of other threads. */
const BURST = 16;

export const vdso = vdsoType('vdso', 'Vdso: times that all threads agree on, whatever updater dies', (arena) => {
  const clock = new Vdso(arena);
  return {
    fine: () => clock.clockGettime(CLOCK_MONOTONIC),
    coarse: () => clock.clockGettime(CLOCK_MONOTONIC_COARSE),
  };
});

export function vdsoType(name: string, summary: string, clockOf: (arena: Arena) => Clock): LockType {
  return {
    ...SLEEPING,
    name,
    summary,
    isAsync: false,
    longHold: 500,
    create(arena): Handle {
      const address = arena.alloc(Record.words);
      for (let word = 0; word < Record.words; word++) arena.cpu.write(address + word, 0);
      return { mutex: new Mutex(arena).handle, address };
    },
    open(arena, handle) {
      const { mutex, address } = handle as Handle;
      return viewOf(arena, Mutex.from(arena, mutex), address, clockOf(arena));
    },
  };
}

function viewOf(arena: Arena, order: Mutex, address: number, clock: Clock): View {
  const { cpu } = arena;
  const own = { fine: 0, coarse: 0 };
  let updater: Updater | undefined;

  /** The times of this thread's clocks, none before the last. */
  const read = (): number => {
    const coarse = clock.coarse();
    const fine = clock.fine();
    if (fine < own.fine) throw new Violation(`MONOTONIC went back by ${own.fine - fine} ns in a thread`);
    if (coarse < own.coarse) throw new Violation(`MONOTONIC_COARSE went back by ${own.coarse - coarse} ns in a thread`);
    if (coarse > fine) throw new Violation(`MONOTONIC_COARSE is ${coarse - fine} ns ahead of MONOTONIC`);
    own.fine = fine;
    own.coarse = coarse;
    return fine;
  };

  const timesAt = (which: number) => address + Record.times + 2 * which;

  const compare = (): void => {
    const before = timesAt(cpu.load(address + Record.current));
    const behind = pairOf(cpu.load(before), cpu.load(before + 1)) - read();
    cpu.store(address + Record.pairs, (cpu.load(address + Record.pairs) + 1) | 0);
    if (behind > cpu.load(address + Record.worst)) cpu.store(address + Record.worst, Math.min(behind, 2 ** 31 - 1));
    if (behind > APART) throw new Violation(`MONOTONIC is ${behind} ns before what another thread has read`);
  };

  /** Whole, or not at all: the thread may die between any two stores. */
  const note = (): void => {
    const time = read();
    const next = 1 - cpu.load(address + Record.current);
    cpu.store(timesAt(next), Math.floor(time / 2 ** 32));
    cpu.store(timesAt(next) + 1, (time % 2 ** 32) | 0);
    cpu.store(address + Record.current, next);
  };

  const update = (): void => {
    updater ??= new Updater(arena, openVvar(arena.objects));
    cpu.fetchAdd(address + Record.begun, 1);
    updater.update(TICKING | WATCHED);
    cpu.fetchAdd(address + Record.ended, 1);
  };

  return {
    lock(_mode, timeout) {
      update();
      order.lock(within(timeout));
      compare();
      return true;
    },
    tryLock() {
      for (let i = 0; i < BURST; i++) read();
      if (!order.tryLock()) return false;
      compare();
      return true;
    },
    unlock() {
      note();
      order.unlock();
    },
    get ownerDied() {
      return order.ownerDied;
    },
    makeConsistent: () => order.makeConsistent(),
    notes() {
      const of = (word: number) => cpu.load(address + word);
      const cut = of(Record.begun) - of(Record.ended);
      return [
        `${count(of(Record.pairs))} reads of MONOTONIC against another thread's: at most ${duration(of(Record.worst))} before it`,
        `${count(of(Record.begun))} updates by the threads, ${count(cut)} of them ended by a death`,
      ];
    },
    destroy() {
      order.destroy();
      arena.free(address);
    },
  };
}
