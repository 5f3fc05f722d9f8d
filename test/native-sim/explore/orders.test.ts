import { expect, test } from 'vitest';
import type { Cpu } from '../../../lib/machine/cpu.ts';
import { explore } from '../../../native-sim/explore/explore.ts';
import { findIdleOrders, suggestRepairs } from '../../../native-sim/explore/orders.ts';
import { drawCounterexample } from '../../../native-sim/explore/svg.ts';
import { mcs, ticket } from './programs/locks.ts';

const messagePassing = (store: 'store' | 'storeRelease') => ({
  words: 2,
  model: 'armv8' as const,
  threads: [
    (cpu: Cpu) => {
      cpu.write(0, 1);
      cpu[store](1, 1);
    },
    (cpu: Cpu) => {
      if (cpu.loadAcquire(1) === 1) cpu.read(0);
    },
  ],
});

test('the one order that repairs a failure is named', async () => {
  const repairs = await suggestRepairs(messagePassing('store'));
  expect(repairs.map(({ site, to }) => `${site.op} -> ${to}`)).toEqual(['store -> release']);
});

test('an order that nothing needs is listed, and those that matter are not', async () => {
  const program = ticket(2);
  const [first, second] = program.threads;
  const eager = (cpu: Cpu, me: number) => {
    first!(cpu, me, undefined);
    // Nothing follows this, so it orders nothing.
    cpu.mb();
  };
  const { tried, idle } = await findIdleOrders({ ...program, threads: [eager, second!], model: 'armv8' });
  expect(tried).toBe(3);
  expect(idle.map(({ site }) => site.op)).toEqual(['mb']);
});

test('every order of MCS is needed by three threads, but for the acquires of the link', async () => {
  const { idle } = await findIdleOrders({ ...mcs(3), model: 'armv8' });
  expect(idle.map(({ site }) => site.op).sort()).toEqual(['condLoadAcquire', 'loadAcquire']);
});

test('a counterexample is drawn with a box for each operation and an arrow for each edge', async () => {
  const { failure } = await explore(messagePassing('store'));
  const svg = drawCounterexample(failure!);
  const boxes = failure!.threads.flat().length;
  expect(svg.match(/<rect [^>]*rx=/g)).toHaveLength(boxes);
  expect(svg.match(/marker-end/g)).toHaveLength(failure!.edges.length);
  expect(failure!.edges).toContainEqual({ kind: 'rf', from: 'A2', to: 'B1' });
  expect(svg).not.toMatch(/<text[^>]*>[^<]*[<>&](?!lt;|gt;|amp;|quot;|\/)/);
});
