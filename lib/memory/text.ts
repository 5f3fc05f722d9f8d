/** Text in shared memory: UTF-8, four bytes a word, the first in the lowest bits. */
import type { Cpu } from '../machine/cpu.ts';

/** A text's first character may be a byte order mark: it is part of the text. */
const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
const encoder = new TextEncoder();

export function utf8(text: string): Uint8Array {
  return encoder.encode(text);
}

/** Words that so many bytes take. */
export function textWords(bytes: number): number {
  return Math.ceil(bytes / 4);
}

/** Writes bytes from the word `at` on, over whatever is there. */
export function writeBytes(cpu: Cpu, at: number, bytes: Uint8Array): void {
  for (let i = 0; i < bytes.length; i += 4) {
    let word = 0;
    for (let j = 0; j < 4; j++) word |= (bytes[i + j] ?? 0) << (j * 8);
    cpu.write(at + (i >> 2), word);
  }
}

export function readBytes(cpu: Cpu, at: number, length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => cpu.read(at + (i >> 2)) >>> ((i & 3) * 8));
}

export function readText(cpu: Cpu, at: number, length: number): string {
  return decoder.decode(readBytes(cpu, at, length));
}
