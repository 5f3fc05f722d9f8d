import { McsLock } from '../../../locking/mcs-lock.ts';
import { spinningType } from './spinning.ts';

export const mcsLock = spinningType(
  'mcs-lock',
  'McsLock: first come, first served, each waiter spinning on its own word',
  McsLock,
);
