/**
 * Notices who gets nowhere. It counts ticks in which an acquirer's turn number stood still, not time: a tick that
 * came late, because the machine was busy elsewhere, says nothing about the lock. Nor does one while a worker is being
 * killed: that takes its host as long as it takes, and others may wait for nothing else.
 */
import type { Performer } from './performer.ts';
import type { RunStage } from './stage.ts';
import { ABSENT, ACTORS, Actor, actorAddress, DONE, HOLDING, WAITING } from './words.ts';

export const TICK_MS = 50;
/** Ticks without a turn of anybody's: 2 s. */
const STANDSTILL_TICKS = 40;
/** Ticks without a turn of one acquirer's while others go on: 6 s. */
const STRANDED_TICKS = 120;
/** Ticks that a worker takes to start: 30 s. */
const STARTING_TICKS = 600;

const PHASES: Record<number, string> = { [WAITING]: 'waits for the lock', [HOLDING]: 'holds the lock' };

/** What the watchdog asks of a seat. */
export type Watched = Pick<Performer, 'seat' | 'isPerforming' | 'isDoomed'>;

export class Watchdog {
  readonly #stage: Pick<RunStage, 'cpu' | 'address' | 'describe'>;
  readonly #turns = new Map<number, number>();
  readonly #still = new Map<number, number>();
  #standstill = 0;
  #lastTick = performance.now();

  constructor(stage: Pick<RunStage, 'cpu' | 'address' | 'describe'>) {
    this.#stage = stage;
  }

  /** Call every TICK_MS. What it has found, if anything. */
  tick(performers: readonly Watched[]): string | undefined {
    const now = performance.now();
    const isVoid = now - this.#lastTick > 4 * TICK_MS || performers.some(({ isDoomed }) => isDoomed);
    this.#lastTick = now;
    const waiting: string[] = [];
    let moved = false;
    let stranded: string | undefined;
    for (const { seat, isPerforming } of performers) {
      for (let actor = 0; actor < ACTORS; actor++) {
        const { phase, turn } = this.#look(seat, actor);
        const key = seat * ACTORS + actor;
        const isStill = isPerforming && phase !== DONE && this.#turns.get(key) === turn;
        this.#turns.set(key, turn);
        const ticks = isStill ? (this.#still.get(key) ?? 0) + (isVoid ? 0 : 1) : 0;
        this.#still.set(key, ticks);
        if (phase === DONE || !isPerforming) continue;
        if (phase === ABSENT) {
          if (ticks >= STARTING_TICKS)
            stranded ??= `stranded: thread ${seat} has not started in ${STARTING_TICKS} ticks`;
          continue;
        }
        if (!isStill) moved = true;
        const who = `thread ${seat}'s ${actor === 0 ? '' : 'a'}synchronous acquirer ${PHASES[phase] ?? 'is elsewhere'}`;
        waiting.push(who);
        if (ticks >= STRANDED_TICKS)
          stranded ??= `stranded: ${who}, and has got no further for ${STRANDED_TICKS} ticks`;
      }
    }
    if (moved || waiting.length === 0) this.#standstill = 0;
    else if (!isVoid) this.#standstill++;
    if (this.#standstill >= STANDSTILL_TICKS) stranded = `standstill: ${waiting.join(', ')}`;
    return stranded === undefined ? undefined : `${stranded} (${this.#stage.describe()})`;
  }

  #look(seat: number, actor: number): { phase: number; turn: number } {
    const { cpu, address } = this.#stage;
    const words = actorAddress(address, seat, actor);
    return { phase: cpu.load(words + Actor.phase), turn: cpu.load(words + Actor.turn) };
  }
}
