/** What a `get` of a SharedMap costs, 20,000 keys of 12 characters, beside a plain Map, and a SharedCache's. */
import { Arena, SharedCache, SharedMap } from '../lib/index.ts';
import type { Effort } from './effort.ts';
import type { Figures } from './figure.ts';
import type { Loop } from './pairs.ts';
import { takeTurns } from './single.ts';

const KEYS = Array.from({ length: 20_000 }, (_, i) => `user:${String(i).padStart(7, '0')}`);
/** Of which each get makes a string of its own, as one that came over the network is. */
const BYTES = KEYS.map((key) => Buffer.from(key, 'latin1'));

interface Readable<V> {
  get(key: string): V | undefined;
  set(key: string, value: V): unknown;
}

export function map(figures: Figures, effort: Effort): void {
  const count = KEYS.length;
  takeTurns(
    figures,
    effort,
    'get, the same strings',
    loops((at) => at, KEYS, 'key', 'value'),
    count,
  );
  takeTurns(
    figures,
    effort,
    'get, fresh strings',
    loops((at) => at, BYTES, 'key.latin1Slice(0, 12)', 'value'),
    count,
  );
  const texts = loops((at) => `value ${at}`, KEYS, 'key', 'value.length');
  takeTurns(figures, effort, 'get, values that are strings', texts, count);
}

/** Made from text, so that V8 learns nothing about one peer from another. */
function loops<V>(
  valueAt: (at: number) => V,
  keys: readonly unknown[],
  key: string,
  sum: string,
): Record<string, Loop> {
  const arena = Arena.create({ bytes: 32 << 20 });
  const peers: Record<string, Readable<V>> = {
    Map: new Map<string, V>(),
    SharedMap: new SharedMap<string, V>(arena),
    SharedCache: new SharedCache<string, V>(arena),
  };
  const loop = `return function ofPeer${made++}() {
    let sum = 0;
    for (const key of keys) { const value = peer.get(${key}); sum += ${sum}; }
    return sum;
  }`;
  return Object.fromEntries(
    Object.entries(peers).map(([name, peer]) => {
      for (const [at, text] of KEYS.entries()) peer.set(text, valueAt(at));
      return [name, new Function('peer', 'keys', loop)(peer, keys) as Loop];
    }),
  );
}

let made = 0;
