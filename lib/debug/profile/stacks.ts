/**
 * Places of the program: where a call that waits was made. Each is a line of text for each frame, the innermost first, in the
 * profile's own memory: it is there when its thread has died.
 *
 *   name <tab> file <tab> line <tab> column
 */
import { findSourceMap } from 'node:module';
import { fileURLToPath } from 'node:url';
import type { Cpu } from '../../machine/cpu.ts';
import { hash } from '../../memory/kinds.ts';
import { readText, textWords, utf8, writeBytes } from '../../memory/text.ts';
import { claimEntry, Stack } from './layout.ts';

export interface Frame {
  /** '' for code outside of any function. */
  readonly name: string;
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

/** Frames of the program that are kept, and those that are looked at, the library's own among them. */
export const MOST_FRAMES = 16;
const MOST_CAPTURED = 32;

/** Where this package's code is: `lib` in the sources, `dist` when it is built, and in memory a bundle by its whole URL. */
const OWN = ownCode(import.meta.url);

/** `url`: this module's, or undefined where a bundler has made a CommonJS module of it. */
export function ownCode(url: string | undefined): string {
  if (url?.startsWith('file:') !== true) return url ?? '';
  return fileURLToPath(new URL(url.endsWith('.ts') ? '../..' : '.', url));
}

/** Notes where the program is, without reading it yet. */
export function capture(): { readonly stack?: unknown } {
  const trace = {};
  const limit = Error.stackTraceLimit;
  Error.stackTraceLimit = MOST_CAPTURED;
  Error.captureStackTrace(trace, capture);
  Error.stackTraceLimit = limit;
  return trace;
}

/** The frames of the program in a trace, without the library's own above them. */
export function framesOf(trace: { readonly stack?: unknown }): string {
  const prepare = Error.prepareStackTrace;
  Error.prepareStackTrace = (_error, sites) => sites;
  let sites: unknown;
  try {
    sites = trace.stack;
  } finally {
    Error.prepareStackTrace = prepare;
  }
  if (!Array.isArray(sites)) return '';
  const frames = (sites as NodeJS.CallSite[]).map(frameOf);
  const first = OWN === '' ? 0 : frames.findIndex(({ file }) => !file.startsWith(OWN));
  return frames
    .slice(Math.max(first, 0), Math.max(first, 0) + MOST_FRAMES)
    .map(({ name, file, line, column }) => [name, file, line, column].join('\t'))
    .join('\n');
}

function frameOf(site: NodeJS.CallSite): Frame {
  const url = site.getFileName() ?? (site.isNative() ? 'native' : '');
  const file = url.startsWith('file://') ? fileURLToPath(url) : url;
  const position = { file, line: site.getLineNumber() ?? 0, column: site.getColumnNumber() ?? 0 };
  return { name: nameOf(site), ...original(url, position) };
}

function nameOf(site: NodeJS.CallSite): string {
  const name = site.getFunctionName() ?? site.getMethodName() ?? '';
  const type = site.isToplevel() || site.isConstructor() ? null : site.getTypeName();
  const owned = type === null || type === 'Object' || name === '' || name.includes('.') ? name : `${type}.${name}`;
  return (site.isAsync() ? `async ${owned}` : site.isConstructor() ? `new ${owned}` : owned).replace(/[\t\n]/g, ' ');
}

/** Where that is in the source, if Node has been told to read source maps. */
function original(url: string, position: Omit<Frame, 'name'>): Omit<Frame, 'name'> {
  const entry = findSourceMap(url)?.findEntry(position.line - 1, position.column - 1);
  if (entry === undefined || !('originalSource' in entry)) return position;
  const { originalSource, originalLine, originalColumn } = entry;
  const file = originalSource.startsWith('file://') ? fileURLToPath(originalSource) : originalSource;
  return { file, line: originalLine + 1, column: originalColumn + 1 };
}

/** Where a table of stacks is in shared memory: addresses, and how many entries and words of text there are. */
export interface StackPlace {
  readonly stacks: number;
  readonly count: number;
  /** The word that counts the words of text that are taken. */
  readonly used: number;
  readonly text: number;
  readonly words: number;
}

/** Where the table of stacks is in an object of that layout, whose table has `count` entries and `words` words of text. */
export function stackPlaceIn(
  object: number,
  { stacks, textUsed, text }: { readonly stacks: number; readonly textUsed: number; readonly text: number },
  count: number,
  words: number,
): StackPlace {
  return { stacks: object + stacks, count, used: object + textUsed, text: object + text, words };
}

/** The stacks of one session, as one thread adds to them. */
export class StackTable {
  readonly #cpu: Cpu;
  readonly #place: StackPlace;
  /** By text; -1 for one that finds no room. */
  readonly #known = new Map<string, number>();

  constructor(cpu: Cpu, place: StackPlace) {
    this.#cpu = cpu;
    this.#place = place;
  }

  /** The number of that stack, which is put in the table if it is not there yet; -1 when there is no room. */
  numberOf(text: string): number {
    let number = this.#known.get(text);
    if (number === undefined) {
      if (this.#known.size === 2 * this.#place.count) this.#known.clear();
      number = this.#intern(text);
      this.#known.set(text, number);
    }
    return number;
  }

  /** Another session's table is there now. */
  forget(): void {
    this.#known.clear();
  }

  #intern(text: string): number {
    const cpu = this.#cpu;
    const { stacks, count } = this.#place;
    // Two texts with one hash would be one: the text there says which, and the other one goes without.
    const stack = claimEntry(cpu, stacks, count, Stack.words, hash(text) || 1);
    if (stack === 0) return -1;
    if (cpu.loadAcquire(stack + Stack.text) === 0 && !this.#write(stack, utf8(text))) return -1;
    return readStack(cpu, this.#place, stack) === text ? (stack - stacks) / Stack.words : -1;
  }

  /** Threads that write the same text at once write it twice; the first to say so has it. */
  #write(stack: number, bytes: Uint8Array): boolean {
    const cpu = this.#cpu;
    const words = 1 + textWords(bytes.length);
    const { used, text, words: room } = this.#place;
    if (cpu.load(used) + words > room) return false;
    const start = cpu.fetchAddRelaxed(used, words);
    if (start + words > room) return false;
    cpu.write(text + start, bytes.length);
    writeBytes(cpu, text + start + 1, bytes);
    // Releases the text. Pairs with the acquires in `#intern` and `readStack`.
    cpu.cmpxchg(stack + Stack.text, 0, start + 1);
    return true;
  }
}

/** The text of the stack at `stack`, or undefined while it is not there. */
export function readStack(cpu: Cpu, place: StackPlace, stack: number): string | undefined {
  const at = cpu.loadAcquire(stack + Stack.text);
  if (at === 0) return undefined;
  const text = place.text + at - 1;
  return readText(cpu, text + 1, cpu.read(text));
}

/** The frames of the stack with that number, the innermost first. */
export function readFrames(cpu: Cpu, place: StackPlace, number: number): Frame[] {
  return parseFrames(readStack(cpu, place, place.stacks + number * Stack.words) ?? '');
}

/** The frames of a text of `framesOf`. */
export function parseFrames(text: string): Frame[] {
  if (text === '') return [];
  return text.split('\n').map((line) => {
    const [name = '', file = '', at = '', column = ''] = line.split('\t');
    return { name, file, line: Number(at), column: Number(column) };
  });
}
