/**
 * The assembly languages that a litmus test may be written in: what their registers are called, and how an instruction is read.
 */
import * as aarch64 from './aarch64.ts';
import { registerName as aarch64Register } from './aarch64-operands.ts';
import type { InstructionReader } from './assembly.ts';
import type { MemoryMap } from './memory-map.ts';
import * as ppc from './ppc.ts';
import * as riscv from './riscv.ts';
import type { Architecture } from './test-file.ts';
import * as x86 from './x86.ts';
import { registerName as x86Register } from './x86-operands.ts';

export interface Language {
  /** How a register is called in states, whatever part of it or other name for it `text` is. */
  registerName(text: string): string;
  instructionReader(memory: MemoryMap): InstructionReader;
  /** Its oldest tests have no row of thread names. */
  readonly mayLackHeader?: boolean;
}

export const languages: Readonly<Record<Exclude<Architecture, 'C'>, Language>> = {
  AArch64: { registerName: aarch64Register, instructionReader: aarch64.instructionReader },
  X86: {
    registerName: (text) => x86Register(text, 'intel'),
    instructionReader: (memory) => x86.instructionReader(memory, 'intel'),
    mayLackHeader: true,
  },
  X86_64: {
    registerName: (text) => x86Register(text, 'att'),
    instructionReader: (memory) => x86.instructionReader(memory, 'att'),
  },
  RISCV: riscv,
  PPC: ppc,
};
