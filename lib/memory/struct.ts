/** 16 words of 32 bits: the cache line of every machine we know, and the unit in which the heap gives out memory. */
export const LINE_WORDS = 16;

/** A struct as its declaration returns it. */
export type Layout = {
  /** Its length in words. */
  readonly words: number;
};

/** How long a field is: so many words, or another struct, by whose fields its words are named. */
export type Length = number | Layout;

type Offsets<Fields extends Record<string, Length>> = { readonly [Name in keyof Fields]: number } & Layout;

/** By struct: its fields in order. What names a word looks here; algorithms know the offsets alone. */
const tables = new WeakMap<Layout, Readonly<Record<string, Length>>>();
/** By array: the struct that it is many of. */
const elements = new WeakMap<Layout, Layout>();

/** In words. */
export function lengthOf(length: Length): number {
  return typeof length === 'number' ? length : length.words;
}

/**
 * Declares a struct: a table of field names and their lengths, in order. What comes back maps each name to its offset,
 * so `address + Task.state` is the one way to reach a field.
 */
export function struct<const Fields extends Record<string, Length>>(fields: Fields): Offsets<Fields> {
  const offsets: [string, number][] = [];
  let words = 0;
  if ('words' in fields) throw new Error('no field of a struct is called words: that is its length');
  for (const [name, length] of Object.entries(fields)) {
    // A pad that has become too short would put fields on top of each other.
    if (lengthOf(length) < 0) throw new Error(`the field ${name} of a struct has ${lengthOf(length)} words`);
    offsets.push([name, words]);
    words += lengthOf(length);
  }
  offsets.push(['words', words]);
  // Not by `offsets[name] = words`: V8 makes a hash table of an object that gets many properties so, and then each use of an
  // offset is a call of 10 ns. A field of this one is a constant in the code that V8 makes.
  const layout = Object.freeze(Object.fromEntries(offsets)) as Offsets<Fields>;
  tables.set(layout, fields);
  return layout;
}

/** The length of a field that is `count` structs of one kind. */
export function arrayOf(count: number, element: Layout): Layout {
  const layout = Object.freeze({ words: count * element.words });
  elements.set(layout, element);
  return layout;
}

/**
 * The name of the word at `offset` of a struct, as `waiters.first` or `nodes[1].next`, or `pad[3]` in a field of several
 * words that is no struct; what lies behind the struct is `+n`.
 */
export function wordName(layout: Layout, offset: number): string {
  let start = 0;
  for (const [name, length] of Object.entries(tables.get(layout) ?? {})) {
    const at = offset - start;
    start += lengthOf(length);
    if (offset >= start) continue;
    if (typeof length !== 'number') {
      const element = elements.get(length);
      if (element === undefined) return `${name}.${wordName(length, at)}`;
      return `${name}[${Math.floor(at / element.words)}].${wordName(element, at % element.words)}`;
    }
    return length === 1 ? name : `${name}[${at}]`;
  }
  return `+${offset - start}`;
}

/** Where in a struct there are ones of another kind: their offsets. */
export function partsIn(layout: Layout, part: Layout): number[] {
  if (layout === part) return [0];
  const element = elements.get(layout);
  if (element !== undefined) {
    const inOne = partsIn(element, part);
    const count = inOne.length === 0 ? 0 : layout.words / element.words;
    return Array.from({ length: count }, (_, i) => inOne.map((at) => i * element.words + at)).flat();
  }
  const found: number[] = [];
  let start = 0;
  for (const length of Object.values(tables.get(layout) ?? {})) {
    if (typeof length !== 'number') found.push(...partsIn(length, part).map((at) => start + at));
    start += lengthOf(length);
  }
  return found;
}

/** `words` rounded up to whole cache lines. */
export function inLines(words: number): number {
  return Math.ceil(words / LINE_WORDS) * LINE_WORDS;
}
