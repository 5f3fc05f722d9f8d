/** An arena's state in the text format of Prometheus 0.0.4: https://prometheus.io/docs/instrumenting/exposition_formats. */
import type { ContentionProfile, WaitTimes } from '../profile/read.ts';
import { classNameOf } from '../profile/rows.ts';
import type { ArenaState } from './state.ts';

export const METRICS_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

type Labels = Readonly<Record<string, string>>;

/** Ends of buckets, ns: some of those where the profile's own buckets end, so that the counts are exact. 1 us to 9 s. */
const ENDS = [10, 13, 17, 20, 23, 27, 30, 33].map((power) => 2 ** power);

/** The waits of one class of locks, which have the labels. */
interface Waits {
  readonly labels: Labels;
  readonly times: readonly WaitTimes[];
}

export function metricsOf(state: ArenaState): string {
  const { arena, threads, waits, deadlocks, profile, pressure } = state;
  const text = new Exposition();
  text.add('holdfast_arena_bytes', 'gauge', 'Size of the heap.', [[{}, arena.bytes]]);
  text.add('holdfast_arena_used_bytes', 'gauge', 'Bytes of the heap that are in use.', [[{}, arena.used]]);
  text.add('holdfast_threads_max', 'gauge', 'Threads that can be attached.', [[{}, arena.maxThreads]]);
  text.add('holdfast_threads', 'gauge', 'Attached threads.', [
    [{ state: 'alive' }, threads.filter(({ isAlive }) => isAlive).length],
    [{ state: 'dead' }, threads.filter(({ isAlive }) => !isAlive).length],
  ]);
  text.add('holdfast_deadlocks', 'gauge', 'Cycles of threads that wait for each other.', [[{}, deadlocks.length]]);
  const waiting = grouped(waits, ({ object, async }) => ({ class: classNameOf(object), mode: modeOf(async) }));
  const counts = [...waiting.values()].map(({ labels, members }) => [labels, members.length] as const);
  text.add('holdfast_waiting', 'gauge', 'Calls that wait at this moment.', counts);
  if (pressure !== undefined) {
    const { avg10, avg60, avg300 } = pressure;
    text.add('holdfast_pressure', 'gauge', 'Share of their time that threads wait for locks.', [
      [{ window: '10s' }, avg10],
      [{ window: '60s' }, avg60],
      [{ window: '300s' }, avg300],
    ]);
  }
  if (profile !== undefined) addContention(text, profile);
  return text.end();
}

function addContention(text: Exposition, { locks, dropped }: ContentionProfile): void {
  const rows = locks.flatMap((lock) =>
    (['sync', 'async'] as const).map((mode) => ({ lock, mode, times: lock[mode] })).filter(hasWaits),
  );
  const classes = grouped(rows, ({ lock, mode }) => {
    return { class: lock.class, mode, access: lock.shared ? 'shared' : 'exclusive' };
  });
  const waits = [...classes.values()].map(({ labels, members }) => ({
    labels,
    times: members.map(({ times }) => times),
  }));
  const total = (name: string, help: string, field: 'slept' | 'timeouts' | 'aborts' | 'ownerDeaths') => {
    text.add(
      `holdfast_lock_${name}_total`,
      'counter',
      help,
      waits.map(({ labels, times }) => [labels, times.reduce((sum, wait) => sum + wait[field], 0)] as const),
    );
  };
  text.addHistogram('holdfast_lock_wait_seconds', 'How long calls have waited.', waits);
  total('sleeps', 'Waits that went to sleep.', 'slept');
  total('timeouts', 'Waits that ended by their timeout.', 'timeouts');
  total('aborts', 'Waits that a signal ended.', 'aborts');
  total('owner_deaths', 'Waits that got the lock of a dead thread.', 'ownerDeaths');
  text.add('holdfast_profile_dropped_waits_total', 'counter', 'Waits that found no room in the tables.', [
    [{}, dropped.waits],
  ]);
}

const modeOf = (async: boolean) => (async ? 'async' : 'sync');
const hasWaits = ({ times }: { times: WaitTimes }) => times.contentions > 0;

function grouped<Item>(items: readonly Item[], labelsOf: (item: Item) => Labels) {
  const groups = new Map<string, { labels: Labels; members: Item[] }>();
  for (const item of items) {
    const labels = labelsOf(item);
    const key = JSON.stringify(labels);
    const group = groups.get(key) ?? { labels, members: [] };
    group.members.push(item);
    groups.set(key, group);
  }
  return groups;
}

class Exposition {
  #text = '';

  add(name: string, type: 'gauge' | 'counter', help: string, samples: readonly (readonly [Labels, number])[]): void {
    this.#head(name, type, help);
    for (const [labels, value] of samples) this.#line(name, labels, value);
  }

  addHistogram(name: string, help: string, waits: readonly Waits[]): void {
    this.#head(name, 'histogram', help);
    for (const { labels, times } of waits) {
      const sum = (of: (wait: WaitTimes) => number) => times.reduce((all, wait) => all + of(wait), 0);
      for (const end of ENDS) {
        this.#line(
          `${name}_bucket`,
          { ...labels, le: `${end / 1e9}` },
          sum((wait) => countBefore(wait, end)),
        );
      }
      const count = sum(({ contentions }) => contentions);
      this.#line(`${name}_bucket`, { ...labels, le: '+Inf' }, count);
      this.#line(`${name}_sum`, labels, sum(({ total }) => total) / 1e9);
      this.#line(`${name}_count`, labels, count);
    }
  }

  end(): string {
    return this.#text;
  }

  #head(name: string, type: string, help: string): void {
    this.#text += `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n`;
  }

  #line(name: string, labels: Labels, value: number): void {
    const shown = Object.entries(labels).map(([label, text]) => `${label}="${quoted(text)}"`);
    this.#text += `${name}${shown.length === 0 ? '' : `{${shown.join(',')}}`} ${value}\n`;
  }
}

function countBefore({ histogram }: WaitTimes, end: number): number {
  return histogram.reduce((sum, [start, count]) => (start < end ? sum + count : sum), 0);
}

function quoted(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
}
