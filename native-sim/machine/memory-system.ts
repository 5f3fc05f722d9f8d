/**
 * How a core gets a line, and what that does to the others. Which cores have it says the directory, whose turn it is the line's
 * home.
 *
 * There is one copy of memory, and a core may read or write a word of it while it has the line in a state that allows
 * that: as long as nobody else can have it modified there is nothing that a copy could differ in. A store becomes
 * visible, to all at once, at the time at which its core has the line and every other core has acknowledged the
 * invalidation (its commit). What a core may still read of an invalidated line stands in its queue, and is what memory
 * held when the invalidation arrived: such a load counts as made then, before the store's commit, and is refused to
 * loads that must come later (`Core.floor`). So memory is multi-copy atomic whatever the queue does.
 */

import { Caches, LINE_SHIFT, LINE_WORDS, State } from './caches.ts';
import { type BufferedStore, Core, type Request } from './core.ts';
import { Arc, Counters, Message } from './counters.ts';
import { Directory } from './directory.ts';
import type { EventQueue } from './event-queue.ts';
import { Homes } from './homes.ts';
import { Interconnect, PS } from './interconnect.ts';
import type { Observer } from './observer.ts';
import type { Profile } from './profile.ts';
import { Propagation } from './propagation.ts';
import type { Random } from './random.ts';

export const Event = {
  send: 0,
  request: 1,
  serve: 2,
  invalidate: 3,
  downgrade: 4,
  done: 5,
  resume: 6,
  spin: 7,
  timeout: 8,
  slice: 9,
  call: 10,
} as const;

/** Requests of one core at one time. */
const OUTSTANDING = 10;

/** What can be taken out of a machine, to see what it is there for; the parts that tests take away to be caught. */
export interface Parts {
  /** Off: every store goes to memory at once. */
  writeBack: boolean;
}

/** Memory behind the caches, and those who look at memory beside the cores; see `shareability.ts`. */
export interface Outside {
  /** A store of the core is visible to all cores from `time` on. */
  committed(core: Core, address: number, value: number, epoch: number, time: number): void;
  /** A modified line has been written back. */
  writtenBack(line: number): void;
}

/** Told of what happens in memory. */
export interface Recorder {
  /** The event of a new store, for `BufferedStore.id`. */
  commit(address: number, id: number): void;
}

/** What the memory system tells whoever runs threads on it. */
export interface Listener {
  /** The core has got a line, or the room in its store buffer, that it waits for. */
  advanced(core: Core, time: number): void;
  /** A line that the core had is gone, or will be at `time`. */
  lost(core: Core, line: number, time: number): void;
}

export class MemorySystem {
  readonly profile: Profile;
  readonly memory: Int32Array;
  readonly cores: Core[];
  readonly caches: Caches;
  readonly network: Interconnect;
  readonly counters = new Counters();
  readonly parts: Parts = { writeBack: true };
  readonly keepsStoresInOrder: boolean;
  /** Null on a machine that is multi-copy atomic. */
  readonly propagation: Propagation | null;
  listener: Listener = { advanced: () => {}, lost: () => {} };
  recorder: Recorder | null = null;
  outside: Outside | null = null;
  observer: Observer | null = null;
  /** By word: the event that wrote it, where there is a recorder. */
  writers: Int32Array | null = null;

  readonly #events: EventQueue;
  readonly #random: Random;
  readonly #directory: Directory;
  readonly #homes: Homes;
  readonly #memoryPs: number;
  readonly #delayPs: number;

  /** `places`: which of the profile's cores these are, where not the first ones. */
  constructor(
    profile: Profile,
    cores: number,
    words: number,
    events: EventQueue,
    random: Random,
    places?: readonly number[],
  ) {
    const lines = Math.ceil(words / LINE_WORDS);
    this.profile = profile;
    this.memory = new Int32Array(lines * LINE_WORDS);
    this.cores = Array.from({ length: cores }, (_, number) => new Core(number));
    this.caches = new Caches(profile, cores, lines);
    this.network = new Interconnect(profile, cores, places);
    this.keepsStoresInOrder = profile.model === 'sc' || profile.model === 'x86-tso';
    this.propagation = profile.model === 'power' ? new Propagation(this.memory.length) : null;
    this.#events = events;
    this.#random = random;
    this.#memoryPs = Math.round(profile.memoryNs * PS);
    this.#delayPs = Math.round(profile.invalidateQueue.delayNs * PS);
    this.#directory = new Directory(cores, lines, this.network);
    this.#homes = new Homes(lines, Math.round(profile.directoryNs * PS), this.#directory, this.network, {
      serve: (request, time) => {
        if (request.isOwning) this.#serveOwner(request, time);
        else this.#serveReader(request, time);
      },
      lookAgain: (line, core, time) => void events.push(time, core, Event.serve, line, null),
    });
  }

  /** All cores have read the line, before the machine runs. */
  warm(line: number): void {
    for (const core of this.cores) {
      this.#directory.share(core.number, line);
      this.#fill(core, line, State.shared);
    }
  }

  // What a core asks for

  /** Sends a request for the line of `address` at `time`, unless one is under way. */
  request(core: Core, address: number, isOwning: boolean, isAtomic: boolean, time: number): void {
    const line = address >> LINE_SHIFT;
    if (core.requestFor(line) !== undefined) return;
    // A core sends no message about a line whose invalidation it has not carried out.
    const queued = core.queuedInvalidation(line, time);
    const leaves = queued === undefined || !isOwning ? time : queued.until;
    const request: Request = { core: core.number, address, line, isOwning, isAtomic, keepsHomeBusy: false };
    core.requests.push(request);
    this.observer?.requested(request);
    // The line's home may move until then, if the core is ahead of the machine's clock, or waits for its queue.
    if (leaves > this.#events.earliest) this.#events.push(leaves, core.number, Event.send, line, request);
    else this.#send(request, leaves);
  }

  #send(request: Request, time: number): void {
    const { core, line } = request;
    const leg = this.network.request(core, this.#directory.near[line]!);
    this.#events.push(time + leg, core, Event.request, line, request);
  }

  /** May the core write `line` without asking? */
  owns(core: Core, line: number): boolean {
    const state = this.caches.state(core.number, line);
    return state === State.modified || state === State.exclusive;
  }

  /** Writes a word of a line that the core owns: all see it from `time` on. */
  write(core: Core, address: number, value: number, id: number, time: number): void {
    const base = this.propagation?.baseOf(core) ?? 0;
    this.#write(core, { address, value, id, base, epoch: core.epoch }, time);
  }

  #write(core: Core, { address, value, id, base, epoch }: VisibleStore, time: number): void {
    const line = address >> LINE_SHIFT;
    if (this.caches.state(core.number, line) === State.exclusive) {
      this.#arc(core, line, State.modified, Arc.b);
      this.caches.change(core.number, line, State.modified);
    }
    this.memory[address] = value;
    this.propagation?.committed(core, address, base, epoch, time);
    this.outside?.committed(core, address, value, epoch, time);
    this.observer?.committed(core, address, value);
    if (this.recorder !== null) {
      this.writers![address] = id;
      this.recorder.commit(address, id);
    }
    if (!this.parts.writeBack) this.clean(core, line);
  }

  /** Writes a modified line back and keeps it: DC CVAC. Returns whether there was anything to write. */
  clean(core: Core, line: number): boolean {
    if (this.caches.state(core.number, line) !== State.modified) return false;
    this.#arc(core, line, State.exclusive, Arc.a);
    this.#writeBack(line);
    this.caches.change(core.number, line, State.exclusive);
    return true;
  }

  #writeBack(line: number): void {
    this.counters.messages[Message.writeBack]!++;
    this.outside?.writtenBack(line);
  }

  /** Has the line written back by whoever has modified it, and with `drops` dropped by all. Was there anything to write? */
  maintain(line: number, drops: boolean): boolean {
    let isModified = false;
    for (const core of this.cores) {
      const state = this.caches.state(core.number, line);
      if (state === State.modified || state === State.owned) isModified = true;
      if (drops && state !== State.invalid) this.#evict(core, line);
      else if (state === State.modified) this.clean(core, line);
      else if (state === State.owned) this.#writeBack(line);
    }
    return isModified;
  }

  /** Makes all stores visible that may be and whose lines the core owns, and asks for the lines of the others. */
  drain(core: Core, time: number): void {
    const { stores } = core;
    for (let at = 0; at < stores.length; ) {
      const store = stores[at]!;
      if (!this.#mayCommit(core, at)) {
        if (this.keepsStoresInOrder) return;
        at++;
      } else if (this.owns(core, store.line)) {
        core.storeDone(at);
        this.#write(core, store, time);
        at = 0;
      } else {
        if (core.requests.length < OUTSTANDING) this.request(core, store.address, true, false, time);
        if (this.keepsStoresInOrder) return;
        at++;
      }
    }
  }

  #mayCommit(core: Core, at: number): boolean {
    if (at === 0) return true;
    if (this.keepsStoresInOrder) return false;
    const { stores } = core;
    const store = stores[at]!;
    if (store.isRelease) return false;
    for (let before = 0; before < at; before++) {
      const earlier = stores[before]!;
      if (earlier.line === store.line || earlier.epoch < store.epoch) return false;
    }
    return true;
  }

  /** Puts a store into the buffer; there must be room. */
  buffer(core: Core, store: BufferedStore, time: number): void {
    core.stores.push(store);
    this.observer?.buffered(core, store);
    this.drain(core, time);
  }

  // What the home does

  handle(kind: number, time: number, number: number, subject: unknown): void {
    switch (kind) {
      case Event.send:
        this.#send(subject as Request, time);
        break;
      case Event.request:
        this.#homes.arrive(subject as Request, time);
        break;
      case Event.serve:
        this.#homes.look(number, time);
        break;
      case Event.invalidate:
        this.#invalidate(this.cores[number]!, subject as Request, time);
        break;
      case Event.downgrade:
        this.#downgrade(this.cores[number]!, subject as Request, time);
        break;
      case Event.done:
        this.#done(subject as Request, time);
        break;
    }
  }

  #serveReader(request: Request, time: number): void {
    const { core, line } = request;
    const { network } = this;
    const owner = this.#directory.owner[line]!;
    this.counters.messages[Message.read]!++;
    this.counters.messages[Message.response]!++;
    if (owner >= 0 && owner !== core && this.caches.state(owner, line) !== State.owned) {
      this.#tellServed(request, owner);
      const forwarded = time + network.occupy(core, owner, 3, time) + this.network.forward(core, owner);
      this.#homes.keepBusy(request);
      this.#probe(owner, Event.downgrade, forwarded, request);
      this.#finish(request, forwarded + this.network.answer(core, owner));
      return;
    }
    const supplier = owner >= 0 ? owner : this.#directory.nearestSharer(core, line);
    this.#tellServed(request, supplier);
    if (supplier >= 0) {
      const ready = time + network.occupy(core, supplier, 2, time) + this.network.read(core, supplier);
      this.#homes.readUntil(line, ready);
      this.#finish(request, ready);
      return;
    }
    // From memory: the only copy, exclusive.
    this.#homes.keepBusy(request);
    this.#finish(request, time + this.#memoryPs);
  }

  #serveOwner(request: Request, time: number): void {
    const { core, line } = request;
    const hasData = this.caches.state(core, line) !== State.invalid;
    const owner = this.#directory.owner[line]!;
    this.#homes.keepBusy(request);
    this.counters.messages[hasData ? Message.invalidate : Message.readInvalidate]!++;
    let ready = time;
    if (owner >= 0 && owner !== core) {
      this.#tellServed(request, owner);
      const forwarded = time + this.network.occupy(core, owner, 3, time) + this.network.forward(core, owner);
      this.#sendInvalidation(owner, request, forwarded);
      ready = forwarded + this.network.answer(core, owner);
      this.counters.messages[Message.response]!++;
    } else if (!hasData) {
      const sharer = this.#directory.nearestSharer(core, line);
      this.#tellServed(request, sharer);
      ready = time + (sharer < 0 ? this.#memoryPs : this.network.read(core, sharer));
      this.counters.messages[Message.response]!++;
    } else this.#tellServed(request, core);
    ready = Math.max(ready, this.#invalidateSharers(request, time));
    if (ready === time) ready += this.network.request(core, core);
    this.#finish(request, ready);
  }

  #tellServed(request: Request, supplier: number): void {
    if (this.observer === null) return;
    const state = supplier < 0 ? State.invalid : this.caches.state(supplier, request.line);
    this.observer.served(request, supplier, state);
  }

  /** Counts an arc and tells of it; the caller takes it. */
  #arc(core: Core, line: number, to: number, arc: number): void {
    this.counters.arcs[arc]!++;
    this.observer?.changed(core, line, this.caches.state(core.number, line), to, arc);
  }

  /** Sends all sharers but the requester an invalidation, and returns when the last acknowledgement is there. */
  #invalidateSharers(request: Request, time: number): number {
    const { core, line } = request;
    const directory = this.#directory;
    let last = time;
    for (let sharer = directory.nextSharer(line, 0); sharer >= 0; sharer = directory.nextSharer(line, sharer + 1)) {
      if (sharer === core) continue;
      const half = this.network.half(core, sharer);
      const arrives = time + this.network.occupy(core, sharer, 2, time) + half;
      const room = this.#queueHasRoom(this.cores[sharer]!, arrives);
      this.#sendInvalidation(sharer, request, arrives);
      last = Math.max(last, room + half);
      this.counters.messages[Message.invalidate]!++;
      this.counters.messages[Message.acknowledge]!++;
    }
    // One message was counted with the request.
    if (last > time && this.caches.state(core, line) !== State.invalid) this.counters.messages[Message.invalidate]!--;
    return last;
  }

  /** When the core can acknowledge an invalidation that arrives at `time`. */
  #queueHasRoom(core: Core, time: number): number {
    const { entries } = this.profile.invalidateQueue;
    if (entries === 0) return time + this.#delayPs;
    let waiting = 0;
    let earliest = Number.POSITIVE_INFINITY;
    const { invalidations } = core;
    for (let at = 0; at < invalidations.length; at++) {
      const { until } = invalidations[at]!;
      if (until <= time) continue;
      waiting++;
      earliest = Math.min(earliest, until);
    }
    return waiting < entries ? time : earliest;
  }

  #sendInvalidation(to: number, request: Request, time: number): void {
    this.#probe(to, Event.invalidate, time, request);
  }

  #probe(to: number, kind: number, time: number, subject: Request): void {
    this.cores[to]!.expectProbe(time);
    this.#events.push(time, to, kind, to, subject);
  }

  #finish(request: Request, time: number): void {
    this.#events.push(time, request.core, Event.done, request.line, request);
  }

  // What arrives at a core

  #invalidate(core: Core, { line, core: writer }: Request, time: number): void {
    const { entries } = this.profile.invalidateQueue;
    const state = this.caches.state(core.number, line);
    core.probeArrived(time);
    if (state === State.invalid) return;
    this.#loseReservation(core, line, 'write');
    this.#arc(core, line, State.invalid, LOST_BY_STATE[state]!);
    this.caches.change(core.number, line, State.invalid);
    let gone = time;
    if (entries > 0 && (state === State.shared || state === State.forward)) {
      const delay = this.#delayPs === 0 ? 0 : this.#random.below(this.#delayPs + 1);
      gone = time + delay;
      core.retireInvalidations(time, line);
      // Nobody can have written the line since the request for it was served.
      const entry = core.queueInvalidation(line, time, gone, entries, this.memory, this.writers);
      entry.isForeign = this.network.isForeign(core.number, writer);
      this.observer?.queued(core, entry);
    }
    this.#directory.forget(core.number, line);
    this.listener.lost(core, line, gone);
  }

  #downgrade(core: Core, { line }: Request, time: number): void {
    core.probeArrived(time);
    const state = this.caches.state(core.number, line);
    // It has evicted the line meanwhile; memory answers.
    if (state !== State.modified && state !== State.exclusive) return;
    if (state === State.modified && this.profile.protocol === 'moesi') {
      this.#arc(core, line, State.owned, Arc.lend);
      this.caches.change(core.number, line, State.owned);
      return;
    }
    this.#arc(core, line, State.shared, state === State.modified ? Arc.f : Arc.g);
    if (state === State.modified) this.#writeBack(line);
    this.caches.change(core.number, line, State.shared);
    this.#directory.owner[line] = -1;
    this.#directory.share(core.number, line);
  }

  #done(request: Request, time: number): void {
    const { line } = request;
    const core = this.cores[request.core]!;
    const before = this.caches.state(core.number, line);
    core.requestDone(request);
    core.retireInvalidations(time, line);
    if (request.isOwning) this.#own(request, before, time);
    else if (this.#directory.owner[line]! < 0 && this.#directory.nearestSharer(core.number, line) < 0) {
      this.#arc(core, line, State.exclusive, Arc.alone);
      this.#fill(core, line, State.exclusive);
      this.#directory.own(core.number, line, Number.NEGATIVE_INFINITY);
    } else {
      const state = this.profile.protocol === 'mesif' ? this.#passForward(line) : State.shared;
      this.#arc(core, line, state, Arc.k);
      this.#directory.share(core.number, line);
      this.#fill(core, line, state);
    }
    this.#directory.near[line] = core.number;
    this.#homes.done(request);
    this.drain(core, time);
    this.listener.advanced(core, time);
    this.#homes.serveWaiting(line, time);
  }

  #own({ core, line, isAtomic }: Request, before: number, time: number): void {
    let arc: number = Arc.reclaim;
    if (before === State.invalid) arc = isAtomic ? Arc.d : Arc.j;
    else if (before !== State.owned) arc = isAtomic ? Arc.e : Arc.h;
    const state = isAtomic || before === State.owned ? State.modified : State.exclusive;
    this.#arc(this.cores[core]!, line, state, arc);
    this.#directory.clearSharers(line);
    this.#directory.own(core, line, time);
    this.#fill(this.cores[core]!, line, state);
  }

  /** The latest reader answers the next one. */
  #passForward(line: number): number {
    const directory = this.#directory;
    for (let sharer = directory.nextSharer(line, 0); sharer >= 0; sharer = directory.nextSharer(line, sharer + 1)) {
      if (this.caches.state(sharer, line) === State.forward) this.caches.change(sharer, line, State.shared);
    }
    return State.forward;
  }

  #fill(core: Core, line: number, state: number): void {
    const victim = this.caches.fill(core.number, line, state);
    if (victim >= 0) this.#evict(core, victim);
  }

  #evict(core: Core, line: number): void {
    const state = this.caches.state(core.number, line);
    this.#loseReservation(core, line, 'eviction');
    this.#arc(core, line, State.invalid, Arc.evict);
    if (state === State.modified || state === State.owned) this.#writeBack(line);
    this.caches.change(core.number, line, State.invalid);
    this.#directory.forget(core.number, line);
    this.listener.lost(core, line, this.#events.time);
  }

  #loseReservation(core: Core, line: number, cause: 'write' | 'eviction'): void {
    if (core.reserved !== line) return;
    core.reserved = -1;
    this.counters.failedExclusives[cause]++;
  }

  // For tests, and for whoever looks on

  /** Requests that have arrived at their home and are not served yet. */
  waitingRequests(): Request[] {
    return this.#homes.waiting;
  }

  /** The core that a request for the line goes to. */
  homeOf(line: number): number {
    return this.#directory.near[line]!;
  }

  /** What does not hold between caches and directory, or null. */
  inconsistency(): string | null {
    return this.#directory.inconsistency(this.caches, this.cores.length);
  }
}

type VisibleStore = Pick<BufferedStore, 'address' | 'value' | 'id' | 'base' | 'epoch'>;

/** By state: the arc of a core that loses the line. */
const LOST_BY_STATE = [0, Arc.l, Arc.i, Arc.c, Arc.lose, Arc.l];
