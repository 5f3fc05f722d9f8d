/** What the numbers in a program's maps and output stand for. */
import type { Cpu } from '../../../machine/cpu.ts';
import { Header } from '../../../memory/header.ts';
import { Stack } from '../../profile/layout.ts';
import { readFrames, readStack } from '../../profile/stacks.ts';
import { stackPlace } from '../layout.ts';
import { lockAt } from '../locks.ts';
import { textsOf } from './layout.ts';
import type { ValueType } from './program.ts';

/** Reads them for one program, while it runs. */
export class Values {
  readonly #cpu: Cpu;
  readonly #address: number;

  constructor(cpu: Cpu, address: number) {
    this.#cpu = cpu;
    this.#address = address;
  }

  /** A number as it is, and a text for all else. */
  shown(type: ValueType, value: number): number | string {
    if (type === 'number') return value;
    if (value === 0) return '?';
    if (type === 'text') return this.#text(value);
    return type === 'lock' ? this.#lock(value) : this.#stack(value);
  }

  #text(number: number): string {
    const place = textsOf(this.#address);
    return readStack(this.#cpu, place, place.stacks + (number - 1) * Stack.words) ?? '?';
  }

  #lock(number: number): string {
    const lock = lockAt(this.#cpu, this.#cpu.load(Header.traceTables), number);
    if (lock === undefined) return '?';
    return `${lock.kind} ${lock.name === undefined ? `at ${lock.address}` : JSON.stringify(lock.name)}`;
  }

  /** A line for each frame. */
  #stack(number: number): string {
    const frames = readFrames(this.#cpu, stackPlace(this.#cpu.load(Header.traceTables)), number - 1);
    return frames
      .map(({ name, file, line, column }) => `\n    ${name === '' ? '' : `${name} `}${file}:${line}:${column}`)
      .join('');
  }
}
