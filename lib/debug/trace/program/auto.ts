/**
 * Trace programs for applications that know nothing of them: `HOLDFAST_TRACE_PROGRAM='mutex:contention_end { @[name] = hist(wait) }' node app.js`.
 * The program runs in each arena that the process makes, on all threads that attach. What it prints goes to the standard error
 * stream, and so do its maps when the thread that made the arena ends.
 */
import { writeSync } from 'node:fs';
import { Arena } from '../../../arena/arena.ts';
import { whenThreadEnds } from '../../ending.ts';
import { type TraceProgram, type TraceProgramResult, traceProgram, traceProgramText } from './session.ts';

const STDERR = 2;

const programs: TraceProgram[] = [];

/** Also from a thread that is about to end, whose streams are not written any more. */
function print(text: string): void {
  try {
    writeSync(STDERR, text);
  } catch {
    // Nobody reads it.
  }
}

function begin(arena: Arena): void {
  const { HOLDFAST_TRACE_PROGRAM: source = '' } = process.env;
  if (source === '') return;
  try {
    programs.push(traceProgram(arena, source, { output: print }));
  } catch (error) {
    process.emitWarning(`no trace program runs in an arena: ${(error as Error).message}`, { type: 'HoldfastWarning' });
    return;
  }
  if (programs.length === 1) whenThreadEnds(end);
}

function end(): void {
  for (const program of programs) {
    try {
      print(resultText(program.stop()));
    } catch (error) {
      print(`holdfast: a trace program has no result: ${(error as Error).message}\n`);
    }
  }
}

function resultText(result: TraceProgramResult): string {
  const { lostOutput, droppedThreads, droppedTexts } = result;
  const losses = [
    [lostOutput, 'lines of output were lost: threads print faster than they are read'],
    [droppedThreads, 'times a thread found no room for its maps: make them smaller with let @x = hash(...)'],
    [droppedTexts, 'names found no room'],
  ] as const;
  const lost = losses.filter(([count]) => count > 0).map(([count, what]) => `holdfast: ${count} ${what}\n`);
  return traceProgramText(result) + lost.join('');
}

Arena.onCreate.push(begin);
