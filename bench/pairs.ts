/** The locks of the library, each as a loop that takes it and lets it go. */
import {
  Arena,
  PercpuRwSemaphore,
  PthreadMutex,
  PthreadRwlock,
  RtMutex,
  RwLock,
  RwSemaphore,
  type RwSemaphoreGuard,
  Semaphore,
  SpinLock,
} from '../lib/index.ts';

export type Loop = () => void;

/** Pairs of the locks besides Mutex, `times` in each call. */
export function lockPairs(times: number): Record<string, Loop> {
  const arena = Arena.create({ bytes: 1 << 20 });
  return {
    'RwSemaphore, read': pairs(new RwSemaphore(arena), 'downRead', 'upRead', times),
    'RwSemaphore, write': pairs(new RwSemaphore(arena), 'downWrite', 'upWrite', times),
    'PercpuRwSemaphore, read': pairs(new PercpuRwSemaphore(arena), 'downRead', 'upRead', times),
    Semaphore: pairs(new Semaphore(arena), 'down', 'up', times),
    'Semaphore, guard': guards(new Semaphore(arena), times),
    RtMutex: pairs(new RtMutex(arena), 'lock', 'unlock', times),
    PthreadMutex: pairs(new PthreadMutex(arena), 'lock', 'unlock', times),
    'PthreadMutex, errorcheck': pairs(mutexOfType(arena, 'errorcheck'), 'lock', 'unlock', times),
    'PthreadMutex, recursive': pairs(mutexOfType(arena, 'recursive'), 'lock', 'unlock', times),
    'PthreadMutex, protect': pairs(protectMutex(arena), 'lock', 'unlock', times),
    'PthreadRwlock, read': pairs(new PthreadRwlock(arena), 'readLock', 'unlock', times),
    SpinLock: pairs(new SpinLock(arena), 'lock', 'unlock', times),
    'RwLock, read': pairs(new RwLock(arena), 'readLock', 'readUnlock', times),
    'RwLock, write': pairs(new RwLock(arena), 'writeLock', 'writeUnlock', times),
  };
}

/** Of a lock that another reader, an asynchronous task, keeps: what a pair costs in its company. */
export async function pairsInCompany(times: number): Promise<Record<string, Loop>> {
  const lock = new RwSemaphore(Arena.create({ bytes: 1 << 20 }));
  kept.push(await lock.acquireReadAsync());
  return { 'RwSemaphore, read in company': pairs(lock, 'downRead', 'upRead', times) };
}

function protectMutex(arena: Arena): PthreadMutex {
  return new PthreadMutex(arena, undefined, { protocol: 'protect', prioceiling: -1 });
}

function mutexOfType(arena: Arena, type: 'errorcheck' | 'recursive'): PthreadMutex {
  return new PthreadMutex(arena, undefined, { type });
}

/** Made from text, so that each loop is a function of its own, and V8 learns nothing about one lock from another. */
function pairs<Lock extends object>(lock: Lock, take: keyof Lock & string, letGo: keyof Lock & string, times: number) {
  const loop = `for (let i = 0; i < ${times}; i++) { lock.${take}(); lock.${letGo}(); }`;
  return new Function('lock', `return function ${lock.constructor.name}${made++}() { ${loop} }`)(lock) as Loop;
}

function guards(lock: Semaphore, times: number): Loop {
  const loop = `for (let i = 0; i < ${times}; i++) lock.acquire().release();`;
  return new Function('lock', `return function guards${made++}() { ${loop} }`)(lock);
}

let made = 0;
/** Guards, so that they are not lost. */
const kept: RwSemaphoreGuard[] = [];
