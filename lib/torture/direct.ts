/**
 * The run of one type happens on a thread of its own, the director, which starts the others and reaps them when they
 * die. So when the reaper itself gets stuck, there is still somebody who notices, and can end the run.
 */
import { proxy, wrap } from 'comlink/dist/esm/comlink.mjs';
import nodeEndpoint from 'comlink/dist/esm/node-adapter.mjs';
import { noneAimed } from './aim.ts';
import type { LockType } from './lock-type.ts';
import type { Outcome, Progress, Settings } from './outcome.ts';
import type { TortureThread } from './performance.ts';
import { spawnFrom } from './worker-source.ts';

/** How long the director may be silent, ms; it speaks up every tenth of a second or so. */
const SILENCE_MS = 15_000;
const LOOK_MS = 250;

/** Tortures one type; `source` is what `prepareWorkers` made. A director that is silent for `patience` ms is stuck. */
export async function directTorture(
  type: LockType,
  settings: Settings,
  source: string,
  onProgress: (progress: Progress) => void,
  patience = SILENCE_MS,
): Promise<Outcome> {
  const director = spawnFrom(source, 'torture/director');
  let last: Progress = { elapsed: 0, acquisitions: 0, kills: 0, recoveries: 0 };
  let silence = 0;
  let timer: NodeJS.Timeout | undefined;
  const listen = (progress: Progress) => {
    silence = 0;
    last = progress;
    onProgress(progress);
  };
  try {
    return await new Promise<Outcome>((resolve, reject) => {
      director.once('error', reject);
      timer = setInterval(() => {
        silence += LOOK_MS;
        if (silence >= patience) resolve(stuck(type, last, patience));
      }, LOOK_MS);
      const remote = wrap<TortureThread>(nodeEndpoint(director));
      remote.direct(type.name, settings, source, proxy(listen) as never).then(resolve, reject);
    });
  } finally {
    clearInterval(timer);
    await director.terminate();
  }
}

function stuck(type: LockType, { elapsed, acquisitions, kills, recoveries }: Progress, patience: number): Outcome {
  const none = { p50: 0, p99: 0, max: 0 };
  return {
    type: type.name,
    isBusted: type.isBusted,
    verdict: 'violation',
    violations: [
      `the thread that starts and reaps the others has been stuck for ${patience / 1000} s, after ${kills} kills`,
    ],
    seconds: elapsed,
    acquisitions,
    perSecond: elapsed > 0 ? acquisitions / elapsed : 0,
    leastShare: 0,
    mostShare: 0,
    wait: none,
    hold: none,
    contended: 0,
    parks: 0,
    handoffs: 0,
    kills,
    aimed: noneAimed(),
    recoveries,
    threads: [],
    waitCurve: [],
    samples: [],
    notes: [],
  };
}
