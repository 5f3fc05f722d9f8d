/** What the threads of an RCU torture have in common, whatever part they play. */
import { setTimeout as delay, setImmediate as turn } from 'node:timers/promises';
import type { Arena, ArenaHandle } from '../../arena/arena.ts';
import type { ObjectHandle } from '../../arena/shared-object.ts';
import type { Cpu } from '../../machine/cpu.ts';
import { Random } from '../random.ts';
import type { Side } from '../types/rcu.ts';
import type { PeriodDelays } from './slow-periods.ts';
import { count, Seat, Stage, seatAddress } from './stage.ts';
import { rcuTortureTypeNamed } from './types.ts';

export type Role = 'reader' | 'writer' | 'fakewriter' | 'callback' | 'barrier' | 'flood';

/** What a thread is started with. */
export interface Part {
  readonly arena: ArenaHandle;
  readonly type: string;
  readonly domain: ObjectHandle | undefined;
  readonly stage: number;
  readonly seats: number;
  readonly seat: number;
  readonly role: Role;
  /** Threads of the role `callback`. */
  readonly callbacks: number;
  readonly seed: number;
  readonly incarnation: number;
  readonly delays: PeriodDelays;
}

/** What a thread says to the one that has started it: a line for people. */
export interface Said {
  readonly line: string;
}

const STUTTER_LOOK_MS = 1;
/** So that no part of memory is waited on that others have. */
const nap = new Int32Array(new SharedArrayBuffer(4));

export class Performer {
  readonly arena: Arena;
  readonly part: Part;
  readonly cpu: Cpu;
  readonly side: Side;
  readonly random: Random;
  readonly stage: number;
  readonly seat: number;
  readonly isBusted: boolean;

  constructor(arena: Arena, part: Part) {
    const type = rcuTortureTypeNamed(part.type);
    if (type === undefined) throw new Error(`no type ${part.type}`);
    this.arena = arena;
    this.part = part;
    this.cpu = arena.cpu;
    this.side = type.open(arena, part.domain);
    this.isBusted = type.isBusted;
    this.random = new Random(part.seed, part.seat, part.incarnation);
    this.stage = part.stage;
    this.seat = seatAddress(part.stage, part.seat);
  }

  get isOver(): boolean {
    return this.cpu.load(this.stage + Stage.stop) !== 0 || this.cpu.load(this.seat + Seat.doom) !== 0;
  }

  /** The end of a round: a turn of the event loop, and a pause while all are to pause. */
  async rest(): Promise<void> {
    count(this.cpu, this.seat, Seat.turns);
    await turn();
    while (this.cpu.load(this.stage + Stage.stutter) !== 0 && !this.isOver) await delay(STUTTER_LOOK_MS);
  }

  /** Blocks the thread, as something does that RCU does not hear of. */
  nap(ms: number): void {
    Atomics.wait(nap, 0, 0, ms);
  }

  spin(ns: number): void {
    const until = this.cpu.now() + ns;
    while (this.cpu.now() < until) this.cpu.relax();
  }
}
