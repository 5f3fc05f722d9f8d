/**
 * Power: loads and stores, lwarx and stwcx., the barriers, arithmetic, compare and branch.
 *
 * `r0` follows herd: in indexed addresses and as the register that ADDI adds to it is zero, elsewhere a register like
 * any other. A condition register field holds bits lt, gt, eq, from high to low.
 */
import { Fence, Tag } from '../models/execution.ts';
import { endOfThread, type InstructionReader, type Step } from './assembly.ts';
import { UnsupportedConstruct } from './errors.ts';
import { byChance, combine, constant, type Tainted, type ThreadRun, zero } from './thread-run.ts';
import type { Cursor } from './tokens.ts';

export function registerName(text: string): string {
  return text.toLowerCase();
}

function parseRegister(cursor: Cursor): string {
  const isNamed = cursor.accept('%');
  const name = registerName(cursor.token.text);
  if (!isNamed && !/^r(?:[12]?[0-9]|3[01])$/.test(name)) cursor.fail('a register');
  cursor.next();
  return name;
}

function set(thread: ThreadRun, register: string, value: Tainted): void {
  thread.set(register, { ...value, value: BigInt.asUintN(64, value.value) });
}

const word = (value: bigint): bigint => BigInt.asUintN(32, value);
const signedWord = (value: bigint): bigint => BigInt.asIntN(32, value);

/** Three registers; those of the low word alone extend it with zeros, as SLW and SRW do, or by its sign, as SRAW does. */
const operations: Readonly<Record<string, (a: bigint, b: bigint) => bigint>> = {
  add: (a, b) => a + b,
  sub: (a, b) => a - b,
  subf: (a, b) => b - a,
  or: (a, b) => a | b,
  and: (a, b) => a & b,
  xor: (a, b) => a ^ b,
  nor: (a, b) => ~(a | b),
  mullw: (a, b) => signedWord(a) * signedWord(b),
  slw: (a, b) => word(a << (b & 63n)),
  srw: (a, b) => word(a) >> (b & 63n),
  sraw: (a, b) => signedWord(a) >> (b & 63n),
};

/** Two registers and an immediate. */
const withImmediate: Readonly<Record<string, (a: bigint, b: bigint) => bigint>> = {
  addi: (a, b) => a + b,
  addis: (a, b) => a + (b << 16n),
  subi: (a, b) => a - b,
  ori: (a, b) => a | b,
  oris: (a, b) => a | (b << 16n),
  xori: (a, b) => a ^ b,
  andi: (a, b) => a & b,
  mulli: (a, b) => a * b,
  slwi: (a, b) => word(a << b),
  srwi: (a, b) => word(a) >> b,
  srawi: (a, b) => signedWord(a) >> b,
  clrldi: (a, b) => BigInt.asUintN(64 - Number(b), a),
  clrlwi: (a, b) => BigInt.asUintN(32 - Number(b), a),
};

const unary: Readonly<Record<string, (a: bigint) => bigint>> = {
  mr: (a) => a,
  neg: (a) => -a,
  not: (a) => ~a,
  extsw: (a) => signedWord(a),
  extsh: (a) => BigInt.asIntN(16, a),
  extsb: (a) => BigInt.asIntN(8, a),
};

const fences: Readonly<Record<string, number>> = {
  sync: Fence.sync,
  hwsync: Fence.sync,
  lwsync: Fence.lwsync,
  eieio: Fence.eieio,
  isync: Fence.isync,
};

const lt = 8n;
const gt = 4n;
const eq = 2n;

/** Which bit a branch looks at, and whether it wants it set. */
const branches: Readonly<Record<string, readonly [bit: bigint, set: boolean]>> = {
  beq: [eq, true],
  bne: [eq, false],
  blt: [lt, true],
  bge: [lt, false],
  bgt: [gt, true],
  ble: [gt, false],
};

interface Loading {
  readonly bytes: number;
  readonly signed: boolean;
}

const loads: Readonly<Record<string, Loading>> = {
  lbz: { bytes: 1, signed: false },
  lhz: { bytes: 2, signed: false },
  lha: { bytes: 2, signed: true },
  lwz: { bytes: 4, signed: false },
  lwa: { bytes: 4, signed: true },
  ld: { bytes: 8, signed: false },
};

const stores: Readonly<Record<string, number>> = { stb: 1, sth: 2, stw: 4, std: 8 };

export function instructionReader(): InstructionReader {
  return (mnemonic, cursor) => {
    const base = mnemonic.text.toLowerCase();
    const record = cursor.accept('.');
    const step = simple(base, cursor) ?? arithmetic(base, record, cursor) ?? flow(base, cursor) ?? access(base, cursor);
    if (step !== undefined) return step;
    throw new UnsupportedConstruct(`instruction ${base}${record ? '.' : ''}`, mnemonic.line, mnemonic.column);
  };
}

function simple(name: string, cursor: Cursor): Step | undefined {
  const fence = fences[name];
  if (fence !== undefined) {
    return (thread) => {
      thread.fence(fence);
      return undefined;
    };
  }
  switch (name) {
    case 'nop':
      return () => undefined;
    case 'blr':
      return () => endOfThread;
    case 'dcbf':
      // It moves a line of the cache, and orders nothing.
      parseRegister(cursor);
      cursor.expect(',');
      parseRegister(cursor);
      return () => undefined;
    case 'li':
    case 'lis': {
      const to = parseRegister(cursor);
      cursor.expect(',');
      const value = constant(cursor.integer() << (name === 'lis' ? 16n : 0n));
      return (thread) => {
        set(thread, to, value);
        return undefined;
      };
    }
    default:
      return undefined;
  }
}

/** `record`, the point after a name: the result is compared with zero, into field 0. */
function arithmetic(name: string, record: boolean, cursor: Cursor): Step | undefined {
  if (name === 'rlwinm' || name === 'rlwimi') return rotate(name === 'rlwimi', record, cursor);
  const change = unary[name];
  const byImmediate = withImmediate[name];
  const byRegister = operations[name];
  if (change === undefined && byImmediate === undefined && byRegister === undefined) return undefined;
  const to = parseRegister(cursor);
  cursor.expect(',');
  const left = parseRegister(cursor);
  const first = (thread: ThreadRun): Tainted => (name.startsWith('addi') ? orZero(thread, left) : thread.get(left));
  if (change !== undefined) return compute(to, record, (thread) => mapped(first(thread), change));
  cursor.expect(',');
  if (byImmediate !== undefined) {
    const right = cursor.integer();
    return compute(to, record, (thread) => mapped(first(thread), (value) => byImmediate(value, right)));
  }
  const right = parseRegister(cursor);
  return compute(to, record, (thread) => {
    const a = thread.get(left);
    const b = thread.get(right);
    return combine(byRegister!(a.value, b.value), a, b);
  });
}

function mapped(held: Tainted, change: (value: bigint) => bigint): Tainted {
  return { ...held, value: change(BigInt.asUintN(64, held.value)) };
}

function orZero(thread: ThreadRun, register: string): Tainted {
  return register === 'r0' ? zero : thread.get(register);
}

function compute(to: string, record: boolean, result: (thread: ThreadRun) => Tainted): Step {
  return (thread) => {
    const value = result(thread);
    set(thread, to, value);
    if (record) compare(thread, 'cr0', value, zero, (held) => BigInt.asIntN(64, held));
    return undefined;
  };
}

/**
 * `rlwinm rA,rS,sh,mb,me`: the low word turned left, under a mask from bit mb to me, which count from the left. RLWIMI
 * leaves what is outside of the mask as it was.
 */
function rotate(inserts: boolean, record: boolean, cursor: Cursor): Step {
  const to = parseRegister(cursor);
  cursor.expect(',');
  const from = parseRegister(cursor);
  const [by, begin, end] = [0, 1, 2].map(() => {
    cursor.expect(',');
    return Number(cursor.integer());
  });
  let mask = 0n;
  for (let bit = begin!; ; bit = (bit + 1) % 32) {
    mask |= 1n << BigInt(31 - bit);
    if (bit === end) break;
  }
  return compute(to, record, (thread) => {
    const held = thread.get(from);
    const low = word(held.value);
    const turned = ((low << BigInt(by!)) | (low >> BigInt(32 - by!))) & mask;
    if (!inserts) return { ...held, value: turned };
    const old = thread.get(to);
    return combine((old.value & ~mask) | turned, old, held);
  });
}

function compare(thread: ThreadRun, field: string, left: Tainted, right: Tainted, as: (value: bigint) => bigint): void {
  const a = as(left.value);
  const b = as(right.value);
  thread.set(field, combine(a < b ? lt : a > b ? gt : eq, left, right));
}

/** `cr7,` in front of the other operands. */
function parseField(cursor: Cursor): string {
  if (!/^cr[0-7]$/i.test(cursor.token.text)) return 'cr0';
  const field = cursor.next().text.toLowerCase();
  cursor.expect(',');
  return field;
}

function flow(name: string, cursor: Cursor): Step | undefined {
  if (name === 'b') {
    const label = cursor.label();
    return () => label;
  }
  const wanted = branches[name];
  if (wanted !== undefined) {
    // A hint for the processor.
    if (!cursor.accept('-')) cursor.accept('+');
    const field = parseField(cursor);
    const label = cursor.label();
    const [bit, isSet] = wanted;
    return (thread) => {
      const held = thread.get(field);
      thread.branchOn(held);
      return ((held.value & bit) !== 0n) === isSet ? label : undefined;
    };
  }
  const match = /^cmp(l?)([wd])(i?)$/.exec(name);
  if (match === null) return undefined;
  const bits = match[2] === 'w' ? 32 : 64;
  const as = (value: bigint): bigint => (match[1] === 'l' ? BigInt.asUintN(bits, value) : BigInt.asIntN(bits, value));
  const field = parseField(cursor);
  const left = parseRegister(cursor);
  cursor.expect(',');
  const fixed = match[3] === 'i' ? constant(cursor.integer()) : undefined;
  const right = fixed === undefined ? parseRegister(cursor) : '';
  return (thread) => {
    compare(thread, field, thread.get(left), fixed ?? thread.get(right), as);
    return undefined;
  };
}

type Address = (thread: ThreadRun) => Tainted;

/** `8(r1)` */
function parseOffset(cursor: Cursor): { base: string; address: Address } {
  const offset = cursor.integer();
  cursor.expect('(');
  const base = parseRegister(cursor);
  cursor.expect(')');
  return { base, address: (thread) => mapped(thread.get(base), (value) => BigInt.asUintN(64, value + offset)) };
}

/** `rA,rB`: their sum. */
function parseIndexed(cursor: Cursor): { base: string; address: Address } {
  const base = parseRegister(cursor);
  cursor.expect(',');
  const index = parseRegister(cursor);
  const address = (thread: ThreadRun): Tainted => {
    const a = orZero(thread, base);
    const b = thread.get(index);
    return combine(BigInt.asUintN(64, a.value + b.value), a, b);
  };
  return { base, address };
}

function access(name: string, cursor: Cursor): Step | undefined {
  const reserved = /^(?:l([wd])arx|st([wd])cx)$/.exec(name);
  const match = /^(l[bhw]z|lha|lwa|ld|st[bhwd])(u?)(x?)$/.exec(name);
  if (reserved === null && match === null) return undefined;
  const register = parseRegister(cursor);
  cursor.expect(',');
  if (reserved !== null) {
    const { address } = parseIndexed(cursor);
    const bytes = (reserved[1] ?? reserved[2]) === 'w' ? 4 : 8;
    return reserved[1] === undefined ? storeConditional(register, address, bytes) : reserve(register, address, bytes);
  }
  const [, plain, update, indexed] = match!;
  const { base, address } = indexed === 'x' ? parseIndexed(cursor) : parseOffset(cursor);
  const writesBack = update === 'u' && base !== 'r0';
  const loading = loads[plain!];
  return (thread) => {
    const where = address(thread);
    if (loading === undefined) thread.write(where, thread.get(register), Tag.none, { bytes: stores[plain!]! });
    else {
      const value = thread.read(where, Tag.none, { bytes: loading.bytes });
      set(thread, register, loading.signed ? mapped(value, (v) => BigInt.asIntN(8 * loading.bytes, v)) : value);
    }
    if (writesBack && (loading === undefined || base !== register)) set(thread, base, where);
    return undefined;
  };
}

function reserve(to: string, address: Address, bytes: number): Step {
  return (thread) => {
    const value = thread.read(address(thread), Tag.rmw | Tag.exclusive, { bytes });
    thread.monitor = thread.last;
    set(thread, to, value);
    return undefined;
  };
}

/** May always fail, and does without a reservation. Field 0 says which: the EQ bit. */
function storeConditional(from: string, address: Address, bytes: number): Step {
  return (thread) => {
    const where = address(thread);
    const { monitor } = thread;
    thread.monitor = -1;
    if (monitor >= 0 && thread.events[monitor]!.address !== where.value) {
      throw new UnsupportedConstruct(
        'stwcx. to another address than the one reserved, of which Power promises nothing',
      );
    }
    if (monitor < 0 || thread.choose(2) === 1) {
      thread.set('cr0', byChance(0n));
      return undefined;
    }
    thread.write(where, thread.get(from), Tag.rmw | Tag.exclusive, { bytes, rmw: monitor });
    thread.set('cr0', byChance(eq));
    return undefined;
  };
}
