import { checkOptionNames, HoldfastError, shown } from '../../errors.ts';
import { isTask } from '../../locking/owner-word.ts';
import { rtKind } from '../../locking/rt-mutex/rt-lock.ts';
import type { Cpu } from '../../machine/cpu.ts';
import { defineKind, type Kind } from '../../memory/kinds.ts';
import type { Repairer } from '../../memory/repairer.ts';
import { checkPriority } from '../../sched/priority.ts';
import { Task } from '../../sched/task.ts';
import { close, ownerOf, PthreadMutexWords, repair, WORD } from './core.ts';

export type PthreadMutexType = 'normal' | 'errorcheck' | 'recursive';
export type PthreadMutexProtocol = 'none' | 'inherit' | 'protect';

/** Attributes of a mutex. All who open one name must give the same, but for `prioceiling`. */
export interface PthreadMutexAttributes {
  /**
   * What a thread gets that locks it again. 'normal', the default: with a timeout ETIMEDOUT, without one EDEADLK, for
   * it would never end. 'errorcheck': EDEADLK at once. 'recursive': the lock once more.
   */
  type?: PthreadMutexType | undefined;
  /** Whether the next owner gets the mutex of a thread that died. Default true, unlike POSIX: nobody does otherwise. */
  robust?: boolean | undefined;
  /**
   * How urgent the owner is. 'none', the default: as it was. 'inherit': as its most urgent waiter; such a mutex is
   * robust. 'protect': at least as `prioceiling` says.
   */
  protocol?: PthreadMutexProtocol | undefined;
  /**
   * With 'protect', and only then: a priority as urgent as any that will lock it. Where a mutex of that name exists,
   * this means nothing.
   */
  prioceiling?: number | undefined;
}

function define(type: PthreadMutexType, isRobust: boolean, protocol: PthreadMutexProtocol): Kind<Repairer> {
  const words = [
    isRobust ? '' : 'stalling ',
    protocol === 'none' ? '' : `priority-${protocol} `,
    type === 'normal' ? '' : `${type} `,
  ];
  const name = `pthread ${words.join('')}mutex`;
  if (protocol === 'inherit') return rtKind(name, PthreadMutexWords);
  return defineKind<Repairer>({
    name,
    words: PthreadMutexWords,
    format: () => {},
    holder(cpu, mutex) {
      // Acquire: pairs with the barrier in `TaskStore`.
      const owner = ownerOf(cpu.loadAcquire(mutex + WORD));
      return isTask(owner) ? cpu.load(owner + Task.thread) : 0;
    },
    isBusy: (cpu, mutex) => isTask(ownerOf(cpu.load(mutex + WORD))),
    close,
    repair: (repairer, mutex) => repair(repairer, mutex, isRobust),
  });
}

const defineTypes = (isRobust: boolean, protocol: PthreadMutexProtocol) => ({
  normal: define('normal', isRobust, protocol),
  errorcheck: define('errorcheck', isRobust, protocol),
  recursive: define('recursive', isRobust, protocol),
});

const ROBUST = {
  none: defineTypes(true, 'none'),
  inherit: defineTypes(true, 'inherit'),
  protect: defineTypes(true, 'protect'),
};
const STALLING = { none: defineTypes(false, 'none'), protect: defineTypes(false, 'protect') };

/** The kind for these attributes. Throws EINVAL. */
export function kindOf(attributes: PthreadMutexAttributes = {}): Kind {
  checkOptionNames(attributes, ['type', 'robust', 'protocol', 'prioceiling']);
  const { type = 'normal', robust = true, protocol = 'none', prioceiling } = attributes;
  const isKnown = Object.hasOwn(ROBUST, protocol) && Object.hasOwn(ROBUST.none, type) && typeof robust === 'boolean';
  if (!isKnown) {
    throw new HoldfastError(
      'EINVAL',
      "attributes are { type: 'normal' | 'errorcheck' | 'recursive', robust: boolean, protocol: 'none' | 'inherit' | 'protect' }; " +
        `received type ${shown(type)}, robust ${shown(robust)}, protocol ${shown(protocol)}`,
    );
  }
  if ((protocol === 'protect') !== (prioceiling !== undefined)) {
    throw new HoldfastError(
      'EINVAL',
      `a prioceiling goes with protocol 'protect'; received ${shown(prioceiling)} with ${shown(protocol)}`,
    );
  }
  if (!robust && protocol === 'inherit') {
    throw new HoldfastError('EINVAL', "a mutex with protocol 'inherit' is robust, received robust false");
  }
  const kind = robust ? ROBUST[protocol][type] : STALLING[protocol as 'none' | 'protect'][type];
  if (prioceiling === undefined) return kind;
  checkPriority(prioceiling);
  const format = (cpu: Cpu, mutex: number) => cpu.write(mutex + PthreadMutexWords.ceiling, prioceiling);
  return { ...kind, format };
}
