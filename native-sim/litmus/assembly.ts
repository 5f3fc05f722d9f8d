/**
 * What the assembly languages share: the table of code (`P0 | P1 ;`, a row per line), labels and branches, and running
 * a thread of instructions.
 */
import { LitmusSyntaxError, UnsupportedConstruct } from './errors.ts';
import type { ThreadProgram, ThreadRun } from './thread-run.ts';
import { Cursor, type Token, tokenize } from './tokens.ts';

/** The thread returns to whoever called it: it is at its end. */
export const endOfThread = Symbol('end of thread');

/** What an instruction does; it returns the label to go on at, or nothing to fall through. */
export type Step = (thread: ThreadRun) => string | typeof endOfThread | undefined;

/** Reads one instruction, which begins at the cursor, to its end. */
export type InstructionReader = (mnemonic: Token, operands: Cursor) => Step;

/** herd's default: a label may be come back to twice, unless the branch depends on nothing that was read. */
const visitsOfLabel = 3;
const visitsOfCountingLoop = 10_000;

interface Program {
  readonly steps: Step[];
  readonly labels: Map<string, number>;
  /** Where branches lead to. */
  readonly targets: Token[];
  /** What addresses are taken of. */
  readonly symbols: Token[];
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

export interface TableOptions {
  /** There need not be a row of thread names. */
  readonly mayLackHeader: boolean;
}

/** The code of each thread, from the table in `text[from, to)`. */
export function readTable(
  text: string,
  from: number,
  to: number,
  read: InstructionReader,
  { mayLackHeader }: TableOptions,
): Map<number, Program> {
  const header = new Cursor(tokenize(text, from, to));
  const threads = readHeader(header, mayLackHeader);

  const programs = threads.map((): Program => ({ steps: [], labels: new Map(), targets: [], symbols: [] }));
  while (header.token.type !== 'end') {
    for (let column = 0; column < threads.length; column++) {
      readCell(header, programs[column]!, read);
      if (column + 1 < threads.length) header.expect('|');
    }
    if (!header.accept(';')) header.fail('";" to end the row, or an operand');
  }
  return new Map(threads.map((thread, column) => [thread, programs[column]!]));
}

function readCell(cursor: Cursor, program: Program, read: InstructionReader): void {
  while (cursor.token.type === 'name' && cursor.peek().text === ':') {
    program.labels.set(cursor.next().text, program.steps.length);
    cursor.next();
  }
  if (cursor.is('|') || cursor.is(';')) return;
  const mnemonic = cursor.name('an instruction');
  program.steps.push(read(mnemonic, cursor));
  program.targets.push(...cursor.targets.splice(0));
  program.symbols.push(...cursor.symbols.splice(0));
}

/** A program that can be run: every branch must lead somewhere. */
export function assemble(program: Program, registers: ReadonlyMap<string, bigint>): ThreadProgram {
  const { steps, labels } = program;
  for (const { text, line, column } of program.symbols) {
    if (labels.has(text)) throw new UnsupportedConstruct(`address of the code at label ${text}`, line, column);
  }
  for (const { text, line, column } of program.targets) {
    if (!labels.has(text)) throw new LitmusSyntaxError(line, column, 'a label of this thread', JSON.stringify(text));
  }
  return {
    registers,
    run(thread: ThreadRun): void {
      const visits = new Map<number, number>();
      for (let at = 0; at < steps.length; ) {
        thread.branchedOnRead = true;
        const target = steps[at]!(thread);
        if (target === undefined) {
          at++;
          continue;
        }
        if (target === endOfThread) return;
        const to = labels.get(target)!;
        if (to <= at) {
          const count = (visits.get(to) ?? 1) + 1;
          visits.set(to, count);
          if (count > (thread.branchedOnRead ? visitsOfLabel : visitsOfCountingLoop)) {
            thread.cut = true;
            return;
          }
        }
        at = to;
      }
    },
  };
}
