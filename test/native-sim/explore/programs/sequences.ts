/** What is read without a lock, between two looks at a count, as programs to explore. */

import type { Arena } from '../../../../lib/arena/arena.ts';
import type { ObjectHandle } from '../../../../lib/arena/shared-object.ts';
import { HoldfastError } from '../../../../lib/errors.ts';
import { SeqCount } from '../../../../lib/locking/seqlock/seq-count.ts';
import { SeqCountLatch } from '../../../../lib/locking/seqlock/seq-count-latch.ts';
import { SeqLock } from '../../../../lib/locking/seqlock/seq-lock.ts';
import type { Cpu } from '../../../../lib/machine/cpu.ts';
import type { Program } from '../../../../native-sim/explore/program.ts';
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

/** Readers of two words that are always written alike. */
export function sequence(name: SequenceName, acts: readonly SequenceAct[], spins: number): Program {
  const make: (arena: Arena, handle?: ObjectHandle) => Sequence = MAKERS[name];
  const open = (arena: Arena, first?: View) => ({
    sequence: make(arena, first?.sequence.handle),
    cell: first?.cell ?? cells(arena),
  });
  return onObject(open, acts.map(bodyOf), spins);
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
    const [one, other] = act === 'read' ? whole(sequence, cell) : section(cpu, sequence, cell);
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

function whole(sequence: Sequence, cell: number): number[] {
  const into = new Int32Array(2);
  try {
    sequence.read(cell, into);
  } catch (error) {
    if (!(error instanceof HoldfastError) || error.code !== 'EOWNERDEAD') throw error;
    return [0, 0];
  }
  return [...into];
}

function section(cpu: Cpu, sequence: Sequence, cell: number): number[] {
  for (;;) {
    const begun = sequence.readBegin();
    const copy = sequence instanceof SeqCountLatch ? cell + (begun & 1) * 2 : cell;
    const values = [cpu.load(copy), cpu.load(copy + 1)];
    if (!sequence.readRetry(begun)) return values;
  }
}
