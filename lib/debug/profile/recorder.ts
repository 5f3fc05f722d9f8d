/**
 * How one thread adds its waits to a profile. The order of the steps, and what a thread that is killed between them leaves,
 * is told in `layout.ts`.
 */
import type { Cpu } from '../../machine/cpu.ts';
import { Header } from '../../memory/header.ts';
import { defineWatch } from '../../sched/contention.ts';
import type { Thread } from '../../sched/thread.ts';
import type { Wait, Watch } from '../../sched/watch.ts';
import { bucketOf } from './histogram.ts';
import { endHolds } from './holds.ts';
import { HeldRow, heldRowAt } from './holds-layout.ts';
import {
  Blocked,
  blockedAt,
  claimEntry,
  EDGES,
  Edge,
  edgeKey,
  Profile,
  Recording,
  Row,
  SHARES,
  Share,
  shareKey,
  sinceAt,
  stacksOf,
  Waits,
} from './layout.ts';
import { RowFinder } from './rows.ts';
import { Chance, noteExtremes, recording } from './samples.ts';
import { capture, framesOf, StackTable } from './stacks.ts';
import { tallyAdd } from './tally.ts';
import { UnlockRecorder } from './unlocks.ts';
import { publishWait } from './wait-events.ts';

const OUTCOMES: Readonly<Record<string, 'timeouts' | 'aborts' | 'ownerDeaths' | 'failed'>> = {
  'timed-out': 'timeouts',
  aborted: 'aborts',
  'owner-died': 'ownerDeaths',
  deadlock: 'failed',
  unrecoverable: 'failed',
  full: 'failed',
  exhausted: 'failed',
};

export class Recorder implements Watch {
  readonly word = Header.profile;
  readonly session: number;
  readonly #thread: Thread;
  readonly #profile: number;
  readonly #rows: RowFinder;
  readonly #stacks: StackTable;
  readonly #chance: Chance;
  readonly #holds: number;

  constructor(thread: Thread, session: number) {
    const { cpu } = thread;
    this.session = session;
    this.#thread = thread;
    this.#profile = cpu.load(Header.profileTables);
    this.#rows = new RowFinder(thread, this.#profile);
    this.#stacks = new StackTable(cpu, stacksOf(this.#profile));
    this.#chance = new Chance(session, thread);
    this.#holds = cpu.load(this.#profile + Profile.holds);
    const unlocks = new UnlockRecorder(thread, session, this.#profile, this.#rows, this.#stacks, this.#chance);
    thread.hearUnlocks(Recorder, unlocks);
    cpu.store(thread.slot + Recording.heard, session);
    cpu.store(thread.slot + Recording.stack, 0);
    thread.stalled = () => this.#noteStack();
  }

  close(): void {
    this.#thread.hearUnlocks(Recorder, undefined);
    this.#thread.stalled = undefined;
    endHolds(this.#thread);
  }

  begin(wait: Wait): void {
    // A synchronous call is still where it was when it has waited; of an asynchronous one the caller is gone by then.
    if (wait.async) wait.trace ??= capture();
  }

  sleeps(wait: Wait): void {
    wait.object = this.#rows.objectAt(wait.object);
    wait.holder = this.#rows.holderOf(wait.object);
    const { cpu } = this.#thread;
    if (!this.#rows.isLock(wait.object)) return;
    cpu.store(wait.task + Blocked.session, this.session);
    cpu.store(wait.task + Blocked.uncharged, blockedAt(cpu.now()));
    if (!wait.async) cpu.store(this.#thread.slot + Recording.since, sinceAt(wait.start));
  }

  end(wait: Wait, outcome: unknown): void {
    const { cpu } = this.#thread;
    // It does not spin: what it wanted was free.
    if (wait.async && !wait.slept && outcome === 'acquired') return;
    const waited = Math.max(0, Math.round(cpu.now() - wait.start));
    if (wait.slept) cpu.store(wait.task + Blocked.uncharged, 0);
    recording(this.#thread, this.session, () => this.#record(wait, waited, outcome));
    // Behind the record: in between `waitedFor` counts it twice, and not never.
    if (!wait.slept || wait.async) return;
    cpu.store(this.#thread.slot + Recording.since, 0);
    cpu.store(this.#thread.slot + Recording.stack, 0);
  }

  /** A call sleeps for long: from here on others can see where. Short waits pay nothing for that. */
  #noteStack(): void {
    const { cpu, slot } = this.#thread;
    if (cpu.load(slot + Recording.since) === 0 || cpu.load(slot + Recording.stack) !== 0) return;
    const frames = framesOf(capture());
    recording(this.#thread, this.session, () => {
      // Pairs with the acquire in `stackOfSleeper`.
      cpu.storeRelease(slot + Recording.stack, this.#stacks.numberOf(frames) + 1);
    });
  }

  #record(wait: Wait, waited: number, outcome: unknown): void {
    const { cpu, id } = this.#thread;
    const profile = this.#profile;
    if (wait.object === 0) {
      cpu.fetchAddRelaxed(profile + Profile.unknown, 1);
      return;
    }
    const number = this.#rows.rowOf(this.#rows.objectAt(wait.object), wait.shared);
    if (number < 0) {
      cpu.fetchAddRelaxed(profile + Profile.droppedWaits, 1);
      return;
    }
    const row = profile + Profile.rows + number * Row.words;
    count(cpu, row + (wait.async ? Row.async : Row.sync), wait, waited, outcome);
    if (this.#holds !== 0) {
      const held = heldRowAt(this.#holds, number);
      if (cpu.load(held + HeldRow.last) !== id) cpu.fetchAddRelaxed(held + HeldRow.waitBounces, 1);
    }
    if (wait.holder !== 0 && wait.holder !== id) this.#addEdge(number, wait.holder, waited);
    const weight = this.#chance.weightOf(waited);
    if (weight > 0) this.#addShare(number, wait, waited, weight);
    publishWait(cpu, profile, number, this.#thread.number, wait, waited, outcome);
  }

  #addEdge(row: number, holder: number, waited: number): void {
    const { cpu, number } = this.#thread;
    const edge = claimEntry(cpu, this.#profile + Profile.edges, EDGES, Edge.words, edgeKey(row, number, holder));
    if (edge === 0) {
      cpu.fetchAddRelaxed(this.#profile + Profile.droppedSamples, 1);
      return;
    }
    cpu.fetchAddRelaxed(edge + Edge.count, 1);
    tallyAdd(cpu, edge + Edge.delay, waited);
  }

  #addShare(row: number, wait: Wait, waited: number, weight: number): void {
    const { cpu, number } = this.#thread;
    const stack = this.#stacks.numberOf(framesOf(wait.trace ?? capture()));
    const key = stack < 0 ? 0 : shareKey(row, stack, number, wait.async);
    const share = key === 0 ? 0 : claimEntry(cpu, this.#profile + Profile.shares, SHARES, Share.words, key);
    if (share === 0) {
      cpu.fetchAddRelaxed(this.#profile + Profile.droppedSamples, 1);
      return;
    }
    tallyAdd(cpu, share + Share.count, Math.round(weight));
    tallyAdd(cpu, share + Share.delay, Math.round(waited * weight));
  }
}

function count(cpu: Cpu, waits: number, { slept }: Wait, waited: number, outcome: unknown): void {
  cpu.fetchAddRelaxed(waits + Waits.histogram + bucketOf(waited), 1);
  tallyAdd(cpu, waits + Waits.total, waited);
  noteExtremes(cpu, waits + Waits.longest, waits + Waits.shortest, waited);
  if (slept) cpu.fetchAddRelaxed(waits + Waits.slept, 1);
  const counter = typeof outcome === 'string' ? OUTCOMES[outcome] : undefined;
  if (counter !== undefined) cpu.fetchAddRelaxed(waits + Waits[counter], 1);
}

defineWatch(Header.profile, (thread, session) => new Recorder(thread, session));
