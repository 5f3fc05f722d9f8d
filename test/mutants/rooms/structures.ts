import type { Mutant } from '../mutant.ts';

const JOURNAL = 'lib/structures/journal.ts';
const POOL = 'lib/structures/pool.ts';
const CHUNKS = 'lib/structures/chunks.ts';
const CORE = 'lib/structures/core.ts';
const TREE = 'lib/structures/xarray/tree.ts';
const STEP = 'lib/structures/xarray/step.ts';
const MAKER = 'lib/structures/xarray/node-maker.ts';
const WALK = 'lib/structures/xarray/walk.ts';
const XARRAY = 'lib/structures/xarray/xarray.ts';
const IDA = 'lib/structures/xarray/ida.ts';
const TABLE = 'lib/structures/map/table.ts';
const CODEC = 'lib/structures/map/codec.ts';
const MODELS = 'test/structures/models/models.test.ts';
const MAP_FILE = 'lib/structures/map/shared-map.ts';
const MAP = 'test/structures/shared-map.test.ts';
const EXPLORED_MAP = 'test/native-sim/explore/shared-map.test.ts';
const DEATHS = 'test/structures/xarray-deaths.test.ts';
const MODEL = 'test/structures/xarray.test.ts';
const IDS = 'test/structures/ida.test.ts';
const EXPLORED = 'test/native-sim/explore/xarray.test.ts';

const AWAITED = 'test/structures/memory-awaited.test.ts';

const STATE = 'lib/structures/xarray/xa-state.ts';
const STATES = 'test/structures/xa-state.test.ts';

export const mutants: readonly Mutant[] = [
  {
    name: 'blocks of two classes are promised the same words',
    file: POOL,
    from: 'const needed = this.#missing(size, count) * wordsOf(size) + this.#missing(other, others) * wordsOf(other);',
    to: 'const needed = Math.max(this.#missing(size, count) * wordsOf(size), this.#missing(other, others) * wordsOf(other));',
    tests: ['test/structures/pool.test.ts'],
  },
  {
    name: 'a write waits for too few blocks of its second class',
    file: POOL,
    from: ' || missingOthers > older.ofOther + newer.ofOther) return 0;',
    to: ') return 0;',
    tests: ['test/structures/pool.test.ts'],
  },
  {
    name: 'blocks that stay linked lead to those of another class',
    file: POOL,
    from: 'while (next !== 0 && cpu.read(next + Block.size) === size) {',
    to: 'while (next !== 0) {',
    tests: ['test/structures/pool.test.ts'],
  },
  {
    name: 'a state that goes on finds an entry of several indices again',
    file: STATE,
    from: 'return this.#index - (this.#index % size) + size;',
    to: 'return this.#index + 1;',
    tests: [STATES],
  },
  {
    name: 'a state goes past the last index',
    file: STATE,
    from: '      if (this.#index === end) {',
    to: '      if (this.#index === end - by) {',
    tests: [STATES],
  },
  {
    name: 'a state stores where it was set, and not at the aligned indices',
    file: STATE,
    from: 'this.#index = index - (index % 2 ** order);',
    to: 'this.#index = index;',
    tests: [STATES],
  },
  {
    name: 'what is retired is used before the period that a write waits for',
    file: POOL,
    from: '    journal.stage(this.#at + PoolWords.endLow, end | 0);\n    journal.stage(this.#at + PoolWords.endHigh, Math.floor(end / HIGH));\n    if (waiting',
    to: '    if (waiting',
    tests: ['test/structures/pool.test.ts'],
  },
  {
    name: 'what waited before is lost when what is fresh waits, too',
    file: POOL,
    from: '    if (waiting !== 0) journal.stage(newer.last + Block.link, waiting);\n',
    to: '',
    tests: ['test/structures/pool.test.ts'],
  },
  {
    name: 'a write waits for too little memory',
    file: POOL,
    from: 'if (missing > older.ofClass + newer.ofClass || missingOthers > older.ofOther + newer.ofOther) return 0;',
    to: 'if (missing > older.ofClass + newer.ofClass && older.last + newer.last === 0) return 0;',
    tests: [AWAITED],
  },
  {
    name: 'a write waits for a reader of its own thread',
    file: CORE,
    from: "if (!stretch.quiescent()) return { is: 'failed'",
    to: "if (!stretch.quiescent() && stretch.depth < 0) return { is: 'failed'",
    tests: [AWAITED],
  },
  {
    name: 'a write waits for one period at most',
    file: CORE,
    from: '      period = written;\n',
    to: "      if (period !== written) return { is: 'failed', error: lacking('no reader') };\n",
    tests: [AWAITED],
  },
  {
    name: 'what was aborted is written once the latch is free',
    file: CORE,
    from: 'if (waiter.aborted) {',
    to: 'if (waiter.aborted && address === 0) {',
    tests: [AWAITED],
  },
  {
    name: 'a timeout is taken for a lack of memory',
    file: CORE,
    from: "return deadline === asked ? 'timed-out' :",
    to: "return deadline !== deadline ? 'timed-out' :",
    tests: [AWAITED],
  },
  {
    name: 'a writer that sleeps behind one that died in its unlatch is not woken',
    file: 'lib/arena/reaper.ts',
    from: '    if (kind.latch !== undefined) cpu.wake(address + kind.latch, Number.POSITIVE_INFINITY);\n',
    to: '',
    tests: [EXPLORED, EXPLORED_MAP],
  },
  {
    name: 'a step of two words is made without its journal',
    file: JOURNAL,
    from: 'if (count > 1) cpu.storeReleaseLight(this.#at + JournalWords.count, count);',
    to: 'if (count > 9) cpu.storeReleaseLight(this.#at + JournalWords.count, count);',
    tests: [DEATHS],
  },
  {
    name: 'the journal counts before all is written there',
    file: JOURNAL,
    from: 'apply(cpu, at, cpu.load(at + JournalWords.count));',
    to: 'apply(cpu, at, cpu.load(at + JournalWords.count) - 1);',
    tests: [DEATHS],
  },
  {
    name: 'what was replayed is replayed again after the next death',
    file: JOURNAL,
    from: '  cpu.storeRelease(at + JournalWords.count, 0);\n}',
    to: '}',
    tests: [DEATHS],
  },
  {
    name: 'a step that threw leaves what it staged',
    file: CORE,
    from: '      if (error instanceof HoldfastError) unlatch(cpu, this.address + CoreWords.latch);\n',
    to: '',
    tests: [MODEL],
  },
  {
    name: 'the reaper leaves the step half made',
    file: CORE,
    from: 'const recover = () => recoverJournal(cpu, address + CoreWords.journal);',
    to: 'const recover = () => {};',
    tests: [DEATHS],
  },
  {
    name: 'retired blocks are free before readers are out',
    file: POOL,
    from: '        if (!this.hasEnded(this.#waitingEnd())) return;\n',
    to: '',
    tests: [EXPLORED],
  },
  {
    name: 'retired blocks are never free',
    file: POOL,
    from: '        this.#freeWaiting();\n',
    to: '',
    tests: [MODEL],
  },
  {
    name: 'a block that is retired forgets the one before',
    file: POOL,
    from: 'this.#hasRetired ? this.#fresh : cpu.read(this.#at + PoolWords.fresh)',
    to: '0',
    tests: [MODEL, DEATHS],
  },
  {
    name: 'what is left of a chunk is lost',
    file: POOL,
    from: '    while (end - left >= UNIT) {',
    to: '    while (end - left >= 1e9) {',
    tests: ['test/structures/pool.test.ts'],
  },
  {
    name: 'a chunk that a dead thread has not linked is lost',
    file: CHUNKS,
    from: '    if (isDead(cpu.load(chunk + Chunk.holder))) heap.free(chunk);\n',
    to: '',
    tests: ['test/structures/pool.test.ts'],
  },
  {
    name: 'a chunk is freed before the step is made good that links it',
    file: CHUNKS,
    from: '    if (kind !== undefined && !kind.repair(repairer as never, structure)) return false;\n',
    to: '    void kind;\n',
    tests: ['test/structures/pool.test.ts'],
  },
  {
    name: 'a walk takes an index beyond the tree for one in it',
    file: WALK,
    from: '  if (index >>> shift > mask) return 0;',
    to: '',
    tests: [MODEL],
  },
  {
    name: 'a sibling is taken for what it stands for',
    file: WALK,
    from: 'return isSibling(word) ? cpu.loadDependent(slotAt(node, siblingOf(word))) : word;',
    to: 'return word;',
    tests: [MODEL],
  },
  {
    name: 'a search does not begin in the middle of an entry',
    file: WALK,
    from: 'if (mark < 0 || nextMarked(cpu, node, mark, canonical, slots) === canonical) return slot;',
    to: 'if (mark >= 0 && nextMarked(cpu, node, mark, canonical, slots) === canonical) return slot;',
    tests: [MODEL],
  },
  {
    name: 'an empty node stays',
    file: TREE,
    from: 'const isKept = this.hasOthers(node, first, span);',
    to: 'const isKept = true;',
    tests: [MODEL],
  },
  {
    name: 'a tree stays as tall as it was',
    file: TREE,
    from: '      if (word === 0 || this.hasOthers(node, 0, 1)) return;',
    to: '      if (word !== -1) return;',
    tests: [MODEL, DEATHS],
  },
  {
    name: 'a mark ends at its node',
    file: STEP,
    from: '      this.journal.stage(at, isSet ? word | bit : word & ~bit);\n',
    to: '      this.journal.stage(at, isSet ? word | bit : word & ~bit);\n      if (isSet) return;\n',
    tests: [MODEL],
  },
  {
    name: 'the last mark below takes none from the slot above',
    file: STEP,
    from: 'if (!isSet && ((word & ~bit) !== 0 || other !== 0)) return;',
    to: 'if (!isSet) return;',
    tests: [MODEL],
  },
  {
    name: 'a node is changed under its readers, not copied',
    file: MAKER,
    from: '    const copy = this.#pool.take(this.words);',
    to: '    const copy = node + this.#pool.take(this.words) * 0;',
    tests: [MODEL, EXPLORED],
  },
  {
    name: 'nodes below a larger entry are lost',
    file: STEP,
    from: '    for (let slot = 0; slot < this.slots; slot++) this.retireBelow(this.cpu.load(slotAt(node, slot)));\n',
    to: '',
    tests: [MODEL],
  },
  {
    name: 'an entry that is joined loses its marks',
    file: TREE,
    from: '      marks |= this.make.marksOf(copy, slot);',
    to: '      marks |= 0;',
    tests: [MODEL],
  },
  {
    name: 'a range that a dead writer left is never finished',
    file: XARRAY,
    from: '      tree.finishRange();\n',
    to: '',
    tests: [DEATHS],
  },
  {
    name: 'a cyclic allocation begins at the first index again',
    file: XARRAY,
    from: 'const next = hasNext ?',
    to: 'const next = hasNext && cyclic !== true ?',
    tests: [MODEL],
  },
  {
    name: 'a bitmap that is full is looked into',
    file: IDA,
    from: 'bitmap === ALL);',
    to: 'false);',
    tests: [IDS],
    equivalent: 'Finding the next bitmap takes longer; which id comes out is the same.',
  },
  {
    name: 'a table is followed by the links of the one before',
    file: TABLE,
    from: 'const side = old === 0 ? 0 : 1 - cpu.read(old + Table.side);',
    to: 'const side = old === 0 ? 0 : cpu.read(old + Table.side);',
    tests: [EXPLORED_MAP],
  },
  {
    name: 'links are used again before readers are out',
    file: TABLE,
    from: 'else if (this.pool.hasEnded(high * HIGH + (cpu.read(address + MapWords.endLow) >>> 0))) {',
    to: 'else {',
    tests: [EXPLORED_MAP],
  },
  {
    name: 'an entry that is replaced takes those behind it along',
    file: TABLE,
    from: 'old === 0 ? 0 : cpu.load(old + side)',
    to: '0',
    tests: [MAP],
  },
  {
    name: 'keys of one hash are one key',
    file: TABLE,
    from: 'return cpu.read(entry + Entry.keyForm) === form && holds(cpu, entry + keyAt, words, length);',
    to: 'return cpu.read(entry + Entry.keyForm) === form;',
    tests: [MAP],
  },
  {
    name: 'the table never shrinks',
    file: TABLE,
    from: 'if (!isFull && !isSparse) return;',
    to: 'if (!isFull) return;',
    tests: [MAP],
    equivalent: 'It takes more memory and loses nothing.',
  },
  {
    name: 'compareAndSet sets whatever is there',
    file: MAP_FILE,
    from: 'if (entry === 0 ? expected !== undefined : !this.#holds(entry, was)) return false;',
    to: 'if (entry === 0 && expected !== undefined) return false;',
    tests: [MODELS],
  },
  {
    name: 'a value that was set and set back is taken for untouched',
    file: MAP_FILE,
    from: 'before !== 0 && table.cpu.read(now + Entry.stamp) === stamp;',
    to: 'before !== 0;',
    tests: [MAP],
  },
  {
    name: 'a wide character is cut off',
    file: CODEC,
    from: '    if (all > 0xff) {',
    to: '    if (all > 0xffff) {',
    tests: [MAP],
  },
  {
    name: 'a short string comes out with what is behind it in its last word',
    file: CODEC,
    from: 'return length & 3 ? text.slice(0, length) : text;',
    to: 'return text;',
    tests: [MAP],
  },
  {
    name: 'zero and minus zero are two keys',
    file: CODEC,
    from: "this.pack(key === 0 ? 0 : key, 'key');",
    to: "this.pack(key, 'key');",
    tests: [MAP],
  },
  {
    name: 'the size counts a key that was set again',
    file: TABLE,
    from: 'if (old === 0) journal.stage(address + MapWords.size, this.size + 1);',
    to: 'journal.stage(address + MapWords.size, this.size + 1);\n    if (old === 0) void 0;',
    tests: [MAP],
  },
];
