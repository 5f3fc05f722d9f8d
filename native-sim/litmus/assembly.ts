/**
 * What the assembly languages share: the table of code (`P0 | P1 ;`, a row per line), labels and branches, and running
 * a thread of instructions.
 */
import type { CodeMap, CodePlace } from './code-map.ts';
import { LitmusSyntaxError, UnsupportedConstruct } from './errors.ts';
import { strayed, type ThreadProgram, type ThreadRun } from './thread-run.ts';
import { Cursor, type Token, tokenize } from './tokens.ts';

/** The thread returns to whoever called it: it is at its end. */
export const endOfThread = Symbol('end of thread');

/** What an instruction does; it returns where to go on, a label or the address of code, or nothing to fall through. */
export type Step = (thread: ThreadRun) => string | bigint | typeof endOfThread | undefined;

/** Reads one instruction, which begins at the cursor, to its end. It will lie at `here`. */
export type InstructionReader = (mnemonic: Token, operands: Cursor, here: CodePlace) => Step;

/** herd's default: a label may be come back to twice, unless the branch depends on nothing that was read. */
const visitsOfLabel = 3;
const visitsOfCountingLoop = 10_000;

/** The code of one thread. */
interface Column {
  readonly thread: number;
  readonly steps: Step[];
  /** Where branches lead to. */
  readonly targets: Token[];
}

/** The row that names the threads. The oldest tests have none: their columns count from 0. */
function readHeader(cursor: Cursor, mayLack: boolean): number[] {
  const threads: number[] = [];
  if (mayLack && !/^P?[0-9]+$/.test(cursor.token.text)) {
    for (let ahead = 0; cursor.peek(ahead).text !== ';' && cursor.peek(ahead).type !== 'end'; ahead++) {
      if (ahead === 0 || cursor.peek(ahead).text === '|') threads.push(threads.length);
    }
    return threads;
  }
  do {
    const name = cursor.token.type === 'number' && mayLack ? cursor.next() : cursor.name('a thread ("P0")');
    if (!/^P?[0-9]+$/.test(name.text)) throw new UnsupportedConstruct(`column "${name.text}"`, name.line, name.column);
    threads.push(Number(name.text.replace('P', '')));
  } while (cursor.accept('|'));
  cursor.expect(';');
  return threads;
}

/** A table of code whose labels are known, and whose instructions have not been read. */
export interface Table {
  readonly threads: readonly number[];
  /** At the first row of code. */
  readonly cursor: Cursor;
}

/** Opens the table in `text[from, to)`, and tells `code` which labels and named registers there are. */
export function openTable(text: string, from: number, to: number, mayLackHeader: boolean, code: CodeMap): Table {
  const cursor = new Cursor(tokenize(text, from, to));
  // The oldest tests have one behind the initial state.
  if (mayLackHeader) cursor.accept(';');
  const threads = readHeader(cursor, mayLackHeader);
  for (const thread of threads) code.declare(thread);
  const counts = threads.map(() => 0);
  let column = 0;
  let isCellStart = true;
  for (let ahead = 0; cursor.peek(ahead).type !== 'end'; ahead++) {
    const { type, text } = cursor.peek(ahead);
    const thread = threads[column];
    if (text === '%' && thread !== undefined) code.nameRegister(cursor.peek(ahead + 1).text, thread);
    if (text === ';' || text === '|') {
      column = text === '|' ? column + 1 : 0;
      isCellStart = true;
    } else if (isCellStart && type === 'name' && cursor.peek(ahead + 1).text === ':') {
      if (thread !== undefined) code.define(text, { thread, index: counts[column]! });
      ahead++;
    } else {
      if (isCellStart && thread !== undefined) counts[column]!++;
      isCellStart = false;
    }
  }
  return { threads, cursor };
}

/** The code of each thread. */
export function readTable({ threads, cursor }: Table, read: InstructionReader): Map<number, Column> {
  const columns = threads.map((thread): Column => ({ thread, steps: [], targets: [] }));
  while (cursor.token.type !== 'end') {
    for (const [at, column] of columns.entries()) {
      readCell(cursor, column, read);
      if (at + 1 < columns.length) cursor.expect('|');
    }
    if (!cursor.accept(';')) cursor.fail('";" to end the row, or an operand');
  }
  return new Map(columns.map((column) => [column.thread, column]));
}

function readCell(cursor: Cursor, { thread, steps, targets }: Column, read: InstructionReader): void {
  while (cursor.token.type === 'name' && cursor.peek().text === ':') {
    cursor.next();
    cursor.next();
  }
  if (cursor.is('|') || cursor.is(';')) return;
  const mnemonic = cursor.name('an instruction');
  steps.push(read(mnemonic, cursor, { thread, index: steps.length }));
  targets.push(...cursor.targets.splice(0));
}

/** A program that can be run, beginning with the code of `thread`: every branch must lead somewhere. */
export function assemble(
  columns: ReadonlyMap<number, Column>,
  thread: number,
  registers: ReadonlyMap<string, bigint>,
  code: CodeMap,
): ThreadProgram {
  for (const { text, line, column } of columns.get(thread)!.targets) {
    if (code.find(text, thread) === undefined) {
      throw new LitmusSyntaxError(line, column, 'a label of the test', JSON.stringify(text));
    }
  }
  return {
    registers,
    run(run: ThreadRun): void {
      const visits = new Map<bigint, number>();
      let at: CodePlace = { thread, index: 0 };
      for (;;) {
        const { steps } = columns.get(at.thread)!;
        if (at.index >= steps.length) return;
        run.branchIsOpen = true;
        const target = steps[at.index]!(run);
        if (target === undefined) {
          at = { thread: at.thread, index: at.index + 1 };
          continue;
        }
        if (target === endOfThread) return;
        const address = typeof target === 'string' ? code.find(target, at.thread)! : target;
        const to = code.place(address);
        if (to === undefined) throw strayed;
        if (to.thread !== at.thread || to.index <= at.index) {
          const count = (visits.get(address) ?? 1) + 1;
          visits.set(address, count);
          if (count > (run.branchIsOpen ? visitsOfLabel : visitsOfCountingLoop)) {
            run.cut = true;
            return;
          }
        }
        at = to;
      }
    },
  };
}
