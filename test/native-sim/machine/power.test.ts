/**
 * A machine that is not multi-copy atomic: what one core has read, another need not see yet, unless a barrier took it along.
 * Of the shapes that tell POWER from Armv8, those that it allows are seen, and those that it forbids are not.
 */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { readLitmus } from '../../../native-sim/litmus/read.ts';
import { type MachineResult, runOnMachine } from '../../../native-sim/machine/litmus.ts';
import type { Profile } from '../../../native-sim/machine/profile.ts';
import { profile } from './play.ts';

const folder = new URL('../../../native-sim/litmus/tests/', import.meta.url);

/** Old lines answer for longer than any other machine lets them: what may not be seen has every chance to be. */
const slow: Partial<Profile> = { invalidateQueue: { entries: 16, delayNs: 3000 } };

function outcomes(machine: string, text: string, changes: Partial<Profile> = {}): MachineResult {
  const result = runOnMachine(readLitmus(text), { profile: profile(machine, changes), runs: 2000 });
  expect(result.forbidden).toEqual([]);
  return result;
}
const bundled = (name: string) => readFileSync(new URL(`${name}.litmus`, folder), 'utf8');

describe('a write that one core has read and another has not', () => {
  it.each(['IRIW+acqs', 'WRC+data+rmb', 'RWC+acq+mb'])('%s is seen on POWER, and not on Armv8', (name) => {
    expect(outcomes('power7-16', bundled(name)).positive).toBeGreaterThan(0);
    expect(outcomes('graviton-64', bundled(name)).positive).toBe(0);
  });

  it.each(['IRIW+mbs', 'WRC+rel+rmb', 'ISA2+rel+acq', 'MP+wmb+rmb', 'MP+wmb+addr', 'W+RWC+mb+acq+mb', 'MP+rel+acq'])(
    '%s is not: a barrier has taken along what was read',
    (name) => {
      const { positive, stale } = outcomes('power7-16', bundled(name), slow);
      expect(positive).toBe(0);
      // Not for want of lines that could have answered.
      expect(stale).toBeGreaterThan(0);
    },
  );
});

/** Independent reads of independent writes, in POWER's own instructions: with `fence` between the reads. */
const iriw = (fence: string) => `PPC IRIW+${fence}s
{
0:r1=1; 0:r2=x; 1:r2=x; 1:r4=y; 2:r1=1; 2:r2=y; 3:r2=y; 3:r4=x;
}
 P0           | P1           | P2           | P3           ;
 stw r1,0(r2) | lwz r1,0(r2) | stw r1,0(r2) | lwz r1,0(r2) ;
              | ${fence.padEnd(12)} |              | ${fence.padEnd(12)} ;
              | lwz r3,0(r4) |              | lwz r3,0(r4) ;
exists
(1:r1=1 /\\ 1:r3=0 /\\ 3:r1=1 /\\ 3:r3=0)
`;

it('what a thread has seen by a barrier of another goes along with what it writes, without a barrier of its own', () => {
  const isa2 = `PPC ISA2+lwsync+data+addr
{
0:r2=x; 0:r4=y; 1:r2=y; 1:r4=z; 2:r2=z; 2:r4=x;
}
 P0           | P1           | P2            ;
 li r1,1      | lwz r1,0(r2) | lwz r1,0(r2)  ;
 stw r1,0(r2) | xor r3,r1,r1 | xor r3,r1,r1  ;
 lwsync       | addi r3,r3,1 | lwzx r5,r3,r4 ;
 stw r1,0(r4) | stw r3,0(r4) |               ;
exists
(1:r1=1 /\\ 2:r1=1 /\\ 2:r5=0)
`;
  expect(outcomes('power7-16', isa2, slow).positive).toBe(0);
});

it("IRIW in POWER's own instructions: an lwsync between the reads does not help, a sync does", () => {
  expect(outcomes('power7-16', iriw('lwsync'), slow).positive).toBeGreaterThan(0);
  expect(outcomes('power7-16', iriw('sync'), slow).positive).toBe(0);
});
