/**
 * Where threads are that hold a period up, for stall warnings: Node's diagnostic report has the stacks of the thread that makes
 * it, of its workers, and of theirs. It interrupts JavaScript and `Atomics.wait`, but waits, without a timeout, for a thread
 * that is in a native call, such as `execSync`; and before Node 22 it asks the name service about each socket. So a thread
 * makes one only where the program has said that it may.
 */
import type { Cpu } from '../machine/cpu.ts';
import { Slot, slotAddress, threadOf } from '../sched/slot.ts';
import type { Thread } from '../sched/thread.ts';

/** What is used of a report. */
interface Report {
  readonly header?: { readonly threadId?: number | undefined } | undefined;
  readonly javascriptStack?: { readonly stack?: readonly string[] | undefined } | undefined;
  readonly workers?: readonly Report[] | undefined;
}

const reporters = new WeakSet<Thread>();

/** Whether the calling thread may make reports. */
export function mayReport(thread: Thread): boolean {
  return reporters.has(thread);
}

export function setReporting(thread: Thread, isOn: boolean): void {
  if (isOn) reporters.add(thread);
  else reporters.delete(thread);
}

/** The stacks of those of the threads with these CPU numbers that this one can ask, by CPU number. It throws nothing. */
export function runningStacks(cpu: Cpu, numbers: readonly number[]): Map<number, string> {
  const stacks = new Map<number, string>();
  try {
    addStacks(stacks, process.report.getReport() as Report);
  } catch (error) {
    return new Map(numbers.map((number) => [number, `no report: ${(error as Error).message}`]));
  }
  return new Map(
    numbers.flatMap((number) => {
      const stack = stacks.get(threadOf(cpu.load(slotAddress(cpu, number) + Slot.life)) - 1);
      return stack === undefined ? [] : [[number, stack]];
    }),
  );
}

/** By threadId. */
function addStacks(stacks: Map<number, string>, { header, javascriptStack, workers }: Report): void {
  const lines = javascriptStack?.stack ?? [];
  if (header?.threadId !== undefined) stacks.set(header.threadId, lines.map((line) => `    ${line}`).join('\n'));
  for (const worker of workers ?? []) addStacks(stacks, worker);
}
