/**
 * Keys and values as words of shared memory. A form, in one word, says what the words behind it are:
 *
 *   LATIN1   a string of characters below 256, four a word      INT      a whole number of 32 bits
 *   WIDE     any other string, two units a word                 DOUBLE   any other number, two words
 *   BYTES    a Uint8Array, four a word                          FIXED    undefined, null, true, false: no words
 *   CLONED   anything else, as v8.serialize writes it
 *
 *   form     kind in the three lowest bits, above it the length in characters, units or bytes; for FIXED which of them
 *
 * A string is hashed in the same pass that packs it.
 */
import { deserialize, serialize } from 'node:v8';
import { HoldfastError, shown } from '../../errors.ts';
import type { Cpu } from '../../machine/cpu.ts';
import type { RealCpu } from '../../machine/real.ts';

const LATIN1 = 0;
const WIDE = 1;
const INT = 2;
const DOUBLE = 3;
const FIXED = 4;
const BYTES = 5;
const CLONED = 6;
const KIND = 7;
const LENGTH_SHIFT = 3;
const FIXED_VALUES = [undefined, null, true, false];
/** Up to this length a string is made of its characters, beyond it from the bytes of a Buffer: measured, 17 ns against 55 at 8. */
const SHORT = 12;
const { fromCharCode } = String;

/** A key or a value that was packed, to be written or compared. */
export class Packed {
  form = 0;
  hash = 0;
  /** How many of `words` count. */
  length = 0;
  words = new Int32Array(64);
  readonly #doubles = new Float64Array(1);
  readonly #halves = new Int32Array(this.#doubles.buffer);

  /** A key: 0 and -0 are the same. Throws EINVAL for what can't be serialised. */
  packKey(key: unknown): void {
    if (typeof key === 'string') this.#string(key);
    else this.pack(key === 0 ? 0 : key, 'key');
  }

  /** `what`: 'key' or 'value', for the message. Throws EINVAL for what can't be serialised. */
  pack(value: unknown, what = 'value'): void {
    if (typeof value === 'string') this.#string(value);
    else if (typeof value === 'number') this.#number(value);
    else if (value === undefined || value === null || typeof value === 'boolean') {
      this.form = FIXED | (FIXED_VALUES.indexOf(value) << LENGTH_SHIFT);
      this.length = 0;
      this.hash = mix(FIXED, this.form);
    } else if (value instanceof Uint8Array && value.constructor === Uint8Array) this.#bytes(value, BYTES);
    else this.#bytes(cloned(value, what), CLONED);
  }

  #string(text: string): void {
    const { length } = text;
    this.#makeRoom((length + 3) >> 2);
    const { words } = this;
    let hash = length;
    let all = 0;
    let at = 0;
    let i = 0;
    for (; i + 4 <= length; i += 4) {
      const a = text.charCodeAt(i);
      const b = text.charCodeAt(i + 1);
      const c = text.charCodeAt(i + 2);
      const d = text.charCodeAt(i + 3);
      all |= a | b | c | d;
      const word = a | (b << 8) | (c << 16) | (d << 24);
      words[at++] = word;
      hash = mix(hash, word);
    }
    if (i < length) {
      let word = 0;
      for (let shift = 0; i < length; i++, shift += 8) {
        const unit = text.charCodeAt(i);
        all |= unit;
        word |= unit << shift;
      }
      words[at++] = word;
      hash = mix(hash, word);
    }
    if (all > 0xff) {
      this.#wide(text);
      return;
    }
    this.form = LATIN1 | (length << LENGTH_SHIFT);
    this.hash = hash;
    this.length = at;
  }

  #wide(text: string): void {
    const { length } = text;
    const count = (length + 1) >> 1;
    this.#makeRoom(count);
    for (let at = 0; at < count; at++) {
      const high = 2 * at + 1 < length ? text.charCodeAt(2 * at + 1) : 0;
      this.words[at] = text.charCodeAt(2 * at) | (high << 16);
    }
    this.#settle(WIDE, length, count);
  }

  #number(value: number): void {
    if ((value | 0) === value && !Object.is(value, -0)) {
      this.words[0] = value;
      this.form = INT;
      this.length = 1;
      this.hash = mix(INT, value);
      return;
    }
    this.#doubles[0] = value;
    this.words[0] = this.#halves[0] as number;
    this.words[1] = this.#halves[1] as number;
    this.#settle(DOUBLE, 0, 2);
  }

  #bytes(bytes: Uint8Array, kind: number): void {
    const count = (bytes.length + 3) >> 2;
    this.#makeRoom(count);
    if (count > 0) this.words[count - 1] = 0;
    new Uint8Array(this.words.buffer).set(bytes);
    this.#settle(kind, bytes.length, count);
  }

  #settle(kind: number, length: number, words: number): void {
    this.form = kind | (length << LENGTH_SHIFT);
    this.length = words;
    let hash = this.form;
    for (let i = 0; i < words; i++) hash = mix(hash, this.words[i] as number);
    this.hash = hash;
  }

  #makeRoom(words: number): void {
    if (words > this.words.length) this.words = new Int32Array(2 * words);
  }
}

/** Words behind a form. */
export function lengthOf(form: number): number {
  const length = form >>> LENGTH_SHIFT;
  switch (form & KIND) {
    case INT:
      return 1;
    case DOUBLE:
      return 2;
    case FIXED:
      return 0;
    case WIDE:
      return (length + 1) >> 1;
    default:
      return (length + 3) >> 2;
  }
}

/** Reads keys and values of one arena. */
export class Reader {
  readonly #cpu: Cpu;
  readonly #bytes: Buffer;
  readonly #halves = new Int32Array(2);
  readonly #double = new Float64Array(this.#halves.buffer);

  constructor(cpu: Cpu) {
    this.#cpu = cpu;
    this.#bytes = Buffer.from((cpu as RealCpu).words.buffer as unknown as ArrayBuffer);
  }

  /** What is packed at `at`. */
  value(form: number, at: number): unknown {
    return form === INT ? this.#cpu.read(at) : this.#longer(form, at);
  }

  #longer(form: number, at: number): unknown {
    const length = form >>> LENGTH_SHIFT;
    switch (form & KIND) {
      case LATIN1:
        return length <= SHORT ? this.#short(at, length) : this.#bytes.toString('latin1', at * 4, at * 4 + length);
      case WIDE:
        return this.#bytes.toString('utf16le', at * 4, at * 4 + 2 * length);
      case DOUBLE:
        this.#halves[0] = this.#cpu.read(at);
        this.#halves[1] = this.#cpu.read(at + 1);
        return this.#double[0];
      case FIXED:
        return FIXED_VALUES[length];
      case BYTES:
        return new Uint8Array(this.#bytes.subarray(at * 4, at * 4 + length));
      default:
        return deserialize(new Uint8Array(this.#bytes.subarray(at * 4, at * 4 + length)));
    }
  }

  #short(at: number, length: number): string {
    if (length === 0) return '';
    const cpu = this.#cpu;
    const first = cpu.read(at);
    let text: string;
    if (length <= 4) text = four(first);
    else if (length <= 8) text = eight(first, cpu.read(at + 1));
    else text = twelve(first, cpu.read(at + 1), cpu.read(at + 2));
    return length & 3 ? text.slice(0, length) : text;
  }
}

// One call for all characters: each string of one character that is added to another is a copy.

function four(a: number): string {
  return fromCharCode(a & 0xff, (a >>> 8) & 0xff, (a >>> 16) & 0xff, a >>> 24);
}

function eight(a: number, b: number): string {
  // biome-ignore format: a word a line
  return fromCharCode(
    a & 0xff, (a >>> 8) & 0xff, (a >>> 16) & 0xff, a >>> 24,
    b & 0xff, (b >>> 8) & 0xff, (b >>> 16) & 0xff, b >>> 24,
  );
}

function twelve(a: number, b: number, c: number): string {
  // biome-ignore format: a word a line
  return fromCharCode(
    a & 0xff, (a >>> 8) & 0xff, (a >>> 16) & 0xff, a >>> 24,
    b & 0xff, (b >>> 8) & 0xff, (b >>> 16) & 0xff, b >>> 24,
    c & 0xff, (c >>> 8) & 0xff, (c >>> 16) & 0xff, c >>> 24,
  );
}

function cloned(value: unknown, what: string): Uint8Array {
  try {
    return serialize(value);
  } catch (error) {
    throw new HoldfastError('EINVAL', `the ${what}, ${shown(value)}, can't be serialised: ${(error as Error).message}`);
  }
}

/** A step of the hash: FxHash of Firefox and rustc, which takes one multiplication. The table uses its upper bits, the good ones. */
function mix(hash: number, word: number): number {
  return Math.imul(((hash << 5) | (hash >>> 27)) ^ word, 0x9e3779b1);
}
