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
import {
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
  stacksOf,
  Waits,
} from './layout.ts';
import { RowFinder } from './rows.ts';
import { capture, framesOf, StackTable } from './stacks.ts';
import { tallyAdd } from './tally.ts';

/**
 * A wait of this length or longer is sampled always, a shorter one with a probability in proportion, ns: so a place is charged
 * with what it has waited, however that is made up, and a stack is taken at most once in that time.
 */
export const SAMPLED_ALWAYS = 100e3;

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
  /** Of the xorshift generator that chooses what is sampled. */
  #random: number;

  constructor(thread: Thread, session: number) {
    const { cpu } = thread;
    this.session = session;
    this.#thread = thread;
    this.#profile = cpu.load(Header.profileTables);
    this.#rows = new RowFinder(thread, this.#profile);
    this.#stacks = new StackTable(cpu, stacksOf(this.#profile));
    this.#random = Math.imul(session, 0x9e3779b1) ^ (thread.id << 1) || 1;
  }

  begin(wait: Wait): void {
    // A synchronous call is still where it was when it has waited; of an asynchronous one the caller is gone by then.
    if (wait.async) wait.trace ??= capture();
  }

  sleeps(wait: Wait): void {
    wait.object = this.#rows.objectAt(wait.object);
    wait.holder = this.#rows.holderOf(wait.object);
  }

  end(wait: Wait, outcome: unknown): void {
    const { cpu, slot } = this.#thread;
    const waited = Math.max(0, Math.round(cpu.now() - wait.start));
    // Pairs with the exchange in `stopSession`: that sees that this thread records, or this sees that the session is over.
    cpu.xchg(slot + Recording.session, this.session);
    if (cpu.load(Header.profile) === this.session) this.#record(wait, waited, outcome);
    // Pairs with the acquire in `stopSession`, which reads what was recorded.
    cpu.storeRelease(slot + Recording.session, 0);
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
    if (wait.holder !== 0 && wait.holder !== id) this.#addEdge(number, wait.holder, waited);
    const weight = this.#weightOf(waited);
    if (weight > 0) this.#addShare(number, wait, waited, weight);
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

  /** For how many waits of that length this one stands: 0 for one that is not sampled. */
  #weightOf(waited: number): number {
    if (waited >= SAMPLED_ALWAYS) return 1;
    this.#random ^= this.#random << 13;
    this.#random ^= this.#random >>> 17;
    this.#random ^= this.#random << 5;
    const isChosen = (this.#random >>> 0) / 2 ** 32 < waited / SAMPLED_ALWAYS;
    return isChosen ? SAMPLED_ALWAYS / waited : 0;
  }
}

function count(cpu: Cpu, waits: number, { slept }: Wait, waited: number, outcome: unknown): void {
  cpu.fetchAddRelaxed(waits + Waits.histogram + bucketOf(waited), 1);
  tallyAdd(cpu, waits + Waits.total, waited);
  const bits = floatBits(Math.max(waited, 1));
  raise(cpu, waits + Waits.longest, (seen) => seen < bits, bits);
  raise(cpu, waits + Waits.shortest, (seen) => seen === 0 || seen > bits, bits);
  if (slept) cpu.fetchAddRelaxed(waits + Waits.slept, 1);
  const counter = typeof outcome === 'string' ? OUTCOMES[outcome] : undefined;
  if (counter !== undefined) cpu.fetchAddRelaxed(waits + Waits[counter], 1);
}

/** Stores `value` while what is there is `worse`. */
function raise(cpu: Cpu, address: number, worse: (seen: number) => boolean, value: number): void {
  for (let seen = cpu.load(address); worse(seen); ) {
    const now = cpu.cmpxchgRelaxed(address, seen, value);
    if (now === seen) return;
    seen = now;
  }
}

const float = new Float32Array(1);
const bits = new Int32Array(float.buffer);

function floatBits(value: number): number {
  float[0] = value;
  return bits[0] as number;
}

/** The number whose bits a word holds. */
export function floatOf(word: number): number {
  bits[0] = word;
  return float[0] as number;
}

defineWatch(Header.profile, (thread, session) => new Recorder(thread, session));
