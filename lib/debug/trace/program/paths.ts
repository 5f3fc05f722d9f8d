/** Where a program's instructions lead, whatever the values: no jump out of it, no end without an exit, nothing that is never reached. */
import { IMM, type Instruction, isArithmetic, isConditional, Op, REGISTERS, STACK_SLOTS } from './instructions.ts';
import { LARGEST } from './numbers.ts';

/** Where a rejected program is wrong, and what is wrong there. */
export interface Rejection {
  readonly instruction: number;
  readonly reason: string;
}

const OPS = Object.keys(Op).length;

/** What is wrong with the form of the program, or undefined. */
export function checkForm(code: readonly Instruction[]): Rejection | undefined {
  if (code.length === 0) return { instruction: 0, reason: 'a program has an exit at least' };
  for (const [i, instruction] of code.entries()) {
    const reason = wrongForm(instruction) ?? wrongTarget(code, i);
    if (reason !== undefined) return { instruction: i, reason };
  }
  const reached = reachable(code);
  const dead = reached.indexOf(false);
  return dead < 0 ? undefined : { instruction: dead, reason: 'no path leads here' };
}

function wrongForm({ op, dst, src, off, imm }: Instruction): string | undefined {
  const base = op & ~IMM;
  const takesImm = base === Op.mov || isArithmetic(op) || isConditional(op);
  if (base >= OPS || (op >= IMM && !takesImm)) return `there is no op ${op}`;
  if (dst >= REGISTERS || src >= REGISTERS) return `there are the registers r0 to r${REGISTERS - 1}`;
  if (!(Math.abs(imm) <= LARGEST) || !Number.isInteger(imm)) return 'an immediate is a whole number of 53 bits';
  const isStack = base >= Op.load && base <= Op.storeAt;
  if (isStack && (off < 0 || off >= STACK_SLOTS)) {
    return `the stack has the slots 0 to ${STACK_SLOTS - 1}, this is slot ${off}`;
  }
  return undefined;
}

function wrongTarget(code: readonly Instruction[], i: number): string | undefined {
  const { op, off } = code[i] as Instruction;
  const jumps = op === Op.jump || isConditional(op);
  if (jumps && code[i + 1 + off] === undefined) return `it jumps to ${i + 1 + off}, out of the program`;
  if (i === code.length - 1 && op !== Op.exit && op !== Op.jump)
    return 'the program goes on behind its last instruction';
  return undefined;
}

function reachable(code: readonly Instruction[]): boolean[] {
  const reached = code.map(() => false);
  const open = [0];
  for (let i = open.pop(); i !== undefined; i = open.pop()) {
    if (reached[i]) continue;
    reached[i] = true;
    open.push(...successors(code, i));
  }
  return reached;
}

/** The instructions that may be next, the one behind it first. */
export function successors(code: readonly Instruction[], i: number): number[] {
  const { op, off } = code[i] as Instruction;
  if (op === Op.exit) return [];
  if (op === Op.jump) return [i + 1 + off];
  return isConditional(op) ? [i + 1, i + 1 + off] : [i + 1];
}

/** The instructions that a jump leads to. */
export function jumpTargets(code: readonly Instruction[]): ReadonlySet<number> {
  const targets = code.flatMap(({ op, off }, i) => (op === Op.jump || isConditional(op) ? [i + 1 + off] : []));
  return new Set(targets);
}
