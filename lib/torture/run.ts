/**
 * The torture of one lock type: threads start, acquire, are killed, are watched, stop; then everything is looked at.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { ERRANDS, type Errand } from './aim.ts';
import { nameHash } from './decisions.ts';
import { merged, tailOf, timesOf } from './histograms.ts';
import type { LockType } from './lock-type.ts';
import type { Outcome, Progress, Sample, Settings } from './outcome.ts';
import { Performer } from './performer.ts';
import { Random } from './random.ts';
import { RunStage } from './stage.ts';
import { TICK_MS, Watchdog } from './watchdog.ts';
import { Seat } from './words.ts';

/** With --kill, this much of the time passes without deaths first. */
const QUIET_SHARE = 0.25;
/** The longest pause between two kills, ms. */
const KILL_PAUSE = 100;
/** One kill in so many may hit a worker that is starting. */
const STARTING_EVERY = 10;
const MOST_SAMPLES = 200;

export async function tortureType(
  type: LockType,
  settings: Settings,
  source: string,
  onProgress: (progress: Progress) => void,
): Promise<Outcome> {
  const stage = new RunStage(type, settings.threads);
  const performers = Array.from(
    { length: settings.threads },
    (_, seat) => new Performer(stage, seat, settings, source),
  );
  const watchdog = new Watchdog(stage);
  const kills = () => performers.reduce((sum, performer) => sum + performer.deaths, 0);
  const acquisitions = () => performers.map(({ seat }) => stage.acquisitionsOf(seat));
  const total = () => acquisitions().reduce((sum, count) => sum + count, 0);
  let started = performance.now();
  const elapsed = () => (performance.now() - started) / 1000;
  const tick = async () => {
    await delay(TICK_MS);
    const fault = watchdog.tick(performers);
    if (fault !== undefined) stage.fail(stage.isStopped ? `after the end: ${fault}` : fault);
    onProgress({
      elapsed: elapsed(),
      acquisitions: total(),
      kills: kills(),
      recoveries: stage.sum(Seat.recoveries),
    });
  };

  // Starting a worker takes a while, and more than that on a busy machine; the clock starts when all are there.
  while (!stage.isStopped && !performers.every((performer) => performer.hasArrived)) await tick();
  started = performance.now();
  const early = total();
  const killing = settings.kill ? killAtRandom(stage, performers, settings) : undefined;
  const samples: Sample[] = [];
  const samplePause = Math.max(0.1, settings.seconds / MOST_SAMPLES);
  // However long that takes on a busy machine: who gets nowhere at all is the watchdog's.
  const hasShown = () => performers.every(({ seat }) => stage.hasPerformed(seat)) && (!settings.kill || kills() > 0);
  while ((elapsed() < settings.seconds || !hasShown()) && !stage.isStopped) {
    await tick();
    if (elapsed() < (samples.at(-1)?.at ?? 0) + samplePause) continue;
    const absent = performers.filter(({ hasArrived }) => !hasArrived).map(({ seat }) => seat);
    samples.push({ at: elapsed(), acquisitions: acquisitions(), kills: kills(), absent });
  }
  const seconds = elapsed();
  // A violation may have come before the clock started.
  const perSecond = samples.length > 0 ? (total() - early) / seconds : 0;
  stage.stop();

  let haveEnded = false;
  const ended = Promise.all([...performers.map((performer) => performer.ended), killing]).then(() => {
    haveEnded = true;
  });
  while (!haveEnded && stage.violations.length === 0) await Promise.race([ended, tick()]);
  await Promise.all(performers.map((performer) => performer.dismiss()));
  await killing;
  const figures = figuresOf(stage, performers);
  if (stage.violations.length === 0) await stage.inspect();
  const { violations, notes } = stage;
  const verdict = violations.length === 0 ? 'ok' : 'violation';
  const ends = { seconds, perSecond, samples, notes };
  return { type: type.name, isBusted: type.isBusted, verdict, violations, ...figures, ...ends };
}

async function killAtRandom(stage: RunStage, performers: readonly Performer[], settings: Settings): Promise<void> {
  const random = new Random(settings.seed, nameHash(stage.type.name));
  const quietUntil = performance.now() + settings.seconds * QUIET_SHARE * 1000;
  while (!stage.isStopped && performance.now() < quietUntil) await delay(TICK_MS);
  const kills: Promise<void>[] = [];
  while (!stage.isStopped) {
    await delay(random.below(KILL_PAUSE));
    const arrived = performers.filter((performer) => performer.hasArrived);
    // A thread that is killed while it starts has tortured nothing; one that is left alone has nobody to contend with.
    const victims = random.oneIn(STARTING_EVERY) ? performers : arrived;
    if (!stage.isStopped && 2 * arrived.length >= performers.length) kills.push(random.pick(victims).kill(random));
  }
  await Promise.all(kills);
}

function sumOf(performers: readonly Performer[], errand: Errand): number {
  return performers.reduce((sum, { aimed }) => sum + aimed[errand], 0);
}

type Figures = Omit<
  Outcome,
  'type' | 'isBusted' | 'verdict' | 'violations' | 'seconds' | 'perSecond' | 'samples' | 'notes'
>;

function figuresOf(stage: RunStage, performers: readonly Performer[]): Figures {
  const counts = performers.map(({ seat }) => stage.acquisitionsOf(seat));
  const acquisitions = counts.reduce((sum, count) => sum + count, 0);
  const shareOf = (count: number) => (acquisitions === 0 ? 0 : count / acquisitions);
  const waits = merged(stage.waits);
  return {
    acquisitions,
    leastShare: shareOf(Math.min(...counts)),
    mostShare: shareOf(Math.max(...counts)),
    wait: timesOf(waits),
    hold: timesOf(merged(stage.holds)),
    contended: shareOf(stage.sum(Seat.contended)),
    parks: stage.sum(Seat.parks),
    handoffs: stage.sum(Seat.handoffs),
    kills: performers.reduce((sum, performer) => sum + performer.deaths, 0),
    aimed: Object.fromEntries(ERRANDS.map((errand) => [errand, sumOf(performers, errand)])) as Record<Errand, number>,
    recoveries: stage.sum(Seat.recoveries),
    threads: performers.map(({ seat, deaths }) => ({
      acquisitions: counts[seat] as number,
      share: shareOf(counts[seat] as number),
      timeouts: stage.seatWord(seat, Seat.timeouts),
      aborts: stage.seatWord(seat, Seat.aborts),
      deadlocks: stage.seatWord(seat, Seat.deadlocks),
      busy: stage.seatWord(seat, Seat.busy),
      deaths,
      decisions: (stage.seatWord(seat, Seat.decisions) >>> 0).toString(16).padStart(8, '0'),
    })),
    waitCurve: tailOf(waits),
  };
}
