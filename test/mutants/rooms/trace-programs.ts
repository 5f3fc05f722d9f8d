import type { Mutant } from '../mutant.ts';

const LANGUAGE = 'test/debug/program/language.test.ts';
const SESSION = 'test/debug/program/session.test.ts';
const EXPLORED = 'test/native-sim/explore/trace-programs.test.ts';
const FOLDER = 'lib/debug/trace/program';
const CELLS = `${FOLDER}/cells.ts`;
const TABLE = `${FOLDER}/table.ts`;
const MAPS = `${FOLDER}/maps.ts`;
const RING = `${FOLDER}/ring.ts`;

export const mutants: readonly Mutant[] = [
  // What threads share.
  {
    name: 'a writer changes the copy that is read',
    file: CELLS,
    from: '  const next = nextVersion(version);\n  const copy = copyOf(cell, next);',
    to: '  const next = nextVersion(version);\n  const copy = copyOf(cell, version);',
    tests: [EXPLORED],
  },
  {
    name: 'a reader does not look again',
    file: CELLS,
    from: '    if (cpu.load(cell) >>> WRITER_BITS === version) break;',
    to: '    break;',
    tests: [EXPLORED],
  },
  {
    name: 'a number counts as written before its halves are',
    file: CELLS,
    from: '  cpu.storeReleaseLight(copy, lowWord(value));\n  cpu.storeReleaseLight(copy + 1, highWord(value));\n  cpu.storeReleaseLight(cell, version << WRITER_BITS);',
    to: '  cpu.storeReleaseLight(cell, version << WRITER_BITS);\n  cpu.storeReleaseLight(copy, lowWord(value));\n  cpu.storeReleaseLight(copy + 1, highWord(value));',
    tests: [EXPLORED],
  },
  {
    name: 'a writer does not say what it is about to claim',
    file: CELLS,
    from: '  cpu.store(claim, cell);\n',
    to: '',
    tests: [EXPLORED],
  },
  {
    name: 'a writer takes a cell that another one has',
    file: CELLS,
    from: '    if (!isUnclaimed(word)) break;\n',
    to: '',
    tests: [EXPLORED],
  },
  {
    name: 'the reaper takes a cell from another thread',
    file: CELLS,
    from: '  if ((word & WRITER) === id) cpu.cmpxchg',
    to: '  if ((word & WRITER) !== 0) cpu.cmpxchg',
    tests: [SESSION],
  },
  {
    name: 'a key is there before it is written',
    file: TABLE,
    from: '    this.#write(entry, a, b, c, d);\n    for (let seen = 0; ; ) {',
    to: '    for (let seen = 0; ; ) {\n      if (seen !== 0) this.#write(entry, a, b, c, d);',
    tests: [EXPLORED, LANGUAGE],
  },
  {
    name: 'a key that another thread has put there is put there again',
    file: TABLE,
    from: '      if (found !== 0) return found;\n',
    to: '',
    tests: [EXPLORED],
  },
  {
    name: 'a full table takes another key',
    file: TABLE,
    from: '    if (number >= this.#limit) {',
    to: '    if (number > this.#limit) {',
    tests: [SESSION],
  },
  {
    name: 'what was cleared is there still',
    file: MAPS,
    from: '    if (this.cpu.loadUnordered(this.#clears) !== this.#generation) this.#follow();\n',
    to: '',
    tests: [SESSION],
  },
  {
    name: 'parts of before a map was cleared are read',
    file: `${FOLDER}/read.ts`,
    from: '  if (!isCurrent()) return [];\n',
    to: '',
    tests: [SESSION],
    equivalent: 'it is looked for again when the part was read',
  },
  {
    name: 'the largest number is the least',
    file: `${FOLDER}/read.ts`,
    from: "  if (value === 'max') return [Math.max(",
    to: "  if (value === 'max') return [Math.min(",
    tests: [SESSION],
  },
  {
    name: 'output is written over what nobody has read',
    file: RING,
    from: '>>> 0) + words > ROOM) {',
    to: '>>> 0) > ROOM) {',
    tests: [SESSION],
  },
  {
    name: 'a line is there before it is written',
    file: RING,
    from: '    put(words | (what << 8) | (number << 16));\n',
    to: '    cpu.storeRelease(ring + RING.head, (head + words) | 0);\n    put(words | (what << 8) | (number << 16));\n',
    tests: [EXPLORED],
  },
  // Programs that run.
  {
    name: 'a place is used again with what was in it',
    file: `${FOLDER}/places.ts`,
    from: '    for (let word = ProgramWords.hearsLocks; word < ProgramWords.words; word++) cpu.store(address + word, 0);\n',
    to: '',
    tests: [SESSION],
  },
  {
    name: 'a program of a thread that has detached goes on',
    file: `${FOLDER}/layout.ts`,
    from: '    if (owner === 0 || !isDead(owner)) return true;',
    to: '    if (owner >= 0) return true;',
    tests: [SESSION],
  },
  {
    name: 'two threads count in one area',
    file: `${FOLDER}/stored.ts`,
    from: '    if (owner === id) return area;',
    to: '    if (owner > 0) return area;',
    tests: [SESSION],
  },
  {
    name: 'what dead threads claim is theirs for ever',
    file: `${FOLDER}/layout.ts`,
    from: '  if (claimed !== 0) repairCell(cpu, claimed, slotNumberAt(cpu, slot) + 1);\n',
    to: '',
    tests: [SESSION],
  },
  // The language.
  {
    name: 'and is or',
    file: `${FOLDER}/language/code.ts`,
    from: "(condition.is === 'both') !== when",
    to: "(condition.is === 'both') === when",
    tests: [LANGUAGE],
  },
  {
    name: 'what is kept is overwritten',
    file: `${FOLDER}/language/code.ts`,
    from: '    const kept = this.#kept++;',
    to: '    const kept = this.#kept;\n    this.#kept = 1;',
    tests: [LANGUAGE],
  },
  {
    name: 'all kinds of locks are one',
    file: `${FOLDER}/language/generator.ts`,
    from: '    if (kind !== undefined) this.#onlyKind(kind, end);\n',
    to: '',
    tests: [LANGUAGE],
  },
  {
    name: 'a division ends a predicate in parentheses',
    file: `${FOLDER}/language/expressions.ts`,
    from: '    this.#isPredicate = false;\n    const result = parse();',
    to: '    const result = parse();',
    tests: [LANGUAGE],
  },
];
