import type { Mutant } from '../mutant.ts';

const READ = 'lib/vdso/read.ts';
const UPDATE = 'lib/vdso/update.ts';
const UPDATER = 'lib/vdso/updater.ts';
const SOURCES = 'lib/vdso/sources.ts';
const IMAGE = 'lib/vdso/image.ts';
const VVAR = 'lib/vdso/vvar.ts';
const VDSO = 'lib/vdso/vdso.ts';
const NAMESPACE = 'lib/arena/time-namespace.ts';

const UNIT = 'test/vdso/vdso.test.ts';
const PAGE = 'test/vdso/page.test.ts';
const STEPS = 'test/vdso/steps.test.ts';
const EXPLORED = 'test/native-sim/explore/vdso.test.ts';

export const mutants: readonly Mutant[] = [
  {
    name: 'Vdso: a copy of an odd page',
    file: READ,
    from: '  if (seq & 1) return ODD;\n  const base = basetimeAt(page, clock);\n  const upkeep',
    to: '  const base = basetimeAt(page, clock);\n  const upkeep',
    tests: [EXPLORED],
  },
  {
    name: 'Vdso: a copy without a second look at seq',
    file: READ,
    from: '  if (cpu.load(page + VdsoData.seq) !== seq) return CHANGED;\n  if ((upkeep & copy.needs)',
    to: '  if ((upkeep & copy.needs)',
    tests: [EXPLORED],
  },
  {
    name: 'Vdso: a coarse copy that is used without a look at seq',
    file: READ,
    from: '  if (cpu.load(copy.page + VdsoData.seq) !== copy.seq) return CHANGED;\n  into[0] = copy.sec;',
    to: '  if (Number.isNaN(copy.seq)) return CHANGED;\n  into[0] = copy.sec;',
    tests: [PAGE, UNIT],
  },
  {
    name: 'Vdso: a fine copy that is used without a look at seq',
    file: READ,
    from: '  if (cpu.load(copy.page + VdsoData.seq) !== copy.seq) return CHANGED;\n  const delta',
    to: '  if (Number.isNaN(copy.seq)) return CHANGED;\n  const delta',
    tests: [PAGE, UNIT],
  },
  {
    name: 'Vdso: the counter is read after the look at seq',
    file: READ,
    from: '  const cycles = counter();\n  if (cpu.load(copy.page + VdsoData.seq) !== copy.seq) return CHANGED;\n',
    to: '  if (cpu.load(copy.page + VdsoData.seq) !== copy.seq) return CHANGED;\n  const cycles = counter();\n',
    tests: [PAGE, UNIT],
  },
  {
    name: 'Vdso: a page of any age',
    file: READ,
    from: '  if (delta > copy.most) return STALE;\n',
    to: '',
    tests: [PAGE, UNIT],
  },
  {
    name: 'Vdso: a counter that is behind the page takes time back',
    file: READ,
    from: '(delta > 0 ? delta * copy.mult : 0)',
    to: 'delta * copy.mult',
    tests: [PAGE, UNIT],
  },
  {
    name: 'Vdso: a page without a clock gives a time',
    file: READ,
    from: 'mode === CLOCKMODE_NONE || (upkeep',
    to: '(upkeep',
    tests: [PAGE, UNIT],
  },
  {
    name: 'Vdso: a coarse page that nobody keeps',
    file: READ,
    from: '  if ((upkeep & copy.needs) !== copy.needs) return STALE;\n  copy.seq = seq;\n  copy.sec = sec;\n  copy.nsec = nsec;\n  copy.scale = 1;',
    to: '  copy.seq = seq;\n  copy.sec = sec;\n  copy.nsec = nsec;\n  copy.scale = 1;',
    tests: [PAGE, UNIT],
  },
  {
    name: "Vdso: a namespace's nanoseconds that do not carry",
    file: READ,
    from: '  copy.nsec = sum >= second ? sum - second : sum;',
    to: '  copy.nsec = sum;',
    tests: [PAGE, UNIT],
  },
  {
    name: 'Vdso: an update that leaves the pages even while it writes',
    file: UPDATE,
    from: 'cpu.store(page + VdsoData.seq, cpu.load(page + VdsoData.seq) | 1);',
    to: 'cpu.load(page + VdsoData.seq);',
    tests: [EXPLORED],
  },
  {
    name: 'Vdso: an update after a death makes the pages odd for good',
    file: UPDATE,
    from: 'cpu.load(page + VdsoData.seq) | 1);',
    to: '(cpu.load(page + VdsoData.seq) + 1) | 0);',
    tests: [UNIT, EXPLORED],
  },
  {
    name: 'Vdso: an update steps MONOTONIC to the counter',
    file: UPDATER,
    from: 'const monotonic = before?.at(cycles) ?? cycles;',
    to: 'const monotonic = cycles;',
    tests: [UNIT],
  },
  {
    name: 'Vdso: an update reads its counter while the pages are even',
    file: UPDATE,
    from: '  const before = monotonicOf(cpu, pages);\n  for',
    to: '  const before = monotonicOf(cpu, pages);\n  const early = timekeeper(before);\n  timekeeper = () => early;\n  for',
    tests: [PAGE, UNIT],
  },
  {
    name: 'Vdso: seconds beyond a word',
    file: NAMESPACE,
    from: '  return high * 2 ** 32 + (low >>> 0);',
    to: '  return high * 2 ** 32 + low;',
    tests: [PAGE],
  },
  {
    name: 'Vdso: a wall clock whose nanoseconds do not carry',
    file: UPDATE,
    from: '  const carry = Math.floor(nsec / NSEC_PER_SEC);\n  storePair',
    to: '  const carry = 0;\n  storePair',
    tests: [PAGE, UNIT],
  },
  {
    name: 'Vdso: the slew has no limit',
    file: UPDATER,
    from: 'Math.max(-MOST_SLEW, Math.min(behind / SLEW_NS, MOST_SLEW))',
    to: 'behind / SLEW_NS',
    tests: [PAGE],
  },
  {
    name: 'Vdso: a dead updater leaves its pages in force',
    file: VVAR,
    from: 'cpu.fetchOr(page + VdsoData.seq, 1);',
    to: 'cpu.load(page + VdsoData.seq);',
    tests: [UNIT],
  },
  {
    name: "Vdso: a dead updater's latch stays taken",
    file: VVAR,
    from: '  unlatch(cpu, vvar + Vvar.latch);\n  return true;',
    to: '  return true;',
    tests: [UNIT],
  },
  {
    name: 'Vdso: a page of another layout is mapped',
    file: VVAR,
    from: ' || cpu.read(page + VdsoData.version) !== PAGE_VERSION',
    to: '',
    tests: [UNIT],
  },
  {
    name: 'Vdso: the page of a namespace where there is none',
    file: VVAR,
    from: '(offset === VVAR_TIMENS_PAGE_OFFSET && namespace !== 0)',
    to: 'offset === VVAR_TIMENS_PAGE_OFFSET',
    tests: [UNIT],
  },
  {
    name: 'Vdso: a symbol of any version',
    file: IMAGE,
    from: '    if (cpu.read(at + Sym.version) !== hash(version)) continue;\n',
    to: '',
    tests: [UNIT],
  },
  {
    name: 'Vdso: a moved image of which nobody hears',
    file: IMAGE,
    from: 'cpu.storeRelease(at + AuxEntry.value, to);',
    to: 'cpu.load(at);',
    tests: [UNIT],
  },
  {
    name: 'Vdso: what a coarse read wants is not told',
    file: VDSO,
    from: '    this.#want(COARSE);\n',
    to: '',
    tests: [UNIT],
  },
  {
    name: 'Vdso: a tick may be before what a fallback has given',
    file: VDSO,
    from: '    else if (copy === this.#coarse) this.#hold(copy, into);\n',
    to: '    else if (copy === this.#coarse) this.#coarseNs = (into[0] as number) * NSEC_PER_SEC + (into[1] as number);\n',
    tests: [UNIT],
  },
  {
    name: 'Vdso: TAI by the wrong clock of the kernel',
    file: SOURCES,
    from: "const TAI_BASE = '3';",
    to: "const TAI_BASE = '2';",
    tests: [UNIT],
  },
  {
    name: 'Vdso: the leap seconds of an entry that is yet to come',
    file: SOURCES,
    from: ' && Number(since) - NTP_EPOCH <= now) offset',
    to: ') offset',
    tests: [UNIT],
  },
  {
    name: 'Vdso: two updaters do not keep out of each other’s way',
    file: UPDATER,
    from: '    latch(cpu, vvar + Vvar.latch, thread.id);\n    cpu.store(vvar + Vvar.updater',
    to: '    if (thread.id < 0) latch(cpu, vvar + Vvar.latch, thread.id);\n    cpu.store(vvar + Vvar.updater',
    tests: [STEPS],
  },
  {
    name: 'Vdso: a namespace’s offset is added in the fallback twice',
    file: VDSO,
    from: '      normalise(into, (into[0] as number) + sec, (into[1] as number) + nsec);',
    to: '      normalise(into, (into[0] as number) + 2 * sec, (into[1] as number) + nsec);',
    tests: [STEPS],
  },
  {
    name: 'Vdso: a copy that is brought up to date loses its namespace',
    file: READ,
    from: '  if (isNamespace(cpu, mapped)) addOffset(cpu, mapped, copy);\n',
    to: '  if (isNamespace(cpu, mapped) && copy.latest === 0) addOffset(cpu, mapped, copy);\n',
    tests: [STEPS],
  },
  {
    name: 'Vdso: a thread that has detached starts a tick',
    file: VDSO,
    from: '    if (this.#arena.thread.self < 0) return;\n',
    to: '',
    tests: [STEPS],
  },
  {
    name: 'Vdso: an updater that ticks at a rate of its own',
    file: UPDATER,
    from: '    this.#tickNs = tickOf(arena.cpu, vvar);',
    to: '    this.#tickNs = tickOf(arena.cpu, vvar) * 2;',
    tests: [UNIT],
  },
];
