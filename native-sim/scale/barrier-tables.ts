/**
 * `holdfast sim --barriers`: what is said of barriers, beside what a simulated Armv8 does. The `seed` columns are the
 * statements of the notes that this project began with, in short; `manual` is the Arm Architecture Reference Manual
 * (DDI 0487, B2.3 and D7), or the kernel's memory-barriers.txt; `measured` comes from the programs of `barrier-programs.ts`.
 */
import type { BarrierOption } from '../machine/barrier.ts';
import { type Profile, SimError } from '../machine/profile.ts';
import { profiles } from '../machine/profiles.ts';
import { Attribute } from '../machine/shareability.ts';
import {
  type Behind,
  type Between,
  behindCaches,
  DESCRIPTOR,
  overtaken,
  type Share,
  staleBehind,
  storeBuffering,
  timing,
  tooEarly,
  torn,
} from './barrier-programs.ts';
import { rereads } from './rereads.ts';

export interface TableRow {
  feature: string;
  seed: readonly [string, string];
  manual: string;
  measured: readonly [string, string];
  /** Whether what was measured is what the seed says; if not, what is wrong with it. */
  agrees: boolean;
  note: string;
}

export interface BarrierTables {
  profile: string;
  /** A compiler's barrier beside one of memory; DMB beside DSB. */
  compiler: TableRow[];
  arm: TableRow[];
  /** The two things that barriers ensure. */
  guarantees: { text: string; broken: Share; holds: boolean }[];
}

const none: Between = () => {};
const dmb =
  (option: BarrierOption): Between =>
  (cpu) =>
    cpu.dmb(option);
const dsb =
  (option: BarrierOption): Between =>
  (cpu) =>
    cpu.dsb(option);
const cleaned =
  (barrier: Between): Between =>
  (cpu) => {
    cpu.clean(DESCRIPTOR);
    barrier(cpu);
  };

const share = ({ seen, of }: Share, what: string) => `${what} in ${seen} of ${of} runs`;
const ns = (value: number) => `${value.toFixed(1)} ns`;
const never = (...shares: readonly Share[]) => shares.every(({ seen }) => seen === 0);

function armRows(profile: Profile): TableRow[] {
  // Under MESI, where a line that is read is written back.
  const mesi: Profile = { ...profile, protocol: 'mesi' };
  const [dmbTime, dsbTime] = [timing(profile, dmb('ish')), timing(profile, dsb('ish'))];
  const [dmbHit, dsbHit] = [timing(profile, dmb('ish'), true), timing(profile, dsb('ish'), true)];
  const alone = [behindCaches(mesi, dmb('sy'), false), behindCaches(mesi, dsb('sy'), false)] as const;
  const read = [behindCaches(mesi, dmb('sy'), true), behindCaches(mesi, dsb('sy'), true)] as const;
  const order = [torn(profile, 1, dmb('ish'), dmb('ishld')), torn(profile, 1, dsb('ish'), dmb('ishld'))] as const;
  const rung = [
    tooEarly(profile, Attribute.ish, cleaned(dmb('sy'))),
    tooEarly(profile, Attribute.ish, cleaned(dsb('sy'))),
  ] as const;
  const acquire = storeBuffering(
    profile,
    (cpu, address) => cpu.storeRelease(address, 1),
    (cpu, address) => cpu.loadAcquire(address),
  );
  const state = ({ state: name }: Behind, { state: whenRead }: Behind) => `${name}; with a reader ${whenRead}`;
  return [
    {
      feature: 'Ordering',
      seed: ['guaranteed', 'guaranteed'],
      manual: 'both order explicit accesses, by domain and by LD, ST or all',
      measured: [share(order[0], 'out of order'), share(order[1], 'out of order')],
      agrees: never(...order),
      note: `without a barrier: ${share(torn(profile, 1, none, dmb('ishld')), 'out of order')}`,
    },
    {
      feature: 'Completion',
      seed: ['not guaranteed: a store may wait in a write buffer', 'guaranteed'],
      manual: 'a DSB completes when all accesses before it are complete; a DMB only orders',
      measured: [
        `${dmbTime.buffered} store in the buffer behind it`,
        `${dsbTime.buffered} stores in the buffer behind it`,
      ],
      agrees: dmbTime.buffered > 0 && dsbTime.buffered === 0,
      note: '',
    },
    {
      feature: 'Global visibility',
      seed: ['relies on MESI, not guaranteed', 'ensured, by stalling'],
      manual:
        'complete means observed by all of the domain; for a DMB what is behind it is observed after what is before it',
      measured: [`visible ${ns(dmbTime.visible)} after it`, `visible ${ns(-dsbTime.visible)} before its end`],
      agrees: dmbTime.visible > 0 && dsbTime.visible <= 0,
      note: 'an owned line is visible to whoever asks: MESI makes it so, with either',
    },
    {
      feature: 'MESI interaction',
      seed: ['lines may stay M until another core accesses them', 'lines become S or are written back'],
      manual: 'neither changes the state of a line',
      measured: [state(alone[0], read[0]), state(alone[1], read[1])],
      agrees: alone[1].state !== 'modified',
      note: 'The seed is wrong about DSB: a line in M is coherent, so visible to all cores. Only a reader, an eviction or cache maintenance changes it',
    },
    {
      feature: 'Write-back to memory',
      seed: ['does not force it', 'forces it, if necessary'],
      manual: 'neither; DC CVAC and DC CIVAC do, and a DSB waits for them',
      measured: [`${alone[0].writeBacks} write-backs`, `${alone[1].writeBacks} write-backs`],
      agrees: alone[1].writeBacks > 0,
      note: 'The seed is wrong about DSB: memory gets the line by DC CVAC, see below',
    },
    scopeRow(profile),
    {
      feature: 'Performance',
      seed: ['lower overhead', 'higher overhead'],
      manual: 'not said',
      measured: [
        `${ns(dmbHit.barrier)} with nothing to wait for, ${ns(dmbTime.barrier)} with a store that misses`,
        `${ns(dsbHit.barrier)}, ${ns(dsbTime.barrier)}`,
      ],
      agrees: dmbHit.barrier < dsbHit.barrier && dmbTime.barrier < dsbTime.barrier,
      note: '',
    },
    {
      feature: 'Use cases',
      seed: ['order without completion', 'mappings, devices; implements memory_order_seq_cst'],
      manual: 'DSB for page tables, cache maintenance and context changes; seq_cst is LDAR and STLR, or DMB',
      measured: [
        `device rung at too early, memory cleaned: ${rung[0].seen} of ${rung[0].of}`,
        `${rung[1].seen} of ${rung[1].of}`,
      ],
      agrees: !never(acquire),
      note: `The seed is wrong about seq_cst: with STLR and LDAR ${share(acquire, 'store buffering')}, with a DMB between ${share(
        storeBuffering(
          profile,
          (cpu, address) => {
            cpu.store(address, 1);
            cpu.dmb('ish');
          },
          (cpu, address) => cpu.load(address),
        ),
        'store buffering',
      )}, and no DSB`,
    },
    {
      feature: 'Core stalling',
      seed: ['does not stall', 'stalls until all is globally visible'],
      manual: 'no instruction behind a DSB executes before it is complete; behind a DMB only accesses wait',
      measured: [`work of 1,000 ns is done after ${ns(dmbTime.work)}`, `after ${ns(dsbTime.work)}`],
      agrees: dmbTime.work < dsbTime.work,
      note: '',
    },
    ...maintenanceRows(mesi),
  ];
}

function scopeRow(profile: Profile): TableRow {
  const split = profiles.get('split-8')!;
  const reach = (barrier: (option: BarrierOption) => Between) => {
    const inside = torn(split, 1, barrier('ish'), barrier('ish'));
    const across = torn(split, 4, barrier('ish'), barrier('ish'));
    const outer = torn(split, 4, barrier('osh'), barrier('osh'));
    const gpu = [overtaken(profile, barrier('ish')), overtaken(profile, barrier('osh'))] as const;
    return {
      agrees: never(inside, outer, gpu[1]) && across.seen > 0 && gpu[0].seen > 0,
      text: `ISH: ${inside.seen} out of order inside a domain, ${across.seen} between two, ${gpu[0].seen} for an outer observer; OSH: ${outer.seen}, ${gpu[1].seen}`,
    };
  };
  const [ordering, completing] = [reach(dmb), reach(dsb)];
  return {
    feature: 'Scope',
    seed: ['ISH, OSH, NSH, ST', 'ISH, OSH, NSH, ST'],
    manual: 'NSH, ISH, OSH or SY, each for all accesses, LD or ST',
    measured: [ordering.text, completing.text],
    agrees: ordering.agrees && completing.agrees,
    note: 'ST is no domain: it says which accesses. Each domain has three forms',
  };
}

function maintenanceRows(mesi: Profile): TableRow[] {
  return [false, true].map((drops): TableRow => {
    const act =
      (barrier: Between): Between =>
      (cpu) => {
        if (drops) cpu.cleanInvalidate(DESCRIPTOR);
        else cpu.clean(DESCRIPTOR);
        barrier(cpu);
      };
    const [ordered, complete] = [behindCaches(mesi, act(dmb('sy')), false), behindCaches(mesi, act(dsb('sy')), false)];
    const text = ({ memory, barrier, state }: Behind) =>
      `in memory after ${memory === null ? 'for ever' : ns(memory)}, barrier over after ${ns(barrier)}, line ${state}`;
    return {
      feature: drops ? 'DC CIVAC in front of it' : 'DC CVAC in front of it',
      seed: ['-', 'write-back, said of DSB itself'],
      manual: drops
        ? 'cleaned and invalidated to the point of coherency'
        : 'cleaned to the point of coherency, and kept',
      measured: [text(ordered), text(complete)],
      agrees: complete.memory !== null && complete.barrier >= complete.memory && ordered.barrier < complete.barrier,
      note: 'DC writes back; the DSB waits for it, and a DMB does not',
    };
  });
}

async function compilerRows(profile: Profile): Promise<TableRow[]> {
  const [bare, ordered] = [torn(profile, 1, none, none), torn(profile, 1, dmb('ish'), dmb('ish'))];
  const [nothing, full] = [behindCaches(profile, none, false), behindCaches(profile, dmb('ish'), false)];
  const reads = await rereads();
  const changed = (count: number) => `${count} of ${reads.pairs.toLocaleString('en')} pairs differ`;
  return [
    {
      feature: 'Scope',
      seed: ['the compiler only', 'the compiler and the CPU'],
      manual: 'barrier() emits no instruction; smp_mb() is one',
      measured: [share(bare, 'out of order'), share(ordered, 'out of order')],
      agrees: bare.seen > 0 && never(ordered),
      note: 'JavaScript has no compiler barrier alone: an Atomics call is both',
    },
    {
      feature: 'Effect on caches',
      seed: ['none', 'makes accesses visible across CPUs'],
      manual: 'neither flushes a cache',
      measured: [
        `${nothing.writeBacks} write-backs, line ${nothing.state}`,
        `${full.writeBacks} write-backs, line ${full.state}`,
      ],
      agrees: nothing.writeBacks === 0 && full.state === nothing.state,
      note: 'caches are coherent in any case: the barrier orders, and the protocol makes visible',
    },
    {
      feature: 'Forces reload',
      seed: ['if accessed', 'orders between CPUs'],
      manual: 'after barrier() a variable is loaded again when it is accessed; READ_ONCE() loads once',
      measured: [
        `V8, a plain word read twice: ${changed(reads.plain)}`,
        `with an Atomics call between: ${changed(reads.between)}; Atomics.load twice: ${changed(reads.atomics)}`,
      ],
      agrees: reads.plain < reads.between,
      note: 'while another thread changes the word all the time: V8 reads it once where nothing forbids that',
    },
    {
      feature: 'Use case',
      seed: ['one CPU, or the compiler', 'several CPUs'],
      manual: 'memory-barriers.txt: an SMP barrier is one of the compiler on a single CPU',
      measured: ['on one core nothing is out of order without it', share(ordered, 'out of order')],
      agrees: never(ordered),
      note: '',
    },
  ];
}

function guarantees(profile: Profile): BarrierTables['guarantees'] {
  const options: BarrierOption[] = ['ish', 'osh', 'sy'];
  const sum = (shares: readonly Share[]): Share => ({
    seen: shares.reduce((all, { seen }) => all + seen, 0),
    of: shares.reduce((all, { of }) => all + of, 0),
  });
  const within = sum(
    options.flatMap((option) => [dmb(option), dsb(option)]).map((barrier) => torn(profile, 1, barrier, barrier)),
  );
  const behind = (barrier: Between) => staleBehind(profile, barrier, dmb('ishld'));
  const complete = sum(options.map((option) => behind(dsb(option))));
  const ordered = sum(options.map((option) => behind(dmb(option))));
  return [
    {
      text: 'order within a core: what stands before a barrier comes before what stands behind it',
      broken: within,
      holds: never(within),
    },
    { text: 'visibility across cores once the barrier is over, for a DSB', broken: complete, holds: never(complete) },
    { text: 'the same for a DMB, which does not promise it', broken: ordered, holds: never(ordered) },
  ];
}

/** On an Armv8 profile. Takes a few seconds, some of them for two real threads. */
export async function barrierTables(profile: Profile): Promise<BarrierTables> {
  if (profile.model !== 'armv8') {
    throw new SimError(
      `barriers are shown on a machine whose model is armv8; received ${profile.name} (${profile.model})`,
    );
  }
  return {
    profile: profile.name,
    compiler: await compilerRows(profile),
    arm: armRows(profile),
    guarantees: guarantees(profile),
  };
}

export function showBarriers({ profile, compiler, arm, guarantees: ensured }: BarrierTables): string {
  const rows = (title: string, [first, second]: readonly [string, string], table: readonly TableRow[]) =>
    `${title}\n${table
      .map(({ feature, seed, manual, measured, agrees, note }) =>
        [
          `\n${feature}${agrees ? '' : ': NOT as the seed says'}`,
          `  ${first.padEnd(16)} seed      ${seed[0]}`,
          `  ${''.padEnd(16)} measured  ${measured[0]}`,
          `  ${second.padEnd(16)} seed      ${seed[1]}`,
          `  ${''.padEnd(16)} measured  ${measured[1]}`,
          `  manual: ${manual}`,
          ...(note === '' ? [] : [`  ${note}`]),
        ].join('\n'),
      )
      .join('\n')}\n`;
  const list = ensured.map(
    ({ text, broken, holds }) => `  ${holds ? 'holds' : 'fails'}  ${text}: ${share(broken, 'broken')}\n`,
  );
  return [
    rows('Compiler barrier and memory barrier', ['compiler barrier', 'memory barrier'], compiler),
    rows(`DMB and DSB on ${profile}`, ['DMB', 'DSB'], arm),
    `What barriers ensure\n\n${list.join('')}`,
  ].join('\n');
}
