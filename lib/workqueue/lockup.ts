/**
 * The report about a pool in which nothing goes on, in the kernel's words: `wq_watchdog_timer_fn`, `show_all_workqueues`. It reads
 * without the pool's latch, which may be what is stuck, and goes by the words of items and workers alone: no list can lead
 * it astray. What it says of them is out of date as soon as it is read.
 */
import type { Arena } from '../arena/arena.ts';
import { KthreadRecord, records } from '../arena/kthread-record.ts';
import { sleepsIn, usageOf } from '../arena/liveness.ts';
import type { Cpu } from '../machine/cpu.ts';
import { Slot, slotAddress, threadOf } from '../sched/slot.ts';
import {
  FREE_RECORD,
  IDLE,
  INACTIVE,
  Item,
  LISTED,
  MOST_WORKERS,
  PHASE,
  Pool,
  Pwq,
  RUNNING,
  STARTING,
  WorkerRecord,
  Wq,
  workerAt,
} from './layout.ts';
import { WQ_PREFIX } from './objects.ts';
import { kworkerName } from './pools.ts';
import { pwqsOf } from './pwqs.ts';
import { readQueues } from './queues.ts';
import { itemsIn } from './repair.ts';
import { slotsIn } from './root.ts';
import { identityAt } from './work.ts';

/** Items of one state that are named; the others are counted. */
const MOST_NAMES = 10;

/** `stuck`: for how long, us. */
export function lockupReport(arena: Arena, pool: number, stuck: number): string[] {
  const seconds = Math.floor(stuck / 1e6);
  return [
    `BUG: workqueue lockup - pool ${poolText(arena, pool)} stuck for ${seconds}s!`,
    'Showing busy workqueues and worker pools:',
    ...readQueues(arena, (queues) => queueLines(arena, queues)),
    ...poolLines(arena, pool, seconds),
  ];
}

/** As the kernel describes one: its slot, or all of them, and how nice its workers are. */
function poolText({ cpu }: Arena, pool: number): string {
  const slot = cpu.read(pool + Pool.slot);
  return `cpus=${slot < 0 ? rangesOf(slotsIn(cpu, pool + Pool.slots)) : slot} node=0 flags=0x${slot < 0 ? 4 : 0} nice=${cpu.read(pool + Pool.nice)}`;
}

/** As the kernel shows a mask: `0-1,3`. */
function rangesOf(slots: readonly number[]): string {
  const ranges: string[] = [];
  for (let i = 0, end = 0; i < slots.length; i = end) {
    for (end = i + 1; slots[end] === (slots[end - 1] as number) + 1; ) end++;
    ranges.push(end === i + 1 ? `${slots[i]}` : `${slots[i]}-${slots[end - 1]}`);
  }
  return ranges.join();
}

function queueLines(arena: Arena, queues: readonly number[]): string[] {
  const { cpu, objects } = arena;
  const items = itemsIn(cpu, arena.heap.objects());
  const lines: string[] = [];
  for (const wq of queues) {
    const busy = pwqsOf(cpu, wq).flatMap((pwq, i) => {
      const own = items.filter((item) => cpu.load(item + Item.pwq) === pwq);
      return pwqLines(arena, { pwq, index: i, items: own });
    });
    if (busy.length === 0) continue;
    const name = objects.nameOf(wq)?.slice(WQ_PREFIX.length) ?? '';
    lines.push(`workqueue ${name}: flags=0x${cpu.read(wq + Wq.flags).toString(16)}`, ...busy);
  }
  return lines;
}

/** Nothing of one that has no item. */
function pwqLines(arena: Arena, { pwq, index, items }: { pwq: number; index: number; items: readonly number[] }) {
  const { cpu } = arena;
  const phase = (item: number) => cpu.load(item + Item.state) & PHASE;
  const name = (item: number) => identityAt(arena, cpu.read(item + Item.fn)).name;
  const listed = items.filter((item) => phase(item) === LISTED);
  const inFlight = items.filter((item) => phase(item) === RUNNING);
  const isInactive = (item: number) => cpu.read(item + Item.worker) === INACTIVE;
  const rows = [
    ['in-flight', inFlight.map((item) => `${workerName(arena, cpu.read(item + Item.worker))}:${name(item)}`)],
    ['pending', listed.filter((item) => !isInactive(item)).map(name)],
    ['inactive', listed.filter(isInactive).map(name)],
  ] as const;
  const shown = rows.filter(([, names]) => names.length > 0);
  if (shown.length === 0) return [];
  const active = `active=${cpu.load(pwq + Pwq.nrActive)}/${cpu.load(pwq + Pwq.maxActive)}`;
  const head = `  pwq ${index}: ${poolText(arena, cpu.read(pwq + Pwq.pool))} ${active}`;
  return [head, ...shown.map(([what, names]) => `    ${what}: ${namesText(names)}`)];
}

/** As `pr_cont_work` does, equal names behind each other are one. */
function namesText(names: readonly string[]): string {
  const rest = names.length - MOST_NAMES;
  return names.slice(0, MOST_NAMES).join(', ') + (rest > 0 ? `, and ${rest} more` : '');
}

function workerName(arena: Arena, worker: number): string {
  const pool = arena.cpu.read(worker + WorkerRecord.pool);
  return kworkerName(arena, pool, (worker - workerAt(pool, 0)) / WorkerRecord.words);
}

function poolLines(arena: Arena, pool: number, seconds: number): string[] {
  const { cpu } = arena;
  const workers = Array.from({ length: MOST_WORKERS }, (_, i) => workerAt(pool, i));
  const inState = (state: number) => workers.filter((worker) => cpu.read(worker + WorkerRecord.state) === state);
  const names = (all: readonly number[]) => all.map((worker) => workerName(arena, worker)).join(' ');
  const count = workers.length - inState(FREE_RECORD).length;
  const [starting, idle] = [inState(STARTING), inState(IDLE)];
  const manager = starting.length > 0 ? ` manager: ${names(starting)}` : '';
  const rest = idle.length > 0 ? ` idle: ${names(idle)}` : '';
  return [`pool ${poolText(arena, pool)} hung=${seconds}s workers=${count}${manager}${rest}`];
}

/** The number of the operating system's thread that is the thread with that CPU number plus one; 0: not known. */
export function osThreadOf(cpu: Cpu, id: number): number {
  return id === 0 ? 0 : cpu.load(slotAddress(cpu, id - 1) + Slot.osThread);
}

/** Node asks all threads that the calling one has started, and waits for them: only those that run JavaScript or wait in it answer. */
const ANSWERING = /^0$|futex|epoll|ep_poll/;

/**
 * What the pool's workers are at, where they compute: for kthreadd, which has started them. Nothing where one of its threads
 * might not answer, because it sleeps in the system: kthreadd would wait for it.
 */
export function stacksOf(arena: Arena, pool: number): string[] {
  const { cpu, heap } = arena;
  const threads = records(cpu, heap.objects())
    .filter((record) => cpu.read(record + KthreadRecord.ownThread) === 1)
    .map((record) => osThreadOf(cpu, cpu.load(record + KthreadRecord.thread)))
    .filter((thread) => thread !== 0);
  if (!threads.every((thread) => ANSWERING.test(sleepsIn(thread) ?? ''))) return [];
  const workers = Array.from({ length: MOST_WORKERS }, (_, i) => workerAt(pool, i));
  const idOf = (worker: number) => cpu.read(worker + WorkerRecord.thread);
  const computing = workers.filter((worker) => usageOf(osThreadOf(cpu, idOf(worker)))?.state === 'R');
  if (computing.length === 0) return [];
  const stacks = stacksByThread();
  const lines = computing.flatMap((worker) => {
    const threadId = threadOf(cpu.load(slotAddress(cpu, idOf(worker) - 1) + Slot.life)) - 1;
    const stack = stacks.get(threadId) ?? [];
    return stack.length === 0 ? [] : [`${workerName(arena, worker)}:`, ...stack.map((line) => `  ${line}`)];
  });
  return lines.length === 0 ? [] : ['Showing backtraces of running workers in stalled worker pools:', ...lines];
}

interface ThreadReport {
  readonly header: { readonly threadId: number };
  readonly javascriptStack?: { readonly stack?: readonly string[] };
}

/** The JavaScript stacks of the calling thread's workers, by `threadId`. */
function stacksByThread(): Map<number, readonly string[]> {
  const report = process.report as (NodeJS.ProcessReport & { excludeNetwork?: boolean }) | undefined;
  if (report === undefined) return new Map();
  // Names of addresses, which it would look up, take long.
  report.excludeNetwork = true;
  const { workers = [] } = report.getReport() as { workers?: readonly ThreadReport[] };
  return new Map(workers.map(({ header, javascriptStack }) => [header.threadId, javascriptStack?.stack ?? []]));
}
