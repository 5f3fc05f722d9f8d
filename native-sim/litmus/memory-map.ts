/**
 * Where the symbols of a litmus test lie, and into which cells their memory is cut.
 *
 * A symbol (`x`, or `x[1]`) stands for an address far from any integer that a test would use, so that pointers are
 * ordinary values and arithmetic on them needs nothing special.
 *
 * A cell is what one event reads or writes. Where all accesses to a symbol are of one size, a cell is one access.
 * Where they differ, cells are as small as the smallest needs, and the larger accesses are several events each. The
 * sizes only come up as the test is run: `cells` throws `finerCells` when it has had to cut a symbol anew, and whoever
 * runs the test begins again.
 */

import { CodeMap } from './code-map.ts';
import { addressInParts, UnsupportedConstruct } from './errors.ts';
import { unknown } from './unknown.ts';

export interface ValueType {
  readonly bytes: number;
  readonly signed: boolean;
}

interface Region {
  readonly name: string;
  readonly base: bigint;
  elements: number;
  type: ValueType;
  /** Bytes in all. */
  span: number;
  /** Bytes a cell; 0: nobody has accessed it yet. */
  cell: number;
  /** Accesses said their size. Those of C and of X86 do not: they are of whole elements, and values stay uncut. */
  sized: boolean;
}

/** Thrown where cells have been cut smaller than traces that exist already assume. */
export const finerCells = Symbol('finer cells');

export const int: ValueType = { bytes: 4, signed: true };

/** Addresses fit a 32-bit register, as on the machines that some tests are written for. */
const firstBase = 0x6ec1_0000n;
const regionSize = 0x8000n;

function gcd(a: number, b: number): number {
  return b === 0 ? a : gcd(b, a % b);
}

/** As `type` reads the low bits of `value`. */
export function asType(value: bigint, type: ValueType): bigint {
  return type.signed ? BigInt.asIntN(8 * type.bytes, value) : BigInt.asUintN(8 * type.bytes, value);
}

/** Of a value whose width nobody has declared: what fits a word is a word, which knows no sign. */
export function asUndeclared(value: bigint): bigint {
  const unsigned = BigInt.asUintN(64, value);
  return unsigned <= 0xffff_ffffn ? BigInt.asIntN(32, unsigned) : BigInt.asIntN(64, unsigned);
}

export class MemoryMap {
  readonly code = new CodeMap();
  readonly #regions: Region[] = [];
  readonly #byName = new Map<string, Region>();
  readonly #initial = new Map<bigint, bigint>();

  /** What `name` stands for in the code of `thread`: the address of a label, or of a symbol. */
  addressFrom(thread: number, name: string): bigint {
    return this.code.find(name, thread) ?? this.address(name);
  }

  /** The address of `name`, which becomes known by being asked for. */
  address(name: string): bigint {
    return this.#region(name).base;
  }

  has(name: string): boolean {
    return this.#byName.has(name);
  }

  declare(name: string, elements: number, type: ValueType): void {
    const region = this.#region(name);
    region.elements = elements;
    region.type = type;
    region.span = elements * type.bytes;
    if (region.span > Number(regionSize)) throw new UnsupportedConstruct(`array ${name} of ${region.span} bytes`);
  }

  /** The type of an element of `name`. */
  type(name: string): ValueType {
    return this.#region(name).type;
  }

  /** The type of the element at `address`. */
  typeAt(address: bigint): ValueType {
    return this.#at(address)?.type ?? int;
  }

  /** The addresses of all elements of the array that begins at `address`; of anything else, `address` alone. */
  elementsAt(address: bigint): bigint[] {
    const region = this.#at(address);
    if (region === undefined || region.base !== address) return [address];
    return Array.from({ length: region.elements }, (_, at) => address + BigInt(at * region.type.bytes));
  }

  /** The names of all symbols, in the order in which they came up. */
  names(): string[] {
    return this.#regions.map((region) => region.name);
  }

  elements(name: string): number {
    return this.#region(name).elements;
  }

  setInitial(address: bigint, value: bigint): void {
    this.#initial.set(address, value);
  }

  #region(name: string): Region {
    let region = this.#byName.get(name);
    if (region === undefined) {
      const base = firstBase + BigInt(this.#regions.length) * regionSize;
      region = { name, base, elements: 1, type: int, span: int.bytes, cell: 0, sized: false };
      this.#regions.push(region);
      this.#byName.set(name, region);
    }
    return region;
  }

  /**
   * The size of the cells that an access to `address` touches; undefined: no symbol is there. Without `bytes` it is of a
   * whole element.
   */
  cell(address: bigint, bytes?: number): number | undefined {
    const region = this.#at(address);
    if (region === undefined) {
      if (this.code.place(address) !== undefined) throw new UnsupportedConstruct('access to code (instruction fetch)');
      return undefined;
    }
    const offset = Number(address - region.base);
    const size = bytes ?? region.type.bytes;
    // A symbol that is no array is as large as its largest access.
    if (region.elements === 1 && offset === 0) region.span = Math.max(region.span, size);
    if (offset + size > region.span || (bytes === undefined && offset % size !== 0)) return undefined;
    region.sized ||= bytes !== undefined;
    let cell = gcd(gcd(region.cell, size), offset);
    if (region.elements > 1) cell = gcd(cell, region.type.bytes);
    const before = region.cell;
    region.cell = cell;
    if (before !== 0 && cell !== before) throw finerCells;
    return cell;
  }

  /** What the cell at `address` holds at the start. */
  initialCell(address: bigint): bigint {
    const region = this.#at(address);
    if (region === undefined || !region.sized) return this.#initial.get(address) ?? 0n;
    const offset = Number(address - region.base);
    const { bytes } = region.type;
    if (region.cell >= bytes) return BigInt.asUintN(8 * region.cell, this.#initial.get(address) ?? 0n);
    const element = region.base + BigInt(offset - (offset % bytes));
    const value = this.#initial.get(element) ?? 0n;
    if (this.isPointer(value)) throw new UnsupportedConstruct(addressInParts);
    return BigInt.asUintN(8 * region.cell, value >> BigInt(8 * (offset % bytes)));
  }

  /** Is the element at `address` one cell, so that its final value is that of the cell alone? */
  isOneCell(address: bigint): boolean {
    const region = this.#at(address);
    return region === undefined || !region.sized || region.cell >= region.type.bytes;
  }

  /** The final value of the element at `address`, from those of its cells. */
  finalValue(address: bigint, cellValue: (address: bigint) => bigint): bigint {
    const region = this.#at(address);
    if (region === undefined || !region.sized) return cellValue(address);
    const { type, cell } = region;
    if (cell > type.bytes)
      return this.isPointer(cellValue(address)) ? cellValue(address) : asUndeclared(cellValue(address));
    let value = 0n;
    for (let at = 0; at < type.bytes; at += cell) value |= cellValue(address + BigInt(at)) << BigInt(8 * at);
    return this.isPointer(value) ? value : asType(value, type);
  }

  /** Is it the address of a symbol, or of code? */
  isPointer(value: bigint): boolean {
    return this.#at(value) !== undefined || this.code.place(value) !== undefined;
  }

  #at(address: bigint): Region | undefined {
    if (address < firstBase) return undefined;
    return this.#regions[Number((address - firstBase) / regionSize)];
  }

  /** A value as a person writes it: a symbol where it is an address. */
  show(value: bigint): string {
    if (value === unknown) return 'S';
    const region = this.#at(value);
    if (region === undefined) return this.code.show(value) ?? String(value);
    const offset = Number(value - region.base);
    if (offset === 0) return region.name;
    if (offset % region.type.bytes === 0) return `${region.name}[${offset / region.type.bytes}]`;
    return `${region.name}+${offset}`;
  }
}
