/**
 * A contention profile as pprof's `block` and `mutex` profiles: for `go tool pprof`, speedscope, Pyroscope. A sample of `block` for each place,
 * lock, thread and way of waiting says how many calls have waited there and how long; one of `mutex`, for each place that gave a lock
 * back, how many have waited for that and how long.
 */
import { gzipSync } from 'node:zlib';
import {
  Label,
  Line,
  Location,
  Function as PprofFunction,
  Profile,
  Sample,
  StringTable,
  ValueType,
} from 'pprof-format';
import type { ContentionProfile } from '../profile/read.ts';
import type { Frame } from '../profile/stacks.ts';

/** The profile, compressed, as a file `block.pb.gz` or `mutex.pb.gz` holds it. */
export function pprofOf(profile: ContentionProfile, charged: 'block' | 'mutex' = 'block'): Uint8Array {
  const strings = new StringTable();
  const locations = new Locations(strings);
  const text = (key: string, value: string) => new Label({ key: strings.dedup(key), str: strings.dedup(value) });
  const places = charged === 'mutex' ? profile.unlocks : profile.stacks;
  const sample = places.map(({ frames, contentions, delay, lock, class: className, async, shared, thread }) => {
    const label = [
      text('lock', lock),
      text('class', className),
      // Of an unlock the ways of those that have waited are not known.
      ...(charged === 'mutex' ? [] : [text('mode', `${async ? 'async' : 'sync'}${shared ? ', shared' : ''}`)]),
      new Label({ key: strings.dedup(charged === 'mutex' ? 'holder' : 'thread'), num: thread }),
    ];
    return new Sample({ locationId: frames.map((frame) => locations.idOf(frame)), value: [contentions, delay], label });
  });
  const contentions = new ValueType({ type: strings.dedup('contentions'), unit: strings.dedup('count') });
  const delay = new ValueType({ type: strings.dedup('delay'), unit: strings.dedup('nanoseconds') });
  const { all, functions } = locations;
  const encoded = new Profile({
    sampleType: [contentions, delay],
    sample,
    location: all,
    function: functions,
    stringTable: strings,
    timeNanos: BigInt(Date.parse(profile.startedAt)) * 1_000_000n,
    durationNanos: Math.round(profile.duration),
    periodType: contentions,
    period: 1,
    defaultSampleType: delay.type,
  }).encode();
  return gzipSync(encoded);
}

class Locations {
  readonly all: Location[] = [];
  readonly functions: PprofFunction[] = [];
  readonly #strings: StringTable;
  readonly #locationIds = new Map<string, number>();
  readonly #functionIds = new Map<string, number>();

  constructor(strings: StringTable) {
    this.#strings = strings;
  }

  idOf(frame: Frame): number {
    const { line, column } = frame;
    const functionId = this.#functionOf(frame);
    return idIn(this.#locationIds, `${functionId}:${line}:${column}`, (id) => {
      this.all.push(new Location({ id, line: [new Line({ functionId, line, column })] }));
    });
  }

  #functionOf({ name, file }: Frame): number {
    return idIn(this.#functionIds, `${name}\t${file}`, (id) => {
      const text = this.#strings.dedup(name === '' ? '(top level)' : name);
      this.functions.push(new PprofFunction({ id, name: text, systemName: text, filename: this.#strings.dedup(file) }));
    });
  }
}

/** Ids count from 1. */
function idIn(ids: Map<string, number>, key: string, make: (id: number) => void): number {
  let id = ids.get(key);
  if (id === undefined) {
    id = ids.size + 1;
    ids.set(key, id);
    make(id);
  }
  return id;
}
