/** The interpreter: what runs a verified program where the host makes no code from strings. The compiler computes the same. */
import { IMM, type Instruction, REGISTERS, STACK_SLOTS, wordOf } from './instructions.ts';
import { clamped, product, quotient, remainder } from './numbers.ts';
import type { Run, Runtime } from './runtime.ts';

/** `onStep` hears of each instruction: for tests. */
export function interpret(code: readonly Instruction[], runtime: Runtime, onStep?: (at: number) => void): Run {
  const interpreter = new Interpreter(code, runtime);
  if (onStep !== undefined) return interpreter.watched(onStep);
  return (time, a, b, c, d, e) => interpreter.run(time, a, b, c, d, e);
}

class Interpreter {
  readonly #runtime: Runtime;
  /** As in shared memory: op, dst, src and off in one word. */
  readonly #words: Int32Array;
  readonly #imm: Float64Array;
  readonly #registers = new Float64Array(REGISTERS);
  readonly #stack = new Float64Array(STACK_SLOTS);
  /** What `field` loads. */
  readonly #fields = new Float64Array(7);
  #onStep: ((at: number) => void) | undefined;

  constructor(code: readonly Instruction[], runtime: Runtime) {
    this.#runtime = runtime;
    this.#words = Int32Array.from(code, wordOf);
    this.#imm = Float64Array.from(code, ({ imm }) => imm);
  }

  watched(onStep: (at: number) => void): Run {
    this.#onStep = onStep;
    return (time, a, b, c, d, e) => this.run(time, a, b, c, d, e);
  }

  run(time: number, a: number, b: number, c: number, d: number, e: number): void {
    const fields = this.#fields;
    fields[0] = a;
    fields[1] = b;
    fields[2] = c;
    fields[3] = d;
    fields[4] = e;
    fields[5] = time;
    fields[6] = this.#runtime.thread;
    this.#loop();
  }

  #loop(): void {
    const words = this.#words;
    const imms = this.#imm;
    const registers = this.#registers;
    const stack = this.#stack;
    const onStep = this.#onStep;
    for (let at = 0; ; at++) {
      onStep?.(at);
      const word = words[at] as number;
      const op = word & 0xff;
      const dst = (word >> 8) & 15;
      const src = (word >> 12) & 15;
      const off = word >> 16;
      const x = registers[dst] as number;
      const y = (op & IMM) === 0 ? (registers[src] as number) : (imms[at] as number);
      // Numbers of `Op`: V8 makes a table of jumps of literals only.
      switch (op & ~IMM) {
        case 0: // exit
          return;
        case 1: // mov
          registers[dst] = y;
          break;
        case 2: // add
          registers[dst] = clamped(x + y);
          break;
        case 3: // sub
          registers[dst] = clamped(x - y);
          break;
        case 4: // mul
          registers[dst] = product(x, y);
          break;
        case 5: // div
          registers[dst] = quotient(x, y);
          break;
        case 6: // mod
          registers[dst] = remainder(x, y);
          break;
        case 7: // and
          registers[dst] = (x & y) >>> 0;
          break;
        case 8: // or
          registers[dst] = (x | y) >>> 0;
          break;
        case 9: // xor
          registers[dst] = (x ^ y) >>> 0;
          break;
        case 10: // lsh
          registers[dst] = (x << y) >>> 0;
          break;
        case 11: // rsh
          registers[dst] = x >>> y;
          break;
        case 12: // neg
          registers[dst] = 0 - x;
          break;
        case 13: // jump
          at += off;
          break;
        case 14: // jeq
          if (x === y) at += off;
          break;
        case 15: // jne
          if (x !== y) at += off;
          break;
        case 16: // jlt
          if (x < y) at += off;
          break;
        case 17: // jle
          if (x <= y) at += off;
          break;
        case 18: // jgt
          if (x > y) at += off;
          break;
        case 19: // jge
          if (x >= y) at += off;
          break;
        case 20: // field
          registers[dst] = this.#fields[imms[at] as number] as number;
          break;
        case 21: // text
          registers[dst] = this.#runtime.texts[imms[at] as number] as number;
          break;
        case 22: // load
          registers[dst] = stack[off] as number;
          break;
        case 23: // store
          stack[off] = registers[src] as number;
          break;
        case 24: // loadAt
          registers[dst] = stack[off + (registers[src] as number)] as number;
          break;
        case 25: // storeAt
          stack[off + x] = registers[src] as number;
          break;
        default:
          registers[0] = this.#call(imms[at] as number, off);
      }
    }
  }

  /** What a map does not take of the five registers is whatever a call before has left there: it is told by its map. */
  #call(helper: number, off: number): number {
    const runtime = this.#runtime;
    const registers = this.#registers;
    const map = runtime.maps[off];
    const [a, b, c, d] = [
      registers[1] as number,
      registers[2] as number,
      registers[3] as number,
      registers[4] as number,
    ];
    const value = registers[5] as number;
    // Numbers of `Helper`.
    switch (helper) {
      case 0: // lockName
        return runtime.lockName(a);
      case 1: // lockKind
        return runtime.lockKind(a);
      case 2: // stack
        return runtime.stack();
      case 3: // mapGet
        return map!.get(a, b, c, d);
      case 4: // mapSet
        map!.set(a, b, c, d, value);
        return 0;
      case 5: // mapAdd
        map!.add(a, b, c, d, value);
        return 0;
      case 6: // mapDelete
        map!.remove(a, b, c, d);
        return 0;
      case 7: // mapUpdate
        map!.update(a, b, c, d, value);
        return 0;
      case 8: // print
        runtime.print(off, a, b, c, d, value);
        return 0;
      case 9: // printMap
        runtime.printMap(off);
        return 0;
      case 10: // clearMap
        runtime.clearMap(off);
        return 0;
      default:
        runtime.end();
        return 0;
    }
  }
}
