import type { Mutant } from '../mutant.ts';

const MAP = 'test/machine/int-map.test.ts';
const ROSTER = 'test/machine/roster.test.ts';
const GARBAGE = 'test/sched/garbage.test.ts';

export const mutants: readonly Mutant[] = [
  {
    name: 'a removal moves back what stands in its place',
    file: 'lib/machine/int-map.ts',
    from: '((next - home) & last) < ((next - gap) & last)',
    to: '((next - home) & last) <= ((next - gap) & last)',
    tests: [MAP],
  },
  {
    name: 'a removal leaves a gap that hides other keys',
    file: 'lib/machine/int-map.ts',
    from: '    this.#close(place);\n',
    to: '    this.#values[place] = undefined;\n',
    tests: [MAP],
  },
  {
    name: 'a key that is there already counts twice',
    file: 'lib/machine/int-map.ts',
    from: 'if (isNew && 2 *',
    to: 'if (2 *',
    tests: [MAP],
  },
  {
    name: 'a table never gets smaller',
    file: 'lib/machine/int-map.ts',
    from: 'if (8 * this.#size < this.#keys.length && ',
    to: 'if (this.#size < 0 && ',
    tests: [MAP],
  },
  {
    name: 'gaps of a roster are never closed',
    file: 'lib/machine/roster.ts',
    from: '    if (members.length > 2 * this.#size + GAPS) this.#close();\n',
    to: '',
    tests: [ROSTER],
  },
  {
    name: 'a member does not know that it was moved',
    file: 'lib/machine/roster.ts',
    from: '      member.place = to;\n',
    to: '',
    tests: [ROSTER],
  },
  {
    name: 'a member that is out still has a place',
    file: 'lib/machine/roster.ts',
    from: '    member.place = undefined;\n    this.#size--;',
    to: '    this.#size--;',
    tests: [ROSTER],
  },
  {
    name: 'members that are taken out together still have a place',
    file: 'lib/machine/roster.ts',
    from: '    for (const member of all) member.place = undefined;\n',
    to: '',
    tests: [ROSTER],
  },
  {
    name: 'the waits of a thread in a Map',
    file: 'lib/machine/async-waits.ts',
    from: 'new IntMap<Wait[]>()',
    to: 'new Map<number, Wait[]>()',
    tests: [GARBAGE],
  },
  {
    name: 'tasks without a guard in a Map',
    file: 'lib/sched/thread.ts',
    from: 'readonly unguarded = new IntMap()',
    to: 'readonly unguarded = new Map<number, null>()',
    tests: [GARBAGE],
  },
  {
    name: 'a second wait does not keep the process alive',
    file: 'lib/sched/event-loop.ts',
    from: '  else timer.ref();\n',
    to: '',
    tests: ['test/sched/alive.test.ts'],
  },
];
