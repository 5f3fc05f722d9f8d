/**
 * Arguments and results in shared memory. The cheapest form that can hold them is taken:
 *
 *   INLINE   undefined, null, booleans, numbers, short strings, one plain object of these, and bytes (typed arrays, ArrayBuffers), each
 *            behind a tag word, in the item's own words; the bytes themselves in a block of the heap
 *   JSON     other plain objects and arrays of such values, each object once: 0.2 to 0.9 us against 2 to 3 us for
 *   CLONE    whatever else `v8.serialize` takes: the structured clone
 *
 * `Item.encoding` is the form, whether it is an error, and behind that the number of values or bytes.
 */
import { deserialize } from 'node:v8';
import type { Arena } from '../arena/arena.ts';
import { HoldfastError } from '../errors.ts';
import type { Cpu } from '../machine/cpu.ts';
import type { RealCpu } from '../machine/real.ts';
import { copyIn, copyOut } from './bytes.ts';
import { clone, cloneBriefly, cloneError, cloneIn, errorFrom } from './cloned.ts';
import { INLINE_WORDS, Item } from './layout.ts';

const INLINE = 0;
const JSON_TEXT = 1;
const CLONE = 2;
const FORM = 3;
/** The values are the error that the function threw. */
export const ERROR = 4;
/** The worker died: there are no values. */
export const DIED = 8;
const LENGTH_SHIFT = 4;

const UNDEFINED = 0;
const NULL = 1;
const FALSE = 2;
const TRUE = 3;
const INT = 4;
const DOUBLE = 5;
const STRING = 6;
const BYTES = 7;
const OBJECT = 8;
const TAG = 15;
const TAG_SHIFT = 4;

/** Characters that go through a loop rather than through the engine's own copying. */
const SHORT = 16;
/** Objects and arrays in one JSON text at most: each is compared with all others. */
const MOST_OBJECTS = 16;

/** In the order of their codes in a BYTES tag. */
const BYTE_TYPES = [
  ArrayBuffer,
  Uint8Array,
  Buffer,
  Uint8ClampedArray,
  Int8Array,
  Uint16Array,
  Int16Array,
  Uint32Array,
  Int32Array,
  Float32Array,
  Float64Array,
  BigInt64Array,
  BigUint64Array,
] as const;

const double = new Float64Array(1);
const halves = new Int32Array(double.buffer);

/** Where a block for values that do not fit is noted: `Item.argument` or `Item.result`. */
export type BlockField = typeof Item.argument | typeof Item.result;

export class Values {
  readonly #arena: Arena;
  readonly #cpu: Cpu;
  readonly #memory: Buffer;
  /** The bytes among the values that are being encoded. */
  #parts: Uint8Array[] = [];
  /** Where the next value is in the item, where its words end, and where the next of its bytes are. */
  #at = 0;
  #end = 0;
  #part = 0;
  #hasObject = false;

  constructor(arena: Arena) {
    this.#arena = arena;
    this.#cpu = arena.cpu;
    this.#memory = Buffer.from((arena.cpu as RealCpu).words.buffer as ArrayBuffer);
  }

  /** Writes values to the item; `Item.encoding` is the caller's to set. Throws EINVAL for what can't be cloned, ENOMEM. */
  encode(item: number, values: readonly unknown[], field: BlockField): number {
    if (this.#parts.length > 0) this.#parts = [];
    if (this.#encodeInline(item + Item.values, values)) {
      if (this.#parts.length > 0) this.#writeParts(item, field);
      return INLINE | (values.length << LENGTH_SHIFT);
    }
    if (isPlain(values, [])) return this.#encodeText(item, JSON.stringify(values), field);
    return this.#encodeBytes(item, clone(values), field);
  }

  /**
   * `encode` of what a function has thrown, whatever it is: its name, message, stack and own properties. Where the arena has
   * no room for that, a shorter form of it, or nothing but that it has failed: a worker must not die of an error.
   */
  encodeError(item: number, error: unknown): number {
    for (const form of [cloneError, cloneBriefly]) {
      try {
        return this.#encodeBytes(item, cloneIn(form, error), Item.result) | ERROR;
      } catch (failure) {
        if (!(failure instanceof HoldfastError) || failure.code !== 'ENOMEM') throw failure;
      }
    }
    return CLONE | ERROR;
  }

  decode(item: number, encoding: number, field: BlockField): unknown[] {
    const form = encoding & FORM;
    const length = encoding >>> LENGTH_SHIFT;
    if (form === INLINE) return this.#decodeInline(item, length, field);
    const block = this.#cpu.read(item + field);
    const start = (block === 0 ? item + Item.values : block) * 4;
    if (form === JSON_TEXT) return JSON.parse(this.#memory.toString('utf8', start, start + length));
    if (length === 0)
      return [new HoldfastError('ENOMEM', 'there was no memory to say with what error the call failed')];
    // A copy: the deserializer takes no shared memory.
    const bytes = copyOut(this.#memory, start, length);
    return (encoding & ERROR) === 0 ? deserialize(bytes) : [errorFrom(deserialize(bytes))];
  }

  /** Frees what `encode` has put elsewhere. */
  free(item: number, field: BlockField): void {
    const block = this.#cpu.read(item + field);
    if (block === 0) return;
    this.#cpu.write(item + field, 0);
    this.#arena.heap.free(block);
  }

  #encodeInline(start: number, values: readonly unknown[]): boolean {
    this.#at = start;
    this.#end = start + INLINE_WORDS;
    this.#hasObject = false;
    for (let i = 0; i < values.length; i++) if (!this.#encodeValue(values[i])) return false;
    return true;
  }

  /** False when it takes another form, or does not fit. */
  #encodeValue(value: unknown): boolean {
    const cpu = this.#cpu;
    const at = this.#at;
    if (at + 3 > this.#end) return false;
    switch (typeof value) {
      case 'number':
        if ((value | 0) === value && (value !== 0 || 1 / value > 0)) {
          cpu.write(at, INT);
          cpu.write(at + 1, value);
          this.#at = at + 2;
        } else {
          double[0] = value;
          cpu.write(at, DOUBLE);
          cpu.write(at + 1, halves[0] as number);
          cpu.write(at + 2, halves[1] as number);
          this.#at = at + 3;
        }
        return true;
      case 'string':
        return this.#encodeString(value);
      case 'undefined':
        cpu.write(this.#at++, UNDEFINED);
        return true;
      case 'boolean':
        cpu.write(this.#at++, value ? TRUE : FALSE);
        return true;
      case 'object':
        if (value === null) cpu.write(this.#at++, NULL);
        else return this.#encodeBinary(value, at) || this.#encodeObject(value as Record<string, unknown>, at);
        return true;
      default:
        return false;
    }
  }

  #encodeString(value: string): boolean {
    const at = this.#at;
    if (value.length > (this.#end - at - 1) * 4) return false;
    this.#cpu.write(at, STRING | (value.length << TAG_SHIFT));
    this.#at = at + 1 + ((value.length + 3) >> 2);
    return this.#writeLatin1(at + 1, value);
  }

  #encodeBinary(value: object, at: number): boolean {
    const code = byteTypeOf(value);
    if (code < 0) return false;
    const bytes =
      value instanceof ArrayBuffer
        ? new Uint8Array(value)
        : new Uint8Array(
            (value as Uint8Array).buffer,
            (value as Uint8Array).byteOffset,
            (value as Uint8Array).byteLength,
          );
    if (this.#at !== at) return false;
    this.#cpu.write(this.#at++, BYTES | (code << TAG_SHIFT));
    this.#cpu.write(this.#at++, bytes.length);
    this.#parts.push(bytes);
    return true;
  }

  /** A plain object, the only one, of values that are none: it is nothing but its keys and values, behind one another. */
  #encodeObject(value: Record<string, unknown>, start: number): boolean {
    if (this.#hasObject || Object.getPrototypeOf(value) !== Object.prototype) return false;
    this.#hasObject = true;
    const keys = Object.keys(value);
    // A proxy's trap has encoded the values of another call.
    if (this.#at !== start) return false;
    this.#cpu.write(this.#at++, OBJECT | (keys.length << TAG_SHIFT));
    for (let i = 0; i < keys.length; i++) {
      const key = keys[i] as string;
      const at = this.#at;
      const member = value[key];
      // A getter has encoded the values of another call.
      if (this.#at !== at) return false;
      // One that the prototype has is not for an assignment.
      if (key in Object.prototype || (typeof member === 'object' && member !== null)) return false;
      if (!this.#encodeString(key) || !this.#encodeValue(member)) return false;
    }
    return true;
  }

  #decodeInline(item: number, length: number, field: BlockField): unknown[] {
    const values: unknown[] = [];
    this.#at = item + Item.values;
    this.#part = this.#cpu.read(item + field) * 4;
    for (let i = 0; i < length; i++) values.push(this.#decodeValue());
    return values;
  }

  #decodeValue(): unknown {
    const cpu = this.#cpu;
    const tag = cpu.read(this.#at++);
    switch (tag & TAG) {
      case INT:
        return cpu.read(this.#at++);
      case DOUBLE:
        halves[0] = cpu.read(this.#at++);
        halves[1] = cpu.read(this.#at++);
        return double[0];
      case STRING: {
        const characters = tag >>> TAG_SHIFT;
        const text = this.#readLatin1(this.#at, characters);
        this.#at += (characters + 3) >> 2;
        return text;
      }
      case BYTES: {
        const bytes = cpu.read(this.#at++);
        const start = this.#part;
        this.#part += (bytes + 7) & ~7;
        return this.#readPart(start, bytes, tag >>> TAG_SHIFT);
      }
      case OBJECT: {
        const object: Record<string, unknown> = {};
        for (let left = tag >>> TAG_SHIFT; left > 0; left--) {
          const key = this.#decodeValue() as string;
          object[key] = this.#decodeValue();
        }
        return object;
      }
      default:
        return [undefined, null, false, true][tag & TAG];
    }
  }

  #writeParts(item: number, field: BlockField): void {
    const sizes = this.#parts.map(({ length }) => (length + 7) & ~7);
    let at =
      this.#block(
        item,
        sizes.reduce((a, b) => a + b, 0),
        field,
      ) * 4;
    this.#parts.forEach((bytes, i) => {
      copyIn(this.#memory, at, bytes);
      at += sizes[i] as number;
    });
    this.#parts = [];
  }

  #readPart(start: number, length: number, code: number): unknown {
    const copy = copyOut(this.#memory, start, length);
    const Type = BYTE_TYPES[code];
    if (Type === ArrayBuffer) return copy.buffer;
    if (Type === Buffer) return Buffer.from(copy.buffer);
    return new (Type as Uint8ArrayConstructor)(copy.buffer);
  }

  #encodeText(item: number, text: string, field: BlockField): number {
    let length = text.length * 3 <= INLINE_WORDS * 4 ? 0 : Buffer.byteLength(text);
    const at = length <= INLINE_WORDS * 4 ? item + Item.values : this.#block(item, length, field);
    length = this.#memory.write(text, at * 4, 'utf8');
    return JSON_TEXT | (length << LENGTH_SHIFT);
  }

  #encodeBytes(item: number, bytes: Uint8Array, field: BlockField): number {
    const at = bytes.length <= INLINE_WORDS * 4 ? item + Item.values : this.#block(item, bytes.length, field);
    copyIn(this.#memory, at * 4, bytes);
    return CLONE | (bytes.length << LENGTH_SHIFT);
  }

  /** A block of that many bytes, which the item names. */
  #block(item: number, bytes: number, field: BlockField): number {
    const { heap, thread } = this.#arena;
    const block = heap.alloc(Math.max(Math.ceil(bytes / 4), 1), thread.nascent, 'a value of a work');
    this.#cpu.store(thread.nascent, 0);
    this.#cpu.write(item + field, block);
    return block;
  }

  /** False when a character does not fit in a byte. */
  #writeLatin1(at: number, text: string): boolean {
    const cpu = this.#cpu;
    let word = 0;
    for (let i = 0; i < text.length; i++) {
      const code = text.charCodeAt(i);
      if (code > 0xff) return false;
      word |= code << ((i & 3) * 8);
      if ((i & 3) === 3 || i === text.length - 1) {
        cpu.write(at + (i >> 2), word);
        word = 0;
      }
    }
    return true;
  }

  #readLatin1(at: number, length: number): string {
    if (length > SHORT) return this.#memory.toString('latin1', at * 4, at * 4 + length);
    let text = '';
    for (let i = 0; i < length; i++) {
      text += String.fromCharCode((this.#cpu.read(at + (i >> 2)) >>> ((i & 3) * 8)) & 0xff);
    }
    return text;
  }
}

/** The code of a value that is bytes and nothing else, or -1. */
function byteTypeOf(value: object): number {
  if (!ArrayBuffer.isView(value) && !(value instanceof ArrayBuffer)) return -1;
  if (ArrayBuffer.isView(value) && !(value.buffer instanceof ArrayBuffer)) return -1;
  const prototype = Object.getPrototypeOf(value);
  return BYTE_TYPES.findIndex((type) => type.prototype === prototype);
}

/** Whether JSON brings the value back as the structured clone would. `seen`: the objects that it is part of, or beside. */
function isPlain(value: unknown, seen: object[]): boolean {
  if (typeof value === 'string' || typeof value === 'boolean' || value === null) return true;
  if (typeof value === 'number') return Number.isFinite(value) && (value !== 0 || 1 / value > 0);
  if (typeof value !== 'object' || seen.includes(value) || seen.push(value) > MOST_OBJECTS) return false;
  if (Array.isArray(value)) {
    if (Object.getPrototypeOf(value) !== Array.prototype) return false;
    for (let i = 0; i < value.length; i++) if (!isPlain(value[i], seen)) return false;
    return Object.keys(value).length === value.length;
  }
  if (Object.getPrototypeOf(value) !== Object.prototype) return false;
  for (const key in value) if (!isPlain((value as Record<string, unknown>)[key], seen)) return false;
  return true;
}
