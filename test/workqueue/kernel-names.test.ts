/**
 * Each function of the kernel's call graph has a row in docs/workqueue.md, and what stands beside it is in the sources: a file, or a
 * class, function, member or constant that is declared there.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';

const ROOM = new URL('../../lib/workqueue/', import.meta.url);
const PAGE = readFileSync(new URL('../../docs/workqueue.md', import.meta.url), 'utf8');
const SOURCES = Object.fromEntries(readdirSync(ROOM).map((file) => [file, readFileSync(new URL(file, ROOM), 'utf8')]));
const ALL = Object.values(SOURCES).join('\n');
/** Where hooks are called, which lies below this room. */
const SCHEDULE = readFileSync(new URL('../../lib/sched/schedule.ts', import.meta.url), 'utf8');

/** Rows of the table of the kernel's functions: its own names, and ours. */
const ROWS = PAGE.slice(PAGE.indexOf('| kernel/workqueue.c |'))
  .split('\n\n')[0]!
  .split('\n')
  .slice(2)
  .map((line) => {
    const [, kernel = '', here = ''] = line.split(' | ').flatMap((cell, i) => (i === 0 ? ['', cell] : [cell]));
    return { kernel, here };
  });

const GRAPH = [
  ...['workqueue_init_early', 'workqueue_init', 'alloc_workqueue', 'alloc_and_link_pwqs', 'alloc_unbound_pwq'],
  ...['get_unbound_pool', 'init_worker_pool', 'create_worker', 'worker_thread', 'process_one_work', 'schedule_work'],
  ...['queue_work', '__queue_work', 'insert_work', 'schedule_delayed_work', 'delayed_work_timer_fn', 'flush_work'],
  ...['insert_wq_barrier', 'flush_workqueue', 'drain_workqueue', 'destroy_workqueue', 'wq_worker_sleeping'],
  ...['wq_worker_running', 'need_more_worker', 'manage_workers', 'idle_worker_timeout', 'too_many_workers'],
  ...['pool_mayday_timeout', 'send_mayday', 'rescuer_thread', 'pwq_dec_nr_in_flight', 'pwq_activate_first_inactive'],
  ...['try_to_grab_pending', 'apply_workqueue_attrs', 'put_pwq', 'unbind_workers', 'rebind_workers', 'wq_worker_tick'],
  ...['wq_watchdog_timer_fn', 'show_all_workqueues', 'freeze_workqueues_begin', 'thaw_workqueues', 'queue_rcu_work'],
];

/** Code in a cell of ours that is a name of the kernel's. */
const isKernels = (code: string) => /^[a-z]+(_[a-z]+)+$/.test(code);

/** Code in a cell. */
const codeIn = (cell: string) => [...cell.matchAll(/`([^`]+)`/g)].map(([, code]) => code as string);

function isDeclared(name: string): boolean {
  const word = name.replace(/^#/, '#?');
  const asValue = new RegExp(`(function\\*?|class|interface|const|let|get|set) ${word}\\b`);
  const asMember = new RegExp(`^ +(static |async |readonly |get |\\*)*${word}( =|:|\\(|<)`, 'm');
  return asValue.test(ALL) || asMember.test(ALL) || asValue.test(SCHEDULE);
}

/** `Class.member`, `function`, `file.ts`, `new Class`, or a call with its arguments. */
function isThere(code: string): boolean {
  if (code.endsWith('.ts')) return existsSync(new URL(code, ROOM));
  const names = code
    .replace(/^new /, '')
    .replace(/\(.*?\)/g, '')
    .split('.');
  return names.every(isDeclared);
}

describe('a function of the kernel', () => {
  test.each(GRAPH)('%s has no row', (name) => {
    expect(ROWS.some(({ kernel }) => codeIn(kernel).includes(name))).toBe(true);
  });

  test.each(ROWS)('$kernel has beside it what is not there', ({ here }) => {
    for (const code of codeIn(here).filter((code) => !isKernels(code))) expect(isThere(code), code).toBe(true);
  });

  test('is found by any word', () => {
    expect(ROWS.length).toBeGreaterThan(38);
    expect(['queueWork', 'FunctionWords.slow', '#findWorker', 'pool.ts'].map(isThere)).toEqual(Array(4).fill(true));
    expect(['queueWorks', 'FunctionWords.isQuick', 'pools.c'].map(isThere)).toEqual(Array(3).fill(false));
  });
});
