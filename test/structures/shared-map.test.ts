import { describe, expect, test } from 'vitest';
import { Arena } from '../../lib/index.ts';
import { Packed } from '../../lib/structures/map/codec.ts';
import { SharedMap } from '../../lib/structures/map/shared-map.ts';
import { step, stepper } from '../support/stepper.ts';
import { exhaust, inThread, thrown } from '../support/threads.ts';
import { randomFrom } from './xarray-model.ts';

const make = <V = unknown>() => new SharedMap<unknown, V>(Arena.create({ bytes: 8 << 20 }));

describe('keys and values', () => {
  const values = [
    0,
    -1,
    2 ** 31,
    -(2 ** 31),
    0.5,
    Number.NaN,
    Infinity,
    2 ** 53,
    '',
    'a',
    'abcd',
    'abcde',
    'user:0001234',
    'ÿÿÿÿÿ',
    'Ωmega',
    'ab\u0100',
    '😀',
    '\ud800',
    'x'.repeat(1000),
    'Ω'.repeat(333),
    undefined,
    null,
    true,
    false,
    10n ** 30n,
    new Uint8Array([1, 2, 3]),
    new Uint8Array(0),
    { a: [1, { b: 'c' }] },
    [1, 2],
    new Date(7),
    new Map([[1, 2]]),
    Buffer.from('x'),
  ]; // prettier-ignore

  test.each(values.map((value, i) => [i, value]))('come back as they went in: %i', (_, value) => {
    const map = make();
    map.set('value', value);
    map.set(value, 'key');
    if (value instanceof Buffer) expect(Buffer.from(map.get('value') as Uint8Array)).toEqual(value);
    else expect(map.get('value')).toEqual(value);
    expect(map.get(value)).toBe('key');
    expect(map.has(value)).toBe(true);
    expect(map.size).toBe(2);
  });

  test('that are alike are one key, others are not', () => {
    const map = make();
    for (const [i, value] of values.entries()) map.set(value, i);
    expect(map.size).toBe(values.length);
    for (const [i, value] of values.entries()) expect(map.get(value)).toBe(i);
    map.set(-0, 'zero');
    expect(map.get(0)).toBe('zero');
    for (const other of ['0', 'A', 'abcdf', 'ab\u0101', 1n, [1, 3], 0.25, 'ÿÿÿÿ']) expect(map.has(other)).toBe(false);
  });

  test('strings of every length come back, each with its last character', () => {
    const map = make<string>();
    const alphabet = Array.from({ length: 40 }, (_, i) => String.fromCharCode(0xff - 5 * i)).join('');
    for (let length = 0; length <= 40; length++) map.set(length, alphabet.slice(0, length));
    for (let length = 0; length <= 40; length++) expect(map.get(length)).toBe(alphabet.slice(0, length));
  });

  test('copies, not references', () => {
    const map = make<{ list: number[] }>();
    const value = { list: [1] };
    map.set('k', value);
    value.list.push(2);
    map.get('k')?.list.push(3);
    expect(map.get('k')).toEqual({ list: [1] });
  });

  test('what cannot be serialised is EINVAL, and changes nothing', () => {
    const map = make();
    map.set('k', 1);
    expect(thrown(() => map.set('k', () => 1))).toMatchObject({
      code: 'EINVAL',
      message: expect.stringMatching(/value/),
    });
    expect(thrown(() => map.get(Symbol('s')))).toMatchObject({ code: 'EINVAL', message: expect.stringMatching(/key/) });
    expect([...map]).toEqual([['k', 1]]);
  });
});

/** Two strings of one length that have the same hash. */
function colliding(): [string, string] {
  const packed = new Packed();
  const known = new Map<number, string>();
  for (let i = 10_000; i < 100_000; i++) {
    const key = `key ${i}`;
    packed.packKey(key);
    const other = known.get(packed.hash);
    if (other !== undefined) return [other, key];
    known.set(packed.hash, key);
  }
  throw new Error('no two keys have the same hash: search among more');
}

test('two keys of one hash are two keys', () => {
  const [first, second] = colliding();
  const map = make<number>();
  map.set(first, 1);
  expect(map.has(second)).toBe(false);
  map.set(second, 2);
  expect([map.get(first), map.get(second), map.size]).toEqual([1, 2, 2]);
  expect(map.delete(first)).toBe(true);
  expect([map.get(first), map.get(second), map.size]).toEqual([undefined, 2, 1]);
});

test.each([1, 2, 3])('a map that differs from a plain one, seed %i', (seed) => {
  const random = randomFrom(seed);
  const map = make();
  const model = new Map<unknown, unknown>();
  for (let i = 0; i < 4000; i++) {
    // Grows, then shrinks.
    const number = random(i < 2500 ? 1500 : 300);
    const key = number % 3 === 0 ? number : `key ${number}`;
    if (random(i < 2500 ? 4 : 2) > 0) {
      const value = random(2) === 0 ? i : `value ${i}`;
      map.set(key, value);
      model.set(key, value);
    } else expect(map.delete(key)).toBe(model.delete(key));
    if (i > 3500) for (const each of [...model.keys()].slice(0, 5)) expect(map.delete(each)).toBe(model.delete(each));
    expect(map.get(key)).toBe(model.get(key));
    expect(map.size).toBe(model.size);
    if (i % 500 === 0) expect(new Map(map)).toEqual(model);
  }
  expect(new Map(map)).toEqual(model);
  map.clear();
  expect([...map]).toEqual([]);
  const { bytes, free } = map.use();
  expect(bytes - free).toBeLessThan(bytes / 8);
  map.destroy();
});

test('compareAndSet and update', () => {
  const map = make<number>();
  expect(map.compareAndSet('n', 1, 2)).toBe(false);
  expect(map.compareAndSet('n', undefined, 1)).toBe(true);
  expect(map.compareAndSet('n', undefined, 5)).toBe(false);
  expect(map.compareAndSet('n', 1, 2)).toBe(true);
  expect(map.update('n', (n = 0) => n + 1)).toBe(3);
  // Another has changed the key, and changed it back, while the function ran.
  let calls = 0;
  map.update('n', (n = 0) => {
    if (++calls === 1) map.set('n', 9).set('n', n);
    return n + 1;
  });
  expect([calls, map.get('n')]).toEqual([2, 4]);
  expect(thrown(() => map.update('n', (async () => 1) as never)).message).toMatch(/promise/);
});

test('a loop goes over what was there when it began', () => {
  const map = make<number>();
  for (let i = 0; i < 20; i++) map.set(i, i);
  let seen = 0;
  for (const [key] of map) {
    seen++;
    map.delete(key);
    map.set(`new ${String(key)}`, 1);
  }
  expect([seen, map.size]).toEqual([20, 20]);
  expect([...map.keys()].length + [...map.values()].length).toBe(40);
});

test('a full arena is ENOMEM before anything has changed', () => {
  const arena = Arena.create({ bytes: 1 << 20 });
  const map = new SharedMap(arena, 'map');
  map.set('k', 1);
  exhaust(arena);
  expect(thrown(() => map.set('k', 'x'.repeat(100_000))).code).toBe('ENOMEM');
  expect([...map]).toEqual([['k', 1]]);
});

test('a writer that dies at any step: its change is made or not, and loses no block', () => {
  const changes: ((map: SharedMap) => unknown)[] = [
    (map) => map.set('b', 'another value'),
    (map) => map.set('f', 6),
    (map) => map.delete('b'),
    (map) => map.clear(),
  ];
  for (const change of changes) {
    const prepare = () => {
      const machine = stepper(2);
      const maps = machine.arenas.map((arena) => new SharedMap(arena, 'map'));
      for (const key of ['a', 'b', 'c', 'd']) maps[0]!.set(key, `value of ${key}`);
      return { ...machine, maps: maps as [SharedMap, SharedMap] };
    };
    const image = (map: SharedMap) => JSON.stringify([map.size, [...map].sort()]);
    const whole = prepare();
    const before = image(whole.maps[0]);
    change(whole.maps[0]);
    const after = image(whole.maps[0]);
    for (let n = 1; ; n++) {
      const { maps, arenas, killBefore, reap } = prepare();
      if (!killBefore(0, step(n), () => change(maps[0]))) break;
      for (const key of ['a', 'c', 'd']) expect([`value of ${key}`, undefined]).toContain(maps[1].get(key));
      expect(reap(1)).toBe('done');
      expect([before, after]).toContain(image(maps[1]));
      if (image(maps[1]) === before) change(maps[1]);
      expect(image(maps[1])).toBe(after);
      for (let i = 0; i < 40; i++) maps[1].set(i, i);
      expect(maps[1].get(39)).toBe(39);
      maps[1].clear();
      // Once for what is retired, once for what was in the way of that.
      for (let i = 0; i < 2; i++) maps[1].set('x', 'x'.repeat(500)).clear();
      const { bytes, free } = maps[1].use();
      expect(bytes - free).toBeLessThan(bytes / 4);
      maps[1].destroy();
      expect(arenas[1]!.fsck()).toEqual([]);
    }
  }
});

test('threads that count together lose nothing', async () => {
  const arena = Arena.create({ bytes: 8 << 20 });
  const map = new SharedMap<string, number>(arena, 'counts');
  const threads = [1, 2, 3].map(() => inThread(arena, import.meta.resolve('./shared-map.threads.ts'), 'count'));
  await Promise.all(threads.map(({ result }) => result));
  expect(map.size).toBe(50);
  expect([...map.values()].reduce((sum, n) => sum + n, 0)).toBe(3 * 500);
  await Promise.all(threads.map(({ exited }) => exited));
});
