/** The workqueues of an arena, for those who go through all of them. */
import type { Arena } from '../arena/arena.ts';
import { HoldfastError } from '../errors.ts';
import { Header } from '../memory/header.ts';
import { latch, unlatch } from '../memory/latch.ts';
import { isPresent, kindIdOf, ObjectHeader } from '../memory/objects.ts';
import { WQ_KIND } from './objects.ts';

/**
 * What `body` reads of the workqueues, which are not freed meanwhile; of those that were destroyed as well, where `all`. It must neither
 * throw nor make or open anything: the names are latched.
 */
export function readQueues<Result>(
  { cpu, heap, thread }: Arena,
  body: (queues: readonly number[]) => Result,
  all = false,
): Result {
  latch(cpu, Header.namesLatch, thread.id);
  const queues = heap.objects().filter((object) => kindIdOf(cpu, object) === WQ_KIND.id);
  const result = body(all ? queues : queues.filter((wq) => isPresent(cpu, wq)));
  unlatch(cpu, Header.namesLatch);
  return result;
}

/** The workqueues, of which the calling thread has a view now: they stay until it makes or opens another object. */
export function openQueues({ cpu, heap, objects }: Arena): number[] {
  const found = heap.objects().filter((object) => kindIdOf(cpu, object) === WQ_KIND.id);
  return found.filter((wq) => {
    try {
      objects.reopen(WQ_KIND, wq, cpu.read(wq + ObjectHeader.serial));
      return true;
    } catch (error) {
      // It was destroyed.
      if (!(error instanceof HoldfastError)) throw error;
      return false;
    }
  });
}
