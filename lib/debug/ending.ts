/** What a session that a program knows nothing of does at the end of its thread: it writes its files. */
import { writeFileSync } from 'node:fs';
import { isMainThread, threadId } from 'node:worker_threads';
import { report } from '../arena/spawn.ts';

const SIGNALS = { SIGINT: 2, SIGTERM: 15 } as const;

/** Calls `end` when the thread ends in order. A signal that would end the process at once does so, unless the program has a mind of its own. */
export function whenThreadEnds(end: () => void): void {
  process.on('exit', end);
  if (!isMainThread) return;
  for (const [signal, number] of Object.entries(SIGNALS)) {
    process.once(signal, () => {
      if (process.listenerCount(signal) === 0) process.exit(128 + number);
    });
  }
}

export function writeReport(what: string, file: string, content: string | Uint8Array): void {
  try {
    writeFileSync(file, content);
    report(`the ${what} is in ${file}`);
  } catch (error) {
    report(`the ${what} could not be written: ${(error as Error).message}`);
  }
}

/** `report.html`, `report-2.html`, and of a worker's second `report-worker3-2.html`. */
export function numbered(file: string, i: number): string {
  const marks = [isMainThread ? '' : `-worker${threadId}`, i === 0 ? '' : `-${i + 1}`].join('');
  const dot = file.indexOf('.', file.lastIndexOf('/') + 1);
  return dot < 0 ? file + marks : file.slice(0, dot) + marks + file.slice(dot);
}
