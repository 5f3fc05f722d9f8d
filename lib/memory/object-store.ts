/**
 * Shared objects: blocks of the heap that start with an ObjectHeader. Named ones hang in a hash table, so that every
 * thread finds the one object of a name; creating or opening a name is one step under namesLatch.
 *
 * A thread may be killed while it creates an object. Its block stands in the thread's `nascent` word from before it is
 * in use until the object is complete; for a named object the store to the bucket (or the unlinking one in `destroy`)
 * is what decides, so the reaper frees a nascent block exactly when no bucket leads to it.
 *
 * An object that is destroyed is not freed at once, because threads may have views of it, and fast paths of those look at
 * nothing but the object's own words. It stays what it was, but closed (`Kind.close`), in the list of destroyed objects,
 * until each thread that has ever opened it has retired its views:
 *
 *   kind     id -> DYING               calls that begin now wait, or find the object gone
 *            DYING -> id               EBUSY: somebody holds it or waits for it
 *            DYING -> CLOSING          nobody does: it is closed, unless a fast path has got in meanwhile
 *            CLOSING -> id             EBUSY: one has
 *   stamp    + 1, and the object's     it is destroyed; what a thread has not acknowledged up to there, it may have views of
 *
 * When the destroying thread dies, DYING is taken back, for nothing else has changed, and in CLOSING the object is closed
 * if it can be. A destroyed object stays CLOSING, and its kind repairs it as ever: a late call may have its latch.
 *
 * A thread acknowledges between two of its calls: when it opens, makes or destroys an object. It is illegal to do so in the
 * middle of a call, which may be one of such an object.
 */
import { HoldfastError, shown } from '../errors.ts';
import type { Cpu } from '../machine/cpu.ts';
import { Header } from './header.ts';
import type { Heap } from './heap.ts';
import { type Kind, kindById, sizeOf } from './kinds.ts';
import { latch, unlatch } from './latch.ts';
import { encodeName, Names } from './names.ts';
import { CLOSING, DYING, isPresent, kindIdOf, NAME_AT_SHIFT, ObjectHeader, viewerBit } from './objects.ts';
import { textWords, writeBytes } from './text.ts';
import { Views } from './views.ts';

/** What the objects of an arena need to know of its threads. */
export interface Viewers {
  /**
   * Whether a thread of the set `viewers` may still use a view of what was destroyed with that stamp; only one that has
   * acknowledged up to the stamp `born` has opened it.
   */
  mayReach(viewers: number, born: number, stamp: number): boolean;
  /** The calling thread has no view any more of what was destroyed up to that stamp. */
  acknowledge(stamp: number): void;
  /** The calling thread begins to destroy the object at `address`; 0: it has ended. The reaper has to know (`undoDestroy`). */
  enter(address: number): void;
}

const NOBODY: Viewers = { mayReach: () => false, acknowledge: () => {}, enter: () => {} };

/** Destroyed objects at which it is looked for the first time which may be freed. */
const FIRST_SWEEP = 8;

export class Objects {
  readonly #cpu: Cpu;
  readonly #heap: Heap;
  readonly #owner: number;
  readonly #nascent: number;
  readonly #names: Names;
  readonly #viewers: Viewers;
  /** The stamp up to which this thread has acknowledged. */
  #acknowledged: number;
  /** This thread's views. */
  readonly views = new Views();
  /**
   * What tells the object that was made or opened last from others that there have been at its address: read with it, because
   * its word says something else once another thread has destroyed it.
   */
  serial = 0;

  /** `owner`: the calling thread's CPU number plus one; `nascent`: its nascent word. */
  constructor(cpu: Cpu, heap: Heap, owner: number, nascent: number, viewers: Viewers = NOBODY) {
    this.#cpu = cpu;
    this.#heap = heap;
    this.#owner = owner;
    this.#nascent = nascent;
    this.#names = new Names(cpu);
    this.#viewers = viewers;
    // A thread that comes has no views.
    this.#acknowledged = cpu.load(Header.stamp);
    viewers.acknowledge(this.#acknowledged);
  }

  /**
   * A new object without a name. `home`: a word of the thread's slot that names it from then on, whoever dies when;
   * the reaper has to know that word (`keepsNascent`).
   */
  create(kind: Kind, home = 0): number {
    const name = new Uint8Array(0);
    const address = this.#make(kind, name) || (this.#sweepLatched() ? this.#make(kind, name) : 0);
    if (address === 0) throw this.#heap.exhausted(sizeOf(this.#cpu, kind), `a new ${kind.name}`);
    this.#heap.publish(address, this.#nascent, home);
    return address;
  }

  /** The object of that name, made if there is none. */
  open(kind: Kind, name: string): number {
    const bytes = encodeName(name);
    const cpu = this.#cpu;
    const bucket = this.#names.bucketOf(name);
    latch(cpu, Header.namesLatch, this.#owner);
    const found = this.#names.find(name, bytes);
    const id = found === 0 ? kind.id : cpu.read(found + ObjectHeader.kind);
    const address = found || this.#make(kind, bytes) || (this.#sweep() ? this.#make(kind, bytes) : 0);
    if (found === 0 && address !== 0) {
      cpu.write(address + ObjectHeader.nextNamed, cpu.read(bucket));
      this.#heap.publish(address);
      cpu.write(bucket, address);
      cpu.store(this.#nascent, 0);
    }
    if (found !== 0 && id === kind.id) {
      this.#noteViewer(found);
      this.serial = cpu.read(found + ObjectHeader.serial);
    }
    unlatch(cpu, Header.namesLatch);
    if (id !== kind.id) {
      throw new HoldfastError(
        'EINVAL',
        `${shown(name)} is a ${kindById(id)?.name ?? 'foreign object'}, not a ${kind.name}`,
      );
    }
    if (address === 0) throw this.#heap.exhausted(sizeOf(this.#cpu, kind), `the ${kind.name} ${shown(name)}`);
    return address;
  }

  /** Whether anything has that name. Throws EINVAL for what can be none. */
  has(name: string): boolean {
    const bytes = encodeName(name);
    latch(this.#cpu, Header.namesLatch, this.#owner);
    const found = this.#names.find(name, bytes);
    unlatch(this.#cpu, Header.namesLatch);
    return found !== 0;
  }

  /**
   * Takes an object out of the table of names, and frees it once no thread can reach it. `isWaitedFor`: whether anybody
   * waits for a word from one address to before another.
   */
  destroy(kind: Kind, address: number, isWaitedFor: (address: number, end: number) => boolean): void {
    const cpu = this.#cpu;
    latch(cpu, Header.namesLatch, this.#owner);
    this.#retireViews();
    const wrong = this.#mismatch(kind, address);
    let busy = false;
    if (wrong === '') {
      this.#viewers.enter(address);
      cpu.store(address + ObjectHeader.kind, kind.id + DYING);
      // Pairs with the barrier in `SharedObject.beginWait`, and with those of locks that look at the kind after they got in.
      cpu.mb();
      // The waiters first: one whose call comes back in between with the object is its holder then.
      busy = isWaitedFor(address, address + sizeOf(cpu, kind)) || kind.isBusy(cpu, address);
      if (busy) this.#spare(address, kind.id, this.#nascent);
      else busy = !this.#close(address, kind, this.#nascent);
      this.#viewers.enter(0);
    }
    if (wrong === '' && !busy) {
      // All others up to here are retired.
      this.views.retire(address);
      this.#acknowledgeTo(cpu.load(Header.stamp));
      this.#free(Header.destroyed);
    }
    unlatch(cpu, Header.namesLatch);
    if (wrong !== '') throw new HoldfastError('EINVAL', wrong);
    if (busy)
      throw new HoldfastError(
        'EBUSY',
        `the ${kind.name} at ${address} is held or waited for; only an idle one can be destroyed`,
      );
  }

  /** Opens the object at `address`. Throws EINVAL unless it is of that kind, and with that serial number. */
  reopen(kind: Kind, address: number, serial: number): void {
    const cpu = this.#cpu;
    latch(cpu, Header.namesLatch, this.#owner);
    let wrong = this.#mismatch(kind, address);
    if (wrong === '' && cpu.read(address + ObjectHeader.serial) !== serial) {
      wrong = `the ${kind.name} that was at ${address} was destroyed; there is another one`;
    }
    if (wrong === '') {
      this.#noteViewer(address);
      this.serial = serial;
    }
    unlatch(cpu, Header.namesLatch);
    if (wrong !== '') throw new HoldfastError('EINVAL', wrong);
  }

  /** Returns once nobody is about to destroy any object: each is destroyed or not. */
  settle(): void {
    latch(this.#cpu, Header.namesLatch, this.#owner);
    unlatch(this.#cpu, Header.namesLatch);
  }

  /** The name of the object at `address`, or undefined. */
  nameOf(address: number): string | undefined {
    return this.#names.nameOf(address);
  }

  /** How messages name an object: its kind, and its name or else its address. */
  labelOf(address: number, kind = kindById(this.#cpu.read(address + ObjectHeader.kind))): string {
    const name = this.nameOf(address);
    return `${kind?.name ?? 'foreign object'} ${name === undefined ? `at ${address}` : shown(name)}`;
  }

  /** For the reaper, which holds namesLatch: frees a dead thread's nascent block, unless a name leads to it. */
  reclaim(nascent: number): void {
    const cpu = this.#cpu;
    const address = cpu.load(nascent);
    if (address === 0) return;
    if (this.#heap.isObject(address) && !isPresent(cpu, address)) this.#endDestroy(address, nascent);
    else if (this.#isStanding(address)) cpu.store(nascent, 0);
    else this.#heap.reclaim(nascent);
  }

  /** For the reaper, which holds namesLatch: a dead thread had begun to destroy the object at `address`, 0 for none. */
  undoDestroy(address: number, nascent: number): void {
    const cpu = this.#cpu;
    if (address === 0 || !this.#heap.isObject(address)) return;
    const id = kindIdOf(cpu, address);
    if (cpu.load(address + ObjectHeader.kind) !== id + DYING) return;
    if (cpu.load(nascent) === address) cpu.store(nascent, 0);
    cpu.store(address + ObjectHeader.kind, id);
  }

  /** A thread died while it destroyed the object, or freed it. Of a kind that is not known it stays as it is. */
  #endDestroy(address: number, nascent: number): void {
    const cpu = this.#cpu;
    const id = kindIdOf(cpu, address);
    const kind = kindById(id);
    const listed = this.#listed();
    // It may have died between the step that lists the object, or takes it out, and the one that counts that.
    cpu.write(Header.destroyedCount, listed.length);
    if (listed.includes(address)) cpu.store(nascent, 0);
    else if (kind !== undefined) this.#close(address, kind, nascent);
  }

  /** The object is not destroyed after all. */
  #spare(address: number, id: number, nascent: number): void {
    const cpu = this.#cpu;
    // Illegal to leave an object in `nascent` that is there: whoever dies then, it would be freed.
    cpu.store(address + ObjectHeader.kind, id + DYING);
    cpu.store(nascent, 0);
    cpu.store(address + ObjectHeader.kind, id);
  }

  /**
   * Under namesLatch: the object, that nobody waits for, is destroyed, unless a fast path has got in.
   * Each step may be the second of its kind, after a death.
   */
  #close(address: number, kind: Kind, nascent: number): boolean {
    const cpu = this.#cpu;
    cpu.store(nascent, address);
    cpu.store(address + ObjectHeader.kind, kind.id + CLOSING);
    if (kind.close?.(cpu, address) === false) {
      this.#spare(address, kind.id, nascent);
      return false;
    }
    this.#names.unlink(address);
    const stamp = (cpu.load(Header.stamp) + 1) | 0;
    // First: a stamp in the list that is later than this one could not be acknowledged.
    cpu.store(Header.stamp, stamp);
    cpu.write(address + ObjectHeader.serial, stamp);
    cpu.write(address + ObjectHeader.nextNamed, cpu.read(Header.destroyed));
    cpu.write(Header.destroyed, address);
    cpu.write(Header.destroyedCount, cpu.read(Header.destroyedCount) + 1);
    cpu.store(nascent, 0);
    return true;
  }

  /** The destroyed objects. */
  #listed(): number[] {
    const cpu = this.#cpu;
    const listed: number[] = [];
    for (let at = cpu.read(Header.destroyed); at !== 0; at = cpu.read(at + ObjectHeader.nextNamed)) listed.push(at);
    return listed;
  }

  /**
   * Retires this thread's views of objects that others have destroyed. Only between two calls of the thread: making a view
   * is one.
   */
  acknowledge(): void {
    const cpu = this.#cpu;
    if (cpu.load(Header.stamp) === this.#acknowledged) return;
    latch(cpu, Header.namesLatch, this.#owner);
    this.#retireViews();
    if (cpu.read(Header.destroyedCount) >= Math.max(cpu.read(Header.sweepAt), FIRST_SWEEP)) this.#sweep();
    unlatch(cpu, Header.namesLatch);
  }

  /** Under namesLatch. */
  #retireViews(): void {
    const cpu = this.#cpu;
    // The latest come first.
    let at = cpu.read(Header.destroyed);
    while (at !== 0 && ((cpu.read(at + ObjectHeader.serial) - this.#acknowledged) | 0) > 0) {
      this.views.retire(at);
      at = cpu.read(at + ObjectHeader.nextNamed);
    }
    this.#acknowledgeTo(cpu.load(Header.stamp));
  }

  #acknowledgeTo(stamp: number): void {
    if (stamp === this.#acknowledged) return;
    this.#acknowledged = stamp;
    this.#viewers.acknowledge(stamp);
  }

  /** Frees what can be freed when the heap is exhausted. Whether that was anything. */
  makeRoom(): boolean {
    this.acknowledge();
    return this.#sweepLatched();
  }

  #sweepLatched(): boolean {
    latch(this.#cpu, Header.namesLatch, this.#owner);
    const hasFreed = this.#sweep();
    unlatch(this.#cpu, Header.namesLatch);
    return hasFreed;
  }

  /** Under namesLatch: frees the destroyed objects that no thread can reach. Whether there were any. */
  #sweep(): boolean {
    const cpu = this.#cpu;
    const before = cpu.read(Header.destroyedCount);
    for (let link: number = Header.destroyed; cpu.read(link) !== 0; ) {
      if (!this.#free(link)) link = cpu.read(link) + ObjectHeader.nextNamed;
    }
    const left = cpu.read(Header.destroyedCount);
    // Twice as many as are left: so that an object costs the same however many have to stay.
    cpu.write(Header.sweepAt, 2 * left);
    return left < before;
  }

  /** Under namesLatch: frees the destroyed object that the word at `link` leads to, if no thread can reach it. */
  #free(link: number): boolean {
    const cpu = this.#cpu;
    const object = cpu.read(link);
    const stamp = cpu.read(object + ObjectHeader.serial);
    const [viewers, born] = [cpu.read(object + ObjectHeader.viewers), cpu.read(object + ObjectHeader.born)];
    if (this.#viewers.mayReach(viewers, born, stamp)) return false;
    const kind = kindById(kindIdOf(cpu, object));
    // What it has of the heap goes first: until then it is in the list, whoever dies.
    if (kind === undefined || kind.release?.(cpu, object, this.#heap, this.#nascent) === false) return false;
    cpu.store(this.#nascent, object);
    cpu.write(link, cpu.read(object + ObjectHeader.nextNamed));
    cpu.write(Header.destroyedCount, cpu.read(Header.destroyedCount) - 1);
    this.#heap.free(object, this.#nascent);
    return true;
  }

  /** Under namesLatch. */
  #noteViewer(address: number): void {
    const cpu = this.#cpu;
    const viewers = address + ObjectHeader.viewers;
    cpu.write(viewers, cpu.read(viewers) | viewerBit(this.#owner - 1));
    // Illegal to acknowledge here: a call of another object may be under way, which asks for a system thread before it sleeps, say.
    const born = address + ObjectHeader.born;
    if (((cpu.read(born) - this.#acknowledged) | 0) > 0) cpu.write(born, this.#acknowledged);
  }

  #mismatch(kind: Kind, address: number): string {
    if (!this.#heap.isBlock(address)) return `no ${kind.name} at ${shown(address)}: it was destroyed, or never made`;
    const id = kindIdOf(this.#cpu, address);
    if (id === kind.id) {
      return isPresent(this.#cpu, address) ? '' : `the ${kind.name} that was at ${address} was destroyed`;
    }
    return `the object at ${address} is a ${kindById(id)?.name ?? 'block of memory'}, not a ${kind.name}`;
  }

  /** A formatted object that stands in `nascent`, or 0 when the heap is exhausted. */
  #make(kind: Kind, name: Uint8Array): number {
    const cpu = this.#cpu;
    const size = sizeOf(cpu, kind);
    const words = size + textWords(name.length);
    const address = this.#heap.tryAlloc(words, this.#nascent);
    if (address === 0) return 0;
    for (let i = 0; i < words; i++) cpu.write(address + i, 0);
    cpu.write(address + ObjectHeader.kind, kind.id);
    cpu.write(address + ObjectHeader.name, name.length | (size << NAME_AT_SHIFT));
    this.serial = cpu.fetchAddRelaxed(Header.serial, 1);
    cpu.write(address + ObjectHeader.serial, this.serial);
    cpu.write(address + ObjectHeader.viewers, viewerBit(this.#owner - 1));
    cpu.write(address + ObjectHeader.born, this.#acknowledged);
    writeBytes(cpu, address + size, name);
    kind.format(cpu, address);
    return address;
  }

  /** Whether a name leads to the block, or another word (`Kind.isKept`). A named one was published before. */
  #isStanding(address: number): boolean {
    if (!this.#heap.isObject(address)) return false;
    const cpu = this.#cpu;
    return (
      this.#names.has(address) || (kindById(cpu.read(address + ObjectHeader.kind))?.isKept?.(cpu, address) ?? false)
    );
  }
}
