/**
 * Traces of programs that know nothing of it: `HOLDFAST_TRACE=trace.pftrace node app.js`, or `node --import holdfast/trace`. Each arena that the
 * process makes is traced from then on, by the thread that made it; when that thread ends, the trace goes to the files, and a summary to the
 * standard error stream.
 *
 * What is asked for is in the global object under a registered symbol, or else in the environment: names of files, with commas between; `-` for the
 * summary only. HOLDFAST_TRACE_OPTIONS has the options of `startTrace` as JSON.
 */
import { Arena } from '../../arena/arena.ts';
import { report } from '../../arena/spawn.ts';
import { numbered, whenThreadEnds, writeReport } from '../ending.ts';
import { traceFormFor, traceSummary } from './save.ts';
import { startTrace, type TraceOptions, type TraceSession } from './session.ts';

export const ASKED = Symbol.for('holdfast.trace');
const SUMMARY_ONLY = '-';

const sessions: TraceSession[] = [];

function asked(): string | undefined {
  const value = (globalThis as { [ASKED]?: unknown })[ASKED] ?? process.env.HOLDFAST_TRACE;
  return typeof value === 'string' && value !== '' ? value : undefined;
}

function begin(arena: Arena): void {
  if (asked() === undefined) return;
  try {
    sessions.push(startTrace(arena, JSON.parse(process.env.HOLDFAST_TRACE_OPTIONS || '{}') as TraceOptions));
  } catch (error) {
    // At once: the program may end before a warning of the host's is written.
    report(`an arena is not traced: ${(error as Error).message}`);
    return;
  }
  if (sessions.length === 1) whenThreadEnds(end);
}

function end(): void {
  for (const [i, session] of sessions.entries()) {
    const trace = session.stop();
    report(traceSummary(trace).trimEnd());
    const files = (asked() ?? SUMMARY_ONLY).split(',').filter((file) => file !== SUMMARY_ONLY && file !== '');
    for (const file of files) {
      const form = traceFormFor(file);
      if (form === undefined) report(`the trace is not in ${file}: its name has no end that says in which form`);
      else writeReport('trace', numbered(file, i), form(trace));
    }
  }
}

Arena.onCreate.push(begin);
