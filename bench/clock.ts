/** What a time costs: the shared clock beside the host's own, on one thread, in turns. */
import { setTimeout as delay } from 'node:timers/promises';
import { Arena, CLOCK_MONOTONIC, CLOCK_MONOTONIC_COARSE, Vdso } from '../lib/index.ts';
import type { Effort } from './effort.ts';
import type { Figures } from './figure.ts';
import type { Loop } from './pairs.ts';
import { takeTurns } from './single.ts';

/** Until kthreadd ticks, ms. */
const STARTING = 500;

export async function clock(figures: Figures, effort: Effort): Promise<void> {
  const vdso = new Vdso(Arena.create({ bytes: 1 << 20 }));
  vdso.clockGettime(CLOCK_MONOTONIC_COARSE);
  await delay(STARTING);
  takeTurns(figures, effort, 'the time', reads(vdso));
}

/** What the loops read last, kept where V8 cannot leave a read out. */
const last = { ms: 0, ns: 0, big: 0n };

function reads(vdso: Vdso, times = 1000): Record<string, Loop> {
  const into = new Float64Array(2);
  return {
    'Date.now': () => {
      for (let i = 0; i < times; i++) last.ms = Date.now();
    },
    'performance.now': () => {
      for (let i = 0; i < times; i++) last.ms = performance.now();
    },
    'process.hrtime.bigint': () => {
      for (let i = 0; i < times; i++) last.big = process.hrtime.bigint();
    },
    'process.hrtime.bigint, as a number': () => {
      for (let i = 0; i < times; i++) last.ns = Number(process.hrtime.bigint());
    },
    MONOTONIC_COARSE: () => {
      for (let i = 0; i < times; i++) last.ns = vdso.clockGettime(CLOCK_MONOTONIC_COARSE);
    },
    MONOTONIC: () => {
      for (let i = 0; i < times; i++) last.ns = vdso.clockGettime(CLOCK_MONOTONIC);
    },
    'MONOTONIC, into an array': () => {
      for (let i = 0; i < times; i++) last.ns = vdso.clockGettimeInto(CLOCK_MONOTONIC, into)[1] as number;
    },
  };
}
