/** Classes that the program has given to locks, as far as this thread has been told. */
import { HoldfastError, shown } from '../../errors.ts';
import type { Cpu } from '../../machine/cpu.ts';
import { ObjectHeader } from '../../memory/objects.ts';
import type { ObservedLock } from '../../sched/watch.ts';

/** By view, and by the place in an arena and the serial number of the object there. */
const ofViews = new WeakMap<object, string>();
const ofPlaces = new WeakMap<Cpu, Map<number, { readonly serial: number; readonly name: string }>>();

/**
 * The lock is of that class, whatever its name, for lockdep and for profiles, as far as this thread is concerned: each thread that opens it
 * says so. In a profile it is enough that one of the threads has that take it or wait for it. Throws EINVAL for a class that is no
 * text. `lockdep_set_class`.
 */
export function setLockClass(lock: ObservedLock, name: string): void {
  if (typeof lock?.address !== 'number') throw new HoldfastError('EINVAL', `expected a lock, received ${shown(lock)}`);
  if (typeof name !== 'string' || name === '') {
    throw new HoldfastError('EINVAL', `a class of locks is a name, received ${shown(name)}`);
  }
  ofViews.set(lock, name);
  const { cpu } = (lock as unknown as { readonly arena: { readonly cpu: Cpu } }).arena;
  let places = ofPlaces.get(cpu);
  if (places === undefined) ofPlaces.set(cpu, (places = new Map()));
  places.set(lock.address, { serial: cpu.load(lock.address + ObjectHeader.serial), name });
}

/** The class that was given to the view; undefined for none. */
export function classGivenTo(lock: ObservedLock): string | undefined {
  return ofViews.get(lock);
}

/** The class that was given to the object at that address, by whichever view; '' for none. */
export function classGivenAt(cpu: Cpu, address: number): string {
  const given = ofPlaces.get(cpu)?.get(address);
  return given !== undefined && given.serial === cpu.load(address + ObjectHeader.serial) ? given.name : '';
}
