/** The workqueues of an arena that runs, for people at a terminal: a frame of `holdfast wq`. */
import type { WorkqueueStatistics } from '../../workqueue/statistics.ts';
import type { WorkqueuesState } from '../live/workqueues.ts';
import { count, duration } from './figures.ts';
import { type Column, fittedTable } from './fitted-table.ts';

interface Row extends WorkqueueStatistics {
  /** Items that have ended a second, since the look before; undefined in the first. */
  readonly rate: number | undefined;
}

const us = (time: number) => duration(time * 1e3);

const COLUMNS: readonly Column<Row>[] = [
  { head: 'workqueue', tier: 0, cell: ({ name }) => name, isText: true },
  { head: 'total', tier: 0, cell: ({ ended }) => count(ended) },
  { head: 'total/s', tier: 0, cell: ({ rate }) => (rate === undefined ? '' : count(rate)) },
  { head: 'infl', tier: 0, cell: ({ active }) => count(active) },
  { head: 'inactive', tier: 0, cell: ({ inactive }) => count(inactive) },
  { head: 'wait p50', tier: 1, cell: ({ wait }) => us(wait.p50) },
  { head: 'wait p99', tier: 0, cell: ({ wait }) => us(wait.p99) },
  { head: 'run p50', tier: 1, cell: ({ run }) => us(run.p50) },
  { head: 'run p99', tier: 0, cell: ({ run }) => us(run.p99) },
  { head: 'CPUtime', tier: 1, cell: ({ computed }) => us(computed) },
  { head: 'CPUhog', tier: 2, cell: ({ hogs }) => count(hogs) },
  { head: 'CMW', tier: 2, cell: ({ wakes }) => count(wakes) },
  { head: 'mayday', tier: 2, cell: ({ maydays }) => count(maydays) },
  { head: 'rescued', tier: 2, cell: ({ rescued }) => count(rescued) },
  { head: 'max', tier: 1, cell: ({ maxActive }) => count(maxActive) },
  { head: 'flags', tier: 2, cell: ({ flags }) => flags.join(' '), isText: true },
];

/** `before`: an earlier state of the same arena, for rates. */
export function workqueuesText(state: WorkqueuesState, before: WorkqueuesState | undefined, width = 80): string {
  if (state.workqueues.length === 0) return 'No workqueue has been made.';
  const earlier = new Map(before?.workqueues.map(({ name, ended }) => [name, ended]));
  const seconds = before === undefined ? 0 : (Date.parse(state.time) - Date.parse(before.time)) / 1e3;
  const rows = state.workqueues.map((queue) => {
    const passed = (queue.ended - (earlier.get(queue.name) ?? 0)) | 0;
    // Fewer than before: the program was started again meanwhile.
    return { ...queue, rate: seconds > 0 && passed >= 0 ? passed / seconds : undefined };
  });
  return fittedTable(COLUMNS, rows, width);
}
