/** What trace programs share: cells, tables of maps, rings of output. Every execution on Armv8, with deaths. */
import { expect, test } from 'vitest';
import {
  addToCell,
  Cell,
  readCell,
  repairCell,
  storeCell,
  storeOwnCell,
  type Writer,
} from '../../../lib/debug/trace/program/cells.ts';
import { RING, RingWriter, readRing } from '../../../lib/debug/trace/program/ring.ts';
import { Table, tableWords } from '../../../lib/debug/trace/program/table.ts';
import type { Cpu } from '../../../lib/machine/cpu.ts';
import { expectExplored, type Program } from '../../../native-sim/explore/index.ts';

type Thread = Program['threads'][number];

/** The memory that an execution leaves, for what reads it. */
function left(memory: { read(address: number): number }): Cpu {
  const read = (address: number) => memory.read(address);
  return { load: read, loadAcquire: read, loadUnordered: read, storeRelease: () => {} } as unknown as Cpu;
}

/** Numbers of which no half goes with a half of another. */
const A = 3 * 2 ** 32 + 7;
const B = -5 * 2 ** 32 + 11;
const C = 9 * 2 ** 32 + 13;

const CELL = 16;
const CLAIMS = 8;
const writerOf = (me: number): Writer => ({ id: me + 1, claim: CLAIMS + me });

function oneOf(value: number, ...whole: number[]): void {
  if (!whole.some((one) => Object.is(one, value))) throw new Error(`read ${value}, which nobody has written`);
}

test('a reader that gets halves of two numbers of one writer', async () => {
  const write: Thread = (cpu) => [A, B, C].forEach((value) => void storeOwnCell(cpu, CELL, value));
  const read: Thread = (cpu) => oneOf(readCell(cpu, CELL), Number.NaN, A, B, C);
  const { executions } = await expectExplored({
    model: 'armv8',
    words: CELL + Cell.words,
    threads: [write, read],
    kill: { count: 1, threads: [0] },
    check: (cpu) => oneOf(readCell(left(cpu), CELL), Number.NaN, A, B, C),
  });
  expect(executions).toBeGreaterThan(10);
});

/** Waits like the reaper: what the dead thread has claimed is free then. */
const reaper: NonNullable<Program['reaper']> = (cpu, died) => {
  const { id, claim } = writerOf(died);
  const cell = cpu.load(claim);
  if (cell !== 0) repairCell(cpu, cell, id);
  cpu.storeRelease(claim, 0);
};

test('writers of one number, one of which is killed', async () => {
  const store =
    (value: number): Thread =>
    (cpu, me) =>
      void storeCell(cpu, CELL, writerOf(me), value);
  await expectExplored({
    model: 'armv8',
    words: CELL + Cell.words,
    threads: [store(A), store(B)],
    kill: { count: 1 },
    reaper,
    check: (cpu) => {
      oneOf(readCell(left(cpu), CELL), Number.NaN, A, B);
      if ((cpu.read(CELL) & 1023) !== 0) throw new Error('somebody has the cell still');
    },
  });
});

test('a sum that a thread adds to as another one does', async () => {
  const added: Thread = (cpu, me) => {
    // A writer that is in the way for long has its addition lost, and says so.
    const isAdded = addToCell(cpu, CELL, writerOf(me), A);
    cpu.store(me, isAdded ? 1 : 2);
  };
  await expectExplored({
    model: 'armv8',
    words: CELL + Cell.words,
    threads: [added, added],
    check: (cpu) => {
      const count = [0, 1].filter((me) => cpu.read(me) === 1).length;
      if (readCell(left(cpu), CELL) !== count * A)
        throw new Error(`${readCell(left(cpu), CELL)} of ${count} additions`);
    },
  });
});

const TABLE = 16;
const SHAPE = { keys: 1, entries: 3, valueWords: 1 };

test('one key that two threads add at once', async () => {
  const add: Thread = (cpu, me) => {
    const value = new Table(cpu, TABLE, SHAPE).findOrAdd(A, 0, 0, 0);
    cpu.store(me, value);
    if (value !== 0) cpu.fetchAdd(value, 1);
  };
  const check =
    (deaths: boolean): Program['check'] =>
    (cpu) => {
      const values = [...new Table(left(cpu), TABLE, SHAPE).all()];
      if (values.length > 1) throw new Error('the key is there twice');
      const [value] = values;
      const count = value === undefined ? 0 : cpu.read(value.value);
      if (!deaths && count !== 2) throw new Error(`${count} of 2 were counted`);
      if (value !== undefined && cpu.read(value.key) !== (A | 0))
        throw new Error('a key was reachable before it was written');
    };
  const program = {
    model: 'armv8',
    words: TABLE + tableWords(SHAPE),
    threads: [add, add],
  } satisfies Partial<Program> & { model: 'armv8' };
  await expectExplored({ ...program, check: check(false) });
  await expectExplored({ ...program, kill: { count: 1 }, check: check(true) });
});

test('a line of output that is read before it is written, or lost though its writer lives', async () => {
  const write: Thread = (cpu) => {
    const ring = new RingWriter(cpu, 16);
    ring.write(0, 1, 0, [A]);
    ring.write(0, 2, 0, [B]);
  };
  const read: Thread = (cpu) => {
    const records = readRing(cpu, 16);
    for (const [i, { number, values }] of records.entries()) {
      if (number !== i + 1 || values[0] !== [A, B][i]) throw new Error(`read ${number}: ${values}`);
    }
    cpu.store(0, records.length);
  };
  await expectExplored({
    model: 'armv8',
    words: 16 + RING.words,
    threads: [write, read],
    kill: { count: 1, threads: [0] },
    check: (cpu) => {
      const rest = readRing(left(cpu), 16).length + cpu.read(0);
      if (cpu.died.length === 0 && rest !== 2) throw new Error(`${rest} of 2 lines`);
    },
  });
});
