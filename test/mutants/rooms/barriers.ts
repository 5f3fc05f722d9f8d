import type { Mutant } from '../mutant.ts';

const BARRIERS = 'native-sim/machine/barriers.ts';
const SHAREABILITY = 'native-sim/machine/shareability.ts';
const HISTORY = 'native-sim/machine/history.ts';
const SHAREABILITY_TEST = 'test/native-sim/machine/shareability.test.ts';

/** Arm's barriers, and memory with attributes. */
export const mutants: readonly Mutant[] = (
  [
    [
      'a load behind a DMB does not wait for the stores before it',
      BARRIERS,
      'if (core.stores.length > 0) return false;\n    this.forget',
      'this.forget',
    ],
    ['a DMB ST does not begin an epoch', BARRIERS, 'core.epoch++;', ''],
    ['a DMB NSH orders for others', BARRIERS, 'if (domain === Domain.nonShareable) return;', ''],
    [
      'a DMB LD orders stores',
      BARRIERS,
      'if (orders !== Orders.loads) {\n      core.epoch++;',
      '{\n      core.epoch++;',
    ],
    [
      'a DSB does not wait for the store buffer',
      BARRIERS,
      'core.stores.length > 0 && domain !== Domain.nonShareable',
      'false',
    ],
    ['a DSB does not wait for cache maintenance', BARRIERS, 'if (complete > core.clock) core.clock = complete;', ''],
    [
      'an ISH barrier reaches out',
      BARRIERS,
      'const isOuter = domain >= Domain.outer;',
      'const isOuter = domain >= Domain.inner;',
    ],
    [
      'an OSH barrier does not',
      BARRIERS,
      'const isOuter = domain >= Domain.outer;',
      'const isOuter = domain > Domain.system;',
    ],
    ['a device is rung at past a barrier', BARRIERS, 'if (core.hasEarlierEpoch(core.epoch)) return false;', ''],
    [
      'cache maintenance does not wait for the store before it',
      BARRIERS,
      'if (core.hasBufferedLine(line)) return false;',
      '',
    ],
    [
      'what is on its way to the device is not what the core reads there',
      SHAREABILITY,
      'own.arrives > core.clock',
      'own.arrives < 0',
    ],
    ['stores to a device overtake each other', SHAREABILITY, 'Math.max(time, port.device), (now)', 'time, (now)'],
    ['cleaning has the line in memory at once', SHAREABILITY, '!this.#isMaintaining', 'true'],
    ['a private copy that was written is not', SHAREABILITY, 'copy.isDirty = true;', ''],
    [
      'a private line is kept when it is invalidated',
      SHAREABILITY,
      'if (drops) this.#copies.delete',
      'if (!drops) this.#copies.delete',
    ],
    [
      'an inner barrier counts everywhere',
      HISTORY,
      'isInner === true && domain === null',
      'isInner === true && domain === undefined',
    ],
    [
      'what others do counts for a domain as its own',
      HISTORY,
      'const isOther = domain?.(by) === false;',
      'const isOther = false;',
    ],
  ] as const
).map(([name, file, from, to]) => ({ name: `sim: ${name}`, file, from, to, tests: [SHAREABILITY_TEST] }));
