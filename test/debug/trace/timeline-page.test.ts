import { describe, expect, test } from 'vitest';
import { timelinePage } from '../../../lib/debug/trace/timeline-page.ts';
import type { Trace, TraceEvent } from '../../../lib/index.ts';

type Event = readonly [time: number, thread: number, point: string, fields: TraceEvent['fields']];

function pageOf(...events: Event[]): string {
  const trace: Trace = {
    startedAt: '2026-11-26T00:00:00.000Z',
    start: 0,
    duration: 1000,
    threads: [0, 1].map((number) => ({
      number,
      threadId: number,
      osThread: 0,
      isAttached: true,
      recorded: 0,
      lost: 0,
    })),
    events: events.map(([time, thread, point, fields]) => ({ time, thread, point, fields })),
    locks: { 1: { kind: 'workqueue', name: '<mail>', address: 64 }, 2: { kind: 'mutex', name: 'm', address: 128 } },
    stacks: {},
    unrecorded: 0,
    dropped: { locks: 0, stacks: 0 },
    unheard: 0,
    unfinished: 0,
  };
  return timelinePage(trace);
}

/** Left edge and width of each slice, with what it says. */
const barsOf = (page: string) =>
  [...page.matchAll(/class="slice" x="([\d.]+)" y="2" width="([\d.]+)".*?<title>(.*?)<\/title>/gs)].map(
    ([, x, width, title]) => ({ x: Number(x), width: Number(width), title }),
  );

describe('the page of a trace', () => {
  test('draws a work item where it did not run, or for longer than it did', () => {
    const page = pageOf(
      [1000, 0, 'workqueue_start', { lock: 1, item: 7 }],
      [2000, 1, 'workqueue_start', { lock: 1, item: 8 }],
      [3000, 0, 'workqueue_end', { lock: 1, item: 7, time: 2000 }],
      [5000, 1, 'workqueue_end', { lock: 1, item: 8, time: 3000 }],
    );
    const [longer, shorter] = barsOf(page).sort((a, b) => b.width - a.width);
    // 4 us are 930 px, from 190 on.
    expect(longer).toMatchObject({ x: 422.5, width: 697.5 });
    expect(shorter).toMatchObject({ x: 190, width: 465 });
    expect(longer?.title).toContain('item of workqueue');
    expect(page).toContain('2 threads, 2 slices in 0.0 ms.');
    // Two at most, between 2000 and 3000.
    expect(page).toContain('<title>at most 2</title>');
    expect(page).toContain('190.0,16.0 190.0,9.0 422.5,9.0 422.5,2.0 655.0,2.0 655.0,9.0 1120.0,9.0 1120.0,16.0');
  });

  test('counts an item that is asleep as one that has a slot, or the sleep of a thread that has none', () => {
    const page = pageOf(
      [1000, 1, 'workqueue_start', { lock: 1, item: 8 }],
      [2000, 1, 'park', { lock: 2, mode: 0, task: 96 }],
      [2000, 0, 'park', { lock: 2, mode: 0, task: 32 }],
      [3000, 1, 'resume', { lock: 2, mode: 0, task: 96, sleep: 1000 }],
      [5000, 1, 'workqueue_end', { lock: 1, item: 8, time: 4000 }],
    );
    const steps = '190.0,16.0 190.0,2.0 422.5,2.0 422.5,16.0 655.0,16.0 655.0,2.0 1120.0,2.0 1120.0,16.0';
    expect(page).toContain(steps);
  });

  test('takes a name for markup, or fails for what is not over, or for nothing at all', () => {
    const page = pageOf(
      [1000, 0, 'acquire', { lock: 2, mode: 0, task: 3, wait: 0 }],
      [2000, 1, 'workqueue_start', { lock: 1, item: 8 }],
    );
    expect(page).not.toContain('<mail>');
    expect(page).toContain('&#60;mail&#62;');
    expect(barsOf(page).map(({ title }) => title?.split('\n')[0])).toEqual(
      expect.arrayContaining(['holds mutex &#34;m&#34;: not over']),
    );
    expect(pageOf()).toContain('2 threads, 0 slices in 0.0 ms.');
    expect(pageOf()).not.toContain('NaN');
  });
});
