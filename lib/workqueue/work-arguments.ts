/**
 * A work's arguments, which stand behind it: whole numbers of 32 bits as words, anything else as the structured clone of all. `encoding`
 * is whether it is a clone, and the number of words or bytes << 1.
 */
import { deserialize } from 'node:v8';
import type { Cpu } from '../machine/cpu.ts';
import type { RealCpu } from '../machine/real.ts';
import { textWords, writeBytes } from '../memory/text.ts';
import { clone } from './cloned.ts';
import { WorkWords } from './layout.ts';

const CLONE = 1;

export interface EncodedArguments {
  /** How many words they take. */
  readonly words: number;
  /** Writes them to a new work. */
  readonly write: (cpu: Cpu, work: number) => void;
}

/** Throws EINVAL for what can't be cloned. */
export function encodeArguments(args: readonly unknown[]): EncodedArguments {
  if (args.every((value) => Object.is((value as number) | 0, value))) {
    return {
      words: args.length,
      write(cpu, work) {
        cpu.write(work + WorkWords.encoding, args.length << 1);
        for (let i = 0; i < args.length; i++) cpu.write(work + WorkWords.args + i, args[i] as number);
      },
    };
  }
  const bytes = clone(args);
  return {
    words: textWords(bytes.length),
    write(cpu, work) {
      cpu.write(work + WorkWords.encoding, CLONE | (bytes.length << 1));
      writeBytes(cpu, work + WorkWords.args, bytes);
    },
  };
}

export function decodeArguments(cpu: Cpu, work: number): unknown[] {
  const encoding = cpu.read(work + WorkWords.encoding);
  const length = encoding >>> 1;
  const start = work + WorkWords.args;
  if ((encoding & CLONE) === 0) return Array.from({ length }, (_, i) => cpu.read(start + i));
  // A copy: the deserializer takes no shared memory.
  return deserialize(Buffer.from(new Uint8Array((cpu as RealCpu).words.buffer, start * 4, length)));
}
