/** A trace as a file, and as a few lines for a terminal. */
import { writeFile } from 'node:fs/promises';
import { HoldfastError, shown } from '../../errors.ts';
import { perfettoTrace } from './perfetto/perfetto.ts';
import { labelOf } from './perfetto/timeline.ts';
import type { Trace } from './read.ts';
import { timelinePage } from './timeline-page.ts';

/** The forms in which a trace can be written, by the end of the file's name. */
export const TRACE_FORMS: { readonly [end: string]: (trace: Trace) => string | Uint8Array } = {
  '.pftrace': perfettoTrace,
  '.perfetto-trace': perfettoTrace,
  '.json': (trace) => `${JSON.stringify(trace)}\n`,
  '.html': timelinePage,
};

/** What makes the content of a file of that name, or undefined. */
export function traceFormFor(file: string): ((trace: Trace) => string | Uint8Array) | undefined {
  return Object.entries(TRACE_FORMS).find(([end]) => file.endsWith(end))?.[1];
}

/**
 * Writes the trace to a file, in the form that the end of its name says: `.pftrace` for https://ui.perfetto.dev, `.html` for a page with a timeline, `.json` for its plain data. Rejects
 * with EINVAL for another name, and with what the file system says.
 */
export async function saveTrace(trace: Trace, file: string): Promise<void> {
  const form = typeof file === 'string' ? traceFormFor(file) : undefined;
  if (form === undefined) {
    const ends = Object.keys(TRACE_FORMS).join(', ');
    throw new HoldfastError('EINVAL', `the name of a trace's file ends in one of ${ends}; received ${shown(file)}`);
  }
  await writeFile(file, form(trace));
}

/** How many threads and events there are, what was lost, and which locks the events are of most. */
export function traceSummary(trace: Trace): string {
  const { threads, events, unrecorded, dropped } = trace;
  const lost = threads.reduce((sum, thread) => sum + thread.lost, 0);
  const lines = [`${events.length} events of ${threads.length} threads in ${Math.round(trace.duration / 1e6)} ms`];
  if (lost > 0) lines.push(`${lost} older ones were overwritten: more can be kept of each thread`);
  if (unrecorded > 0) lines.push(`${unrecorded} were not recorded: more threads than there are rings`);
  if (dropped.locks > 0) lines.push('some locks have no name: there are too many');
  const byLock = new Map<number, number>();
  for (const { fields } of events) byLock.set(fields.lock ?? 0, (byLock.get(fields.lock ?? 0) ?? 0) + 1);
  byLock.delete(0);
  const most = [...byLock].sort((a, b) => b[1] - a[1]).slice(0, 5);
  for (const [lock, count] of most) lines.push(`  ${count} of the ${labelOf(trace.locks[lock])}`);
  return `${lines.join('\n')}\n`;
}
