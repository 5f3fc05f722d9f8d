/** 16 words of 32 bits: the cache line of every machine we know, and the unit in which the heap gives out memory. */
export const LINE_WORDS = 16;

type Offsets<Fields extends Record<string, number>> = { readonly [Name in keyof Fields]: number } & {
  /** The struct's length in words. */
  readonly words: number;
};

/**
 * Declares a struct: a table of field names and their lengths in words, in order. What comes back maps each name to
 * its offset, so `address + Task.state` is the one way to reach a field.
 */
export function struct<const Fields extends Record<string, number>>(fields: Fields): Offsets<Fields> {
  const offsets: Record<string, number> = {};
  let words = 0;
  if ('words' in fields) throw new Error('no field of a struct is called words: that is its length');
  for (const [name, length] of Object.entries(fields)) {
    offsets[name] = words;
    words += length;
  }
  offsets.words = words;
  return Object.freeze(offsets) as Offsets<Fields>;
}

/** `words` rounded up to whole cache lines. */
export function inLines(words: number): number {
  return Math.ceil(words / LINE_WORDS) * LINE_WORDS;
}
