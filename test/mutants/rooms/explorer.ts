/** Mistakes in the explored machine: executions that are left out, visited twice, or accused of what they do not do. */
import type { Mutant } from '../mutant.ts';

const SEARCH = 'native-sim/explore/exhaustive.ts';
const REVISITS = 'native-sim/explore/revisits.ts';
const RACES = 'native-sim/explore/races.ts';
const IN_THREAD = 'native-sim/explore/thread-order.ts';
const GRAPH = 'native-sim/explore/graph.ts';

const COUNTS = 'test/native-sim/explore/counts.test.ts';
const REFERENCE = 'test/native-sim/explore/reference.test.ts';
const FAILURES = 'test/native-sim/explore/failures.test.ts';
const IN_THREAD_TEST = 'test/native-sim/explore/thread-order.test.ts';
const FUZZ = 'test/native-sim/explore/fuzz/fuzz.test.ts';

export const mutants: readonly Mutant[] = [
  {
    name: 'waiting: who could read a value that is no longer the last never misses it',
    file: SEARCH,
    from: '(this.#isOneOfSeveral || choices[0] !== latest(this.g, this.g.pending[this.t]!.location))',
    to: 'this.#isOneOfSeveral',
    tests: [COUNTS, FAILURES],
  },
  {
    name: 'waiting: who is asked first of several never waits for the others',
    file: SEARCH,
    from: '        this.#isOneOfSeveral = true;\n',
    to: '',
    tests: [COUNTS, FUZZ],
  },
  {
    name: 'waiting: everybody may go on waiting for what is there',
    file: SEARCH,
    from: '      this.#isOneOfSeveral = false;\n',
    to: '      this.#isOneOfSeveral = true;\n',
    tests: [COUNTS],
  },
  {
    name: 'revisits: what a thread waits for may have been there when it is deleted',
    file: REVISITS,
    from: '  if (flags & AWAIT) return g.rf[e] === NOTHING;\n',
    to: '  if (flags & AWAIT) return true;\n',
    tests: [COUNTS],
  },
  {
    name: 'revisits: a read may see what is older than what its thread has seen',
    file: REVISITS,
    from: '    if (place + 1 > seenByReader) places.push(place);\n',
    to: '    places.push(place);\n',
    tests: [REFERENCE, FUZZ],
  },
  {
    name: 'revisits: a read that is seen by nobody who stays is as the latest choice, whatever it reads',
    file: REVISITS,
    from: 'if (later !== w && (later <= e || g.inPrefix(later, w))) return false;',
    to: 'if (later !== w && g.inPrefix(later, w)) return false;',
    tests: [COUNTS, REFERENCE],
  },
  {
    name: 'graphs: one is used again from which alternatives begin',
    file: SEARCH,
    from: 'if (g.users === 0 && this.#spare.length < MOST_SPARE)',
    to: 'if (this.#spare.length < MOST_SPARE)',
    tests: [COUNTS, REFERENCE],
  },
  {
    name: 'graphs: one that is used again has the lists of before',
    file: GRAPH,
    from: '    while (list.length > count) list.pop();\n',
    to: '',
    tests: [COUNTS, REFERENCE],
  },
  {
    name: 'graphs: one that is used again knows where threads were before',
    file: GRAPH,
    from: '    this.#lastAt.fill(0);\n',
    to: '',
    tests: [COUNTS, REFERENCE, FUZZ],
  },
  {
    name: 'races: to overwrite what another thread wrote is an order',
    file: RACES,
    from: '    for (let i = 0, at = y * stride; i < stride; i++) this.#row[i]! |= before[at + i]!;\n',
    to: '    for (let i = 0, at = y * stride; i < stride; i++) this.#row[i]! |= before[at + i]!;\n    this.#row[y >>> 5]! |= 1 << (y & 31);\n',
    tests: [FAILURES, FUZZ],
  },
  {
    name: 'races: only what comes before an access is ordered, and not what follows a write that overwrites it',
    file: RACES,
    from: 'if (before[at + i]! & this.#ahead[i]!) return false;',
    to: 'if (before[at + i]! & 0) return false;',
    tests: [FAILURES],
  },
  {
    name: 'races: a thread that waits for a value looks once',
    file: RACES,
    from: 'if (!(g.flags[e]! & AWAIT)) this.#includePast(g, write, thread);',
    to: 'this.#includePast(g, write, thread);',
    tests: [FAILURES],
  },
  {
    name: 'races: a thread that waits for a value looks once, in JavaScript',
    file: RACES,
    from: '(g.flags[b]! & (READ | AWAIT)) === READ ?',
    to: 'g.flags[b]! & READ ?',
    tests: [FAILURES],
  },
  {
    name: 'order in a thread: an acquire stands for a write fence',
    file: IN_THREAD,
    from: '      if (writes > full) this.#add(writes);\n',
    to: '      if (writes > full && writes > strong) this.#add(writes);\n',
    tests: [IN_THREAD_TEST],
  },
  {
    name: 'order in a thread: an acquire may overtake a release',
    file: IN_THREAD,
    from: '      if (released >= 0) this.#add(released);\n',
    to: '',
    tests: [IN_THREAD_TEST, REFERENCE],
  },
];
