/**
 * Reads a `.litmus` file: a line that names architecture and test, free text, the initial state in braces, the code (C
 * functions or a table of assembly), and the final condition, perhaps after `locations` and `filter`.
 */
import { assemble, openTable, readTable } from './assembly.ts';
import { program } from './c-run.ts';
import { type FunctionDefinition, parseFunction } from './c-syntax.ts';
import {
  type Condition,
  elementsOf,
  type FinalLocation,
  parseCondition,
  parseFinalLocation,
  type Scope,
} from './condition.ts';
import { LitmusSyntaxError, UnsupportedConstruct } from './errors.ts';
import { extensionOfNotation } from './extensions.ts';
import { type InitialState, parseInitialState } from './initial-state.ts';
import { languages } from './languages.ts';
import { MemoryMap } from './memory-map.ts';
import type { Architecture, LitmusTest } from './test-file.ts';
import type { ThreadProgram } from './thread-run.ts';
import { Cursor, position, skipBlanks, tokenize } from './tokens.ts';

const architectures: ReadonlySet<string> = new Set<Architecture>(['C', 'AArch64', 'X86', 'X86_64', 'RISCV', 'PPC']);

export function readLitmus(text: string): LitmusTest {
  try {
    return read(text);
  } catch (thrown) {
    const extension = extensionOfNotation(text);
    if (!(thrown instanceof LitmusSyntaxError) || extension === undefined) throw thrown;
    throw new UnsupportedConstruct(`extension ${extension}`, thrown.line, thrown.column);
  }
}

function read(text: string): LitmusTest {
  const start = skipBlanks(text, 0, true);
  const header = /^(\S+)[ \t]+(\S[^\n]*)/.exec(text.slice(start));
  if (header === null) fail(text, start, 'an architecture and the name of the test');
  const architecture = architectureOf(header[1]!, text, start);
  const name = header[2]!.replace(/\(\*.*$/, '').trim();
  const register = architecture === 'C' ? (text: string) => text : languages[architecture].registerName;
  const memory = new MemoryMap();

  const brace = findInitialState(text, start + header[0].length);
  const stateEnd = matchBrace(text, brace);
  const assembly = architecture === 'C' ? undefined : openAssembly(text, stateEnd + 1, memory, architecture);
  const state = parseInitialState(new Cursor(tokenize(text, brace + 1, stateEnd + 1)), memory, register);
  const after = stateEnd + 1;

  const functions: FunctionDefinition[] = [];
  const [threads, end] =
    assembly === undefined
      ? readFunctions(text, after, memory, state, functions)
      : [assembly.read(state), assembly.end];
  if (threads.length === 0) fail(text, after, 'a thread ("P0")');
  return {
    architecture,
    name,
    memory,
    registerTypes: state.registerTypes,
    threads,
    functions,
    ...readFinal(text, end, { memory, register, registerTypes: state.registerTypes, threads: threads.length }),
  };
}

function fail(text: string, offset: number, expected: string): never {
  const [line, column] = position(text, offset);
  const rest = text.slice(offset, offset + 20).split('\n')[0]!;
  throw new LitmusSyntaxError(
    line,
    column,
    expected,
    text.slice(offset).trim() === '' ? 'the end' : JSON.stringify(rest),
  );
}

function architectureOf(word: string, text: string, at: number): Architecture {
  if (architectures.has(word)) return word as Architecture;
  const [line, column] = position(text, at);
  if (/^(?:ARM|MIPS|LISA|Bell|BPF|ASL|CPP|C11|JAVA|Java|Alpha|ASL1|GPUAXL|PTX)$/.test(word)) {
    throw new UnsupportedConstruct(`architecture ${word}`, line, column);
  }
  throw new LitmusSyntaxError(line, column, `an architecture (${[...architectures].join(', ')})`, JSON.stringify(word));
}

/** The brace that opens the initial state: the first that begins a line, after the free text. */
function findInitialState(text: string, from: number): number {
  for (let at = from; at < text.length; ) {
    const blank = skipBlanks(text, at, true);
    if (text[blank] === '{') return blank;
    const newline = text.indexOf('\n', blank);
    if (newline < 0) break;
    if (blank > at && text.slice(blank).startsWith('P0')) fail(text, blank, '"{" to open the initial state');
    at = newline + 1;
  }
  return fail(text, text.length, '"{" to open the initial state');
}

function matchBrace(text: string, open: number): number {
  let depth = 0;
  for (let at = open; at < text.length; at++) {
    const skipped = text[at] === '/' || text[at] === '(' ? skipBlanks(text, at, true) : at;
    if (skipped > at) at = skipped - 1;
    else if (text[at] === '{') depth++;
    else if (text[at] === '}' && --depth === 0) return at;
  }
  return fail(text, text.length, `"}" to match the "{" at ${position(text, open).join(':')}`);
}

function readFunctions(
  text: string,
  from: number,
  memory: MemoryMap,
  state: InitialState,
  functions: FunctionDefinition[],
): [ThreadProgram[], number] {
  const threads: ThreadProgram[] = [];
  let at = from;
  for (;;) {
    at = skipBlanks(text, at, true);
    const heading = /^(?:(?:static|inline|void|int)\s+)*P[0-9]+\s*\(/.exec(text.slice(at));
    if (heading === null) return [threads, at];
    const end = matchFunction(text, at) + 1;
    const cursor = new Cursor(tokenize(text, at, end, false));
    const definition = parseFunction(cursor);
    if (definition.thread !== threads.length) fail(text, at, `thread P${threads.length}`);
    functions.push(definition);
    for (const parameter of definition.parameters) memory.address(parameter);
    threads.push(program(definition, memory, state.registers.get(definition.thread) ?? new Map()));
    at = end;
  }
}

/** The brace that closes the function that begins at `from`. Only C comments count in here. */
function matchFunction(text: string, from: number): number {
  let depth = 0;
  for (let at = from; at < text.length; at++) {
    const skipped = text[at] === '/' ? skipBlanks(text, at, false) : at;
    if (skipped > at) at = skipped - 1;
    else if (text[at] === '{') depth++;
    else if (text[at] === '}' && --depth === 0) return at;
  }
  return fail(text, text.length, '"}" to close the function');
}

const finalWords = /(^|[\n;])\s*(?=(?:~\s*exists|not\s+exists|exists|forall|locations|filter|final)\b)/g;

interface Assembly {
  readonly end: number;
  read(state: InitialState): ThreadProgram[];
}

/** The table of code that begins at `from`. The initial state may name its labels, so they are looked for first. */
function openAssembly(
  text: string,
  from: number,
  memory: MemoryMap,
  architecture: Exclude<Architecture, 'C'>,
): Assembly {
  finalWords.lastIndex = from;
  const match = finalWords.exec(text);
  const end = match === null ? text.length : match.index + match[0].length;
  const { instructionReader, mayLackHeader = false } = languages[architecture];
  const table = openTable(text, from, end, mayLackHeader, memory.code);
  return {
    end,
    read(state) {
      const columns = readTable(table, instructionReader(memory));
      const threads = [...columns.keys()].sort((a, b) => a - b);
      return threads.map((thread, at) => {
        if (thread !== at) fail(text, from, `thread P${at}`);
        return assemble(columns, thread, state.registers.get(thread) ?? new Map(), memory.code);
      });
    },
  };
}

type Final = Pick<LitmusTest, 'quantifier' | 'condition' | 'filter' | 'locations'>;

/** The oldest tests end in commands to the tool that they were written for, between "<<" and ">>". */
function endOfFinal(text: string, from: number): number {
  const commands = /^[ \t]*<</m.exec(text.slice(from));
  return commands === null ? text.length : from + commands.index;
}

function readFinal(text: string, from: number, scope: Scope): Final {
  const cursor = new Cursor(tokenize(text, from, endOfFinal(text, from)));
  let locations: FinalLocation[] = [];
  let filter: Condition | undefined;
  for (;;) {
    if (cursor.accept('locations')) locations = parseLocations(cursor, scope);
    else if (cursor.accept('filter')) filter = parseCondition(cursor, scope);
    else break;
  }
  const { line, column } = cursor.token;
  if (cursor.is('regions')) throw new UnsupportedConstruct('regions', line, column);
  // A test may ask for nothing: whether it has any execution at all is what is to be seen.
  if (cursor.token.text === '') return { quantifier: 'forall', condition: { kind: 'true' }, filter, locations };
  const quantifier = parseQuantifier(cursor);
  const condition = parseCondition(cursor, scope);
  cursor.accept(';');
  if (cursor.accept('with')) skipClaims(cursor);
  if (cursor.token.type !== 'end') cursor.fail('the end of the file, or an operator of the condition');
  return { quantifier, condition, filter, locations };
}

/** `with tso: ~exists; sc: exists;`: what other models are said to do with the condition. */
function skipClaims(cursor: Cursor): void {
  while (cursor.token.type === 'name') {
    cursor.next();
    cursor.expect(':');
    parseQuantifier(cursor);
    if (!cursor.accept(';')) return;
  }
}

/** Older tests leave the word out (`final (x=1)`, or a proposition in parentheses alone), and mean that one exists. */
function parseQuantifier(cursor: Cursor): LitmusTest['quantifier'] {
  const isOld = cursor.accept('final');
  if (cursor.accept('exists') || cursor.is('(') || isOld) return 'exists';
  if (cursor.accept('forall')) return 'forall';
  if (cursor.accept('~') || cursor.accept('not')) {
    cursor.expect('exists');
    return '~exists';
  }
  return cursor.fail('"exists", "~exists" or "forall"');
}

/** `locations [0:r1; x;]` */
function parseLocations(cursor: Cursor, scope: Scope): FinalLocation[] {
  cursor.expect('[');
  const locations: FinalLocation[] = [];
  while (!cursor.accept(']')) {
    locations.push(...elementsOf(parseFinalLocation(cursor, scope), scope.memory));
    while (cursor.token.type === 'name' || cursor.is('*')) cursor.next();
    if (!cursor.accept(';') && !cursor.is(']')) cursor.fail('";" or "]"');
  }
  return locations;
}
