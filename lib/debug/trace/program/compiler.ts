/**
 * The compiler: a verified program as JavaScript of its own, which the engine optimises. Each stretch of instructions without a jump into
 * it is a case of a switch, and a jump chooses the next case. Nothing of the source is in the code but numbers, so nothing can be
 * smuggled in.
 */
import { HELPER_NAMES, Helper, type Named, signatureOf } from './helpers.ts';
import { IMM, type Instruction, isConditional, Op, REGISTERS, STACK_SLOTS, THREAD, TIME } from './instructions.ts';
import { interpret } from './interpreter.ts';
import { clamped, product, quotient, remainder } from './numbers.ts';
import { jumpTargets } from './paths.ts';
import type { Run, Runtime } from './runtime.ts';

const OPERATORS: Readonly<Record<number, string>> = {
  [Op.jeq]: '===',
  [Op.jne]: '!==',
  [Op.jlt]: '<',
  [Op.jle]: '<=',
  [Op.jgt]: '>',
  [Op.jge]: '>=',
};

/** What runs the code on this thread: compiled, or interpreted where the host makes no code from strings. */
export function runnerOf(code: readonly Instruction[], named: Named, runtime: Runtime): Run {
  return compile(code, named, runtime) ?? interpret(code, runtime);
}

/** Undefined where the host makes no code from strings: `--disallow-code-generation-from-strings`. */
export function compile(code: readonly Instruction[], named: Named, runtime: Runtime): Run | undefined {
  let make: (...args: unknown[]) => Run;
  try {
    make = new Function(
      'runtime',
      'maps',
      'stack',
      'clamped',
      'product',
      'quotient',
      'remainder',
      textOf(code, named),
    ) as typeof make;
  } catch (error) {
    if (error instanceof EvalError) return undefined;
    throw error;
  }
  return make(runtime, runtime.maps, new Float64Array(STACK_SLOTS), clamped, product, quotient, remainder);
}

/** The JavaScript of a verified program: for tests, and to be looked at. */
export function textOf(code: readonly Instruction[], named: Named): string {
  const maps = named.maps.map((_, i) => `const map${i} = maps[${i}];\n`).join('');
  const registers = Array.from({ length: REGISTERS }, (_, i) => `r${i} = 0`).join(', ');
  const targets = jumpTargets(code);
  const body = code.map((instruction, i) => {
    const text = `${statementOf(instruction, i, named)}\n`;
    return targets.has(i) ? `case ${i}:\n${text}` : text;
  });
  const straight = targets.size === 0;
  const loop = straight ? body.join('') : `for (let at = -1;;) switch (at) {\ncase -1:\n${body.join('')}}\n`;
  const head = `const thread = runtime.thread, texts = runtime.texts;\n${maps}`;
  return `"use strict";\n${head}return function run(time, f0, f1, f2, f3, f4) {\nlet ${registers};\n${loop}};`;
}

function statementOf(instruction: Instruction, i: number, named: Named): string {
  const { op, dst, src, off, imm } = instruction;
  const base = op & ~IMM;
  const [x, y] = [`r${dst}`, (op & IMM) === 0 ? `r${src}` : `${imm}`];
  const jump = `{ at = ${i + 1 + off}; continue; }`;
  if (isConditional(op)) return `if (${x} ${OPERATORS[base]} ${y}) ${jump}`;
  switch (base) {
    case Op.exit:
      return 'return;';
    case Op.mov:
      return `${x} = ${y};`;
    case Op.add:
      return `${x} = clamped(${x} + ${y});`;
    case Op.sub:
      return `${x} = clamped(${x} - ${parenthesized(y)});`;
    case Op.mul:
      return `${x} = product(${x}, ${y});`;
    case Op.div:
      return `${x} = quotient(${x}, ${y});`;
    case Op.mod:
      return `${x} = remainder(${x}, ${y});`;
    case Op.and:
      return `${x} = (${x} & ${y}) >>> 0;`;
    case Op.or:
      return `${x} = (${x} | ${y}) >>> 0;`;
    case Op.xor:
      return `${x} = (${x} ^ ${y}) >>> 0;`;
    case Op.lsh:
      return `${x} = (${x} << ${y}) >>> 0;`;
    case Op.rsh:
      return `${x} = ${x} >>> ${y};`;
    case Op.neg:
      return `${x} = 0 - ${x};`;
    case Op.jump:
      return jump;
    case Op.field:
      return `${x} = ${imm === TIME ? 'time' : imm === THREAD ? 'thread' : `f${imm}`};`;
    case Op.text:
      return `${x} = texts[${imm}];`;
    case Op.load:
      return `${x} = stack[${off}];`;
    case Op.store:
      return `stack[${off}] = r${src};`;
    case Op.loadAt:
      return `${x} = stack[${off} + r${src}];`;
    case Op.storeAt:
      return `stack[${off} + ${x}] = r${src};`;
    default:
      return callOf(imm, off, named);
  }
}

/** `x - -5` is what is meant, `x --5` is not. */
function parenthesized(operand: string): string {
  return operand.startsWith('-') ? `(${operand})` : operand;
}

function callOf(helper: number, off: number, named: Named): string {
  const signature = signatureOf(helper, off, named);
  const taken = typeof signature === 'string' ? [] : signature.takes.map(({ register }) => register);
  const args = (last: number) =>
    Array.from({ length: last }, (_, i) => (taken.includes(i + 1) ? `r${i + 1}` : '0')).join(', ');
  switch (helper) {
    case Helper.lockName:
    case Helper.lockKind:
      return `r0 = runtime.${HELPER_NAMES[helper]}(r1);`;
    case Helper.stack:
      return 'r0 = runtime.stack();';
    case Helper.mapGet:
      return `r0 = map${off}.get(${args(4)});`;
    case Helper.mapSet:
      return `map${off}.set(${args(5)}); r0 = 0;`;
    case Helper.mapAdd:
      return `map${off}.add(${args(5)}); r0 = 0;`;
    case Helper.mapDelete:
      return `map${off}.remove(${args(4)}); r0 = 0;`;
    case Helper.mapUpdate:
      return `map${off}.update(${args(5)}); r0 = 0;`;
    case Helper.print:
      return `runtime.print(${[off, args(5)].join(', ')}); r0 = 0;`;
    case Helper.printMap:
    case Helper.clearMap:
      return `runtime.${HELPER_NAMES[helper]}(${off}); r0 = 0;`;
    default:
      return 'runtime.end(); r0 = 0;';
  }
}
