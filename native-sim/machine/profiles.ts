/**
 * The machines that come with holdfast. Latencies are published measurements, named beside each; a test measures them
 * on the machine and compares. What is not published (occupancy, hold, buffers) is the same for machines of one kind.
 */
import type { CacheSize, Profile } from './profile.ts';

const l1 = (hitNs: number): CacheSize => ({ lines: 512, ways: 8, hitNs });
const l2 = (hitNs: number, lines = 16384): CacheSize => ({ lines, ways: 8, hitNs });

/** Of a Linux kernel on the machine itself. */
const system: Profile['system'] = {
  sleepNs: 1200,
  wakeNs: 900,
  wakeLatencyNs: 4000,
  switchNs: 1500,
  sliceNs: 3e6,
};

const x86 = {
  model: 'x86-tso',
  storeBuffer: { entries: 56, forwards: true },
  // Loads stay in order, so an invalidation that waits serves only loads that could have been made before it came.
  invalidateQueue: { entries: 8, delayNs: 10 },
  atomicNs: 7,
  fenceNs: 11,
  spinNs: 3,
  hopNs: 0,
  hold: 0.3,
  directoryNs: 5,
  system,
} as const satisfies Partial<Profile>;

const arm = {
  model: 'armv8',
  storeBuffer: { entries: 48, forwards: true },
  invalidateQueue: { entries: 16, delayNs: 80 },
  atomicNs: 3,
  fenceNs: 4,
  spinNs: 3,
  hold: 0.3,
  directoryNs: 5,
  system,
} as const satisfies Partial<Profile>;

/** Latencies of the Xeon 8176: so many cores in a socket, in the sockets that are joined directly, in the machine. */
const xeonLevels = (socket: number, near: number, all: number): Profile['levels'] => [
  { name: 'socket', cores: socket, transferNs: 40.5, upgradeNs: 47.5, occupancyNs: 1 },
  { name: 'other socket', cores: near, transferNs: 142, upgradeNs: 287, occupancyNs: 4 },
  { name: 'across the interconnect', cores: all, transferNs: 330, upgradeNs: 601, occupancyNs: 8 },
];

/** Eight cores on a bus. */
const onBus = {
  cores: 8,
  protocol: 'mesi',
  interconnect: 'bus',
  hopNs: 0,
  l1: l1(2),
  l2: l2(10, 8192),
  memoryNs: 150,
} as const satisfies Partial<Profile>;
const bus: Profile['levels'] = [{ name: 'bus', cores: 8, transferNs: 90, upgradeNs: 80, occupancyNs: 6 }];

const graviton: Profile = {
  name: 'graviton-64',
  description: 'Graviton2: 64 Neoverse N1 cores in a mesh, with LSE atomics (core-to-core-latency)',
  cores: 64,
  protocol: 'moesi',
  interconnect: 'mesh',
  levels: [{ name: 'socket', cores: 64, transferNs: 40, upgradeNs: 40, occupancyNs: 0.5 }],
  hopNs: 2.3,
  l1: l1(1.6),
  l2: l2(4.4),
  memoryNs: 115,
  ...arm,
};

const PROFILES: readonly Profile[] = [
  {
    name: 'vm-2',
    description: '2 virtual CPUs of a cloud machine, as holdfast itself was measured on',
    cores: 2,
    protocol: 'mesif',
    interconnect: 'mesh',
    levels: [{ name: 'socket', cores: 2, transferNs: 60, upgradeNs: 50, occupancyNs: 1 }],
    l1: l1(1.5),
    l2: l2(5),
    memoryNs: 110,
    ...x86,
    system: { ...system, wakeLatencyNs: 12_000 },
  },
  {
    name: 'xeon-8',
    description: '8 sockets of Xeon Platinum 8176, 28 cores each (perfbook, table 3.1)',
    cores: 224,
    protocol: 'mesif',
    interconnect: 'mesh',
    levels: xeonLevels(28, 112, 224),
    l1: l1(1.6),
    l2: l2(5.2),
    memoryNs: 124,
    ...x86,
  },
  {
    name: 'intel-48',
    description: '4 sockets of Xeon E7-4830 v3, 12 cores each (LiTL)',
    cores: 48,
    protocol: 'mesif',
    interconnect: 'ring',
    levels: [
      { name: 'socket', cores: 12, transferNs: 45, upgradeNs: 45, occupancyNs: 1 },
      { name: 'other socket', cores: 48, transferNs: 140, upgradeNs: 150, occupancyNs: 4 },
    ],
    l1: l1(1.9),
    l2: l2(5.7, 4096),
    memoryNs: 113,
    ...x86,
  },
  {
    name: 'opteron-64',
    description:
      '4 x Opteron 6272: two dies of 8 cores in a socket (LiTL; latencies: David, Guerraoui, Trigonakis 2013)',
    cores: 64,
    protocol: 'moesi',
    interconnect: 'point-to-point',
    levels: [
      { name: 'die', cores: 8, transferNs: 45, upgradeNs: 45, occupancyNs: 1 },
      { name: 'socket', cores: 16, transferNs: 87, upgradeNs: 87, occupancyNs: 3 },
      { name: 'other socket', cores: 64, transferNs: 113, upgradeNs: 120, occupancyNs: 6 },
    ],
    l1: l1(1.9),
    l2: l2(9.5, 32768),
    memoryNs: 134,
    ...x86,
  },
  {
    name: 'epyc-128',
    description: '2 x EPYC 7742: 4 cores in a complex, 64 in a socket (core-to-core-latency)',
    cores: 128,
    protocol: 'moesi',
    interconnect: 'point-to-point',
    levels: [
      { name: 'complex', cores: 4, transferNs: 20, upgradeNs: 20, occupancyNs: 0.5 },
      { name: 'socket', cores: 64, transferNs: 113, upgradeNs: 113, occupancyNs: 1 },
      { name: 'other socket', cores: 128, transferNs: 248, upgradeNs: 248, occupancyNs: 4 },
    ],
    l1: l1(1.2),
    l2: l2(3.5, 8192),
    memoryNs: 120,
    ...x86,
    atomicNs: 5,
  },
  graviton,
  {
    ...graviton,
    name: 'graviton-64-llsc',
    description: 'graviton-64 with code for Armv8.0: atomics are pairs of LDXR and STXR',
    exclusives: { spurious: 0.001 },
  },
  {
    ...graviton,
    name: 'split-8',
    description: 'two clusters of 4 cores of graviton-64, each an inner shareable domain of its own',
    cores: 8,
    innerCores: 4,
    hopNs: 0,
    levels: [
      { name: 'cluster', cores: 4, transferNs: 40, upgradeNs: 40, occupancyNs: 0.5 },
      { name: 'other cluster', cores: 8, transferNs: 60, upgradeNs: 60, occupancyNs: 1 },
    ],
    // Invalidations from the other cluster wait long enough for a barrier that leaves them out to be noticed.
    invalidateQueue: { entries: 16, delayNs: 400 },
  },
  {
    name: 'xeon-512',
    description: 'a machine that nobody sells: 16 sockets of 32 cores with the latencies of xeon-8',
    cores: 512,
    protocol: 'mesif',
    interconnect: 'mesh',
    levels: xeonLevels(32, 128, 512),
    l1: l1(1.6),
    l2: l2(5.2),
    memoryNs: 124,
    ...x86,
  },
  {
    name: 'alpha-8',
    description: 'Alpha-like: 8 cores on a bus; a load may be answered by a line whose invalidation still waits',
    levels: bus,
    ...arm,
    ...onBus,
    model: 'alpha',
    invalidateQueue: { entries: 16, delayNs: 200 },
  },
  {
    name: 'power7-16',
    description: '2 x Power7, 8 cores each, not multi-copy atomic (core-to-core-latency)',
    cores: 16,
    protocol: 'mesi',
    interconnect: 'mesh',
    levels: [
      { name: 'socket', cores: 8, transferNs: 84, upgradeNs: 56, occupancyNs: 1 },
      { name: 'other socket', cores: 16, transferNs: 215, upgradeNs: 155, occupancyNs: 4 },
    ],
    l1: l1(1),
    l2: l2(3, 2048),
    memoryNs: 110,
    ...arm,
    hopNs: 0,
    model: 'power',
    exclusives: { spurious: 0.001 },
    invalidateQueue: { entries: 16, delayNs: 500 },
  },
  {
    name: 'sc-8',
    description: 'no store buffer and no invalidate queue: 8 cores on a bus, sequentially consistent',
    levels: bus,
    ...x86,
    ...onBus,
    model: 'sc',
    storeBuffer: { entries: 0, forwards: true },
    invalidateQueue: { entries: 0, delayNs: 0 },
  },
];

/** By name. */
export const profiles: ReadonlyMap<string, Profile> = new Map(PROFILES.map((profile) => [profile.name, profile]));
