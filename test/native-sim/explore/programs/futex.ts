/** The futex operations as programs to explore: threads that lock, sleep on and wake words next to the arena. */
import { openFutexes } from '../../../../lib/futex/open.ts';
import { lockPi, unlockPi } from '../../../../lib/futex/pi.ts';
import { countPiStates, reservePiState } from '../../../../lib/futex/pi-state.ts';
import { FUTEX_OWNER_DIED, FUTEX_TID_MASK } from '../../../../lib/futex/robust-list.ts';
import type { Futexes } from '../../../../lib/futex/table.ts';
import { Heap } from '../../../../lib/memory/heap.ts';
import type { Arena } from '../../../../lib/sched/arena.ts';
import { block } from '../../../../lib/sched/drive.ts';
import { Thread } from '../../../../lib/sched/thread.ts';
import type { FinalMemory, Program } from '../../../../native-sim/explore/program.ts';
import { snapshot } from './holdfast.ts';
import { type Body, onObject } from './on-object.ts';

/** The table alone takes 2,064 words. */
const WORDS = 8192;

const makeTable = (arena: Arena) => ({ handle: openFutexes(arena).table });

/** Each thread locks a priority-inheriting word, counts, and unlocks. */
export function piLock(threads: number, spins: number): Program {
  const body: Body<number> = (cpu, _me, arena, table, word) => {
    const { thread } = arena;
    const futexes: Futexes = { thread, table };
    const cell = word + 1;
    if (cpu.cmpxchgAcquire(word, 0, thread.self) !== 0) {
      reservePiState(arena);
      const outcome = block(thread, undefined, (waiter) => lockPi(futexes, word, waiter));
      // Without a robust list nobody marks the word of an owner that dies before anybody waits.
      if (outcome === 'no-owner') return;
      if (outcome !== 'acquired') throw new Error(`LOCK_PI: ${outcome}`);
      if ((cpu.load(word) & FUTEX_TID_MASK) !== thread.self) throw new Error(`the word holds ${cpu.load(word)}`);
      cpu.fetchAndRelaxed(word, ~FUTEX_OWNER_DIED);
    }
    cpu.write(cell, cpu.read(cell) + 1);
    if (cpu.cmpxchgRelease(word, thread.self, 0) !== thread.self) unlockPi(futexes, word, thread.self);
  };
  return onObject(makeTable, Array<Body<number>>(threads).fill(body), spins, { words: WORDS, check: nothingLeaks });
}

/** All blocks of the heap are the table, and states that are in their places. */
function nothingLeaks(memory: FinalMemory, _cell: number, table: number): void {
  const cpu = snapshot(memory, WORDS);
  const { blocks } = new Heap(cpu, 1).use();
  const states = countPiStates({ thread: new Thread(cpu, 0), table });
  if (blocks !== 1 + states) throw new Error(`${blocks} blocks for the table and ${states} states`);
}
