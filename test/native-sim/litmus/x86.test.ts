/**
 * x86 in its two notations: AT&T's (X86_64), with sizes from one byte to eight, and Intel's (X86), with and without a row
 * of thread names.
 */
import { describe, expect, it } from 'vitest';
import { checkLitmus } from '../../../native-sim/litmus/check.ts';
import { readLitmus } from '../../../native-sim/litmus/read.ts';
import { formatVerdict } from '../../../native-sim/litmus/report.ts';
import { assemblyTest, type Between, finals, type Machine, shape, shapes } from './shapes.ts';

const att: Machine = {
  header: 'X86_64',
  address: (location) => ({ x: 'r13', y: 'r14', z: 'r15' })[location]!,
  value: (number) => `r${number === 9 ? 12 : number === 8 ? 11 : number + 7}`,
  load: (to, address) => `movl (%${address}),%${to}d`,
  store: (from, address) => `movl %${from}d,(%${address})`,
  one: (to) => `movq $1,%${to}`,
};

const betweens: Readonly<Record<string, Between>> = {
  po: { code: [] },
  mfence: { code: ['mfence'] },
  sfence: { code: ['sfence'] },
  lfence: { code: ['lfence'] },
  locked: { code: ['lock addl $0,(w)'] },
  lockedRegister: { code: ['xchgl %edi,(w)'] },
  unlocked: { code: ['addl $0,(w)'] },
};

function verdict(name: keyof typeof shapes, between: readonly string[]): string {
  const plain = shapes[name] as (...b: (Between | undefined)[]) => ReturnType<(typeof shapes)['SB']>;
  return shape(att, plain(...between.map((kind) => betweens[kind]!)), finals[name]);
}

describe('x86-TSO in the notation of AT&T', () => {
  it.each([
    ['SB', 'po po', 'Sometimes'],
    ['SB', 'mfence po', 'Sometimes'],
    ['SB', 'mfence mfence', 'Never'],
    ['SB', 'locked locked', 'Never'],
    ['SB', 'mfence lockedRegister', 'Never'],
    ['SB', 'unlocked unlocked', 'Sometimes'],
    ['SB', 'sfence lfence', 'Sometimes'],
    ['MP', 'po po', 'Never'],
    ['LB', 'po po', 'Never'],
    ['WRC', 'po po', 'Never'],
    ['ISA2', 'po po po', 'Never'],
    ['IRIW', 'po po', 'Never'],
    ['R', 'po po', 'Sometimes'],
    ['R', 'po mfence', 'Never'],
    ['S', 'po po', 'Never'],
    ['RWC', 'po po', 'Sometimes'],
    ['RWC', 'po mfence', 'Never'],
    ['2+2W', 'po po', 'Never'],
  ] as const)('%s+%s is %s', (name, between, expected) => {
    expect(verdict(name, between.split(' '))).toBe(expected);
  });

  it('a locked store is not passed by the load that follows it, as others are', () => {
    const storeBuffering = (store: string): string => {
      const threads = [
        [store.replace('@', 'x'), 'movl (y),%ebx'],
        [store.replace('@', 'y'), 'movl (x),%ebx'],
      ].map((code) => ['movl $1,%eax', ...code]);
      return checkLitmus(assemblyTest('X86_64', '', threads, 'exists (0:rbx=0 /\\ 1:rbx=0)')).observation;
    };
    expect(storeBuffering('xchgl %eax,(@)')).toBe('Never');
    expect(storeBuffering('lock xaddl %eax,(@)')).toBe('Never');
    expect(storeBuffering('xaddl %eax,(@)')).toBe('Sometimes');
  });

  it.each([
    ['movl $1,(x); movl (x),%eax', 'x', 1],
    ['movq $-1,%rax; movl $2,%eax', '0:rax', 2],
    ['movq $0x1122,%rax; movb $3,%ah', '0:rax', 0x322],
    ['movq $0x1122,%rax; movb $3,%al', '0:rax', 0x1103],
    ['movl $0x11223344,%eax; movw $1,%ax', '0:rax', 0x11220001],
    ['movabsq $5,%rcx; leaq 3(%rcx,%rcx,2),%rax', '0:rax', 18],
    ['leaq t(%rip),%rcx; movl 4(%rcx),%eax', '0:rax', -6],
    ['movl t+4,%eax', '0:rax', -6],
    ['movq $t,%rcx; movq $1,%rdx; movl (%rcx,%rdx,4),%eax; negl %eax', '0:rax', 6],
    ['movslq t+4(%rip),%rax', '0:rax', -6],
    ['movl $-1,%ecx; movzbl %cl,%eax', '0:rax', 255],
    ['movl $0x80,%ecx; movsbl %cl,%eax', '0:rax', -128],
    ['movl $5,%eax; subl $7,%eax; shrl $28,%eax', '0:rax', 15],
    ['movl $-8,%eax; sarl $1,%eax; notl %eax; incl %eax', '0:rax', 4],
    ['movl $6,%eax; andl $3,%eax; orl $8,%eax; xorl $1,%eax; decl %eax; shl 1,%eax', '0:rax', 20],
    ['movl $1,%eax; cmpl $2,%eax; movl $5,%ecx; cmovl %ecx,%eax', '0:rax', 5],
    ['movl $1,%eax; cmpl $2,%eax; seta %al', '0:rax', 0],
    ['movl $-1,%eax; cmpl $2,%eax; ja L; movl $7,%eax; L: nop', '0:rax', -1],
    ['movl $-1,%eax; cmpl $2,%eax; jg L; movl $7,%eax; L: nop', '0:rax', 7],
    ['movl $2,%eax; testl $1,%eax; jne L; movl $7,%eax; L: ret; movl $8,%eax', '0:rax', 7],
    ['movl $0x7fffffff,%eax; addl $1,%eax; js L; movl $7,%eax; L: nop', '0:rax', -0x80000000],
    ['movl $3,%eax; xchgl %eax,(x); movl (x),%ecx; addl %ecx,%eax', '0:rax', 3],
    ['movl $3,%eax; lock xaddl %eax,(t); addl (t),%eax', '0:rax', 13],
    ['movl $5,%eax; movl $9,%ecx; lock cmpxchgl %ecx,(t); movl (t),%eax', '0:rax', 9],
    ['movl $4,%eax; movl $9,%ecx; lock cmpxchgl %ecx,(t)', '0:rax', 5],
    ['lock incl (x); lock decl (x); lock orl $6,(x); movl (x),%eax', '0:rax', 6],
    ['nopw %cs:0(%rax,%rax,1); endbr64; movl $1,%eax', '0:EAX', 1],
  ])('%s leaves %s = %d', (code, where, value) => {
    const test = assemblyTest('X86_64', 'int t[2]={5,-6};', [code.split('; ')], `forall ${where}=${value}`);
    expect(checkLitmus(test).observation).toBe('Always');
  });

  it('shows the whole register, by the name of the whole', () => {
    const test = assemblyTest('X86_64', 'int64_t 0:rax;', [['movl $-1,%eax']], 'locations [0:eax;]\nforall (0:AL=-1)');
    expect(formatVerdict(checkLitmus(test))).toContain('0:rax=4294967295;');
  });

  it.each([
    ['movnti %eax,(x)', 'unsupported: instruction movnti'],
    ['clflush (x)', 'unsupported: instruction clflush'],
    ['movq %xmm0,%rax', 'unsupported: register xmm0'],
    ['movl %eax,$1', 'unsupported: MOV to an immediate'],
  ])('%s is named, not answered', (code, message) => {
    expect(() => assemblyTest('X86_64', '', [[code]], 'exists (x=0)')).toThrow(message);
  });
});

describe('accesses of mixed size on x86', () => {
  const state = 'uint64_t x; int8_t y;';
  const run = (threads: readonly (readonly string[])[], end: string): string =>
    checkLitmus(assemblyTest('X86_64', state, threads, end)).observation;

  it('the bytes of one store become visible together', () => {
    const writer = ['movl $0x101,(x)'];
    for (const [first, second] of [
      ['(x)', 'x+1'],
      ['x+1', '(x)'],
    ]) {
      expect(run([writer, [`movb ${first},%al`, `movb ${second},%bl`]], 'exists (1:rax=1 /\\ 1:rbx=0)')).toBe('Never');
    }
  });

  it('a wide load takes a byte from the store buffer and the rest from memory', () => {
    const writer = ['movb $1,(x)', 'movw (x),%ax'];
    const other = ['movb $1,x+1', 'movw (x),%ax'];
    expect(run([writer, other], 'exists (0:rax=1 /\\ 1:rax=256)')).toBe('Sometimes');
    expect(run([[writer[0]!, 'mfence', writer[1]!], other], 'exists (0:rax=1 /\\ 1:rax=256)')).toBe('Sometimes');
    const fenced = [writer, other].map(([store, load]) => [store!, 'mfence', load!]);
    expect(run(fenced, 'exists (0:rax=1 /\\ 1:rax=256)')).toBe('Never');
  });

  it('no store comes between the bytes of a locked instruction', () => {
    const counters = [['lock incw (x)'], ['movb $5,x+1', 'movb x+1,%al']];
    expect(run(counters, 'forall (x=0x501)')).toBe('Always');
    expect(run([['lock xaddw %ax,(x)'], ['movw $0x101,(x)']], 'exists (x=0x1 \\/ x=0x100)')).toBe('Never');
  });

  it('and so it is under sequential consistency', () => {
    const threads = [['movw $0x101,(x)'], ['movb x+1,%al', 'movb (x),%bl']];
    const test = assemblyTest('X86_64', state, threads, 'exists (1:rax=1 /\\ 1:rbx=0)');
    expect(checkLitmus(test, { model: 'sc' }).observation).toBe('Never');
    const torn = [['movw $0x101,(x)'], ['movw (x),%ax']];
    const half = assemblyTest('X86_64', state, [...torn, ['movb (x),%al']], 'exists (1:rax=1 \\/ 1:rax=256)');
    expect(checkLitmus(half, { model: 'sc' }).observation).toBe('Never');
  });
});

describe('x86 in the notation of Intel', () => {
  const sb = (header: string, end: string) =>
    checkLitmus(
      readLitmus(`X86 SB
"Fre PodWR Fre PodWR"
{ x=0; y=0; }
${header} MOV [x],$1  | MOV [y],$1  ;
 MOV EAX,[y] | MOV EAX,[x] ;
${end}`),
    );

  it.each([
    ['P0 | P1 ;\n', 'exists (0:EAX=0 /\\ 1:EAX=0)'],
    ['', 'exists (0:EAX=0 /\\ 1:EAX=0)'],
    ['0 | 1 ;\n', 'exists (0:EAX=0 /\\ 1:EAX=0)'],
    ['', 'exists (P0:EAX=0 /\\ P1:EAX=0)'],
    ['', '~exists (P0:EAX=0 /\\ P1:RAX=0)'],
  ])('the threads may be named or not: %j %s', (header, end) => {
    expect(sb(header, end)).toMatchObject({ positive: 1, negative: 3 });
  });

  it('the oldest files: a title, ";" after the initial state, numbers without "$", claims and commands at the end', () => {
    const test = readLitmus(`X86 sb (StoreBuffer) "Both loads pass"
{x = 0; y = 0; P0:ECX = 1};

       P0        |      P1       ;
  mov [x], ECX   | mov [y], 1    ;
  mov EAX, [y]   | mov EBX, [x]  ;

final (P0:EAX = 0 /\\ P1:EBX = 0);
with
tso: exists;
sc: ~exists;

<<
show flags false
genprog generated/sb-prog.tex
>>
(* and once more *)
<<
readfrom generated/sb.dot
>>
`);
    expect(test.threads).toHaveLength(2);
    expect(checkLitmus(test)).toMatchObject({ positive: 1, negative: 3 });
  });

  it.each([
    ['MOV EAX,$1; ADD EAX,$-2', -1],
    ['MOV EAX,[x+4]', 0],
    ['MOV EBX,$x; MOV [EBX],$3; MOV EAX,[x]', 3],
    ['MOV EAX,$3; XCHG [x],EAX; MOV EAX,[x]', 3],
    ['MOV EAX,$0; MOV EBX,$2; LOCK CMPXCHG [x],EBX; MOV EAX,[x]', 2],
    ['MOV EAX,$1; CMP EAX,$1; JE L; MOV EAX,$9; L: NOP', 1],
    ['INC [x]; INC [x]; MOV EAX,[x]; NEG EAX', -2],
    ['LOCK XADD [x],EAX; DEC EAX', -1],
  ])('%s leaves EAX = %d', (code, value) => {
    const test = assemblyTest('X86', 'int x[2];', [code.split('; ')], `forall (0:EAX=${value})`);
    expect(checkLitmus(test).observation).toBe('Always');
  });
});
