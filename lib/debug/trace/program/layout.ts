/**
 * What a running trace program is in shared memory: one object, of which an arena has up to PLACES, each made when it is needed, and used
 * again for the next program.
 *
 *   head | code | description | texts | pool
 *
 *   description  all but the code, as JSON: `Program`
 *   pool         the maps of all threads | an area for each thread that has run the program: its output, its parts of the maps
 *
 * A thread that is killed leaves its area as it is: what it has counted stays, and the thread that takes its slot goes on there.
 *
 * Writers. `state` says which threads may write: the program's maker while it is PREPARED, all while it is RUNNING. Threads run it in
 * the middle of an event, and open it with the mark of one (`Emitting`), so a thread that has changed the state waits until none has its mark set
 * (`quiesce`): from then on nobody runs it. A thread that was killed may still name a cell in its slot, for its reaper: until that has
 * been there, the place is not used again.
 */
import type { Cpu } from '../../../machine/cpu.ts';
import { Header } from '../../../memory/header.ts';
import { defineKind } from '../../../memory/kinds.ts';
import { ObjectHeader } from '../../../memory/objects.ts';
import type { Repairer } from '../../../memory/repairer.ts';
import { struct } from '../../../memory/struct.ts';
import { maxThreads, slotAddress, slotArea, slotNumberAt } from '../../../sched/slot.ts';
import type { StackPlace } from '../../profile/stacks.ts';
import { changeUsers } from '../layout.ts';
import { TraceUser } from '../sink.ts';
import { repairCell } from './cells.ts';
import { InstructionWords, MOST_INSTRUCTIONS } from './instructions.ts';
import { MOST_MAPS } from './program.ts';

/** Words of a slot. */
export const Running = slotArea(
  'programs',
  {
    /** The cell that it has claimed, or is about to claim, or 0. */
    claim: 1,
  },
  { vacate: vacateRunning },
);

/** How many programs can run in an arena at once. */
export const PLACES = 4;
/** Threads whose areas a pool has room for, at most. */
export const MOST_AREAS = 128;
export const DESCRIPTION_WORDS = 4096;
export const TEXTS = 512;
export const TEXT_WORDS = 1 << 14;
export const POOL_WORDS = 1 << 17;

const TextWords = struct({ key: 1, text: 1 });

export const FREE = 0;
export const PREPARED = 1;
export const RUNNING = 2;
/** Nobody begins to run it; its maps can be read. */
export const STOPPED = 3;

export const ProgramWords = struct({
  header: ObjectHeader.words,
  state: 1,
  /** The thread that has started it: a CPU number plus one, or 0. */
  owner: 1,
  /** 1 if it is to hear of locks that are free. */
  hearsLocks: 1,
  /** Counts the programs that have been here. */
  session: 1,
  /** 1 once the program has asked to be stopped. */
  ended: 1,
  instructions: 1,
  /** Bytes. */
  descriptionLength: 1,
  /** Texts that found no room. */
  droppedTexts: 1,
  /** Threads that found no area, once for each time that they began to run the program. */
  droppedThreads: 1,
  textUsed: 1,
  /** By map: counts how often it was cleared. */
  clears: MOST_MAPS,
  /** By area: the CPU number plus one of its thread, or 0. */
  areaOwners: MOST_AREAS,
  code: MOST_INSTRUCTIONS * InstructionWords.words,
  description: DESCRIPTION_WORDS,
  texts: TEXTS * TextWords.words,
  text: TEXT_WORDS,
  pool: POOL_WORDS,
});

export const PROGRAM_KIND = defineKind<Repairer>({
  name: 'trace program',
  words: ProgramWords.words,
  format: () => {},
  // Its owner may detach: that stops it.
  holder: () => 0,
  isBusy: (cpu, program) => cpu.load(program + ProgramWords.state) !== FREE,
  repair({ cpu, isDead }, program) {
    const owner = cpu.load(program + ProgramWords.owner);
    if (owner === 0 || !isDead(owner)) return true;
    cpu.xchg(program + ProgramWords.state, FREE);
    publishPrograms(cpu);
    // The thread that has the place next waits for the threads that run it still.
    cpu.storeRelease(program + ProgramWords.owner, 0);
    return true;
  },
});

/** Where the texts of a program are. */
export function textsOf(program: number): StackPlace {
  return {
    stacks: program + ProgramWords.texts,
    count: TEXTS,
    used: program + ProgramWords.textUsed,
    text: program + ProgramWords.text,
    words: TEXT_WORDS,
  };
}

/** What a thread that was killed leaves. */
function vacateRunning(cpu: Cpu, slot: number): void {
  const claimed = cpu.load(slot + Running.claim);
  if (claimed !== 0) repairCell(cpu, claimed, slotNumberAt(cpu, slot) + 1);
  // Pairs with the acquire in `isClaimed`.
  cpu.storeRelease(slot + Running.claim, 0);
}

/** Whether a thread has claimed a cell of that program, or was killed when it had. */
export function isClaimed(cpu: Cpu, program: number): boolean {
  for (let number = 0; number < maxThreads(cpu); number++) {
    const cell = cpu.loadAcquire(slotAddress(cpu, number) + Running.claim);
    if (cell >= program && cell < program + ProgramWords.words) return true;
  }
  return false;
}

/**
 * Threads learn what there is to run now: each comes to know before its next event. Each change of a program's state calls it
 * afterwards, and the last one to do so has seen all states.
 */
export function publishPrograms(cpu: Cpu): void {
  const wanted = () =>
    Array.from({ length: PLACES }, (_, i) => cpu.load(Header.programs + i))
      .filter((program) => program !== 0 && cpu.load(program + ProgramWords.state) === RUNNING)
      .map((program) => 1 + cpu.load(program + ProgramWords.hearsLocks))
      .reduce((most, one) => Math.max(most, one), 0);
  for (let now = wanted(), told = -1; told !== now; now = wanted()) {
    told = now;
    changeUsers(cpu, TraceUser.programs, told > 0, told > 1);
  }
}
