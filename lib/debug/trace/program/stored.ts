/** How a program is written to shared memory, and read by the threads that run it. */
import { HoldfastError } from '../../../errors.ts';
import type { Cpu } from '../../../machine/cpu.ts';
import { readText, textWords, utf8, writeBytes } from '../../../memory/text.ts';
import { readCode, writeCode } from './instructions.ts';
import { DESCRIPTION_WORDS, MOST_AREAS, ProgramWords } from './layout.ts';
import type { Program } from './program.ts';

/** All but the code: texts, maps, probes. Throws EINVAL when it has no room. */
export function descriptionOf({ code: _, ...rest }: Program): Uint8Array {
  const bytes = utf8(JSON.stringify(rest));
  if (textWords(bytes.length) <= DESCRIPTION_WORDS) return bytes;
  const most = DESCRIPTION_WORDS * 4;
  throw new HoldfastError(
    'EINVAL',
    `the texts, maps and probes of a trace program take at most ${most} bytes, these are ${bytes.length}`,
  );
}

/** To a place that nobody reads yet. */
export function writeProgram(cpu: Cpu, address: number, { code }: Program, description: Uint8Array): void {
  cpu.store(address + ProgramWords.instructions, code.length);
  cpu.store(address + ProgramWords.descriptionLength, description.length);
  writeCode(cpu, address + ProgramWords.code, code);
  writeBytes(cpu, address + ProgramWords.description, description);
}

/** Of a program that runs. */
export function readProgram(cpu: Cpu, address: number): Program {
  const length = cpu.load(address + ProgramWords.descriptionLength);
  const rest = JSON.parse(readText(cpu, address + ProgramWords.description, length)) as Omit<Program, 'code'>;
  return { ...rest, code: readCode(cpu, address + ProgramWords.code, cpu.load(address + ProgramWords.instructions)) };
}

/** The number of the area of the thread `id`, a CPU number plus one, taken if it has none; -1 when there is none left. */
export function takeArea(cpu: Cpu, address: number, count: number, id: number): number {
  const owners = address + ProgramWords.areaOwners;
  for (let area = 0; area < Math.min(count, MOST_AREAS); area++) {
    const owner = cpu.load(owners + area) || cpu.cmpxchg(owners + area, 0, id) || id;
    if (owner === id) return area;
  }
  cpu.fetchAddRelaxed(address + ProgramWords.droppedThreads, 1);
  return -1;
}
