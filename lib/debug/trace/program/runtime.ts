/** What a running program has around it, on one thread. */

/** A map, as a program uses it. Keys that it does not have are 0; an array's only key is the index. */
export interface ProgramMap {
  get(a: number, b: number, c: number, d: number): number;
  set(a: number, b: number, c: number, d: number, value: number): void;
  add(a: number, b: number, c: number, d: number, value: number): void;
  remove(a: number, b: number, c: number, d: number): void;
  update(a: number, b: number, c: number, d: number, value: number): void;
}

export interface Runtime {
  /** CPU number. */
  readonly thread: number;
  readonly maps: readonly ProgramMap[];
  /** The program's texts, as numbers of its table. */
  readonly texts: readonly number[];
  lockName(lock: number): number;
  lockKind(lock: number): number;
  stack(): number;
  print(format: number, a: number, b: number, c: number, d: number, e: number): void;
  printMap(map: number): void;
  clearMap(map: number): void;
  end(): void;
}

/** Runs a probe's code for one event: when it was, and the fields of its point. */
export type Run = (time: number, a: number, b: number, c: number, d: number, e: number) => void;
