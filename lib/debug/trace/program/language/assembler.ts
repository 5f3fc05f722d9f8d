/** Writes instructions, with labels for the places that jumps lead to. */
import { IMM, type Instruction, Op } from '../instructions.ts';

/** A place that is not known yet. */
export interface Label {
  at: number;
}

export class Assembler {
  readonly #code: { instruction: Instruction; label: Label | undefined }[] = [];
  /** Where in the source what follows comes from. */
  source = 0;

  label(): Label {
    return { at: -1 };
  }

  /** The label is here. */
  place(label: Label): void {
    label.at = this.#code.length;
  }

  emit(op: number, parts: Partial<Omit<Instruction, 'op' | 'at'>> = {}, label?: Label): void {
    const instruction = { op, dst: 0, src: 0, off: 0, imm: 0, ...parts, at: this.source };
    this.#code.push({ instruction, label });
  }

  move(dst: number, src: number): void {
    if (dst !== src) this.emit(Op.mov, { dst, src });
  }

  constant(dst: number, imm: number): void {
    this.emit(Op.mov | IMM, { dst, imm });
  }

  jump(label: Label): void {
    this.emit(Op.jump, {}, label);
  }

  /** The code, with all labels in place; what no path leads to is left out. */
  finish(): Instruction[] {
    const reached = this.#reached();
    const places: number[] = [];
    let count = 0;
    for (const isReached of reached) {
      places.push(count);
      if (isReached) count++;
    }
    return this.#code.flatMap(({ instruction, label }, i) => {
      if (!reached[i]) return [];
      const off = label === undefined ? instruction.off : (places[label.at] as number) - (places[i] as number) - 1;
      return [{ ...instruction, off }];
    });
  }

  #reached(): boolean[] {
    const reached = this.#code.map(() => false);
    const open = [0];
    for (let i = open.pop(); i !== undefined; i = open.pop()) {
      const line = this.#code[i];
      if (line === undefined || reached[i]) continue;
      reached[i] = true;
      const { op } = line.instruction;
      if (line.label !== undefined) open.push(line.label.at);
      if (op !== Op.jump && op !== Op.exit) open.push(i + 1);
    }
    return reached;
  }
}
