import type { Mutant } from '../mutant.ts';

const ARMV8 = 'native-sim/models/armv8.ts';
const CONDITION = 'native-sim/litmus/condition.ts';
const READ = 'native-sim/litmus/read.ts';
const CHECK = 'native-sim/litmus/check.ts';
const WORK = 'native-sim/litmus/work.ts';
const INITIAL = 'native-sim/litmus/initial-state.ts';
const ORDERS = 'test/native-sim/litmus/armv8-orders.test.ts';
const DEPENDENCIES = 'test/native-sim/litmus/dependencies.test.ts';
const VERDICTS = 'test/native-sim/litmus/verdicts.test.ts';
const READING = 'test/native-sim/litmus/read.test.ts';
const EXECUTIONS = 'test/native-sim/litmus/executions.test.ts';

/** Armv8's orders inside a thread, and when a litmus test gets a verdict at all. */
export const mutants: readonly Mutant[] = [
  {
    name: 'Armv8: a dependency ends at memory',
    file: ARMV8,
    from: 'const flow = x.addr.or(x.data, lrs).star();\n  return {\n    addr: flow',
    to: 'const flow = x.addr.or(x.data).star();\n  return {\n    addr: flow',
    tests: [ORDERS, DEPENDENCIES],
    equivalent:
      'what is stored is before the load that reads it back (dep; lrs), and that one before all that depends on it',
  },
  {
    name: 'Armv8: a read that a write in between hides counts as its successor',
    file: ARMV8,
    from: 'poLoc.between(W, R).minus(poLoc.via(W, poLoc))',
    to: 'poLoc.between(W, R)',
    tests: [ORDERS, DEPENDENCIES],
  },
  {
    name: 'Armv8: nothing picks',
    file: ARMV8,
    from: '  if (picks) addPicks(x, lrs, lob);\n',
    to: '',
    tests: [ORDERS, DEPENDENCIES],
  },
  {
    name: 'Armv8: a pick orders reads like a dependency',
    file: ARMV8,
    from: 'lob.addAll(begins.seq(lob.star()).to(W));',
    to: 'lob.addAll(begins.seq(lob.star()));',
    tests: [ORDERS, DEPENDENCIES],
  },
  {
    name: 'Armv8: a branch without ISB holds back reads',
    file: ARMV8,
    from: '.addAll(ctrl.to(W)).addAll(addr.via(M, po).to(W));\n    if',
    to: '.addAll(ctrl.to(M)).addAll(addr.via(M, po).to(W));\n    if',
    tests: [ORDERS, DEPENDENCIES, VERDICTS],
  },
  {
    name: 'Armv8: an ISB after a branch holds back nothing',
    file: ARMV8,
    from: '    if (!isb.isEmpty()) lob.addAll(ctrl.or(addr.via(M, po)).via(isb, po).to(M));\n',
    to: '',
    tests: [ORDERS, DEPENDENCIES],
  },
  {
    name: 'Armv8: an acquire takes the value of a read-modify-write early',
    file: ARMV8,
    from: 'lob.addAll(rmw).addAll(rmw.seq(lrs.to(AQ)));',
    to: 'lob.addAll(rmw);',
    tests: [ORDERS, DEPENDENCIES],
  },
  {
    name: 'Armv8: DSB ST orders no later read',
    file: ARMV8,
    from: '  if (!dsbSt.isEmpty()) lob.addAll(po.from(W).via(dsbSt, po).to(M));\n',
    to: '',
    tests: [ORDERS],
  },
  {
    name: 'Armv8: DMB LD waits for the read of an atomic that discards it',
    file: ARMV8,
    from: 'lob.addAll(po.from(returning).via(dmbLd, po).to(M))',
    to: 'lob.addAll(po.from(R).via(dmbLd, po).to(M))',
    tests: [ORDERS, DEPENDENCIES],
  },
  {
    name: 'Armv8: a pair of exclusives is a barrier, as SWPAL is',
    file: ARMV8,
    from: '.minus(x.tagged(Kind.read, Tag.exclusive).times(M))',
    to: '',
    tests: [ORDERS, DEPENDENCIES],
  },
  {
    name: 'Armv8: an acquirePC waits for releases',
    file: ARMV8,
    from: 'lob.addAll(po.between(L, A))',
    to: 'lob.addAll(po.between(L, AQ))',
    tests: [ORDERS, DEPENDENCIES],
  },
  {
    name: 'Conditions: "=>" binds less tightly than "/\\"',
    file: CONDITION,
    from: 'const operands = [parseImplication(cursor, scope)];',
    to: 'const operands = [parseNot(cursor, scope)];',
    tests: [READING],
  },
  {
    name: 'Conditions: "=>" is to the left',
    file: CONDITION,
    from: 'right: cursor.nested(() => parseImplication(cursor, scope)) }',
    to: 'right: cursor.nested(() => parseNot(cursor, scope)) }',
    tests: [READING],
  },
  {
    name: 'Conditions: an element beyond its array is zero',
    file: CONDITION,
    from: 'Number(index.text) >= memory.elements(text)',
    to: 'Number(index.text) > memory.elements(text)',
    tests: [READING],
  },
  {
    name: 'Initial state: the type of an array may be left out',
    file: INITIAL,
    from: 'if (type === undefined) cursor.fail(',
    to: 'if (false) cursor.fail(',
    tests: [READING],
  },
  {
    name: 'Reader: a condition without a word is no claim',
    file: READ,
    from: " || cursor.is('(') || isOld",
    to: ' || isOld',
    tests: [READING],
  },
  {
    name: 'Verdict: a test that cannot end is answered',
    file: CHECK,
    from: 'if (executions === 0 && !cut) {',
    to: 'if (executions < 0) {',
    tests: [EXECUTIONS],
  },
  {
    name: 'Verdict: no word of loops that never end',
    file: CHECK,
    from: '  if (executions === 0) notes.push(',
    to: '  if (executions < 0) notes.push(',
    tests: [EXECUTIONS],
  },
  {
    name: 'Limit: candidates cost the same whatever their size',
    file: WORK,
    from: '15 + Math.floor((events * events) / pairsPerStep)',
    to: '15 + 0 * (events / pairsPerStep)',
    tests: [EXECUTIONS],
  },
];
