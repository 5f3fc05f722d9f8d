/** A domain's state in words, for people. It takes no latch: what it says is out of date as soon as it is said. */
import type { Cpu } from '../machine/cpu.ts';
import { maxThreads } from '../sched/slot.ts';
import type { Thread } from '../sched/thread.ts';
import { AWAITED, INSIDE, isReading } from './grace-period.ts';
import {
  type Domain,
  EXPEDITED,
  LANES,
  Line,
  levelsOf,
  lineOf,
  NORMAL,
  Node,
  nodesOf,
  RcuWords,
  threadsOf,
} from './layout.ts';
import { readSequence, stateOf } from './sequence.ts';

const STATES = ['IDLE', 'SCANNING', 'WAITING'];
const LANE_SHOWN: Readonly<Record<number, string>> = { [INSIDE]: 'I', [AWAITED]: 'A' };

/**
 * The periods; the tree from the root down, each node as `first thread:last thread ^its bit in the parent` and the masks of
 * those that the periods wait for; and a line for each thread that is inside: its lanes, I inside, A inside and awaited.
 * `rcu_dump_rcu_node_tree`.
 */
export function dumpTree(thread: Thread, domain: Domain): string {
  const { cpu } = thread;
  const period = (pace: typeof NORMAL) => {
    const sequence = readSequence(thread, domain.rcu, pace);
    return `g=${sequence - stateOf(sequence)} ${STATES[stateOf(sequence)]}`;
  };
  return [
    `rcu: normal ${period(NORMAL)}, expedited ${period(EXPEDITED)}`,
    'rcu: rcu_node tree layout dump',
    ...levelsShown(cpu, domain).map((level) => `rcu:  ${level}`),
    ...threadsInside(cpu, domain).map((number) => `rcu: thread ${number}: ${lanesShown(cpu, domain, number)}`),
  ].join('\n');
}

/** CPU numbers of the threads that have a reader inside. */
export function threadsInside(cpu: Cpu, domain: Domain): number[] {
  const threads = threadsOf(cpu, domain.rcu);
  return Array.from({ length: threads }, (_, number) => number).filter((number) =>
    isReading(cpu, lineOf(domain, number)),
  );
}

function levelsShown(cpu: Cpu, domain: Domain): string[] {
  const slots = maxThreads(cpu);
  const geometry = { leafThreads: domain.leafThreads, fanOut: cpu.read(domain.rcu + RcuWords.fanOut) };
  const nodes = nodesOf(domain);
  let first = 0;
  let span = geometry.leafThreads;
  const shown = levelsOf(slots, geometry).map((count) => {
    const level = nodes.slice(first, first + count);
    const line = level.map((node, index) => {
      const last = Math.min((index + 1) * span, slots) - 1;
      const masks = [Node.mask, Node.expeditedMask].map((mask) => `0x${(cpu.load(node + mask) >>> 0).toString(16)}`);
      return `${index * span}:${last} ^${bitNumber(cpu.read(node + Node.bit))} ${masks.join('/')}`;
    });
    first += count;
    span *= geometry.fanOut;
    return line.join('  ');
  });
  return shown.toReversed();
}

function bitNumber(bit: number): number {
  return bit === 0 ? 0 : 31 - Math.clz32(bit);
}

function lanesShown(cpu: Cpu, domain: Domain, number: number): string {
  const lanes = lineOf(domain, number) + Line.lanes;
  return Array.from({ length: LANES }, (_, lane) => LANE_SHOWN[cpu.load(lanes + lane)] ?? '.').join('');
}
