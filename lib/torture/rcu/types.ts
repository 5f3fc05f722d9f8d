/** All that `holdfast rcutorture` can be asked for: flavours, and for each a twin whose updates do not wait. */
import type { Arena } from '../../arena/arena.ts';
import type { ObjectHandle } from '../../arena/shared-object.ts';
import { Srcu } from '../../rcu/srcu.ts';
import { openQsbr, openRcu, openSrcu, openTasks, type Side } from '../types/rcu.ts';

export interface RcuTortureType {
  readonly name: string;
  /** One line for `--list`. */
  readonly summary: string;
  /** A twin whose grace periods are over at once, for the torture to find: the kernel's `busted`. */
  readonly isBusted: boolean;
  /** Makes the domain, where an arena may have several. */
  create(arena: Arena): ObjectHandle | undefined;
  open(arena: Arena, domain: ObjectHandle | undefined): Side;
}

const shared = () => undefined;

const SOUND: readonly RcuTortureType[] = [
  { name: 'rcu', summary: 'Rcu', isBusted: false, create: shared, open: openRcu },
  { name: 'rcu-qsbr', summary: 'RcuQsbr', isBusted: false, create: shared, open: openQsbr },
  { name: 'srcu', summary: 'Srcu', isBusted: false, create: (arena) => new Srcu(arena).handle, open: openSrcu },
  { name: 'tasks', summary: 'TasksRcu', isBusted: false, create: shared, open: openTasks },
];

export const RCU_TORTURE_TYPES: readonly RcuTortureType[] = [
  ...SOUND,
  ...SOUND.map((type) => ({
    ...type,
    name: `${type.name}-busted`,
    summary: `${type.summary}, but no update waits`,
    isBusted: true,
  })),
];

export function rcuTortureTypeNamed(name: string): RcuTortureType | undefined {
  return RCU_TORTURE_TYPES.find((type) => type.name === name);
}
