import type { Mutant } from '../mutant.ts';

const RVWMO = 'native-sim/models/rvwmo.ts';
const RISCV_CODE = 'native-sim/litmus/riscv.ts';
const POWER = 'native-sim/models/power.ts';
const TSO = 'native-sim/models/x86-tso.ts';
const SC = 'native-sim/models/sc.ts';
const X86_OPERANDS = 'native-sim/litmus/x86-operands.ts';
const TRACES = 'native-sim/litmus/traces.ts';
const CANDIDATES = 'native-sim/litmus/candidates.ts';
const CONDITION = 'native-sim/litmus/condition.ts';
const FLAGS = 'native-sim/models/lkmm-flags.ts';
const A64 = 'native-sim/litmus/aarch64-memory.ts';
const RISCV = 'test/native-sim/litmus/riscv.test.ts';
const PPC = 'test/native-sim/litmus/power.test.ts';
const X86 = 'test/native-sim/litmus/x86.test.ts';
const AIR = 'test/native-sim/litmus/thin-air.test.ts';
const LKMM = 'test/native-sim/litmus/lkmm.test.ts';
const VALUES = 'test/native-sim/litmus/values.test.ts';

/** The models of the machines, and the litmus reader. */
export const mutants: readonly Mutant[] = [
  {
    name: 'RISC-V: a write does not wait for the accesses of its location',
    file: RVWMO,
    from: '    .addAll(po.and(loc).between(M, W))\n',
    to: '',
    tests: [RISCV],
    equivalent: 'coherence makes each such pair one of co or fr, which the axiom takes in anyway',
  },
  {
    name: 'RISC-V: an acquire lets later accesses pass',
    file: RVWMO,
    from: '    .addAll(po.between(acquire, M))\n',
    to: '',
    tests: [RISCV],
  },
  {
    name: 'RISC-V: a release passes earlier accesses',
    file: RVWMO,
    from: '    .addAll(po.between(M, release))\n',
    to: '',
    tests: [RISCV],
  },
  {
    name: 'RISC-V: RCsc accesses pass each other',
    file: RVWMO,
    from: '    .addAll(po.between(rcsc, rcsc))\n',
    to: '',
    tests: [RISCV],
  },
  {
    name: 'RISC-V: a plain .aq or .rl counts as RCsc',
    file: RVWMO,
    from: 'x.tagged(either, Tag.acquire | Tag.rmw).or(x.tagged(either, Tag.release | Tag.rmw))',
    to: 'acquire.or(release)',
    tests: [RISCV],
  },
  {
    name: 'RISC-V: the halves of a read-modify-write are not ordered',
    file: RVWMO,
    from: '    .addAll(x.rmw)\n',
    to: '',
    tests: [RISCV],
    equivalent: 'they are of one location, so that the pair is in fr',
  },
  {
    name: 'RISC-V: no address dependency',
    file: RVWMO,
    from: '    .addAll(x.addr.to(M))\n',
    to: '',
    tests: [RISCV],
  },
  {
    name: 'RISC-V: a branch orders reads',
    file: RVWMO,
    from: '    .addAll(x.ctrl.to(W))',
    to: '    .addAll(x.ctrl.to(M))',
    tests: [RISCV],
  },
  {
    name: 'RISC-V: a write does not wait for the addresses before it',
    file: RVWMO,
    from: '\n    .addAll(x.addr.via(M, po).to(W));',
    to: ';',
    tests: [RISCV],
  },
  {
    name: 'RISC-V: reads of one write are ordered too',
    file: RVWMO,
    from: 'noWriteBetween.minus(sameSource).minus(initial.times(initial))',
    to: 'noWriteBetween',
    tests: [RISCV],
  },
  {
    name: 'RISC-V: reads of one location across an own write are ordered',
    file: RVWMO,
    from: 'poLoc.between(R, R).minus(poLoc.via(x.W, poLoc))',
    to: 'poLoc.between(R, R)',
    tests: [RISCV],
  },
  {
    name: 'RISC-V: a read does not wait for the atomic write that it takes',
    file: RVWMO,
    from: '      .addAll(rfi.from(atomicWrites))\n',
    to: '',
    tests: [RISCV],
  },
  {
    name: 'RISC-V: a read does not wait for what the write depends on that it takes',
    file: RVWMO,
    from: '\n      .addAll(x.addr.or(x.data).via(W, rfi));',
    to: ';',
    tests: [RISCV],
  },
  {
    name: 'RISC-V: fence.tso orders a write before a read',
    file: RVWMO,
    from: 'across.between(x.R, x.M)',
    to: 'across.between(x.M, x.M)',
    tests: [RISCV],
  },
  {
    name: 'RISC-V: nothing depends on a store-conditional',
    file: RISCV_CODE,
    from: '{ bytes, rmw, source: true }',
    to: '{ bytes, rmw, source: false }',
    tests: [RISCV],
  },
  {
    name: 'RISC-V: a store-conditional to another address pairs with the load',
    file: RISCV_CODE,
    from: 'thread.events[monitor]!.address === where.value ? monitor : -1',
    to: 'monitor',
    tests: [RISCV],
  },
  {
    name: 'Power: lwsync orders a write before a read',
    file: POWER,
    from: 'lwsync.minus(lwsync.between(W, R))',
    to: 'lwsync.copy()',
    tests: [PPC],
    equivalent: 'hb leaves a read only within its thread, where the fence orders the write before what comes then, too',
  },
  {
    name: 'Power: eieio orders reads',
    file: POWER,
    from: 'across(Fence.eieio).between(W, W)',
    to: 'across(Fence.eieio)',
    tests: [PPC],
  },
  {
    name: 'Power: reads of different writes are not ordered',
    file: POWER,
    from: 'x.internal(x.rf), rdw);',
    to: 'x.internal(x.rf));',
    tests: [PPC],
  },
  {
    name: 'Power: no detour',
    file: POWER,
    from: 'controlIsync.or(detour)',
    to: 'controlIsync.copy()',
    tests: [PPC],
  },
  {
    name: 'Power: a branch orders reads without isync',
    file: POWER,
    from: 'x.ctrl.via(x.fences(Fence.isync), po).to(M)',
    to: 'x.ctrl.to(M)',
    tests: [PPC],
  },
  {
    name: 'Power: what a sync follows is not cumulative',
    file: POWER,
    from: 'seen.seq(base.star()).seq(strong)',
    to: 'strong',
    tests: [PPC],
  },
  {
    name: 'Power: no axiom of observation',
    file: POWER,
    from: "if (!fre.seq(prop).seq(hbs).isIrreflexive()) return 'observation';",
    to: '',
    tests: [PPC],
  },
  {
    name: 'Power: no axiom of propagation',
    file: POWER,
    from: "if (!co.or(prop).isAcyclic()) return 'propagation';",
    to: '',
    tests: [PPC],
  },
  {
    name: 'Power: no axiom of reservation',
    file: POWER,
    from: "return co.or(x.po.between(reserved, reserved)).isAcyclic() ? null : 'reservation';",
    to: 'return reserved.isEmpty() ? null : null;',
    tests: [PPC],
  },
  {
    name: 'x86: a locked instruction lets a later read pass',
    file: TSO,
    from: '\n    .addAll(poWR.from(locked))',
    to: '',
    tests: [X86],
  },
  {
    name: 'x86: the parts of an access are seen one by one',
    file: TSO,
    from: 'x.divided ? x.external(communicated).seq(x.si) : communicated',
    to: 'communicated',
    tests: [X86],
  },
  {
    name: 'SC: the parts of an instruction happen one by one',
    file: SC,
    from: 'x.divided ? order.minus(x.si).seq(x.si) : order',
    to: 'order',
    tests: [X86],
  },
  {
    name: 'x86: a write to a 32-bit register keeps the upper half',
    file: X86_OPERANDS,
    from: 'if (bits >= 32) {',
    to: 'if (bits >= 64) {',
    tests: [X86],
  },
  {
    name: 'Thin air: values are searched for among those written alone',
    file: TRACES,
    from: 'const guesses = [...(oneSided ? constantsOf(test) : []),',
    to: 'const guesses = [...(oneSided ? [] : []),',
    tests: [AIR],
  },
  {
    name: 'Thin air: a circle of any values is an execution',
    file: CANDIDATES,
    from: 'if (!isCircular(x) || !isOfUnknown(x)) return;',
    to: 'if (!isCircular(x)) return;',
    tests: [AIR],
  },
  {
    name: 'Thin air: the unknown equals numbers',
    file: CONDITION,
    from: '  if (a === unknown || b === unknown) return a === b;\n',
    to: '  if (a === unknown || b === unknown) return true;\n',
    tests: [AIR],
  },
  {
    name: 'Kernel: SRCU may be waited for under RCU',
    file: FLAGS,
    from: 'x.po.via(x.fences(Fence.syncSrcu), x.po)',
    to: 'x.universe.relation()',
    tests: [LKMM],
  },
  {
    name: 'Kernel: an unlock needs no lock',
    file: FLAGS,
    from: 'poLoc.between(locks, unlocks).minus(poLoc.via(locks.or(unlocks), poLoc))',
    to: 'poLoc.between(locks, unlocks)',
    tests: [LKMM],
  },
  {
    name: 'AArch64: a store-exclusive pairs with a load of another size',
    file: A64,
    from: 'return thread.monitorBytes === bytes ? monitor : -1;',
    to: 'return bytes > 0 ? monitor : -1;',
    tests: [VALUES],
  },
  {
    name: 'AArch64: a store-exclusive to another address fails',
    file: A64,
    from: 'if (load < 0 || thread.choose(2) === 1) {',
    to: 'if (load < 0 || thread.events[load]!.address !== address.value || thread.choose(2) === 1) {',
    tests: [VALUES],
  },
];
