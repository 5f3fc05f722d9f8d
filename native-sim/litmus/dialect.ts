/**
 * What the kernel operations of a C litmus test become under each model: themselves for the LKMM, and what the arm64,
 * x86 and powerpc kernels make of them for the hardware models.
 */
import { Fence, Tag } from '../models/execution.ts';
import {
  armv8LlscMapping,
  armv8LseMapping,
  lkmmMapping,
  type Mapping,
  powerMapping,
  scMapping,
  x86Mapping,
} from '../models/mapping.ts';

export type ModelName = 'sc' | 'x86-tso' | 'armv8' | 'rvwmo' | 'power' | 'lkmm' | 'javascript';

/** The models that kernel operations can be put to. */
export type KernelModelName = Exclude<ModelName, 'rvwmo'>;

export interface Dialect {
  readonly name: ModelName;
  readonly mapping: Mapping;
  /** What a kernel fence is here; `Fence.none`: nothing. Undefined: the model cannot say what it means. */
  fence(kind: number): number | undefined;
  /** The tags of a spin lock's read, write, and unlocking write, and of a read that only looks at it. */
  readonly lock: { readonly read: number; readonly write: number; readonly unlock: number; readonly look: number };
  /** The fences behind the taking of a spin lock, and before its release. */
  readonly locked: number;
  readonly unlocking: number;
  /** The model leaves room for values out of thin air. */
  readonly thinAir: boolean;
}

/** Fences that a hardware model can do without: they speak to the compiler, or of critical sections it has no rule for. */
const none: readonly number[] = [Fence.barrier, Fence.afterUnlockLock, Fence.rcuLock, Fence.rcuUnlock];

function hardware(name: ModelName, mapping: Mapping, aroundAtomics: number): Dialect {
  const known = new Map<number, number>([
    [Fence.mb, mapping.mb],
    [Fence.rmb, mapping.rmb],
    [Fence.wmb, mapping.wmb],
    [Fence.beforeAtomic, aroundAtomics],
    [Fence.afterAtomic, aroundAtomics],
    [Fence.afterSpinlock, aroundAtomics],
    ...none.map((kind): [number, number] => [kind, Fence.none]),
  ]);
  const { read, write, after } = mapping.rmw.acquire;
  const { release } = mapping.store;
  return {
    name,
    mapping,
    fence: (kind) => known.get(kind),
    lock: { read, write, unlock: release.write, look: mapping.load.relaxed.read },
    locked: after,
    unlocking: release.before,
    thinAir: name === 'javascript',
  };
}

const lkmm: Dialect = {
  name: 'lkmm',
  mapping: lkmmMapping,
  fence: (kind) => kind,
  lock: {
    read: Tag.rmw | Tag.acquire | Tag.lockRead,
    write: Tag.rmw | Tag.lockWrite,
    unlock: Tag.release | Tag.unlock,
    look: Tag.lockLook,
  },
  locked: Fence.none,
  unlocking: Fence.none,
  thinAir: true,
};

const dialects: Readonly<Record<KernelModelName, Dialect>> = {
  sc: hardware('sc', scMapping, Fence.none),
  'x86-tso': hardware('x86-tso', x86Mapping, Fence.none),
  armv8: hardware('armv8', armv8LseMapping, Fence.dmbFull),
  power: hardware('power', powerMapping, Fence.sync),
  javascript: hardware('javascript', scMapping, Fence.none),
  lkmm,
};

const armv8Llsc = hardware('armv8', armv8LlscMapping, Fence.dmbFull);

export function isKernelModel(model: ModelName): model is KernelModelName {
  return model in dialects;
}

/** For assembly, which has no kernel operations, any will do. */
export function dialectOf(model: ModelName, rmw: 'lse' | 'llsc' = 'lse'): Dialect {
  if (!isKernelModel(model)) return dialects.sc;
  return model === 'armv8' && rmw === 'llsc' ? armv8Llsc : dialects[model];
}
