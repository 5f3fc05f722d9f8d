import type { Mutant } from '../mutant.ts';

const A64 = 'native-sim/litmus/aarch64.ts';
const ASSEMBLY = 'native-sim/litmus/assembly.ts';
const CODE_MAP = 'native-sim/litmus/code-map.ts';
const MEMORY_MAP = 'native-sim/litmus/memory-map.ts';
const COMBINATIONS = 'native-sim/litmus/combinations.ts';
const CANDIDATES = 'native-sim/litmus/candidates.ts';
const COMMUNICATIONS = 'native-sim/litmus/communications.ts';
const CONDITION = 'native-sim/litmus/condition.ts';
const WORK = 'native-sim/litmus/work.ts';
const WITNESS = 'native-sim/litmus/witness.ts';
const TRACES = 'native-sim/litmus/traces.ts';
const POWER = 'native-sim/litmus/ppc.ts';
const LABELS = 'test/native-sim/litmus/code-labels.test.ts';
const SAMPLING = 'test/native-sim/litmus/sampling.test.ts';
const EXECUTIONS = 'test/native-sim/litmus/executions.test.ts';
const VALUES = 'test/native-sim/litmus/values.test.ts';
const READ = 'test/native-sim/litmus/read.test.ts';
const PPC = 'test/native-sim/litmus/power.test.ts';
const VERDICTS = 'test/native-sim/litmus/verdicts.test.ts';
const WORK_TEST = 'test/native-sim/litmus/work.test.ts';
const FUZZ = 'test/native-sim/litmus/fuzz/fuzz.test.ts';

/** Code as a value, and the search through traces, combinations and too many executions. */
export const mutants: readonly Mutant[] = [
  {
    name: 'code: BLR leaves no address to return to',
    file: A64,
    from: "    if (name === 'BLR') thread.set(link, after);\n",
    to: '',
    tests: [LABELS],
  },
  {
    name: 'code: a call returns to itself',
    file: A64,
    from: 'index: here.index + 1 }',
    to: 'index: here.index + 2 }',
    tests: [LABELS],
  },
  {
    name: 'code: RET in a thread that nobody called goes nowhere',
    file: A64,
    from: '    if (isReturn && register.name === link && !thread.registers.has(link)) return endOfThread;\n',
    to: '',
    tests: [LABELS],
  },
  {
    name: 'code: nothing depends on a branch through a register',
    file: A64,
    from: '    thread.branchOn(target);\n    return target.value;',
    to: '    return target.value;',
    tests: [LABELS],
  },
  {
    name: 'code: a branch means the first label of that name',
    file: CODE_MAP,
    from: '    if (own !== undefined) return own;\n',
    to: '',
    tests: [LABELS],
  },
  {
    name: 'code: labels mean those of the thread that runs the code',
    file: ASSEMBLY,
    from: 'code.find(target, at.thread)!',
    to: 'code.find(target, thread)!',
    tests: [LABELS],
  },
  {
    name: 'code: reading it is reading nothing',
    file: MEMORY_MAP,
    from: "      if (this.code.place(address) !== undefined) throw new UnsupportedConstruct('access to code (instruction fetch)');\n",
    to: '',
    tests: [LABELS],
  },
  {
    name: 'code: a register name that two threads use belongs to one of them',
    file: CODE_MAP,
    from: 'threads?.size === 1 ?',
    to: 'threads !== undefined ?',
    tests: [VALUES],
  },
  {
    name: 'code: half of an initial address is a number',
    file: MEMORY_MAP,
    from: '    if (this.isPointer(value)) throw new UnsupportedConstruct(addressInParts);\n',
    to: '',
    tests: [READ],
  },
  {
    name: 'Power: RLWIMI clears what is outside of its mask',
    file: POWER,
    from: '(old.value & ~mask) | turned',
    to: 'turned',
    tests: [PPC],
  },
  {
    name: 'combinations: what a ruled-out trace alone would have written is still hoped for',
    file: COMBINATIONS,
    from: '      this.#givers[cell]!--;\n      unsupported.push(cell);\n',
    to: '      this.#givers[cell]!--;\n',
    tests: [SAMPLING],
  },
  {
    name: 'combinations: a trace that is possible again supports nothing',
    file: COMBINATIONS,
    from: '      this.#counts[candidate.thread]!++;\n      this.#addSupport(candidate);\n',
    to: '      this.#counts[candidate.thread]!++;\n',
    tests: [EXECUTIONS],
  },
  {
    name: 'combinations: a trace is supported by others of its own thread',
    file: COMBINATIONS,
    from: 'this.#givers[cell]! - (this.#support[thread]![cell]! > 0 ? 1 : 0)',
    to: 'this.#givers[cell]!',
    tests: [EXECUTIONS, FUZZ],
    equivalent:
      'it saves work only: what it does not rule out finds no write to read from when the reads of a combination are tried',
  },
  {
    name: 'combinations: a decided thread still supplies what its other traces write',
    file: COMBINATIONS,
    from: 'const sign = isDecided ? -1 : 1;',
    to: 'const sign = 0;',
    tests: [EXECUTIONS],
    equivalent: 'it is a bound that only saves work: the ways of each location keep to atomicity',
  },
  {
    name: 'witness: a location that is surely written may keep its first value',
    file: WITNESS,
    from: '    isSurelyWritten ||= writing.every((writes) => writes);\n',
    to: '',
    tests: [SAMPLING],
  },
  {
    name: 'witness: no location keeps its first value',
    file: WITNESS,
    from: '  if (!isSurelyWritten) values.add(memory.initialCell(address));\n',
    to: '',
    tests: [SAMPLING],
  },
  {
    name: 'witness: anything is promising',
    file: WITNESS,
    from: 'return mayBe(wanted, condition, possible) && (filter === undefined || mayBe(true, filter, possible));',
    to: 'return possible !== undefined;',
    tests: [SAMPLING],
  },
  {
    name: 'conditions: and may be false only if all of it may',
    file: CONDITION,
    from: "const all = (condition.kind === 'and') === wanted;",
    to: "const all = (condition.kind === 'and') === true;",
    tests: [SAMPLING],
  },
  {
    name: 'conditions: an implication may be false if either side may',
    file: CONDITION,
    from: ': mayBe(true, condition.left, possible) && mayBe(false, condition.right, possible);',
    to: ': mayBe(false, condition.left, possible) && mayBe(false, condition.right, possible);',
    tests: [SAMPLING],
  },
  {
    name: 'traces: a thread is not run again for what others have written since',
    file: TRACES,
    from: 'event.kind === Kind.read && (news.get(event.address) ?? thread) !== thread',
    to: 'event.kind === Kind.write && (news.get(event.address) ?? thread) !== thread',
    tests: [EXECUTIONS],
  },
  {
    name: 'traces: values are handed on once at most',
    file: TRACES,
    from: 'if (grown.size === 0 || round > longestChain(all)) return all;',
    to: 'if (grown.size === 0 || round > 0) return all;',
    tests: [FUZZ],
  },
  {
    name: 'combinations: an ordinary value is taken by one read-modify-write at most under JavaScript too',
    file: CANDIDATES,
    from: 'const takesAreFree = !ways.coherent && byThread.flat().some(writesOrdinarily);',
    to: 'const takesAreFree = false;',
    tests: [VERDICTS],
  },
  {
    name: 'candidates: what JavaScript rejects half way is gone on with no more',
    file: CANDIDATES,
    from: '!coherent || following[at]! < worthAnEarlyLook || isAllowed()',
    to: 'following[at]! < worthAnEarlyLook || isAllowed()',
    tests: [FUZZ],
  },
  {
    name: 'candidates: accesses are alike if there are as many',
    file: CANDIDATES,
    from: 'trace.projections.get(location)?.number',
    to: 'trace.projections.get(location)?.accesses.length',
    tests: [FUZZ],
  },
  {
    name: 'communications: a write of another thread hides the initial value',
    file: COMMUNICATIONS,
    from: 'for (let position = least; position <= order.length; position++) {',
    to: 'for (let position = Math.max(least, Math.min(1, order.length)); position <= order.length; position++) {',
    tests: [FUZZ],
  },
  {
    name: 'work: what is hopeless is gone on with',
    file: WORK,
    from: 'if (this.#givesUp && this.#isHopeless())',
    to: 'if (this.#givesUp && this.gaveUp)',
    tests: [WORK_TEST],
  },
  {
    name: 'work: little evidence is enough',
    file: WORK,
    from: 'Math.max(leastHopeless, hopeless / evidence)',
    to: 'leastHopeless',
    tests: [WORK_TEST],
  },
  {
    name: 'work: a search that would take a little more than its steps is given up',
    file: WORK,
    from: 'Math.max(leastHopeless, hopeless / evidence)',
    to: 'hopeless / evidence',
    tests: [WORK_TEST],
  },
  {
    name: 'combinations: what is ruled out counts as not searched',
    file: COMBINATIONS,
    from: '      } else this.#work.searched(part);\n',
    to: '      }\n',
    tests: [WORK_TEST],
  },
  {
    name: 'candidates: what the model rejects counts as not searched',
    file: CANDIDATES,
    from: '        if (at + 1 === choices.length && isAllowed()) visit(chosen);\n        work.searched(part);\n',
    to: '        if (at + 1 === choices.length && isAllowed()) {\n          visit(chosen);\n          work.searched(part);\n        }\n',
    tests: [WORK_TEST],
  },
  {
    name: 'traces: a thread reads what it has overwritten itself',
    file: TRACES,
    from: 'if (writer !== this.#thread && value !== values[0])',
    to: 'if (value !== values[0])',
    tests: [EXECUTIONS],
  },
  {
    name: 'traces: a value that two threads write is known as that of one',
    file: TRACES,
    from: 'values.set(value, writer === thread ? thread : anybody);',
    to: 'values.set(value, writer);',
    tests: [FUZZ],
  },
  {
    name: 'traces: the initial value stays readable once the thread has written',
    file: TRACES,
    from: 'const values = [own ?? this.#test.memory.initialCell(address)];',
    to: 'const values = [this.#test.memory.initialCell(address)];',
    tests: [FUZZ],
  },
  {
    name: 'traces: what another thread alone writes now as well is no news',
    file: TRACES,
    from: 'news.set(address, (news.get(address) ?? thread) === thread ? thread : anybody);',
    to: 'if (writer === thread) news.set(address, (news.get(address) ?? thread) === thread ? thread : anybody);',
    tests: [FUZZ],
  },
];
