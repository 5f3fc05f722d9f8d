/**
 * RISC-V (RV64I, with the atomic instructions of extension A): loads and stores with `.aq` and `.rl`, LR and SC, AMOs,
 * fences, arithmetic, branches.
 *
 * Registers are called `x0` to `x31`, or by their names in the calling convention (`a0` is `x10`); states show the former.
 */
import { Fence, Tag } from '../models/execution.ts';
import { endOfThread, type InstructionReader, type Step } from './assembly.ts';
import type { CodePlace } from './code-map.ts';
import { UnsupportedConstruct } from './errors.ts';
import type { MemoryMap } from './memory-map.ts';
import { byChance, combine, constant, type Tainted, type ThreadRun, zero } from './thread-run.ts';
import type { Cursor, Token } from './tokens.ts';

const conventional: readonly string[] =
  'zero ra sp gp tp t0 t1 t2 s0 s1 a0 a1 a2 a3 a4 a5 a6 a7 s2 s3 s4 s5 s6 s7 s8 s9 s10 s11 t3 t4 t5 t6'.split(' ');

export function registerName(text: string): string {
  const at = text === 'fp' ? 8 : conventional.indexOf(text.toLowerCase());
  return at < 0 ? text.toLowerCase() : `x${at}`;
}

function parseRegister(cursor: Cursor): string {
  const isNamed = cursor.accept('%');
  const { text, line, column } = cursor.token;
  const name = registerName(text);
  if (/^f[0-9ast]|^v[0-9]/.test(name)) throw new UnsupportedConstruct(`register ${text}`, line, column);
  if (!isNamed && !/^x(?:[12]?[0-9]|3[01])$/.test(name)) cursor.fail('a register');
  cursor.next();
  return name;
}

function get(thread: ThreadRun, register: string): Tainted {
  return register === 'x0' ? zero : thread.get(register);
}

function set(thread: ThreadRun, register: string, value: Tainted): void {
  if (register !== 'x0') thread.set(register, { ...value, value: BigInt.asUintN(64, value.value) });
}

type Operation = (a: bigint, b: bigint) => bigint;

const signed = (value: bigint, bits = 64): bigint => BigInt.asIntN(bits, value);
const truth = (holds: boolean): bigint => (holds ? 1n : 0n);

const operations: Readonly<Record<string, Operation>> = {
  add: (a, b) => a + b,
  sub: (a, b) => a - b,
  and: (a, b) => a & b,
  or: (a, b) => a | b,
  xor: (a, b) => a ^ b,
  mul: (a, b) => a * b,
  slt: (a, b) => truth(signed(a) < signed(b)),
  sltu: (a, b) => truth(BigInt.asUintN(64, a) < BigInt.asUintN(64, b)),
  sll: (a, b) => a << (b & 63n),
  srl: (a, b) => BigInt.asUintN(64, a) >> (b & 63n),
  sra: (a, b) => signed(a) >> (b & 63n),
};

/** The forms that work on the low word, and extend the result by its sign. */
const onWords: Readonly<Record<string, Operation>> = {
  add: operations.add!,
  sub: operations.sub!,
  mul: operations.mul!,
  sll: (a, b) => a << (b & 31n),
  srl: (a, b) => BigInt.asUintN(32, a) >> (b & 31n),
  sra: (a, b) => signed(a, 32) >> (b & 31n),
};

/** Instructions of two registers that stand for another. */
const unary: Readonly<Record<string, (a: bigint) => bigint>> = {
  mv: (a) => a,
  not: (a) => ~a,
  neg: (a) => -a,
  'sext.w': (a) => signed(a, 32),
  'zext.b': (a) => BigInt.asUintN(8, a),
  seqz: (a) => truth(a === 0n),
  snez: (a) => truth(a !== 0n),
};

const branches: Readonly<Record<string, (a: bigint, b: bigint) => boolean>> = {
  beq: (a, b) => a === b,
  bne: (a, b) => a !== b,
  blt: (a, b) => signed(a) < signed(b),
  bge: (a, b) => signed(a) >= signed(b),
  ble: (a, b) => signed(a) <= signed(b),
  bgt: (a, b) => signed(a) > signed(b),
  bltu: (a, b) => a < b,
  bgeu: (a, b) => a >= b,
  bleu: (a, b) => a <= b,
  bgtu: (a, b) => a > b,
};

/** By the operands' letters; `i` and `o` speak of devices, of which there are none. */
const fences: Readonly<Record<string, number>> = {
  'r,r': Fence.riscvRR,
  'r,w': Fence.riscvRW,
  'r,rw': Fence.riscvRM,
  'w,r': Fence.riscvWR,
  'w,w': Fence.riscvWW,
  'w,rw': Fence.riscvWM,
  'rw,r': Fence.riscvMR,
  'rw,w': Fence.riscvMW,
  'rw,rw': Fence.riscvMM,
};

function larger(a: bigint, b: bigint): bigint {
  if (a > b) return a;
  return b;
}

const atomics: Readonly<Record<string, (old: bigint, operand: bigint, bits: number) => bigint>> = {
  swap: (_old, operand) => operand,
  add: (old, operand) => old + operand,
  and: (old, operand) => old & operand,
  or: (old, operand) => old | operand,
  xor: (old, operand) => old ^ operand,
  max: (old, operand, bits) => (signed(old, bits) > signed(operand, bits) ? old : operand),
  min: (old, operand, bits) => (signed(old, bits) < signed(operand, bits) ? old : operand),
  maxu: (old, operand) => larger(old, operand),
  minu: (old, operand) => old + operand - larger(old, operand),
};

const bytesOf: Readonly<Record<string, number>> = { b: 1, h: 2, w: 4, d: 8 };

export function instructionReader(memory: MemoryMap): InstructionReader {
  return (mnemonic, cursor, here) => {
    const parts = [mnemonic.text.toLowerCase()];
    while (cursor.accept('.')) parts.push(cursor.name('a part of an instruction').text.toLowerCase());
    const annotation = annotationOf(parts);
    const name = parts.join('.');
    const step =
      simple(name, cursor, memory, here) ??
      arithmetic(name, cursor) ??
      branch(name, cursor) ??
      access(name, annotation, cursor) ??
      atomic(name, annotation, cursor);
    if (step !== undefined) return step;
    throw unsupported(mnemonic, name);
  };
}

function unsupported({ line, column }: Token, name: string): UnsupportedConstruct {
  return new UnsupportedConstruct(`instruction ${name}`, line, column);
}

/** Takes `.aq`, `.rl`, `.aqrl` and `.aq.rl` off the end. */
function annotationOf(parts: string[]): number {
  let tags: number = Tag.none;
  for (; /^(?:aq|rl|aqrl)$/.test(parts.at(-1)!); parts.pop()) {
    if (parts.at(-1)!.startsWith('aq')) tags |= Tag.acquire;
    if (parts.at(-1)!.endsWith('rl')) tags |= Tag.release;
  }
  return tags;
}

function simple(name: string, cursor: Cursor, memory: MemoryMap, here: CodePlace): Step | undefined {
  switch (name) {
    case 'nop':
    case 'fence.i':
      return () => undefined;
    case 'ret':
      return () => endOfThread;
    case 'fence':
    case 'fence.tso':
      return fence(name, cursor);
    case 'li':
    case 'lui':
    case 'la': {
      const to = parseRegister(cursor);
      cursor.expect(',');
      const value =
        name === 'la' ? memory.addressFrom(here.thread, cursor.name('a symbol or a label').text) : cursor.integer();
      const loaded = constant(name === 'lui' ? signed(value << 12n, 32) : value);
      return (thread) => {
        set(thread, to, loaded);
        return undefined;
      };
    }
  }
  const change = unary[name];
  if (change === undefined) return undefined;
  const to = parseRegister(cursor);
  cursor.expect(',');
  const from = parseRegister(cursor);
  return (thread) => {
    const held = get(thread, from);
    set(thread, to, { ...held, value: change(held.value) });
    return undefined;
  };
}

/** `fence rw,w`, `fence iorw,iorw`, `fence`, `fence.tso`. */
function fence(name: string, cursor: Cursor): Step {
  const letters = (): string => cursor.name('what the fence orders').text.toLowerCase().replace(/[io]/g, '');
  let kind: number | undefined = name === 'fence.tso' ? Fence.riscvTso : Fence.riscvMM;
  if (cursor.token.type === 'name') {
    const before = letters();
    cursor.expect(',');
    const after = letters();
    // Either side may be of devices alone, of which there are none.
    kind = before === '' || after === '' ? Fence.none : name === 'fence.tso' ? kind : fences[`${before},${after}`];
    if (kind === undefined) cursor.fail('r, w or rw, twice');
  }
  return (thread) => {
    thread.fence(kind);
    return undefined;
  };
}

function arithmetic(name: string, cursor: Cursor): Step | undefined {
  const match = /^(add|sub|and|or|xor|mul|sltu|slt|sll|srl|sra)(i?)(u?)(w?)$/.exec(name);
  if (match === null) return undefined;
  const [, base, immediate, unsigned, word] = match;
  const plain = `${base}${unsigned}`;
  const operation = word === '' ? operations[plain] : onWords[plain];
  if (operation === undefined) return undefined;
  const to = parseRegister(cursor);
  cursor.expect(',');
  const left = parseRegister(cursor);
  cursor.expect(',');
  const fixed = immediate === '' ? undefined : constant(cursor.integer());
  const right = fixed === undefined ? parseRegister(cursor) : 'x0';
  return (thread) => {
    const a = get(thread, left);
    const b = fixed ?? get(thread, right);
    const result = operation(a.value, b.value);
    set(thread, to, combine(word === '' ? result : signed(result, 32), a, b));
    return undefined;
  };
}

/** `beq a0,a1,L`, `beqz a0,L`, `j L`. */
function branch(name: string, cursor: Cursor): Step | undefined {
  if (name === 'j') {
    const label = cursor.label();
    return () => label;
  }
  const taken = branches[name] ?? (name.endsWith('z') ? branches[name.slice(0, -1)] : undefined);
  if (taken === undefined) return undefined;
  const left = parseRegister(cursor);
  cursor.expect(',');
  let right = 'x0';
  if (branches[name] !== undefined) {
    right = parseRegister(cursor);
    cursor.expect(',');
  }
  const label = cursor.label();
  return (thread) => {
    const a = get(thread, left);
    const b = get(thread, right);
    thread.branchOn(combine(0n, a, b));
    return taken(BigInt.asUintN(64, a.value), BigInt.asUintN(64, b.value)) ? label : undefined;
  };
}

/** `8(a0)`, `(a0)`. */
function parseMemory(cursor: Cursor): (thread: ThreadRun) => Tainted {
  const offset = cursor.token.type === 'number' || cursor.is('-') ? cursor.integer() : 0n;
  cursor.expect('(');
  const base = parseRegister(cursor);
  cursor.expect(')');
  return (thread) => {
    const held = get(thread, base);
    return { ...held, value: BigInt.asUintN(64, held.value + offset) };
  };
}

/** `lw`, `lbu`, `sd`, perhaps annotated. */
function access(name: string, tags: number, cursor: Cursor): Step | undefined {
  const match = /^(l|s)([bhwd])(u?)$/.exec(name);
  if (match === null) return undefined;
  const register = parseRegister(cursor);
  cursor.expect(',');
  const address = parseMemory(cursor);
  const bytes = bytesOf[match[2]!]!;
  if (match[1] === 's') {
    return (thread) => {
      thread.write(address(thread), get(thread, register), tags, { bytes });
      return undefined;
    };
  }
  return (thread) => {
    const value = thread.read(address(thread), tags, { bytes });
    set(thread, register, match[3] === 'u' ? value : extended(value, bytes));
    return undefined;
  };
}

function extended(value: Tainted, bytes: number): Tainted {
  return { ...value, value: signed(value.value, 8 * bytes) };
}

function atomic(name: string, tags: number, cursor: Cursor): Step | undefined {
  const match = /^(lr|sc|amo(swap|add|and|or|xor|maxu|minu|max|min))\.([wd])$/.exec(name);
  if (match === null) return undefined;
  const bytes = bytesOf[match[3]!]!;
  const to = parseRegister(cursor);
  cursor.expect(',');
  if (match[1] === 'lr') return loadReserved(to, tags, bytes, cursor);
  const from = parseRegister(cursor);
  cursor.expect(',');
  const address = parseMemory(cursor);
  if (match[1] === 'sc') return storeConditional(to, from, address, tags, bytes);
  const operation = atomics[match[2]!]!;
  // Acquire alone is the read's and release alone is the write's, but both together are on both.
  const both = tags === (Tag.acquire | Tag.release);
  const read = Tag.rmw | (both ? tags : tags & Tag.acquire);
  const write = Tag.rmw | (both ? tags : tags & Tag.release);
  return (thread) => {
    const where = address(thread);
    const operand = get(thread, from);
    const old = thread.read(where, read, { bytes });
    const right = BigInt.asUintN(8 * bytes, operand.value);
    const result = operation(old.value, right, 8 * bytes);
    // The sum depends on what was read, a swapped value does not.
    const now = match[2] === 'swap' ? { ...operand, value: result } : combine(result, old, operand);
    thread.write(where, now, write, { bytes, rmw: thread.last });
    set(thread, to, extended(old, bytes));
    return undefined;
  };
}

function loadReserved(to: string, tags: number, bytes: number, cursor: Cursor): Step {
  const address = parseMemory(cursor);
  return (thread) => {
    const value = thread.read(address(thread), Tag.rmw | Tag.exclusive | tags, { bytes });
    thread.monitor = thread.last;
    set(thread, to, extended(value, bytes));
    return undefined;
  };
}

/**
 * May always fail, and does where nothing is reserved. It may succeed at another address than the reserved one, but is
 * then no pair with what was read. What follows depends on it through the register that tells of success.
 */
function storeConditional(
  to: string,
  from: string,
  address: (thread: ThreadRun) => Tainted,
  tags: number,
  bytes: number,
): Step {
  return (thread) => {
    const where = address(thread);
    const { monitor } = thread;
    thread.monitor = -1;
    if (monitor < 0 || thread.choose(2) === 1) {
      set(thread, to, byChance(1n));
      return undefined;
    }
    const rmw = thread.events[monitor]!.address === where.value ? monitor : -1;
    const options = { bytes, rmw, source: true };
    const success = thread.write(where, get(thread, from), Tag.rmw | Tag.exclusive | tags, options);
    set(thread, to, { ...success, chance: true });
    return undefined;
  };
}
