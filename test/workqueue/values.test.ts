/** Values as words of an item, within one thread. */
import { describe, expect, test } from 'vitest';
import { Arena } from '../../lib/index.ts';
import { Item } from '../../lib/workqueue/layout.ts';
import { Values } from '../../lib/workqueue/values.ts';

const INLINE = 0;
const CANARY = 0x5a5a5a5a;

const arena = Arena.create({ bytes: 4 << 20 });
const values = new Values(arena);
const item = arena.alloc(Item.words + 4);

/** What comes over, and in which form. Nothing behind the item changes. */
function sent(...given: unknown[]): { form: number; got: unknown[] } {
  const { words } = arena;
  words.fill(0, item, item + Item.words);
  words.fill(CANARY, item + Item.words, item + Item.words + 4);
  const encoding = values.encode(item, given, Item.argument);
  const got = values.decode(item, encoding, Item.argument);
  values.free(item, Item.argument);
  expect([...words.subarray(item + Item.words, item + Item.words + 4)]).toEqual(Array(4).fill(CANARY));
  return { form: encoding & 3, got };
}

class Point {
  x = 1;
}

const OBJECTS: Record<string, object> = {
  small: { a: 1, b: 'two' },
  empty: {},
  'of all that is short': { n: null, u: undefined, t: true, f: false },
  'with numbers': { minus: -0, not: Number.NaN, half: 0.5 },
  'in an order of its own': { z: 1, 2: 2, a: 3, 1: 4 },
  'with a wide key': { ключ: 1 },
  'with a wide value': { a: '∀' },
  nested: { a: { b: 1 } },
  'with bytes': { a: new Uint8Array([1]) },
  'with a name of the prototype’s': { toString: 1 },
  'with a key that is no key': JSON.parse('{"__proto__": 1, "a": 2}'),
  'with a symbol': { [Symbol('s')]: 1, a: 2 },
  'of a class': new Point(),
  'of nothing': Object.assign(Object.create(null), { a: 1 }),
  'with many keys': Object.fromEntries(Array.from({ length: 40 }, (_, i) => [`key ${i}`, i])),
};

describe('an object comes over as something else', () => {
  test.each(Object.entries(OBJECTS))('%s', (_name, object) => {
    const [got] = sent(object).got;
    const clone = structuredClone(object);
    expect(got).toStrictEqual(clone);
    expect(Object.keys(got as object)).toEqual(Object.keys(clone));
    expect(Object.getPrototypeOf(got)).toBe(Object.prototype);
    expect(sent(1, object, new Uint8Array([3]), 'x').got).toStrictEqual([1, clone, new Uint8Array([3]), 'x']);
  });

  test('that is there twice, or beside another', () => {
    const object = { a: 1 };
    const [one, other] = sent(object, object).got;
    expect(one).toBe(other);
    expect(sent(object, { b: 2 }).got).toStrictEqual([object, { b: 2 }]);
  });

  test('that has bytes twice, or is of a kind of its own', () => {
    const bytes = new Uint8Array([1]);
    const [{ a, b }] = sent({ a: bytes, b: bytes }).got as [{ a: Uint8Array; b: Uint8Array }];
    expect(a).toBe(b);
    for (const value of [new Date(5), new Map([[1, 2]]), new Set([1]), [1, 2], /x/g, Object(true)]) {
      expect(sent(value).got).toStrictEqual([structuredClone(value)]);
    }
  });

  test('with what its prototype has', () => {
    Object.defineProperty(Object.prototype, 'polluted', {
      value: 1,
      enumerable: true,
      configurable: true,
      writable: true,
    });
    try {
      expect(Object.keys(sent({ a: 1 }).got[0] as object)).toEqual(['a']);
    } finally {
      Reflect.deleteProperty(Object.prototype, 'polluted');
    }
  });

  test('while a getter of it sends another', () => {
    const other = arena.alloc(Item.words);
    let encoding = 0;
    const object = {
      a: 1,
      get b() {
        encoding = values.encode(other, ['other'], Item.argument);
        return 2;
      },
      c: 3,
    };
    expect(sent(object).got).toEqual([{ a: 1, b: 2, c: 3 }]);
    expect(values.decode(other, encoding, Item.argument)).toEqual(['other']);
  });

  const bytes = new Uint8Array([1, 2]);
  const { buffer } = bytes;
  const SENDERS: Record<string, (send: <T>(answer: T) => T) => object> = {
    'a trap of a proxy sends another, for its prototype': (send) =>
      new Proxy({ a: 1 }, { getPrototypeOf: () => send(Object.prototype) }),
    'a trap of a proxy sends another, for its keys': (send) =>
      new Proxy({ a: 1 }, { ownKeys: (target) => send(Reflect.ownKeys(target)) }),
    'its buffer sends another': (send) => Object.defineProperty(bytes, 'buffer', { get: () => send(buffer) }),
  };

  test.each(Object.entries(SENDERS))('while %s', (_name, make) => {
    const other = arena.alloc(Item.words + 1);
    // As many words as there are.
    const full = 'x'.repeat(56);
    arena.words[other + Item.words] = CANARY;
    let encoding = 0;
    const object = make((answer) => {
      encoding ||= values.encode(other, [full], Item.argument);
      return answer;
    });
    expect(sent(object).got).toEqual([object]);
    expect(values.decode(other, encoding, Item.argument)).toEqual([full]);
    expect(arena.words[other + Item.words]).toBe(CANARY);
  });

  test('as text, though it is short; or over the end of the item', () => {
    expect(sent({ a: 1, b: 2 }).form).toBe(INLINE);
    for (let length = 0; length < 70; length++) {
      const text = 'x'.repeat(length);
      for (const object of [{ a: text }, { [`k${text}`]: 1.5 }, { a: 1, b: 2, c: text }, { a: text, b: 0.5 }]) {
        expect(sent(object).got).toStrictEqual([object]);
        expect(sent(0.5, object, true).got).toStrictEqual([0.5, object, true]);
      }
    }
  });
});
