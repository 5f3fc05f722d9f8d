/**
 * DMB, DSB, ISB and cache maintenance, and accesses to memory that is not ISH or OSH, as the machine executes them.
 *
 * A DMB lets the core go on: later stores go into the buffer behind it, and the next load waits until the earlier stores are
 * visible. A DSB lets nothing go on, work outside memory included, until they are, and until cache maintenance and what
 * those outside its domain have still to see is complete. On a machine with several inner domains a barrier that is only
 * inner does not look at invalidations that come from another one.
 */
import { Domain, Orders } from './barrier.ts';
import { LINE_SHIFT, LINE_WORDS } from './caches.ts';
import { Code } from './codes.ts';
import type { Core } from './core.ts';
import { PS } from './interconnect.ts';
import type { MemorySystem } from './memory-system.ts';
import { Attribute, type Shareability } from './shareability.ts';
import type { SimThread } from './thread.ts';

/** `Core.gate`: whether the next load has to wait, and how far the barrier reaches that it waits for. */
export const Gate = { open: 0, inner: 1, outer: 2 } as const;

/** An ISB throws away what the core has fetched: about as many cycles as a mispredicted branch costs. */
const ISB_PS = 5000;

export class Barriers {
  shareability: Shareability | null = null;
  readonly #storePs: number;
  readonly #l1Ps: number;
  readonly #fencePs: number;
  readonly #memoryPs: number;

  constructor(
    { profile }: MemorySystem,
    costs: { readonly store: number; readonly l1: number; readonly fence: number },
  ) {
    this.#storePs = costs.store;
    this.#l1Ps = costs.l1;
    this.#fencePs = costs.fence;
    this.#memoryPs = Math.round(profile.memoryNs * PS);
  }

  /** Returns false where the store buffer has to be empty first. */
  execute(core: Core, thread: SimThread): boolean {
    thread.result = 0;
    switch (thread.code) {
      case Code.dmb:
        this.#order(core, thread.x, thread.y);
        core.clock += this.#storePs;
        return true;
      case Code.dsb:
        return this.#dsb(core, thread.x, thread.y);
      case Code.isb:
        core.clock += ISB_PS;
        return true;
      default:
        return this.#maintain(core, thread);
    }
  }

  #order(core: Core, domain: number, orders: number): void {
    if (domain === Domain.nonShareable) return;
    const isOuter = domain >= Domain.outer;
    if (orders !== Orders.loads) {
      core.epoch++;
      if (isOuter) this.shareability?.barrier(core);
    }
    if (orders === Orders.stores) return;
    if (orders === Orders.all) core.gate = isOuter ? Gate.outer : Gate.inner;
    this.forget(core, isOuter);
  }

  /** A line whose invalidation waits answers no later load; one from another inner domain only if the barrier is inner. */
  forget(core: Core, isOuter: boolean): void {
    if (core.clock > core.floor) core.floor = core.clock;
    if (isOuter) core.foreignFloor = core.floor;
  }

  /** A load behind a DMB: may it be made? The earlier stores must be visible. */
  passesGate(core: Core): boolean {
    if (core.stores.length > 0) return false;
    this.forget(core, core.gate === Gate.outer);
    core.gate = Gate.open;
    return true;
  }

  #dsb(core: Core, domain: number, orders: number): boolean {
    if (orders !== Orders.loads) {
      if (core.stores.length > 0 && domain !== Domain.nonShareable) return false;
      const complete = this.shareability?.completeAt(core, domain >= Domain.outer) ?? 0;
      if (complete > core.clock) core.clock = complete;
    }
    core.clock += this.#fencePs;
    this.#order(core, domain, Orders.all);
    core.gate = Gate.open;
    return true;
  }

  #maintain(core: Core, { code, address }: SimThread): boolean {
    const line = address >> LINE_SHIFT;
    if (core.hasBufferedLine(line)) return false;
    core.clock += this.#storePs;
    this.shareability?.clean(core, line, code === Code.cleanInvalidate, core.clock);
    return true;
  }

  /** Is this a load or store of a private or a device line? */
  isSpecial({ code, address }: SimThread): boolean {
    return code <= Code.storeRelease && this.shareability!.attribute(address >> LINE_SHIFT) >= Attribute.nsh;
  }

  /** Returns false where the store buffer has to be empty first. */
  access(core: Core, thread: SimThread): boolean {
    const shareability = this.shareability!;
    const { address } = thread;
    const isStore = thread.code >= Code.store;
    if (shareability.attribute(address >> LINE_SHIFT) === Attribute.device) {
      // A barrier stands between an earlier store that is not visible yet and this access.
      if (core.hasEarlierEpoch(core.epoch)) return false;
      core.clock += this.#storePs;
      if (isStore) shareability.sendToDevice(core, address, thread.x, core.epoch, core.clock);
      else {
        const { value, time } = shareability.readDevice(core, address);
        core.clock = time;
        thread.result = value;
      }
      return true;
    }
    const { words, isNew } = shareability.copy(core, address >> LINE_SHIFT);
    core.clock += isNew ? this.#memoryPs : this.#l1Ps;
    if (isStore) shareability.writePrivate(core, address, thread.x);
    else thread.result = words[address % LINE_WORDS]!;
    return true;
  }
}
