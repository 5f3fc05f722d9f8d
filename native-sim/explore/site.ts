/**
 * Where in the source an operation was called: the innermost frame outside the machine's own files. Taking a stack costs
 * microseconds, so it is done only to print a failure, and while the orders of call sites are being changed.
 */
import { type OpName, opName } from '../replay/operations.ts';

export interface Site {
  op: OpName;
  file: string;
  line: number;
  /** The function that made the call, and who called it, innermost first. */
  stack: string[];
}

/** Where what carries an operation out lies: this folder, and the `Cpu` that hands it over. */
const MACHINERY = ['.', '../replay/'].map((folder) => new URL(folder, import.meta.url).pathname);

function isMachinery(file: string): boolean {
  return MACHINERY.some((folder) => file.includes(folder));
}

const FRAME = /^\s+at (?:(.*?) \()?(?:file:\/\/)?([^()]*?):(\d+):(\d+)\)?$/;
const DEPTH = 24;
/** As many frames as an operation takes from its call to here, and some: stacks cost what they are deep. */
const NEAR = 12;

function frames(): string[] {
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = DEPTH;
  const { stack } = new Error();
  Error.stackTraceLimit = stackTraceLimit;
  return (stack ?? '').split('\n');
}

export function siteHere(op: number): Site {
  const site: Site = { op: opName(op), file: '?', line: 0, stack: [] };
  for (const frame of frames()) {
    const match = FRAME.exec(frame);
    if (match === null || match[2]!.startsWith('node:')) continue;
    if (isMachinery(match[2]!)) {
      // The machine called the thread that made the operation: this is the end of it.
      if (site.line > 0) break;
      continue;
    }
    if (site.line === 0) {
      site.file = match[2]!;
      site.line = Number(match[3]);
    }
    site.stack.push(`${match[1] ?? 'anonymous'} (${baseName(match[2]!)}:${match[3]})`);
    if (site.stack.length === 3) break;
  }
  return site;
}

function baseName(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}

/** `mcs.ts:31` */
export function placeOf(site: Site): string {
  return `${baseName(site.file)}:${site.line}`;
}

/** `cmpxchg in lock (mcs.ts:31), called by inside (test.ts:12)` */
export function describeSite(site: Site): string {
  return `${site.op} in ${site.stack.join(', called by ')}`;
}

export function siteKey(site: Site): string {
  return `${site.file}:${site.line} ${site.op}`;
}

/** The generated positions of the first `most` frames outside the machine's own files, without source maps: fast enough for every event. */
function rawPositions(most: number, depth: number): string {
  const { prepareStackTrace, stackTraceLimit } = Error;
  Error.stackTraceLimit = depth;
  Error.prepareStackTrace = (_error, calls): string => {
    let path = '';
    let left = most;
    for (const call of calls) {
      const file = call.getFileName() ?? '';
      const isOutside = !isMachinery(file) && !file.startsWith('node:');
      // The machine called the thread that made the operation: this is the end of it.
      if (left === 0 || (!isOutside && path !== '')) break;
      if (!isOutside) continue;
      path += ` ${file}:${call.getLineNumber()}:${call.getColumnNumber()}`;
      left--;
    }
    return path;
  };
  const path = new Error().stack as string;
  Error.prepareStackTrace = prepareStackTrace;
  Error.stackTraceLimit = stackTraceLimit;
  return path;
}

/** Where the operation that is being made was called, and by whom that was called, and so on. */
export function callPath(): string {
  return rawPositions(DEPTH, DEPTH);
}

/** Sites by where they are in the code that runs. */
export class Sites {
  readonly #known = new Map<string, Site>();

  /** The site of the operation that is being made. */
  here(op: number): Site {
    const position = `${op}${rawPositions(1, NEAR) || rawPositions(1, DEPTH)}`;
    let site = this.#known.get(position);
    if (site === undefined) this.#known.set(position, (site = siteHere(op)));
    return site;
  }

  all(): Site[] {
    const byKey = new Map<string, Site>();
    for (const site of this.#known.values()) byKey.set(siteKey(site), site);
    return [...byKey.values()];
  }
}
