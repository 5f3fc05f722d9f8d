/** Lock-free structures, small enough to explore: a seqlock, Treiber's stack, Michael and Scott's queue. */
import type { Cpu } from '../../../../lib/machine/cpu.ts';
import type { Program } from '../../../../native-sim/explore/program.ts';

const isEven = (value: number) => (value & 1) === 0;

/** Two words that are always equal, under a sequence count; `wmb` and `rmb` as the kernel's seqcount has them. */
export function seqlock(): Program {
  const [sequence, a, b] = [0, 1, 2];
  return {
    words: 3,
    threads: [
      (cpu) => {
        cpu.store(sequence, 1);
        cpu.wmb();
        cpu.store(a, 1);
        cpu.store(b, 1);
        cpu.wmb();
        cpu.store(sequence, 2);
      },
      (cpu) => {
        const before = cpu.condLoad(sequence, isEven, 0, Number.POSITIVE_INFINITY);
        cpu.rmb();
        const x = cpu.load(a);
        const y = cpu.load(b);
        cpu.rmb();
        if (cpu.load(sequence) === before && x !== y) throw new Error(`torn: ${x} and ${y}`);
      },
    ],
  };
}

/** Nodes of two words, next and value; each pusher pushes one, and whoever pops must see its value. */
export function treiber(): Program {
  const top = 0;
  const push = (node: number) => (cpu: Cpu) => {
    cpu.write(node + 1, node);
    for (;;) {
      const head = cpu.load(top);
      cpu.store(node, head);
      if (cpu.cmpxchgRelease(top, head, node) === head) return;
    }
  };
  return {
    words: 6,
    threads: [
      push(2),
      push(4),
      (cpu) => {
        for (;;) {
          const head = cpu.loadAcquire(top);
          if (head === 0) return;
          const next = cpu.load(head);
          if (cpu.cmpxchgAcquire(top, head, next) !== head) continue;
          if (cpu.read(head + 1) !== head) throw new Error(`node ${head} was popped without its value`);
          return;
        }
      },
    ],
  };
}

/** Nodes of two words, next and value, the first a dummy; two enqueue, one dequeues. */
export function michaelScott(): Program {
  const [head, tail, dummy] = [0, 1, 2];
  const enqueue = (node: number) => (cpu: Cpu) => {
    cpu.write(node + 1, node);
    cpu.store(node, 0);
    for (;;) {
      const last = cpu.loadAcquire(tail);
      const next = cpu.loadAcquire(last);
      if (next !== 0) {
        cpu.cmpxchgRelease(tail, last, next);
      } else if (cpu.cmpxchgRelease(last, 0, node) === 0) {
        cpu.cmpxchgRelease(tail, last, node);
        return;
      }
    }
  };
  return {
    words: 8,
    setup(cpu) {
      cpu.write(head, dummy);
      cpu.write(tail, dummy);
    },
    threads: [
      enqueue(4),
      enqueue(6),
      (cpu) => {
        for (;;) {
          const first = cpu.loadAcquire(head);
          const next = cpu.loadAcquire(first);
          if (next === 0) return;
          const value = cpu.read(next + 1);
          if (value !== next) throw new Error(`node ${next} was dequeued without its value`);
          if (cpu.cmpxchgRelease(head, first, next) === first) return;
        }
      },
    ],
  };
}
