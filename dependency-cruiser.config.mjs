/**
 * The floors of the house: a room imports only from floors below its own, and never in a circle, types included.
 * `npm run floors` enforces it.
 */
const FLOORS = [
  ['machine', 'page'],
  ['memory'],
  ['sched'],
  ['arena'],
  ['locking'],
  ['futex'],
  ['pthread', 'rcu'],
  ['workqueue'],
  ['structures', 'vdso'],
  ['debug'],
  ['torture'],
  ['cli'],
];

/** A room may import itself and what stands on lower floors; `lib/errors.ts` is below all. */
function ruleOf(room, floor) {
  const below = FLOORS.slice(0, floor).flat();
  const allowed = [room, ...below].map((name) => `^lib/${name}/`);
  return {
    name: `${room}-imports-only-from-below`,
    severity: 'error',
    from: { path: `^lib/${room}/` },
    to: { path: '^(lib|native-sim|workers|test|bench|scripts)/', pathNot: [...allowed, '^lib/errors\\.ts$'] },
  };
}

const rooms = FLOORS.flatMap((names, floor) => names.map((room) => ruleOf(room, floor)));
// The command is the one room that may look into native-sim.
rooms.find(({ name }) => name.startsWith('cli-')).to.pathNot.push('^native-sim/');

/** @type {import('dependency-cruiser').IConfiguration} */
export default {
  forbidden: [
    { name: 'no-circles', severity: 'error', from: {}, to: { circular: true } },
    { name: 'workers-are-loaded-by-url', severity: 'error', from: {}, to: { path: '^workers/' } },
    {
      name: 'native-sim-imports-no-command',
      severity: 'error',
      from: { path: '^native-sim/' },
      to: { path: '^(lib/(cli|torture)|workers|test|bench|scripts)/' },
    },
    {
      name: 'every-room-has-a-floor',
      severity: 'error',
      from: { path: '^lib/', pathNot: `^lib/(${FLOORS.flat().join('|')})/|^lib/[^/]+\\.ts$` },
      to: {},
    },
    ...rooms,
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
  },
};
