/**
 * Where programs are: PLACES in an arena, each of which has one program at a time.
 *
 *   owner = 0     free
 *   owner = id    PREPARED: nobody has its mark set that knows the last program here; it is cleared and written
 *                 RUNNING:  threads open it and run it
 *                 STOPPED:  nobody opens it, and once no thread has its mark set nobody runs it: it is read
 *
 * An owner that dies is the reaper's business, which makes the place free (`PROGRAM_KIND`).
 */
import type { Arena } from '../../../arena/arena.ts';
import { HoldfastError } from '../../../errors.ts';
import { Header } from '../../../memory/header.ts';
import { watching } from '../../../sched/contention.ts';
import { quiesce, Tables } from '../layout.ts';
import { clearTables, openTables } from '../session.ts';
import {
  FREE,
  isClaimed,
  PLACES,
  PREPARED,
  PROGRAM_KIND,
  ProgramWords,
  publishPrograms,
  RUNNING,
  STOPPED,
} from './layout.ts';
import { poolOf } from './pool.ts';
import type { Program } from './program.ts';
import { descriptionOf, writeProgram } from './stored.ts';

/** Starts the program on all threads of the arena. Returns its address. Throws EBUSY and ENOMEM; nothing runs then that did not before. */
export function startProgram(arena: Arena, program: Program, hearsLocks: boolean): number {
  const description = descriptionOf(program);
  const { cpu, thread } = arena;
  const pool = poolOf(cpu, program);
  if (pool.areaCount < 1) {
    throw new HoldfastError(
      'ENOMEM',
      `the maps of this trace program take more than there is: make them smaller with let @x = hash(...)`,
    );
  }
  const tables = openTables(arena);
  return exclusively(arena, tables, () => {
    const address = takePlace(arena);
    if (cpu.load(Header.trace) === 0) clearTables(cpu, tables);
    cpu.store(Header.traceTables, tables);
    const session = (cpu.load(address + ProgramWords.session) + 1) | 0 || 1;
    for (let word = ProgramWords.hearsLocks; word < ProgramWords.words; word++) cpu.store(address + word, 0);
    cpu.store(address + ProgramWords.session, session);
    cpu.store(address + ProgramWords.hearsLocks, hearsLocks ? 1 : 0);
    writeProgram(cpu, address, program, description);
    // Pairs with the acquire in `openProgram`.
    cpu.xchg(address + ProgramWords.state, RUNNING);
    publishPrograms(cpu);
    watching(thread);
    return address;
  });
}

/** Nobody runs the program any more when it comes back, but so many threads that are stopped in the middle of it. */
export function stopProgram<Result>(arena: Arena, address: number, read: (unfinished: number) => Result): Result {
  const { cpu, thread } = arena;
  return exclusively(arena, openTables(arena), () => {
    cpu.xchg(address + ProgramWords.state, STOPPED);
    publishPrograms(cpu);
    const result = read(quiesce(cpu));
    cpu.store(address + ProgramWords.state, FREE);
    // Pairs with the exchange in `takePlace`.
    cpu.storeRelease(address + ProgramWords.owner, 0);
    watching(thread);
    return result;
  });
}

/** A place that is the calling thread's from here on, and that no thread touches. */
function takePlace(arena: Arena): number {
  const { cpu, thread, objects } = arena;
  // Threads that have known a program of before find out at their next event, or are waited for.
  publishPrograms(cpu);
  if (quiesce(cpu) > 0) throw new HoldfastError('EBUSY', 'a thread is stopped in the middle of an event: try later');
  for (let place = 0; place < PLACES; place++) {
    const address = objects.open(PROGRAM_KIND, `holdfast.trace-program-${place}`);
    cpu.store(Header.programs + place, address);
    if (cpu.cmpxchg(address + ProgramWords.owner, 0, thread.id) !== 0) continue;
    if (!isClaimed(cpu, address)) {
      cpu.store(address + ProgramWords.state, PREPARED);
      return address;
    }
    cpu.storeRelease(address + ProgramWords.owner, 0);
  }
  throw new HoldfastError('EBUSY', `${PLACES} trace programs run in this arena already`);
}

/** One thread at a time starts or stops whatever traces. */
function exclusively<Result>({ cpu, thread }: Arena, tables: number, change: () => Result): Result {
  const busy = cpu.cmpxchg(tables + Tables.busy, 0, thread.id);
  if (busy !== 0) throw new HoldfastError('EBUSY', `thread ${busy - 1} starts or stops a trace just now`);
  try {
    return change();
  } finally {
    cpu.storeRelease(tables + Tables.busy, 0);
  }
}
