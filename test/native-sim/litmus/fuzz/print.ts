/** Programs as litmus tests, in each language. */
import type { Architecture } from '../../../../native-sim/litmus/test-file.ts';
import { hasResult, LOCATIONS, type Order, type Program, type Step } from './program.ts';

export interface Language {
  readonly architecture: Architecture;
  /** What the register that holds the result of a step is called in states. */
  register(step: number): string;
  /** How a fence of some kind is written; '': there is none. */
  fence(kind: number): string;
}

export interface Assembly extends Language {
  readonly architecture: Exclude<Architecture, 'C'>;
  /** The register that holds the address of a location. */
  address(location: number): string;
  code(step: Step, at: number, thread: number): string[];
  /** The code that goes to `label` unless the result of step `of` is `value`. */
  unless(of: number, value: number, label: string): string[];
}

export function print(program: Program, language: Language): string {
  return language.architecture === 'C' ? printC(program, language) : printAssembly(program, language as Assembly);
}

function printEnd(program: Program, { register }: Language): string {
  const results = program.threads.flatMap((steps, thread) => {
    return steps.flatMap((step, at) => (hasResult(step) ? [`${thread}:${register(at)};`] : []));
  });
  const { asks, value } = program;
  const asked = 'thread' in asks ? `${asks.thread}:${register(asks.step)}` : LOCATIONS[asks.location]!;
  return `locations [${[...results, ...LOCATIONS.map((name) => `${name};`)].join(' ')}]\nexists (${asked}=${value})`;
}

function initialState({ initial }: Program): string {
  return LOCATIONS.map((name, at) => `${name}=${initial[at]};`).join(' ');
}

export const c: Language = {
  architecture: 'C',
  register: (step) => `r${step}`,
  fence: (kind) =>
    ['smp_mb', 'smp_mb', 'smp_rmb', 'smp_wmb', 'smp_mb__before_atomic', 'smp_mb__after_atomic', 'barrier', ''][kind]!,
};

/** The kernel's model alone knows what grace periods are. */
export const kernelC: Language = { ...c, fence: (kind) => c.fence(kind) || 'synchronize_rcu' };

const suffixes: Readonly<Record<Order, string>> = {
  relaxed: '_relaxed',
  acquire: '_acquire',
  release: '_release',
  full: '',
};

function printC(program: Program, language: Language): string {
  const parameters = LOCATIONS.map((name) => `int *${name}`).join(', ');
  const threads = program.threads.map((steps, thread) => {
    const body = steps.map((step, at) => lineOfC(step, at, language));
    const results = steps.flatMap((step, at) => (hasResult(step) ? [`\tint r${at};`] : []));
    // Every other thread is a critical section, unless it waits for those.
    const waits = body.some((line) => line.includes('synchronize_rcu'));
    const isSection = language === kernelC && thread % 2 === 1 && !waits;
    const inside = isSection ? ['\trcu_read_lock();', ...body, '\trcu_read_unlock();'] : body;
    return `P${thread}(${parameters})\n{\n${[...results, ...inside].join('\n')}\n}\n`;
  });
  return `C fuzz\n{ ${initialState(program)} }\n${threads.join('\n')}\n${printEnd(program, language)}\n`;
}

function lineOfC(step: Step, at: number, language: Language): string {
  if (step.do === 'if') return `\tif (r${step.of} == ${step.value})`;
  if (step.do === 'fence') {
    const fence = language.fence(step.kind);
    return fence === '' ? '\t;' : `\t${fence}();`;
  }
  const name = LOCATIONS[step.at]!;
  if (step.do === 'xchg') return `\tr${at} = xchg${suffixes[step.order]}(${name}, ${step.value});`;
  if (step.do === 'cmpxchg') {
    return `\tr${at} = cmpxchg${suffixes[step.order]}(${name}, ${step.expected}, ${step.value});`;
  }
  const pointer = step.through === undefined ? name : `(${name} + (r${step.through} ^ r${step.through}))`;
  if (step.do === 'read') {
    const read = { plain: `*${pointer}`, relaxed: `READ_ONCE(*${pointer})`, acquire: `smp_load_acquire(${pointer})` };
    return `\tr${at} = ${read[step.order]};`;
  }
  const from = step.from === undefined ? '' : step.masked ? `(r${step.from} ^ r${step.from}) + ` : `r${step.from} + `;
  const value = `${from}${step.value}`;
  const write = {
    plain: `*${pointer} = ${value};`,
    relaxed: `WRITE_ONCE(*${pointer}, ${value});`,
    release: `smp_store_release(${pointer}, ${value});`,
  };
  return `\t${write[step.order]}`;
}

function printAssembly(program: Program, language: Assembly): string {
  const codes = program.threads.map((steps, thread) => {
    const lines: string[] = [];
    steps.forEach((step, at) => {
      const label = `L${thread}${at}`;
      if (step.do === 'if') lines.push(...language.unless(step.of, step.value, `${label}if`));
      else lines.push(...language.code(step, at, thread));
      if (steps[at - 1]?.do === 'if') lines.push(`L${thread}${at - 1}if:`);
    });
    return lines;
  });
  const rows = Math.max(1, ...codes.map((code) => code.length));
  const table = Array.from({ length: rows }, (_, row) => `${codes.map((code) => code[row] ?? '').join(' | ')} ;`);
  const names = program.threads.map((_, thread) => `P${thread}`).join(' | ');
  const registers = program.threads.flatMap((_, thread) => {
    return LOCATIONS.map((name, at) => `${thread}:${language.address(at)}=${name};`);
  });
  const state = `{ ${initialState(program)} ${registers.join(' ')} }`;
  return `${language.architecture} fuzz\n${state}\n${names} ;\n${table.join('\n')}\n${printEnd(program, language)}\n`;
}

/** `W9` and above are for constants and what is calculated. */
export const aarch64: Assembly = {
  architecture: 'AArch64',
  register: (step) => `X${step}`,
  address: (location) => `X${20 + location}`,
  fence: (kind) => ['DMB SY', 'DMB SY', 'DMB LD', 'DMB ST', 'ISB', 'DSB SY', 'DSB ST', ''][kind]!,
  unless: (of, value, label) => (value === 0 ? [`CBNZ W${of},${label}`] : [`CMP W${of},#${value}`, `B.NE ${label}`]),
  code(step, at, thread) {
    if (step.do === 'fence') return lines(this.fence(step.kind));
    if (step.do === 'if') return [];
    const base = this.address(step.at);
    const a = step.do !== 'cmpxchg' && (step.do === 'read' || step.do === 'xchg' ? step.order === 'acquire' : false);
    const order = 'order' in step ? step.order : 'plain';
    const suffix = { relaxed: '', acquire: 'A', release: 'L', full: 'AL', plain: '' }[order];
    switch (step.do) {
      case 'read': {
        const [before, address] = armAddress(base, step.through);
        return [...before, `${a ? (thread % 2 === 0 ? 'LDAR' : 'LDAPR') : 'LDR'} W${at},[${address}]`];
      }
      case 'write': {
        const [before, address] = armAddress(base, step.through);
        return [...before, ...armValue(step), `${order === 'release' ? 'STLR' : 'STR'} W9,[${address}]`];
      }
      case 'cmpxchg':
        return [`MOV W${at},#${step.expected}`, `MOV W9,#${step.value}`, `CAS${suffix} W${at},W9,[${base}]`];
      case 'xchg': {
        if (!step.pair) return [`MOV W9,#${step.value}`, `SWP${suffix} W9,W${at},[${base}]`];
        const load = suffix.includes('A') ? 'LDAXR' : 'LDXR';
        const store = suffix.includes('L') ? 'STLXR' : 'STXR';
        return [`MOV W9,#${step.value}`, `${load} W${at},[${base}]`, `${store} W10,W9,[${base}]`];
      }
    }
  },
};

function lines(fence: string): string[] {
  return fence === '' ? [] : [fence];
}

function armAddress(base: string, through: number | undefined): [string[], string] {
  if (through === undefined) return [[], base];
  return [[`EOR W11,W${through},W${through}`, `ADD X11,${base},W11,SXTW`], 'X11'];
}

function armValue({ from, masked, value }: Step & { do: 'write' }): string[] {
  if (from === undefined) return [`MOV W9,#${value}`];
  if (!masked) return [`ADD W9,W${from},#${value}`];
  // A choice between two values that are alike: a pick dependency.
  if (value === 2) return [`MOV W9,#2`, `MOV W10,#2`, `CMP W${from},#1`, `CSEL W9,W9,W10,EQ`];
  return [`EOR W9,W${from},W${from}`, `ADD W9,W9,#${value}`];
}

export const riscv: Assembly = {
  architecture: 'RISCV',
  register: (step) => `x${10 + step}`,
  address: (location) => `x${24 + location}`,
  fence: (kind) =>
    ['fence rw,rw', 'fence r,rw', 'fence rw,w', 'fence w,w', 'fence r,r', 'fence.tso', 'fence.i', 'fence w,r'][kind]!,
  unless: (of, value, label) =>
    value === 0 ? [`bnez x${10 + of},${label}`] : [`li x20,${value}`, `bne x${10 + of},x20,${label}`],
  code(step, at) {
    if (step.do === 'fence') return lines(this.fence(step.kind));
    if (step.do === 'if') return [];
    const base = this.address(step.at);
    const to = `x${10 + at}`;
    const mask = (through: number | undefined): string[] =>
      through === undefined ? [] : [`xor x21,x${10 + through},x${10 + through}`, `add x21,x21,${base}`];
    switch (step.do) {
      case 'read': {
        const after = step.order === 'acquire' ? ['fence r,rw'] : [];
        return [...mask(step.through), `lw ${to},0(${step.through === undefined ? base : 'x21'})`, ...after];
      }
      case 'write': {
        const { from, masked, value, through } = step;
        const made =
          from === undefined
            ? [`li x20,${value}`]
            : masked
              ? [`xor x20,x${10 + from},x${10 + from}`, `addi x20,x20,${value}`]
              : [`addi x20,x${10 + from},${value}`];
        const before = step.order === 'release' ? ['fence rw,w'] : [];
        return [...mask(through), ...made, ...before, `sw x20,0(${through === undefined ? base : 'x21'})`];
      }
      case 'cmpxchg':
        return [];
      case 'xchg': {
        const suffix = { relaxed: '', acquire: '.aq', release: '.rl', full: '.aq.rl' }[step.order];
        if (!step.pair) return [`li x20,${step.value}`, `amoswap.w${suffix} ${to},x20,(${base})`];
        const load = step.order === 'acquire' || step.order === 'full' ? '.aq' : '';
        const store = step.order === 'release' || step.order === 'full' ? '.rl' : '';
        return [`li x20,${step.value}`, `lr.w${load} ${to},(${base})`, `sc.w${store} x22,x20,(${base})`];
      }
    }
  },
};

export const power: Assembly = {
  architecture: 'PPC',
  register: (step) => `r${3 + step}`,
  address: (location) => `r${24 + location}`,
  fence: (kind) => ['sync', 'lwsync', 'lwsync', 'eieio', 'isync', 'sync', '', ''][kind]!,
  unless: (of, value, label) => [`cmpwi r${3 + of},${value}`, `bne ${label}`],
  code(step, at) {
    if (step.do === 'fence') return lines(this.fence(step.kind));
    if (step.do === 'if') return [];
    const base = this.address(step.at);
    const to = `r${3 + at}`;
    const mask = (through: number | undefined): string[] =>
      through === undefined ? [] : [`xor r21,r${3 + through},r${3 + through}`];
    switch (step.do) {
      case 'read': {
        const load = step.through === undefined ? `lwz ${to},0(${base})` : `lwzx ${to},r21,${base}`;
        return [...mask(step.through), load, ...(step.order === 'acquire' ? ['lwsync'] : [])];
      }
      case 'write': {
        const { from, masked, value, through } = step;
        const made =
          from === undefined
            ? [`li r20,${value}`]
            : masked
              ? [`xor r20,r${3 + from},r${3 + from}`, `addi r20,r20,${value}`]
              : [`addi r20,r${3 + from},${value}`];
        const store = through === undefined ? `stw r20,0(${base})` : `stwx r20,r21,${base}`;
        return [...mask(through), ...made, ...(step.order === 'release' ? ['lwsync'] : []), store];
      }
      case 'cmpxchg':
        return [];
      case 'xchg':
        return [`li r20,${step.value}`, `lwarx ${to},r0,${base}`, `stwcx. r20,r0,${base}`];
    }
  },
};

const x86Results = ['eax', 'ebx', 'ecx', 'edx', 'edi', 'esi', 'r8d', 'r9d', 'r10d', 'r11d'];

export const x86: Assembly = {
  architecture: 'X86_64',
  register: (step) => x86Results[step]!.replace(/^e/, 'r').replace(/d$/, ''),
  address: (location) => `r${13 + location}`,
  fence: (kind) => ['mfence', 'mfence', 'lfence', 'sfence', 'mfence', '', '', ''][kind]!,
  unless: (of, value, label) => [`cmpl $${value},%${x86Results[of]}`, `jne ${label}`],
  code(step, at) {
    if (step.do === 'fence') return lines(this.fence(step.kind));
    if (step.do === 'if') return [];
    const memory = `(%${this.address(step.at)})`;
    const to = `%${x86Results[at]}`;
    switch (step.do) {
      case 'read':
        return [`movl ${memory},${to}`];
      case 'write': {
        const { from, masked, value } = step;
        if (from === undefined || masked) return [`movl $${value},${memory}`];
        return [`movl %${x86Results[from]},%r12d`, `addl $${value},%r12d`, `movl %r12d,${memory}`];
      }
      case 'cmpxchg':
        return [];
      case 'xchg':
        return [`movl $${step.value},${to}`, `xchgl ${to},${memory}`];
    }
  },
};
