/**
 * Ranges of memory with an attribute, and who else looks at memory beside the cores. Without one of these all of memory is
 * ISH, and nobody looks.
 *
 *     ISH     kept coherent between the cores. Others see what memory itself holds, behind the caches: a store comes there
 *             when its line is written back
 *     OSH     kept coherent with an outer observer too, as a GPU: it sees each store some time after the cores do. What a
 *             core's barrier of the outer domain stands in front of comes there later than what stands behind it
 *     NSH     private: each core has copies of its own, which nobody invalidates, and which DC CVAC or CIVAC writes back
 *     Device  not cached: each access goes to the device, in program order, whatever becomes of other memory meanwhile
 */
import { LINE_SHIFT, LINE_WORDS } from './caches.ts';
import type { Core } from './core.ts';
import { PS } from './interconnect.ts';
import type { MemorySystem } from './memory-system.ts';
import type { Random } from './random.ts';

export const Attribute = { ish: 0, osh: 1, nsh: 2, device: 3 } as const;

/** How long a store takes, behind the cores, to the outer observer or the device, at most; and at least. */
const LONGEST_NS = 400;
const SHORTEST_NS = 20;

/** A store that the device has received. */
export interface Arrival {
  address: number;
  value: number;
  /** ns */
  time: number;
}

interface Copy {
  readonly words: Int32Array;
  isDirty: boolean;
}

/** What one core has sent to those outside. */
interface Port {
  /** Epochs that began with a barrier of the outer domain. */
  readonly barriers: number[];
  crossed: number;
  /** When the last of its stores arrives; of those in front of the last barrier; of the device's; by address. */
  latest: number;
  floor: number;
  device: number;
  readonly byAddress: Map<number, number>;
  /** The last value on its way to each of the device's words. */
  readonly sent: Map<number, { value: number; arrives: number }>;
  /** When its cache maintenance is complete. */
  maintained: number;
}

export class Shareability {
  /** What memory holds behind the caches; what the outer observer sees of OSH lines. */
  readonly behind: Int32Array;
  readonly outer: Int32Array;
  readonly arrivals: Arrival[] = [];
  /** The device acts on what it has received. */
  onArrival: ((arrival: Arrival) => void) | null = null;
  readonly #system: MemorySystem;
  readonly #random: Random;
  readonly #at: (time: number, core: number, action: (time: number) => void) => void;
  readonly #attributes: Uint8Array;
  readonly #ports: Port[];
  readonly #copies = new Map<string, Copy>();
  readonly #memoryPs: number;
  /** What is written back is still on its way to memory. */
  #isMaintaining = false;

  /** `at` calls something at a time, ps. */
  constructor(
    system: MemorySystem,
    random: Random,
    at: (time: number, core: number, action: (time: number) => void) => void,
  ) {
    this.#system = system;
    this.#random = random;
    this.#at = at;
    this.behind = system.memory.slice();
    this.outer = system.memory.slice();
    this.#attributes = new Uint8Array(system.caches.lines);
    this.#memoryPs = Math.round(system.profile.memoryNs * PS);
    this.#ports = system.cores.map(() => ({
      barriers: [],
      crossed: 0,
      latest: 0,
      floor: 0,
      device: 0,
      byAddress: new Map(),
      sent: new Map(),
      maintained: 0,
    }));
  }

  /** Gives the lines of `words` words from `address` on an attribute, before the machine runs. */
  declare(address: number, words: number, attribute: number): void {
    for (let line = address >> LINE_SHIFT; line <= (address + words - 1) >> LINE_SHIFT; line++) {
      this.#attributes[line] = attribute;
    }
  }

  attribute(line: number): number {
    return this.#attributes[line]!;
  }

  /** What somebody outside the cores' domain reads now. */
  observe(address: number): number {
    return this.attribute(address >> LINE_SHIFT) === Attribute.osh ? this.outer[address]! : this.behind[address]!;
  }

  // Stores on their way to those outside

  /** A barrier of the outer domain, or the system, that orders stores; `core.epoch` is the one behind it. */
  barrier(core: Core): void {
    this.#ports[core.number]!.barriers.push(core.epoch);
  }

  /** The core's store is visible to the cores from `time` on. */
  committed(core: Core, address: number, value: number, epoch: number, time: number): void {
    if (this.attribute(address >> LINE_SHIFT) !== Attribute.osh) return;
    this.#send(core, address, epoch, time, () => {
      this.outer[address] = value;
    });
  }

  /** A store to a device leaves the core. */
  sendToDevice(core: Core, address: number, value: number, epoch: number, time: number): void {
    const port = this.#ports[core.number]!;
    const arrives = this.#send(core, address, epoch, Math.max(time, port.device), (now) => {
      this.#system.memory[address] = value;
      const arrival = { address, value, time: now / PS };
      this.arrivals.push(arrival);
      this.onArrival?.(arrival);
    });
    port.device = arrives;
    port.sent.set(address, { value, arrives });
  }

  #send(core: Core, address: number, epoch: number, time: number, action: (time: number) => void): number {
    const port = this.#ports[core.number]!;
    while (port.crossed < port.barriers.length && port.barriers[port.crossed]! <= epoch) {
      port.crossed++;
      port.floor = port.latest;
    }
    const delay = (SHORTEST_NS + this.#random.below(LONGEST_NS - SHORTEST_NS)) * PS;
    const arrives = Math.max(time + delay, port.floor, port.byAddress.get(address) ?? 0);
    port.byAddress.set(address, arrives);
    port.latest = Math.max(port.latest, arrives);
    this.#at(arrives, core.number, action);
    return arrives;
  }

  /** When the core's stores and its cache maintenance are complete: for the cores, or for all that look on. */
  completeAt(core: Core, reachesOut: boolean): number {
    const { latest, maintained } = this.#ports[core.number]!;
    return reachesOut ? Math.max(latest, maintained) : maintained;
  }

  /** What the core reads from the device, which has all that the core has sent it by then, and when that is. */
  readDevice(core: Core, address: number): { value: number; time: number } {
    const { device, sent } = this.#ports[core.number]!;
    const own = sent.get(address);
    const value = own !== undefined && own.arrives > core.clock ? own.value : this.#system.memory[address]!;
    return { value, time: Math.max(device, core.clock) + 2 * this.#memoryPs };
  }

  // Lines and memory behind them

  /** A modified line goes to memory, at once. */
  writtenBack(line: number): void {
    if (!this.#isMaintaining)
      this.#store(line, this.#system.memory.subarray(line << LINE_SHIFT, (line + 1) << LINE_SHIFT));
  }

  #store(line: number, words: Int32Array): void {
    this.behind.set(words, line << LINE_SHIFT);
  }

  /** DC CVAC, and with `drops` DC CIVAC: whoever has the line modified writes it back, which takes as long as memory does. */
  clean(core: Core, line: number, drops: boolean, time: number): void {
    const port = this.#ports[core.number]!;
    const from = line << LINE_SHIFT;
    let words = this.#system.memory.slice(from, from + LINE_WORDS);
    if (this.attribute(line) === Attribute.nsh) {
      const copy = this.#copies.get(`${core.number} ${line}`);
      if (copy !== undefined) {
        words = copy.words.slice();
        if (drops) this.#copies.delete(`${core.number} ${line}`);
      }
      if (copy?.isDirty !== true) return;
      copy.isDirty = false;
    } else {
      this.#isMaintaining = true;
      const isModified = this.#system.maintain(line, drops);
      this.#isMaintaining = false;
      if (!isModified) return;
    }
    const arrives = time + this.#memoryPs;
    port.maintained = Math.max(port.maintained, arrives);
    this.#at(arrives, core.number, () => this.#store(line, words));
  }

  /** The core's own copy of a private line, and whether it had to be fetched. */
  copy(core: Core, line: number): { words: Int32Array; isNew: boolean } {
    const key = `${core.number} ${line}`;
    const known = this.#copies.get(key);
    if (known !== undefined) return { words: known.words, isNew: false };
    const from = line << LINE_SHIFT;
    const words = this.behind.slice(from, from + LINE_WORDS);
    this.#copies.set(key, { words, isDirty: false });
    return { words, isNew: true };
  }

  /** The core writes its own copy, which it has. */
  writePrivate(core: Core, address: number, value: number): void {
    const copy = this.#copies.get(`${core.number} ${address >> LINE_SHIFT}`)!;
    copy.words[address % LINE_WORDS] = value;
    copy.isDirty = true;
  }
}
