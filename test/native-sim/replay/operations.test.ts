import { expect, test } from 'vitest';
import { RealCpu } from '../../../lib/machine/real.ts';
import { Machine } from '../../../native-sim/machine/machine.ts';
import { profiles } from '../../../native-sim/machine/profiles.ts';
import {
  Change,
  changed,
  isReadModifyWrite,
  kindOf,
  Op,
  opName,
  orderOf,
} from '../../../native-sim/replay/operations.ts';
import { Access, type Executor, ReplayedCpu } from '../../../native-sim/replay/replayed-cpu.ts';

const OPERATIONS = Object.entries(Op);
const KINDS = {
  cmpxchg: 'cmpxchg',
  xchg: 'xchg',
  fetchAdd: 'add',
  fetchSub: 'sub',
  fetchAnd: 'and',
  fetchOr: 'or',
} as const;

test('the table is in the order of its numbers, from 0 on without a gap', () => {
  expect(OPERATIONS.map(([, number]) => number)).toEqual(OPERATIONS.map((_, at) => at));
  for (const [name, number] of OPERATIONS) expect(opName(number)).toBe(name);
});

test('kind and order of each read-modify-write can be told from its number', () => {
  for (const [name, number] of OPERATIONS) {
    const parts = /^(cmpxchg|xchg|fetchAdd|fetchSub|fetchAnd|fetchOr)(Relaxed|Acquire|Release)?$/.exec(name);
    expect(isReadModifyWrite(number), name).toBe(parts !== null);
    if (parts === null) continue;
    expect(kindOf(number), name).toBe(Change[KINDS[parts[1] as keyof typeof KINDS]]);
    expect(orderOf(number), name).toBe((parts[2] ?? 'full').toLowerCase());
  }
});

/** Each call of `Cpu`, as an executor hears of it: [operation, access or what it leaves of 12 with the operand 10]. */
test('a Cpu that is replayed hands over what the real one does', () => {
  const heard: unknown[] = [];
  const note = (op: number, how: unknown) => {
    heard.push([opName(op), how]);
    return 0;
  };
  const executor: Executor = {
    read: (op, _address, access) => note(op, access),
    write: (op, _address, _value, access) => void note(op, access),
    rmw: (op, _address, operand) => note(op, changed(op, 12, operand)),
    cmpxchg: (op) => note(op, 'cmpxchg'),
    fence: (op) => void note(op, 'fence'),
    condLoad: (op) => note(op, 'await'),
    wait: () => 'ok',
    wake: () => 0,
    now: () => 0,
    relax: () => {},
    ndelay: () => {},
  };
  const cpu = new ReplayedCpu(executor) as unknown as Record<string, (...values: number[]) => unknown>;
  const real = new RealCpu(new Int32Array(new SharedArrayBuffer(64))) as unknown as typeof cpu;
  for (const [name] of OPERATIONS) {
    if (typeof cpu[name] !== 'function' || !/^(load|store|read|write|cmpxchg|xchg|fetch)/.test(name)) continue;
    heard.length = 0;
    cpu[name]!(1, 10, 10);
    let how: unknown = /^(read|write)/.test(name) ? Access.plain : Access.marked;
    if (name.startsWith('cmpxchg')) how = 'cmpxchg';
    else if (isReadModifyWrite(Op[name as keyof typeof Op])) {
      real.write!(1, 12);
      real[name]!(1, 10);
      how = real.read!(1);
    }
    expect(heard, name).toEqual([[name, how]]);
  }
});

test('a step that does something else on replay is named, on the timed machine', () => {
  const machine = new Machine({ profile: profiles.get('intel-48')!, cores: 2, words: 64 });
  let runs = 0;
  machine.spawn(() => {
    const cpu = machine.cpu(0);
    cpu.load(runs++ % 2 === 0 ? 0 : 16);
    cpu.wait(32, 0, 1000);
    return false;
  }, 0);
  machine.spawn(() => false, 1);
  expect(() => machine.run(10_000)).toThrow(
    'thread 0 is not deterministic: its operation 0 was load of word 0, and on replay, with the same values from memory, load of word 16',
  );
});
