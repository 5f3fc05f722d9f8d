/**
 * Spin loops. A loop that calls `relax()` and only reads is not unrolled. A turn is idle when each of its operations is
 * the same as in the turn before, at the same location, and reads from the same write: then any number of such turns
 * could stand between the two, so the turns that follow are fed these values again, without becoming events. One event,
 * `relax`, stands for them; its value is their number.
 *
 * A bounded loop leaves by itself after some of them. It could also have seen something new before: so each smaller
 * number is another graph, in which the turn that follows happens (and has to see something new, for another idle turn
 * is what the larger number stands for). A loop that does not leave is stopped, and is a failure if what it reads can
 * never change again.
 *
 * Two loops in a row may have the same turns: they are told apart by where `relax()` was called, for a loop that counts
 * its turns and goes on to another is left at that point.
 *
 * Turns are fed whole. Where a loop ends in the middle of one, the thread is run once more, with the number of turns
 * now known, so that what it does from there on are events. A clock that is read in such a turn goes on, faster and
 * faster.
 */
import { Op } from '../replay/operations.ts';
import { AWAIT, FENCE, HIDDEN, RMW, WRITE } from './events.ts';
import type { Graph } from './graph.ts';
import { callPath } from './site.ts';

/** Turns after which a loop counts as endless. */
const ENDLESS = 1 << 16;
/** Turns after each of which it is looked up in which loop they were; later ever more rarely, for that takes longer than the turn. */
const TURNS_LOCATED = 64;
/** The value of a `relax` event that stands for all the turns there are. */
export const FOREVER = -1;

/** Nanoseconds that an idle loop lets pass in its first turn; twice as many in each turn after it. */
const FIRST_TURN_NS = 1000;

export class IdleLoop {
  isFeeding = false;
  /** The loop was left while its turns were being counted; `turns` says after how many. */
  isSettled = false;
  turns = 0;
  /** Events of the turn that is repeated. */
  span = 0;
  #list: readonly number[] = [];
  /** The turn before this one, and where this one begins, by position in the thread; -1 before the first. */
  #lastStart = -1;
  #lastEnd = -1;
  #start = -1;
  /** Turns that are to be fed; Infinity while they are being counted. */
  #most = 0;
  #at = 0;
  #looksAtClock = false;
  /** Where the loop whose turns are counted calls `relax()`. */
  #callPath = '';

  /** The thread whose events these are runs from its start. */
  begin(list: readonly number[]): void {
    this.#list = list;
    this.isFeeding = false;
    this.isSettled = false;
    this.#lastStart = -1;
    this.#start = -1;
  }

  /**
   * A turn has ended at `cursor`. idle: a `relax` event follows, or is recorded. repeated: it was idle after the loop
   * was to see something new. left: it was fed, and is another loop now. endless: it goes on for ever.
   */
  turn(g: Graph, cursor: number): 'busy' | 'idle' | 'repeated' | 'left' | 'endless' {
    if (this.isFeeding) {
      if (this.#at < this.span || this.#isInAnotherLoop()) return 'left';
      this.#at = 0;
      if (++this.turns === this.#most) this.isFeeding = false;
      return this.turns > ENDLESS ? 'endless' : 'busy';
    }
    const [from, to] = [this.#lastStart, this.#lastEnd];
    const start = this.#start;
    this.#lastStart = start;
    this.#lastEnd = cursor;
    this.#start = cursor;
    const isRecorded = cursor < this.#list.length;
    const isIdle = isRecorded ? g.op[this.#list[cursor]!] === Op.relax : this.#isIdle(g, from, to, start, cursor);
    if (!isIdle) return 'busy';
    this.span = cursor - start;
    const before = start > 0 ? this.#list[start - 1]! : -1;
    return before >= 0 && g.op[before] === Op.relax && g.value[before] !== g.arg[before] ? 'repeated' : 'idle';
  }

  #isInAnotherLoop(): boolean {
    const { turns } = this;
    if (this.#most !== Number.POSITIVE_INFINITY) return false;
    return (turns < TURNS_LOCATED || (turns & (turns - 1)) === 0) && callPath() !== this.#callPath;
  }

  #isIdle(g: Graph, from: number, to: number, start: number, end: number): boolean {
    const list = this.#list;
    if (from < 0 || to - from !== end - start) return false;
    for (let i = start; i < end; i++) {
      const now = list[i]!;
      const then = list[from + i - start]!;
      if (g.flags[now]! & (WRITE | RMW | HIDDEN | AWAIT)) return false;
      if (g.op[now] !== g.op[then] || g.location[now] !== g.location[then]) return false;
      if (g.flags[now]! & FENCE ? g.value[now] !== g.value[then] : g.rf[now] !== g.rf[then]) return false;
    }
    return true;
  }

  /** Feeds turns until the loop leaves; the events from `cursor` on come after it. */
  probe(cursor: number): void {
    this.#callPath = callPath();
    this.#begin(cursor, Number.POSITIVE_INFINITY);
  }

  feed(cursor: number, turns: number): void {
    this.#begin(cursor, turns);
  }

  #begin(cursor: number, most: number): void {
    this.#start = cursor;
    this.#most = most;
    this.#at = 0;
    this.turns = 0;
    this.#looksAtClock = false;
    this.isFeeding = most > 0;
  }

  /** The event that gives this operation its result once more, or -1 if the loop has been left. */
  repeated(g: Graph, op: number, location: number): number {
    if (this.#at === this.span) return -1;
    const e = this.#list[this.#lastStart + this.#at]!;
    if (g.op[e] !== op || g.location[e] !== location) return -1;
    this.#at++;
    return e;
  }

  /** The loop has been left while it was fed. True if its turns were being counted. */
  leave(): boolean {
    if (!this.isFeeding) return false;
    this.isFeeding = false;
    this.isSettled = this.#most === Number.POSITIVE_INFINITY;
    return this.isSettled;
  }

  /** Nanoseconds that have passed in the turns that were fed, for a thread that looks at the clock. */
  lookAtClock(): number {
    if (!this.isFeeding) return 0;
    this.#looksAtClock = true;
    return timeOf(this.turns);
  }

  /** Nanoseconds that have passed when the loop has been fed `turns` turns and looks again. */
  timeAfter(turns: number): number {
    return this.#looksAtClock ? timeOf(turns) : 0;
  }
}

function timeOf(turns: number): number {
  return FIRST_TURN_NS * (2 ** Math.min(turns + 1, 50) - 1);
}
