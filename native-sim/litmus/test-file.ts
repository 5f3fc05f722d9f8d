/**
 * A litmus test as read from a file: initial state, one program per thread, and a condition on final states. Values are
 * bigints.
 */
import type { FunctionDefinition } from './c-syntax.ts';
import type { Condition, FinalLocation } from './condition.ts';
import type { MemoryMap, ValueType } from './memory-map.ts';
import type { ThreadProgram } from './thread-run.ts';

export type Architecture = 'C' | 'AArch64' | 'X86' | 'X86_64' | 'RISCV' | 'PPC';

export interface LitmusTest {
  readonly architecture: Architecture;
  readonly name: string;
  readonly memory: MemoryMap;
  /** The declared types of registers, by `0:X1`. */
  readonly registerTypes: ReadonlyMap<string, ValueType>;
  readonly threads: readonly ThreadProgram[];
  /** The C of each thread; empty for assembly. */
  readonly functions: readonly FunctionDefinition[];
  readonly quantifier: 'exists' | '~exists' | 'forall';
  readonly condition: Condition;
  /** Executions that do not satisfy it are not considered. */
  readonly filter: Condition | undefined;
  /** What a state shows, beyond what the condition mentions. */
  readonly locations: readonly FinalLocation[];
}
