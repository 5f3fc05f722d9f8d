/**
 * The instructions of trace programs: those of eBPF, as far as they have a meaning for numbers of 53 bits.
 *
 * A program has ten registers and a stack of STACK_SLOTS numbers. r0 is what a call returns, r1 to r5 are its arguments, which it leaves
 * undefined; r6 to r9 keep theirs. An instruction is four words in shared memory:
 *
 *   op (8 bits) | dst (4) | src (4) | off (16, signed)     imm (53 bits and a sign, two words)     at
 *
 *   op       registers and immediate                 what it does
 *   mov      dst, src or imm                         dst = it
 *   add ...  dst, src or imm                         dst = dst OP it; see `numbers.ts`
 *   neg      dst                                     dst = -dst
 *   jump     off                                     goes on `off` instructions behind the next one
 *   jeq ...  dst, src or imm, off                    does so if dst CMP it
 *   field    dst, imm                                dst = what the event says: `Field` of the point, TIME, or THREAD
 *   text     dst, imm                                dst = a text of the program's
 *   load     dst, off          store  off, src       dst = stack[off], stack[off] = src
 *   loadAt   dst, off + src    storeAt off + dst, src   the same, at an index that the verifier has bounded
 *   call     imm, off                                r0 = a helper's result; `off` is the map or the format that it is about
 *   exit                                             the program ends
 *
 * `at` is where in the source the instruction comes from, characters from its start: what a rejected program is told.
 */
import type { Cpu } from '../../../machine/cpu.ts';
import { struct } from '../../../memory/struct.ts';
import { fromWords, highWord, lowWord } from './numbers.ts';

export const Op = {
  exit: 0,
  mov: 1,
  add: 2,
  sub: 3,
  mul: 4,
  div: 5,
  mod: 6,
  and: 7,
  or: 8,
  xor: 9,
  lsh: 10,
  rsh: 11,
  neg: 12,
  jump: 13,
  jeq: 14,
  jne: 15,
  jlt: 16,
  jle: 17,
  jgt: 18,
  jge: 19,
  field: 20,
  text: 21,
  load: 22,
  store: 23,
  loadAt: 24,
  storeAt: 25,
  call: 26,
} as const;

/** Added to an op that takes `imm` in the place of `src`: of mov to rsh, and of jeq to jge. */
export const IMM = 32;

export const REGISTERS = 10;
export const STACK_SLOTS = 32;
/** Of one program, all of its probes together. */
export const MOST_INSTRUCTIONS = 1024;

/** Fields of `field` that every point has, behind its own. */
export const TIME = 5;
export const THREAD = 6;

export interface Instruction {
  readonly op: number;
  readonly dst: number;
  readonly src: number;
  readonly off: number;
  readonly imm: number;
  readonly at: number;
}

export const InstructionWords = struct({ code: 1, low: 1, high: 1, at: 1 });

/** All but the immediate, in one word. */
export function wordOf({ op, dst, src, off }: Instruction): number {
  return op | (dst << 8) | (src << 12) | (off << 16);
}

export function writeCode(cpu: Cpu, address: number, code: readonly Instruction[]): void {
  for (const [i, instruction] of code.entries()) {
    const { imm, at } = instruction;
    const words = address + i * InstructionWords.words;
    cpu.store(words + InstructionWords.code, wordOf(instruction));
    cpu.store(words + InstructionWords.low, lowWord(imm));
    cpu.store(words + InstructionWords.high, highWord(imm));
    cpu.store(words + InstructionWords.at, at);
  }
}

export function readCode(cpu: Cpu, address: number, count: number): Instruction[] {
  return Array.from({ length: count }, (_, i) => {
    const words = address + i * InstructionWords.words;
    const code = cpu.load(words + InstructionWords.code);
    return {
      op: code & 0xff,
      dst: (code >> 8) & 15,
      src: (code >> 12) & 15,
      off: code >> 16,
      imm: fromWords(cpu.load(words + InstructionWords.low), cpu.load(words + InstructionWords.high)),
      at: cpu.load(words + InstructionWords.at),
    };
  });
}

export function isConditional(op: number): boolean {
  const base = op & ~IMM;
  return base >= Op.jeq && base <= Op.jge;
}

export function isArithmetic(op: number): boolean {
  const base = op & ~IMM;
  return base >= Op.add && base <= Op.rsh;
}

const NAMES = Object.keys(Op);
const SIGNS: Readonly<Record<number, string>> = {
  [Op.add]: '+',
  [Op.sub]: '-',
  [Op.mul]: '*',
  [Op.div]: '/',
  [Op.mod]: '%',
  [Op.and]: '&',
  [Op.or]: '|',
  [Op.xor]: '^',
  [Op.lsh]: '<<',
  [Op.rsh]: '>>',
  [Op.jeq]: '==',
  [Op.jne]: '!=',
  [Op.jlt]: '<',
  [Op.jle]: '<=',
  [Op.jgt]: '>',
  [Op.jge]: '>=',
};

/** How messages show an instruction: `r1 += 5`, `if r1 < r2 goto +3`. */
export function shownInstruction({ op, dst, src, off, imm }: Instruction): string {
  const base = op & ~IMM;
  const operand = (op & IMM) === 0 ? `r${src}` : `${imm}`;
  const target = off < 0 ? `${off}` : `+${off}`;
  if (base === Op.mov) return `r${dst} = ${operand}`;
  if (isArithmetic(op)) return `r${dst} ${SIGNS[base]}= ${operand}`;
  if (isConditional(op)) return `if r${dst} ${SIGNS[base]} ${operand} goto ${target}`;
  switch (op) {
    case Op.neg:
      return `r${dst} = -r${dst}`;
    case Op.jump:
      return `goto ${target}`;
    case Op.field:
      return `r${dst} = field ${imm}`;
    case Op.text:
      return `r${dst} = text ${imm}`;
    case Op.load:
      return `r${dst} = stack[${off}]`;
    case Op.store:
      return `stack[${off}] = r${src}`;
    case Op.loadAt:
      return `r${dst} = stack[${off} + r${src}]`;
    case Op.storeAt:
      return `stack[${off} + r${dst}] = r${src}`;
    case Op.call:
      return `call ${imm}, ${off}`;
    default:
      return NAMES[op] ?? `op ${op}`;
  }
}
