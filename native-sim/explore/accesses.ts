/**
 * The operations of `Cpu` that access memory, as events. What each promises is in its flags; what it may see is up to the search.
 *
 * A compare-and-exchange that fails is a plain read. `condLoad` without a bound is one read that waits for a write
 * that satisfies it; with a bound it is an ordinary load, because giving up after any number of turns and finding the
 * value are told apart by the value alone.
 */
import { changed, opName, strengthOf } from '../replay/operations.ts';
import { divergence } from '../replay/replay.ts';
import { Access, type Until } from '../replay/replayed-cpu.ts';
import { CheckedReplay } from './checks.ts';
import {
  ACQUIRE,
  AWAIT,
  accessBits,
  CAS,
  CAS_ACQUIRE,
  FULL,
  fenceBits,
  HIDDEN,
  NOTHING,
  PLAIN,
  POISON,
  READ,
  RELEASE,
  RMW,
  WRITE,
} from './events.ts';
import { Stop } from './graph.ts';

/** The bits of the halves of a read-modify-write, by `strengthOf` it. */
const RMW_READ = [0, ACQUIRE, 0, 0] as const;
const RMW_WRITE = [0, 0, RELEASE, RELEASE | FULL] as const;

export abstract class Accesses extends CheckedReplay {
  protected locationOf(op: number, address: number): number {
    if (!this.memory.inRange(address)) {
      if (this.stopped) this.halt();
      this.fail(
        'out-of-range',
        `thread ${this.t}: ${opName(op)} of address ${address}; there are ${this.memory.words} words`,
        this.g.lastOf(this.t),
      );
    }
    return this.memory.location(address);
  }

  #altered(op: number, flags: number): number {
    return this.alter === null ? flags : this.alter(op, flags);
  }

  read(op: number, address: number, access: number): number {
    const flags = accessBits(op, access);
    const location = this.locationOf(op, address);
    let e = this.begin(op, location);
    if (e < 0) {
      const given = this.#altered(op, READ | flags);
      e = this.addRead(op, given, location, () => given);
      this.checkAccess(e);
    }
    return this.g.value[e]!;
  }

  write(op: number, address: number, value: number, access: number): void {
    this.#write(op, address, value, accessBits(op, access));
  }

  #write(op: number, address: number, value: number, flags: number): void {
    const location = this.locationOf(op, address);
    const e = this.begin(op, location);
    if (e < 0) this.checkAccess(this.addWrite(op, this.#altered(op, WRITE | flags), location, value | 0));
    else this.checkSame(e, value | 0);
  }

  /** A write that is replayed must write what it wrote. */
  protected checkSame(e: number, value: number): void {
    const was = this.g.value[e]!;
    if (was === value) return;
    const what = `${opName(this.g.op[e]!)} of ${this.memory.name(this.g.location[e]!, new Map())}`;
    this.fail('non-determinism', divergence(this.t, this.g.index[e]!, `${what} writing ${was}`, `writing ${value}`), e);
  }

  /** The second half of a read-modify-write. Before there is one, the first is not known to happen. */
  #writeHalf(op: number, location: number, flags: number, value: number): void {
    if (this.atFrontier()) {
      const e = this.addWrite(op, this.#altered(op, WRITE | RMW | flags), location, value);
      this.checkAccess(this.g.threads[this.t]![this.g.index[e]! - 1]!);
      this.checkAccess(e);
    } else this.checkSame(this.recorded(op, location), value);
  }

  rmw(op: number, address: number, operand: number): number {
    const location = this.locationOf(op, address);
    const strength = strengthOf(op);
    let e = this.begin(op, location);
    if (e < 0) {
      const given = this.#altered(op, READ | RMW | RMW_READ[strength]!);
      e = this.addRead(op, given, location, () => given);
    }
    const old = this.g.value[e]!;
    this.#writeHalf(op, location, RMW_WRITE[strength]!, changed(op, old, operand | 0));
    return old;
  }

  cmpxchg(op: number, address: number, expected: number, value: number): number {
    const location = this.locationOf(op, address);
    const strength = strengthOf(op);
    const wanted = expected | 0;
    let e = this.begin(op, location);
    if (e < 0) {
      const given = this.#altered(op, READ | RMW_READ[strength]!);
      const failed = (given & ~ACQUIRE) | CAS | (given & ACQUIRE ? CAS_ACQUIRE : 0);
      const succeeded = failed | RMW | (given & ACQUIRE);
      e = this.addRead(op, failed, location, (w) => (this.valueOf(location, w) === wanted ? succeeded : failed));
      this.g.arg[e] = wanted;
      if (this.g.value[e] !== wanted) this.checkAccess(e);
    } else if (this.g.arg[e] !== wanted) {
      const was = `${opName(op)} expecting ${this.g.arg[e]}`;
      this.fail('non-determinism', divergence(this.t, this.g.index[e]!, was, `expecting ${wanted}`), e);
    }
    const old = this.g.value[e]!;
    if (old === wanted) this.#writeHalf(op, location, RMW_WRITE[strength]!, value | 0);
    return old;
  }

  fence(op: number): void {
    const e = this.begin(op, -1);
    if (e < 0) this.addFence(op, this.#altered(op, fenceBits(op)));
  }

  condLoad(op: number, address: number, until: Until, arg: number, spins: number): number {
    if (spins !== Number.POSITIVE_INFINITY) return this.read(op, address, Access.marked);
    const flags = READ | AWAIT | accessBits(op, Access.marked);
    return this.awaitValue(op, this.locationOf(op, address), flags, until, arg);
  }

  protected awaitValue(op: number, location: number, flags: number, until: Until, arg: number): number {
    let e = this.begin(op, location);
    if (e < 0) {
      const given = flags & HIDDEN ? flags : this.#altered(op, flags);
      const pending = { op, flags: given, location, until, arg };
      if (!this.mayAwait(pending)) {
        this.g.pending[this.t] = pending;
        this.stopAs(Stop.atAwait);
      }
      e = this.addRead(op, given, location, (w) => (until(this.valueOf(location, w), arg) ? given : 0));
      this.g.arg[e] = arg;
      this.g.until[e] = until;
      if (this.g.rf[e] === NOTHING) this.stopAs(Stop.blocked);
      if (!(flags & HIDDEN)) this.checkAccess(e);
    }
    return this.g.value[e]!;
  }

  poison(op: number, address: number, words: number): void {
    for (let a = address; a < address + words; a++) this.#write(op, a, 0, PLAIN | POISON);
  }
}
