/** What is read without a lock, between two looks at a count, as programs to explore. */

import { Arena } from '../../../../lib/arena/arena.ts';
import { Place } from '../../../../lib/arena/place.ts';
import type { ObjectHandle } from '../../../../lib/arena/shared-object.ts';
import { HoldfastError } from '../../../../lib/errors.ts';
import { SeqCount } from '../../../../lib/locking/seqlock/seq-count.ts';
import { SeqCountLatch } from '../../../../lib/locking/seqlock/seq-count-latch.ts';
import { SeqLock } from '../../../../lib/locking/seqlock/seq-lock.ts';
import type { Cpu } from '../../../../lib/machine/cpu.ts';
import type { Program } from '../../../../native-sim/explore/program.ts';
import { snapshot } from './holdfast.ts';
import { type Body, onObject } from './on-object.ts';

const MAKERS = {
  'seq-lock': (arena: Arena, handle?: ObjectHandle) => new SeqLock(arena, handle),
  'seq-count': (arena: Arena, handle?: ObjectHandle) => new SeqCount(arena, handle),
  'seq-count-latch': (arena: Arena, handle?: ObjectHandle) => new SeqCountLatch(arena, handle),
};

export type SequenceName = keyof typeof MAKERS;
export const SEQUENCE_NAMES = Object.keys(MAKERS) as SequenceName[];
type Sequence = SeqLock | SeqCount | SeqCountLatch;

/**
 * read: with `read`; section: between `readBegin` and `readRetry`; write: the next value to both words; twice: two of
 * those.
 */
export type SequenceAct = 'read' | 'section' | 'write' | 'twice';

/** `cell`: two words of the arena, and two more for the second copy of a latch. */
interface View {
  sequence: Sequence;
  cell: number;
}

/** Readers of two words that are always written alike. With `deaths` somebody writes again after each, and the end is looked at. */
export function sequence(name: SequenceName, acts: readonly SequenceAct[], spins: number, deaths?: number): Program {
  const make: (arena: Arena, handle?: ObjectHandle) => Sequence = MAKERS[name];
  const open = (arena: Arena, first?: View) => ({
    sequence: make(arena, first?.sequence.handle),
    cell: first?.cell ?? cells(arena),
  });
  if (deaths === undefined) return onObject(open, acts.map(bodyOf), spins);
  const writes = (act: SequenceAct | undefined) => act === 'write' || act === 'twice';
  return onObject(open, acts.map(bodyOf), spins, {
    deaths,
    stalls: true,
    settleSpins: 1,
    heir(cpu, died, { thread }, { sequence, cell }) {
      // Only a lock keeps writers apart.
      if (sequence instanceof SeqLock || writes(acts[died])) write(cpu, sequence, cell, 10 * thread.id);
    },
    check(memory, _cell, [{ sequence, cell }]) {
      const words = 4096;
      const arena = new Arena(new Place(snapshot(memory, words), acts.length + deaths - 1, { spins: 1 }));
      const problems = [...arena.fsck(), ...arena.waits().map((each) => JSON.stringify(each))];
      if (problems.length > 0) throw new Error(`in the end ${problems.join('; ')}`);
      const view = make(arena, sequence.handle);
      const [one, other] = whole(view, cell);
      if (one !== other) throw new Error(`in the end ${one} and ${other}`);
      write(arena.cpu, view, cell, 1);
    },
  });
}

function cells(arena: Arena): number {
  const cell = arena.alloc(4);
  for (let i = 0; i < 4; i++) arena.cpu.store(cell + i, 0);
  return cell;
}

function bodyOf(act: SequenceAct): Body<View> {
  if (act === 'write' || act === 'twice') {
    return (cpu, me, _arena, { sequence, cell }) => {
      for (let i = 1; i <= (act === 'twice' ? 2 : 1); i++) write(cpu, sequence, cell, me * 10 + i);
    };
  }
  return (cpu, _me, _arena, { sequence, cell }) => {
    const [one, other] = act === 'read' ? whole(sequence, cell) : unlessTorn(() => section(cpu, sequence, cell));
    if (one !== other) throw new Error(`read ${one} and ${other}`);
  };
}

function write(cpu: Cpu, sequence: Sequence, cell: number, value: number): void {
  if (!(sequence instanceof SeqLock)) {
    sequence.write(cell, [value, value]);
    return;
  }
  sequence.lock();
  cpu.store(cell, value);
  cpu.store(cell + 1, value);
  if (sequence.ownerDied) sequence.makeConsistent();
  sequence.unlock();
}

/** What `read` has returned; two equal words where a writer is dead, and nobody has made it consistent. */
function unlessTorn(read: () => number[]): number[] {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof HoldfastError) || error.code !== 'EOWNERDEAD') throw error;
    return [0, 0];
  }
}

function whole(sequence: Sequence, cell: number): number[] {
  const into = new Int32Array(2);
  return unlessTorn(() => [...sequence.read(cell, into)]);
}

function section(cpu: Cpu, sequence: Sequence, cell: number): number[] {
  for (;;) {
    const begun = sequence.readBegin();
    const copy = sequence instanceof SeqCountLatch ? cell + (begun & 1) * 2 : cell;
    const values = [cpu.load(copy), cpu.load(copy + 1)];
    if (!sequence.readRetry(begun)) return values;
  }
}
