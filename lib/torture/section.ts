/**
 * The critical section of the torture run: plain data that tears when two are inside, or when one dies inside.
 *
 *   write   arrived   everything in order? then: inside := me, next := version + 1, and half of the record
 *           torn      (hold the lock here) is it all as I left it? the other half, version, counter, my own count
 *           written   inside := 0
 *
 *   read    everything in order? (hold) and still? Who holds nothing looks at a copy instead.
 *
 * Every write goes through the steps in this order, so of a dead writer's work a prefix is there:
 *
 *   next = version       nothing was begun, or all of the record was written; counter may be one ahead of the counts
 *   next = version + 1   the record has words of `next` up to some index, and of `version` from there on
 *
 * Anything else is a violation, and so is either of the two when the lock did not say that its owner had died. Repair
 * takes the new words back, last one first, so that a death during repair leaves a prefix as well.
 */
import type { Cpu } from '../machine/cpu.ts';
import type { Scene } from './words.ts';
import { RECORD_WORDS, recordWord, Seat, Stage, sceneOf, seatAddress } from './words.ts';

/** What the lock under test does for those inside; see `View`. */
export interface Mortal {
  readonly ownerDied: boolean;
  makeConsistent(): void;
  /**
   * For locks whose readers hold nothing: copies the words from `address` on as they were at one moment, or returns false
   * because a writer has died.
   */
  snapshot?(address: number, into: Int32Array): boolean;
}

/** The lock under test, or its repair, broke a promise. */
export class Violation extends Error {}

/** Points at which whoever runs the section may hold the lock, or die. */
export type Step = 'arrived' | 'wrecked' | 'torn' | 'written';

/** What a word is, or was when it was copied. */
type Look = (word: number) => number;

const SEAT_BITS = 8;
const HALF = RECORD_WORDS / 2;

export class Section {
  readonly #cpu: Cpu;
  readonly #stage: number;
  readonly #seats: number;
  readonly #lock: Mortal;
  readonly #isRobust: boolean;
  readonly #own: number;
  readonly #tag: number;
  readonly #scene: Scene;
  readonly #copy: Int32Array;
  readonly #now: Look;
  readonly #then: Look;
  readonly #put: (word: number, value: number) => void;

  /** For the worker in `seat`, of `seats` in all. A lock that is not `isRobust` cannot say that an owner died. */
  constructor(cpu: Cpu, stage: number, seats: number, seat: number, lock: Mortal, isRobust: boolean) {
    this.#cpu = cpu;
    this.#stage = stage;
    this.#seats = seats;
    this.#lock = lock;
    this.#isRobust = isRobust;
    this.#own = seatAddress(stage, seat);
    this.#scene = sceneOf(stage, seats);
    const { address, words } = this.#scene;
    const copy = new Int32Array(words);
    this.#copy = copy;
    this.#now = (word) => cpu.read(word);
    this.#then = (word) => copy[word - address] as number;
    // A thread that reads without holding anything does so while another writes.
    this.#put =
      lock.snapshot === undefined ? (word, value) => cpu.write(word, value) : (word, value) => cpu.store(word, value);
    this.#tag = (Math.abs(cpu.load(this.#own + Seat.incarnation)) << SEAT_BITS) | (seat + 1);
  }

  /** The section of one who has the lock to itself. Throws Violation. */
  *write(): Generator<Step, void> {
    const cpu = this.#cpu;
    const stage = this.#stage;
    const inside = stage + Stage.inside;
    const found = cpu.read(inside);
    if (this.#isRobust ? this.#lock.ownerDied : found !== 0 && !this.#isAlive(found)) yield* this.#recover();
    this.#check();
    yield 'arrived';
    const count = cpu.read(stage + Stage.counter);
    const next = (cpu.read(stage + Stage.version) + 1) | 0;
    this.#put(inside, this.#tag);
    this.#put(stage + Stage.next, next);
    this.#fill(0, HALF, next);
    yield 'torn';
    if (cpu.read(inside) !== this.#tag)
      throw new Violation(`not alone: ${this.#who(cpu.read(inside))} came in as well`);
    if (cpu.read(stage + Stage.counter) !== count || this.#newWords(next) !== HALF) {
      throw new Violation('the record was written by another while this thread held the lock');
    }
    this.#fill(HALF, RECORD_WORDS, next);
    this.#put(stage + Stage.version, next);
    this.#put(stage + Stage.counter, (count + 1) | 0);
    this.#put(this.#own + Seat.writes, (cpu.read(this.#own + Seat.writes) + 1) | 0);
    yield 'written';
    this.#put(inside, 0);
  }

  /** The section of one who may share the lock with other readers. Throws Violation. */
  *read(): Generator<Step, void> {
    if (this.#lock.snapshot !== undefined) return yield* this.#readCopy();
    const version = this.#cpu.read(this.#stage + Stage.version);
    this.#check();
    yield 'torn';
    this.#check();
    if (this.#cpu.read(this.#stage + Stage.version) !== version) {
      throw new Violation('the record was written while this thread held the lock for reading');
    }
    this.#countRead();
  }

  *#readCopy(): Generator<Step, void> {
    yield 'arrived';
    if (!this.#lock.snapshot?.(this.#scene.address, this.#copy)) return;
    this.#check(this.#then);
    this.#countRead();
  }

  #countRead(): void {
    this.#cpu.write(this.#own + Seat.reads, (this.#cpu.read(this.#own + Seat.reads) + 1) | 0);
  }

  /** Whether somebody was inside a moment ago. */
  get isTaken(): boolean {
    return this.#cpu.load(this.#stage + Stage.inside) !== 0;
  }

  #check(look = this.#now): void {
    const found = look(this.#stage + Stage.inside);
    if (found !== 0) {
      const fault = this.#isAlive(found) ? 'is inside as well' : 'died inside, and the lock did not say so';
      throw new Violation(`${this.#who(found)} ${fault}`);
    }
    const version = look(this.#stage + Stage.version);
    const next = look(this.#stage + Stage.next);
    if (next !== version || this.#newWords(version, look) !== RECORD_WORDS) {
      throw new Violation(`the record is torn: version ${version}, being written ${next}`);
    }
    const missing = this.#missing(look);
    if (missing !== 0)
      throw new Violation(`${Math.abs(missing)} updates of the counter ${missing > 0 ? 'lost' : 'too many'}`);
  }

  *#recover(): Generator<Step, void> {
    const cpu = this.#cpu;
    const stage = this.#stage;
    const found = cpu.read(stage + Stage.inside);
    if (found !== 0 && this.#isAlive(found)) {
      throw new Violation(`the lock says its owner died, but ${this.#who(found)} lives, inside`);
    }
    const version = cpu.read(stage + Stage.version);
    const next = cpu.read(stage + Stage.next);
    const written = this.#newWords(next);
    if ((next !== version && next !== ((version + 1) | 0)) || (next === version && written !== RECORD_WORDS)) {
      throw new Violation(`no single death leaves this record: version ${version}, being written ${next}`);
    }
    for (let i = written; i < RECORD_WORDS; i++) {
      if (cpu.read(stage + Stage.record + i) !== recordWord(version, i)) {
        throw new Violation(`no single death leaves this record: word ${i} is neither of ${version} nor of ${next}`);
      }
    }
    const missing = this.#missing();
    if (missing > 0 || missing < -1) throw new Violation(`no single death leaves the counter ${-missing} ahead`);
    yield 'wrecked';
    if (next !== version) {
      for (let i = written - 1; i >= 0; i--) this.#put(stage + Stage.record + i, recordWord(version, i));
      this.#put(stage + Stage.next, version);
    }
    this.#put(stage + Stage.counter, (cpu.read(stage + Stage.counter) + missing) | 0);
    this.#put(stage + Stage.inside, 0);
    this.#put(this.#own + Seat.recoveries, cpu.read(this.#own + Seat.recoveries) + 1);
    if (this.#isRobust) this.#lock.makeConsistent();
  }

  /** Length of the prefix of the record that is of `version`. */
  #newWords(version: number, look = this.#now): number {
    let i = 0;
    while (i < RECORD_WORDS && look(this.#stage + Stage.record + i) === recordWord(version, i)) i++;
    return i;
  }

  #fill(from: number, to: number, version: number): void {
    for (let i = from; i < to; i++) this.#put(this.#stage + Stage.record + i, recordWord(version, i));
  }

  /** The sum of all seats' counts, minus the counter. */
  #missing(look = this.#now): number {
    let sum = 0;
    for (let seat = 0; seat < this.#seats; seat++) sum += look(seatAddress(this.#stage, seat) + Seat.writes);
    return (sum - look(this.#stage + Stage.counter)) | 0;
  }

  #isAlive(tag: number): boolean {
    const seat = (tag & ((1 << SEAT_BITS) - 1)) - 1;
    return this.#cpu.load(seatAddress(this.#stage, seat) + Seat.incarnation) === tag >> SEAT_BITS;
  }

  #who(tag: number): string {
    return tag === 0 ? 'somebody, who has left again,' : `thread ${(tag & ((1 << SEAT_BITS) - 1)) - 1}`;
  }
}

/** Writes version 0 of the record: memory that no other thread can reach yet. */
export function formatStage(cpu: Cpu, stage: number, words: number): void {
  for (let i = 0; i < words; i++) cpu.write(stage + i, 0);
  for (let i = 0; i < RECORD_WORDS; i++) cpu.write(stage + Stage.record + i, recordWord(0, i));
}
