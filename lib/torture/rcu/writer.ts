/**
 * The writer: publishes one element after the other. One that it has replaced goes through a pipe, a bucket further with each
 * grace period, and is free at the end: rcu_torture_writer. The fake writers wait for periods as it does, for nothing.
 *
 *   free -> written -> current -> removed, bucket 1 -> … -> bucket PIPE_LENGTH -> free
 *
 * A writer that takes a dead one's seat finds in the elements' words what was removed, by callbacks as well, and goes on with it.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { Performer } from './performer.ts';
import { count, Element, elementsOf, PIPE_LENGTH, Seat, Stage } from './stage.ts';
import { defer, nextUpdate } from './updates.ts';

const LONGEST_PAUSE_MS = 2;

export async function write(performer: Performer): Promise<void> {
  const writer = new Writer(performer);
  writer.adopt();
  while (!performer.isOver) {
    await writer.update();
    performer.side.pause();
    await performer.rest();
  }
}

export async function writeNothing(performer: Performer): Promise<void> {
  const { random, side } = performer;
  while (!performer.isOver) {
    const { wait } = nextUpdate(performer);
    if (wait === undefined) defer(performer, () => {});
    else await wait();
    side.pause();
    if (random.oneIn(4)) await delay(random.below(LONGEST_PAUSE_MS + 1));
    await performer.rest();
  }
}

class Writer {
  readonly #performer: Performer;
  readonly #elements: readonly number[];
  /** Those that go on when this thread has waited for a period. */
  #removed: number[] = [];

  constructor(performer: Performer) {
    this.#performer = performer;
    const { stage, part } = performer;
    this.#elements = elementsOf(stage, part.seats);
  }

  /** What a writer before this one has removed, or was about to publish. */
  adopt(): void {
    const { cpu, stage } = this.#performer;
    const current = cpu.load(stage + Stage.current);
    for (const element of this.#elements) {
      if (element === current || cpu.load(element + Element.isFree) !== 0) continue;
      if (cpu.load(element + Element.pipe) === 0) cpu.store(element + Element.pipe, 1);
      this.#removed.push(element);
    }
  }

  async update(): Promise<void> {
    const performer = this.#performer;
    const { cpu, side, stage, seat } = performer;
    const element = this.#take();
    if (element === undefined) return count(cpu, seat, Seat.missing);
    const old = cpu.load(stage + Stage.current);
    side.rcu.assignPointer(stage + Stage.current, element);
    cpu.store(stage + Stage.version, (cpu.load(stage + Stage.version) + 1) | 0);
    this.#advance(old);
    const { wait } = nextUpdate(performer);
    if (wait === undefined) return defer(performer, () => this.#deferred(old));
    this.#removed.push(old);
    await wait();
    this.#removed = this.#removed.filter((removed) => !this.#advance(removed));
  }

  #deferred(element: number): void {
    // A writer that leaves leaves it to the next one.
    if (this.#advance(element) || this.#performer.isOver) return;
    defer(this.#performer, () => this.#deferred(element));
  }

  #take(): number | undefined {
    const { cpu, seat } = this.#performer;
    const element = this.#elements.find((each) => cpu.load(each + Element.isFree) !== 0);
    if (element === undefined) return undefined;
    count(cpu, seat, Seat.taken);
    cpu.store(element + Element.isFree, 0);
    cpu.store(element + Element.pipe, 0);
    cpu.store(element + Element.isWritten, 1);
    return element;
  }

  /** A bucket further. True when the element is free. */
  #advance(element: number): boolean {
    const { cpu, seat } = this.#performer;
    const bucket = cpu.load(element + Element.pipe);
    count(cpu, seat, Seat.circulation + bucket);
    cpu.store(element + Element.pipe, bucket + 1);
    if (bucket + 1 < PIPE_LENGTH) return false;
    cpu.store(element + Element.isWritten, 0);
    cpu.store(element + Element.isFree, 1);
    count(cpu, seat, Seat.given);
    return true;
  }
}
