/** Published measurements of locks that one thread holds at a time. The work of an application is fitted to MCS's rows. */
import { type Experiment, isRow, parallel, rowsOf, throughput } from './experiment.ts';

/** Of one acquisition of radiosity's busiest lock, fitted to MCS at 8 to 64 cores of the Opteron. */
const radiosity = { section: 75, outside: 6200, shared: 0, simulatedNs: 1e6 };
/** A back-off of up to 3 ms takes its time to show. */
const longer = { simulatedNs: 4e6 };
/** Of pca's, fitted to MCS at 8 and at 64 cores: the section's data moves with the lock. */
const pca = { section: 300, outside: 9500, shared: 8, simulatedNs: 1e6 };
/** The machine that was measured had 8 dies of 6 cores: so many of each die of 8, one die after the other. */
const onSixes = (cores: number) => ({
  places: Array.from({ length: cores }, (_, core) => 8 * Math.floor(core / 6) + (core % 6)),
});

export const lockExperiments: readonly Experiment[] = [
  {
    name: 'litl-opteron',
    source: 'LiTL, radiosity on 4 x Opteron 6272: throughput relative to MCS at 64 cores',
    unit: 'of MCS at 64',
    profile: 'opteron-64',
    options: radiosity,
    rows: [
      ...parallel('mcs', { 8: 94, 16: 175, 32: 242, 48: 226, 64: 218 }),
      ...rowsOf(64, { tas: 10, ttas: 16, ticket: 34, clh: 209 }),
      { lock: 'backoff', cores: 64, published: 166, options: longer },
    ],
    measure: throughput,
    isReference: isRow('mcs', 64),
  },
  {
    name: 'litl-opteron-8',
    source: 'LiTL, radiosity on 4 x Opteron 6272, 8 cores: all locks within 8 %',
    unit: 'of MCS',
    profile: 'opteron-64',
    options: radiosity,
    rows: rowsOf(8, { tas: 1, ttas: 1, ticket: 1, backoff: 1, clh: 1, mcs: 1 }),
    measure: throughput,
    isReference: isRow('mcs', 8),
  },
  {
    name: 'litl-intel',
    source: 'LiTL, radiosity on 4 x Xeon E7-4830 v3, 48 cores: throughput relative to MCS',
    unit: 'of MCS',
    profile: 'intel-48',
    options: radiosity,
    rows: [
      ...rowsOf(48, { tas: 28, ttas: 86, ticket: 98, mcs: 289, cohort: 432 }),
      { lock: 'backoff', cores: 48, published: 230, options: longer },
    ],
    measure: throughput,
    isReference: isRow('mcs', 48),
  },
  {
    name: 'litl-parking',
    source: 'LiTL, radiosity on 4 x Opteron 6272, waiters that sleep: throughput relative to spinning MCS at 64 cores',
    unit: 'of MCS at 64',
    profile: 'opteron-64',
    options: radiosity,
    rows: [
      { lock: 'mcs', cores: 64, published: 218 },
      ...parallel('mcs-park', { 8: 93, 16: 16, 32: 15, 48: 11, 64: 10 }),
      ...parallel('futex', { 8: 86, 16: 95, 32: 66, 48: 48, 64: 39 }),
    ],
    measure: throughput,
    isReference: isRow('mcs', 64),
  },
  {
    name: 'pca-opteron',
    source: 'LiTL, pca_ll on 4 x Opteron 6272: throughput at 8 and 64 cores relative to MCS at 8',
    unit: 'of MCS at 8',
    profile: 'opteron-64',
    options: pca,
    rows: [
      ...rowsOf(8, { cohort: 285, mcs: 268, clh: 277, ticket: 275, ttas: 292, tas: 286 }),
      { lock: 'backoff', cores: 8, published: 267, options: longer },
      { lock: 'cohort', cores: 32, published: 558 },
      ...rowsOf(64, { cohort: 397, mcs: 251, clh: 248, ticket: 164, ttas: 80, tas: 55 }),
      { lock: 'backoff', cores: 64, published: 432, options: longer },
    ],
    measure: throughput,
    isReference: isRow('mcs', 8),
  },
  {
    name: 'pca-intel',
    source: 'LiTL, pca_ll on 4 x Xeon E7-4830 v3, 48 cores: throughput relative to MCS',
    unit: 'of MCS',
    profile: 'intel-48',
    options: pca,
    rows: rowsOf(48, { cohort: 1079, mcs: 809, ticket: 408, tas: 127 }),
    measure: throughput,
    isReference: isRow('mcs', 48),
  },
  {
    name: 'hand-over',
    source:
      'Boyd-Wickizer et al. 2012, 48 cores: hand-over of a ticket lock grows with the waiters, of MCS it does not; relative to 16 cores',
    unit: 'of 16 cores',
    profile: 'opteron-64',
    options: { section: 100, outside: 50, simulatedNs: 200_000 },
    rows: [
      ...[16, 32, 48].map((cores) => ({ lock: 'ticket', cores, published: cores / 16, options: onSixes(cores) })),
      ...[16, 32, 48].map((cores) => ({ lock: 'mcs', cores, published: 1, options: onSixes(cores) })),
    ],
    measure: ({ handoverNs }) => handoverNs ?? 0,
    isReference: (row, of) => row.lock === of.lock && row.cores === 16,
  },
  {
    name: 'qspinlock',
    source: "qspinlock's commit: two contenders on a par with ticket, many threads 1.96 times as fast",
    unit: 'of ticket',
    profile: 'intel-48',
    options: { section: 100, outside: 200, simulatedNs: 400_000 },
    rows: [2, 48].flatMap((cores) => [
      { lock: 'ticket', cores, published: 1 },
      ...['plain-qspinlock', 'plain-qspinlock-try', 'plain-qspinlock-prefetch', 'qspinlock'].map((lock) => ({
        lock,
        cores,
        published: cores === 2 ? 1 : 1.96,
      })),
    ]),
    measure: throughput,
    isReference: (row, of) => row.lock === 'ticket' && row.cores === of.cores,
  },
  {
    name: 'cna',
    source: 'CNA v11, 4 sockets, 142 threads: a NUMA-aware queue 1.77 times as fast as the plain one on locktorture',
    unit: 'of the plain queue',
    profile: 'xeon-8',
    options: { section: 100, outside: 100, shared: 0, simulatedNs: 400_000 },
    rows: rowsOf(112, { mcs: 1, cna: 1.77 }),
    measure: throughput,
    isReference: isRow('mcs', 112),
  },
  {
    name: 'lock-stealing',
    source:
      '"The big kernel lock strikes again" (LWN 281938): where a lock is handed to a waiter that sleeps, the machine idles almost half of the time',
    unit: 'of a lock that may be stolen',
    profile: 'intel-48',
    options: { section: 1000, outside: 7000, simulatedNs: 4e6 },
    rows: rowsOf(4, { futex: 1, 'mcs-sleep': 0.5 }),
    measure: throughput,
    isReference: isRow('futex', 4),
  },
];
