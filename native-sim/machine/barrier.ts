/**
 * The options of Arm's DMB and DSB: how far the barrier reaches, and which accesses it orders. A domain holds those before
 * it: the core alone (NSH), the cores that run one system (ISH), these and others that are kept coherent, as a GPU (OSH),
 * everything (SY).
 */
import { SimError } from './profile.ts';

export const Domain = { nonShareable: 0, inner: 1, outer: 2, system: 3 } as const;

/** LD: earlier loads before later loads and stores. ST: earlier stores before later stores. */
export const Orders = { all: 0, loads: 1, stores: 2 } as const;

export const BARRIER_OPTIONS = [
  'nsh',
  'nshld',
  'nshst',
  'ish',
  'ishld',
  'ishst',
  'osh',
  'oshld',
  'oshst',
  'sy',
  'ld',
  'st',
] as const;
/** `ld` and `st` are SY's. */
export type BarrierOption = (typeof BARRIER_OPTIONS)[number];

export interface Barrier {
  readonly domain: number;
  readonly orders: number;
}

/** Throws SimError for what no assembler would take. */
export function barrierOf(option: BarrierOption): Barrier {
  const at = BARRIER_OPTIONS.indexOf(option);
  if (at < 0) throw new SimError(`a barrier's option must be one of ${BARRIER_OPTIONS.join(', ')}; received ${option}`);
  return { domain: Math.floor(at / 3), orders: at % 3 };
}
