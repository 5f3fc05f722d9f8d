/**
 * A litmus test as read from a file: initial state, one program per thread, and a condition on final states.
 *
 * Values are bigints. A symbol (`x`, or `x[1]`) stands for the address of a location, far from any integer that a test
 * would use, so that pointers are ordinary values and arithmetic on them needs nothing special.
 */
import type { FunctionDefinition } from './c-syntax.ts';
import type { Condition, FinalLocation } from './condition.ts';
import type { ThreadProgram } from './thread-run.ts';

export type Architecture = 'C' | 'AArch64' | 'X86';

export interface LitmusTest {
  readonly architecture: Architecture;
  readonly name: string;
  readonly memory: MemoryMap;
  /** Initial value by address; every location that has none holds 0. */
  readonly initial: ReadonlyMap<bigint, bigint>;
  readonly threads: readonly ThreadProgram[];
  /** The C of each thread; empty for assembly. */
  readonly functions: readonly FunctionDefinition[];
  readonly quantifier: 'exists' | '~exists' | 'forall';
  readonly condition: Condition;
  /** Executions that do not satisfy it are not considered. */
  readonly filter: Condition | undefined;
  /** What a state shows, beyond what the condition mentions. */
  readonly locations: readonly FinalLocation[];
}

interface Region {
  readonly name: string;
  readonly base: bigint;
  elements: number;
  elementSize: number;
}

const firstBase = 0x7f00_0000_0000n;
const regionSize = 0x1_0000n;

/** Which address each symbol stands for. */
export class MemoryMap {
  readonly #regions: Region[] = [];
  readonly #byName = new Map<string, Region>();

  /** The address of `name`, which becomes known by being asked for. */
  address(name: string): bigint {
    return this.#region(name).base;
  }

  has(name: string): boolean {
    return this.#byName.has(name);
  }

  declare(name: string, elements: number, elementSize: number): void {
    const region = this.#region(name);
    region.elements = elements;
    region.elementSize = elementSize;
  }

  elementSize(name: string): number {
    return this.#region(name).elementSize;
  }

  /** The names of all symbols, in the order in which they came up. */
  names(): string[] {
    return this.#regions.map((region) => region.name);
  }

  elements(name: string): number {
    return this.#region(name).elements;
  }

  #region(name: string): Region {
    let region = this.#byName.get(name);
    if (region === undefined) {
      region = { name, base: firstBase + BigInt(this.#regions.length) * regionSize, elements: 1, elementSize: 4 };
      this.#regions.push(region);
      this.#byName.set(name, region);
    }
    return region;
  }

  /** Is `address` one that a test may access: inside a symbol, at an element's start? */
  isLocation(address: bigint): boolean {
    const region = this.#at(address);
    if (region === undefined) return false;
    const offset = Number(address - region.base);
    return offset % region.elementSize === 0 && offset / region.elementSize < region.elements;
  }

  #at(address: bigint): Region | undefined {
    if (address < firstBase) return undefined;
    return this.#regions[Number((address - firstBase) / regionSize)];
  }

  /** A value as a person writes it: a symbol where it is an address. */
  show(value: bigint): string {
    const region = this.#at(value);
    if (region === undefined) return String(value);
    const offset = Number(value - region.base);
    if (offset === 0) return region.name;
    if (offset % region.elementSize === 0) return `${region.name}[${offset / region.elementSize}]`;
    return `${region.name}+${offset}`;
  }
}
