import type { Mutant } from '../mutant.ts';

const TABLE = 'lib/structures/cache/table.ts';
const LRU = 'lib/structures/cache/lru.ts';
const REGRET = 'lib/structures/cache/regret.ts';
const BATCH = 'lib/structures/cache/batch.ts';
const FLIGHTS = 'lib/structures/cache/flights.ts';
const CACHE = 'lib/structures/cache/shared-cache.ts';
const CORE = 'lib/structures/core.ts';
const CALLS = 'test/structures/shared-cache.test.ts';
const COMPUTE = 'test/structures/shared-cache-compute.test.ts';
const DEATHS = 'test/structures/shared-cache-deaths.test.ts';
const EXPLORED = 'test/native-sim/explore/shared-cache.test.ts';

export const mutants: readonly Mutant[] = [
  {
    name: 'a second use activates nothing',
    file: TABLE,
    from: 'else if (!(state & ACTIVE)) {',
    to: 'else if (state & ACTIVE) {',
    tests: [CALLS],
  },
  {
    name: 'the first use activates',
    file: TABLE,
    from: 'if (!(state & REFERENCED)) cpu.storeReleaseLight(entry + CacheEntry.state, state | REFERENCED);\n    else if',
    to: 'if (state & ACTIVE && !(state & REFERENCED)) cpu.storeReleaseLight(entry + CacheEntry.state, state | REFERENCED);\n    else if',
    tests: [CALLS],
  },
  {
    name: 'what was used goes like anything else',
    file: TABLE,
    from: 'if (!(state & REFERENCED) || isExpired || spared === MOST_SPARED) {',
    to: 'if (spared >= 0 || isExpired || spared === MOST_SPARED) {',
    tests: [CALLS],
  },
  {
    name: 'what is active is put out however much it is used',
    file: TABLE,
    from: 'const isSpared = (cpu.load(entry + CacheEntry.state) & REFERENCED) !== 0 && spared++ < MOST_SPARED;',
    to: 'const isSpared = spared++ < 0;',
    tests: [CALLS],
  },
  {
    name: 'a pinned entry is in a list that is put out',
    file: LRU,
    from: '    if (state >>> PIN_SHIFT !== 0) return CacheWords.pinned;\n',
    to: '',
    tests: [CALLS],
  },
  {
    name: 'a set loses the pins',
    file: TABLE,
    from: 'state = cpu.load(old + CacheEntry.state) | REFERENCED;',
    to: 'state = (cpu.load(old + CacheEntry.state) & (ACTIVE | WORKINGSET)) | REFERENCED;',
    tests: [CALLS],
  },
  {
    name: 'bytes of a replaced entry stay counted',
    file: TABLE,
    from: 'journal.add(address + CacheWords.taken, -this.#sizeOf(entry));',
    to: 'if (list !== active) journal.add(address + CacheWords.taken, -this.#sizeOf(entry));',
    tests: [CALLS, DEATHS],
  },
  {
    name: 'the limit of pinned bytes is none for a larger value',
    file: TABLE,
    from: 'if (taken > cpu.read(address + CacheWords.mostPinned)) refuse(',
    to: 'if (taken < 0) refuse(',
    tests: [CALLS],
  },
  {
    name: 'everything is put out for an entry that never fits',
    file: TABLE,
    from: 'if (least > mostWords) refuse(',
    to: 'if (least < 0) refuse(',
    tests: [CALLS],
  },
  {
    name: 'a full arena puts nothing out',
    file: TABLE,
    from: 'if (!this.#shrink(classOf(this.lengthFor(key, value)))) throw error;',
    to: 'throw error;',
    tests: [CALLS],
  },
  {
    name: 'an entry that is too old is there',
    file: TABLE,
    from: 'return expires !== 0 && expires <= this.cpu.now() / 1e6;',
    to: 'return expires !== 0 && expires < this.cpu.now() / 1e6;',
    tests: [CALLS],
  },
  {
    name: 'an entry that is PENDING is there',
    file: TABLE,
    from: '!(this.cpu.loadUnordered(entry + CacheEntry.state) & PENDING) && ',
    to: '',
    tests: [COMPUTE],
  },
  {
    name: 'of two neighbours that change in one step the list keeps one',
    file: LRU,
    from: 'const first = journal.peek(head + CacheEntry.next);',
    to: 'const first = this.#cpu.read(head + CacheEntry.next);',
    tests: [CALLS],
  },
  {
    name: 'a shadow is that of any key',
    file: REGRET,
    from: 'if (shadow === 0 || shadow >>> TAG_SHIFT !== tagOf(cpu, cache, hash)) return false;',
    to: 'if (shadow === 0) return false;',
    tests: [CALLS],
  },
  {
    name: 'an eviction is regretted however long it is ago',
    file: REGRET,
    from: '    if (distance > entries) return false;\n',
    to: '',
    tests: [CALLS],
  },
  {
    name: 'the list of which more is regretted gets shorter',
    file: REGRET,
    from: 'Math.sign(difference) * STEP',
    to: 'Math.sign(-difference) * STEP',
    tests: [CALLS],
  },
  {
    name: 'uses are written over that nobody has looked at',
    file: BATCH,
    from: '      if (tail === this.#end) return false;\n',
    to: '',
    tests: [CALLS],
  },
  {
    name: 'a drain reads uses that are not written yet',
    file: TABLE,
    from: 'const tail = cpu.loadAcquire(line + Line.tail);',
    to: 'const tail = cpu.load(line + Line.tail);',
    tests: [EXPLORED],
  },
  {
    name: 'the uses of other threads are never seen to',
    file: TABLE,
    from: 'for (let number = 0; number < threads; number++) this.drain(number);',
    to: 'if (threads > 0) this.drain();',
    tests: [DEATHS],
  },
  {
    name: 'every caller computes',
    file: FLIGHTS,
    from: "    if (owner !== 0) return { is: 'theirs', turn, seen: cpu.load(turn), owner };\n",
    to: '',
    tests: [COMPUTE],
  },
  {
    name: 'a computation overwrites what was set meanwhile',
    file: FLIGHTS,
    from: 'if (entry !== 0 && value !== undefined) {',
    to: 'if (value !== undefined) {',
    tests: [COMPUTE],
  },
  {
    name: 'one that throws leaves its key to nobody',
    file: FLIGHTS,
    from: '    } else if (entry !== 0) this.delete(key);\n',
    to: '    }\n',
    tests: [COMPUTE],
  },
  {
    name: 'whoever sleeps for a key that is set is not woken',
    file: TABLE,
    from: '    this.over.push(flight + Flight.turn);\n',
    to: '',
    tests: [COMPUTE],
  },
  {
    name: 'the flight of a dead thread is for ever',
    file: FLIGHTS,
    from: '    if (owner === 0 || !isDead(owner)) continue;',
    to: '    if (owner !== 0 || !isDead(owner)) continue;',
    tests: [DEATHS],
  },
  {
    name: 'whoever sleeps for a dead thread sleeps on',
    file: FLIGHTS,
    from: '      journal.stage(flight + Flight.turn, (cpu.load(flight + Flight.turn) + 1) | 0);\n',
    to: '',
    tests: [DEATHS],
  },
  {
    name: 'a cache in which somebody computes is passed by the reaper',
    file: CORE,
    from: 'cpu.load(address + CoreWords.latch) === 0 && !isOccupied(cpu, address);',
    to: 'cpu.load(address + CoreWords.latch) === 0;',
    tests: [DEATHS],
  },
  {
    name: 'a synchronous call waits for its own thread',
    file: CACHE,
    from: "      if (!waiter.async && start.owner === this.thread.id) return { is: 'deadlock' };\n",
    to: '',
    tests: [COMPUTE],
  },
];
