import type { Mutant } from '../mutant.ts';

const HEAP = 'lib/memory/heap.ts';
const HEAP_MAP = 'lib/memory/heap-map.ts';
const OBJECTS = 'lib/memory/object-store.ts';
const LATCH = 'lib/memory/latch.ts';
const REAPER = 'lib/arena/reaper.ts';
const FSCK = 'test/memory/fsck.test.ts';
const VIEWS = 'test/arena/destroyed-views.test.ts';
const HEAP_TEST = 'test/memory/heap.test.ts';
const NAMES = 'test/memory/names.test.ts';
const KFREE = 'test/rcu/kfree.test.ts';
const REAPING = 'test/arena/reaper.test.ts';
const EXPLORED = 'test/native-sim/explore/holdfast.test.ts';

export const mutants: readonly Mutant[] = [
  {
    name: 'alloc notes the block once it is in use',
    file: HEAP,
    from: '      cpu.store(nascent, address);\n      this.take(line, first, lines);',
    to: '      this.take(line, first, lines);\n      cpu.store(nascent, address);',
    tests: [FSCK],
  },
  {
    name: 'take shortens the head before the rest has its tag',
    file: HEAP_MAP,
    from: '    this.#remove(line, length);\n    if (rest > 0) {',
    to: '    cpu.write(this.map + first, USED | (lines << STATE_BITS));\n    this.#remove(line, length);\n    if (rest > 0) {',
    tests: [FSCK],
  },
  {
    name: 'an aligned block leaves what is in front of it without a last tag',
    file: HEAP_MAP,
    from: '    cpu.write(this.map + first - 1, tag);\n',
    to: '',
    tests: ['test/rcu/kmem-cache.test.ts'],
  },
  {
    name: 'an aligned block leaves what is in front of it in no bin',
    file: HEAP_MAP,
    from: '    this.push(line, front);\n',
    to: '',
    tests: ['test/rcu/kmem-cache.test.ts'],
  },
  {
    name: 'take leaves the last tag of a free block that is used whole',
    file: HEAP_MAP,
    from: '    } else if (length > 1) {',
    to: '    } else if (length > 99) {',
    tests: [FSCK, HEAP_TEST],
  },
  {
    name: 'free does not merge with the block behind',
    file: HEAP_MAP,
    from: 'if ((tagBehind & STATE_MASK) === FREE) {',
    to: 'if ((tagBehind & STATE_MASK) === FREE && lines < 0) {',
    tests: [HEAP_TEST],
  },
  {
    name: 'free does not merge with the block before',
    file: HEAP_MAP,
    from: 'if ((tagBefore & STATE_MASK) === FREE) {',
    to: 'if ((tagBefore & STATE_MASK) === FREE && lines < 0) {',
    tests: [HEAP_TEST],
  },
  {
    name: 'free clears the tags between before the store that frees',
    file: HEAP_MAP,
    from: '    // The store that frees: from here on a walk sees one block.\n',
    to: '    if (first < line) cpu.write(this.map + line, 0);\n',
    tests: [FSCK],
  },
  {
    name: 'rebuild keeps the bins',
    file: HEAP_MAP,
    from: 'for (let bin = 0; bin < HEAP_BINS; bin++) cpu.write(Header.bins + bin, 0);',
    to: '',
    tests: [FSCK],
  },
  {
    name: 'rebuild keeps stale tags inside blocks',
    file: HEAP_MAP,
    from: 'for (let i = 1; i < lines; i++) cpu.write(this.map + line + i, 0);',
    to: '',
    tests: [FSCK],
  },
  {
    name: 'rebuild does not put the last tag of free blocks back',
    file: HEAP_MAP,
    from: '        cpu.write(this.map + line + lines - 1, tag);\n        this.push(line, lines);\n      }\n      line += lines;\n    }\n    for',
    to: '        this.push(line, lines);\n      }\n      line += lines;\n    }\n    for',
    tests: [FSCK],
  },
  {
    name: 'rebuild believes a nascent word whose block is free again',
    file: HEAP_MAP,
    from: '      if (this.lineOf(-home) < 0) cpu.store(word, 0);\n',
    to: '',
    tests: [FSCK, REAPING],
  },
  {
    name: 'rebuild leaves the name of a block that was being freed',
    file: HEAP_MAP,
    from: '      if (home > 0 && this.doomedLineOf(cpu.load(home)) < 0) cpu.store(home, 0);\n',
    to: '',
    tests: [KFREE],
  },
  {
    name: 'rebuild takes the name from a block that is doomed',
    file: HEAP_MAP,
    from: 'if (home > 0 && this.doomedLineOf(cpu.load(home)) < 0) cpu',
    to: 'if (home > 0) cpu',
    tests: [KFREE],
  },
  {
    name: 'freeDoomed clears the name before the block is free',
    file: HEAP,
    from: '      if (line >= 0) this.release(line, cpu.read(this.map + line) >> STATE_BITS);\n      cpu.storeUnordered(home, 0);\n',
    to: '      cpu.storeUnordered(home, 0);\n      if (line >= 0) this.release(line, cpu.read(this.map + line) >> STATE_BITS);\n',
    tests: [KFREE],
  },
  {
    name: 'doom notes the name once it is written',
    file: HEAP,
    from: '      cpu.storeUnordered(nascent, -home);\n      cpu.storeUnordered(home, address);\n',
    to: '      cpu.storeUnordered(home, address);\n      cpu.storeUnordered(nascent, -home);\n',
    tests: [KFREE],
  },
  {
    name: 'open names the object before it is complete',
    file: OBJECTS,
    from: '      this.#heap.publish(address);\n      cpu.write(bucket, address);',
    to: '      cpu.write(bucket, address);\n      this.#heap.publish(address);',
    tests: [FSCK],
  },
  {
    name: 'open forgets the rest of the bucket',
    file: OBJECTS,
    from: 'cpu.write(address + ObjectHeader.nextNamed, cpu.read(bucket));',
    to: '',
    tests: [NAMES, FSCK],
  },
  {
    name: 'open lets go of the nascent word before the bucket leads to the object',
    file: OBJECTS,
    from: '      this.#heap.publish(address);\n',
    to: '      this.#heap.publish(address, this.#nascent);\n',
    tests: [FSCK],
  },
  {
    name: 'destroy does not note what it is about to free',
    file: OBJECTS,
    from: '    cpu.store(nascent, address);\n    cpu.store(address + ObjectHeader.kind, kind.id + CLOSING);',
    to: '    cpu.store(address + ObjectHeader.kind, kind.id + CLOSING);',
    tests: [FSCK, VIEWS],
  },
  {
    name: 'reclaim frees a block that a name leads to',
    file: OBJECTS,
    from: 'if (this.#isStanding(address)) cpu.store(nascent, 0);\n    else ',
    to: '',
    tests: [FSCK],
  },
  {
    name: 'unlatch wakes nobody',
    file: LATCH,
    from: '  if (flags !== 0) cpu.wake(',
    to: '  if (flags > LOOPS) cpu.wake(',
    tests: [EXPLORED],
  },
  {
    name: 'a contender that has slept takes the latch as if nobody else slept',
    file: LATCH,
    from: 'if (cpu.cmpxchgAcquire(address, 0, mine | WAITERS) === 0) return;',
    to: 'if (cpu.cmpxchgAcquire(address, 0, mine) === 0) return;',
    tests: [EXPLORED],
  },
  {
    name: 'a reaper that inherits a latch wakes nobody when it lets go',
    file: LATCH,
    from: '(owner << OWNER_SHIFT) | WAITERS | LOOPS) === value',
    to: 'owner << OWNER_SHIFT) === value',
    tests: ['test/native-sim/explore/holdfast.test.ts'],
  },
  {
    name: 'the reaper leaves what a dead thread had allocated and not published',
    file: REAPER,
    from: 'else this.#objects.reclaim(slot + Slot.nascent);',
    to: '',
    tests: [FSCK],
  },
  {
    name: 'the reaper does not inherit the heap',
    file: REAPER,
    from: 'if (!inheritLatch(cpu, Header.heapLatch, id, owner)) continue;\n    heap.rebuild(nascent);',
    to: 'if (!inheritLatch(cpu, Header.heapLatch, id, owner)) continue;',
    tests: [FSCK],
  },
  {
    name: 'the reaper keeps the priorities latch of a dead thread',
    file: REAPER,
    from: 'if (inheritLatch(cpu, Header.priorityLatch, id, this.#thread.id)) unlatch(cpu, Header.priorityLatch);',
    to: '',
    tests: ['test/native-sim/explore/rt-mutex.test.ts'],
  },
  {
    name: 'the reaper wakes nobody who sleeps for the priorities latch, which its holder had just released',
    file: REAPER,
    from: '  cpu.wake(Header.priorityLatch, Number.POSITIVE_INFINITY);\n',
    to: '',
    tests: ['test/native-sim/explore/rt-mutex.test.ts'],
  },
  {
    name: 'the fields of a long struct are in a hash table',
    file: 'lib/memory/struct.ts',
    from: 'Object.freeze(Object.fromEntries(offsets)) as',
    to: 'Object.freeze(offsets.reduce<Record<string, number>>((all, [at, words]) => Object.assign(all, { [at]: words }), {})) as',
    tests: ['test/memory/struct.test.ts'],
  },
];
