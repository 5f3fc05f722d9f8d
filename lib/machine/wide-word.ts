/**
 * Places of 64 bits in an arena, on the real machine: `Cpu`'s operations, by the same names, on a bigint. Each is one access of
 * the processor, and fully ordered. The machines that explore and time algorithms have words of 32 bits only, and no use for
 * a place that is changed in single steps.
 */
const WORD_BYTES = 4;

export type WideWord = BigInt64Array;

/** The word at index `address`, which is even, and the one behind it. No thread accesses them as 32 bits meanwhile. */
export function wideWord({ buffer, byteOffset }: Int32Array, address: number): WideWord {
  return new BigInt64Array(buffer, byteOffset + address * WORD_BYTES, 1);
}

export function load64(word: WideWord): bigint {
  return Atomics.load(word, 0);
}
export function store64(word: WideWord, value: bigint): void {
  Atomics.store(word, 0, value);
}

// Each returns the old value.
export function fetchAdd64(word: WideWord, value: bigint): bigint {
  return Atomics.add(word, 0, value);
}
export function fetchSub64(word: WideWord, value: bigint): bigint {
  return Atomics.sub(word, 0, value);
}
export function fetchAnd64(word: WideWord, value: bigint): bigint {
  return Atomics.and(word, 0, value);
}
export function fetchOr64(word: WideWord, value: bigint): bigint {
  return Atomics.or(word, 0, value);
}
export function fetchXor64(word: WideWord, value: bigint): bigint {
  return Atomics.xor(word, 0, value);
}
export function xchg64(word: WideWord, value: bigint): bigint {
  return Atomics.exchange(word, 0, value);
}
export function cmpxchg64(word: WideWord, expected: bigint, value: bigint): bigint {
  return Atomics.compareExchange(word, 0, expected, value);
}
