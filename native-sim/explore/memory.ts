/**
 * The flat memory that `setup` leaves behind, and the names of locations. A location is a word that some execution
 * touched, numbered as it is met; beyond the program's words lie the machine's own: a futex queue for each word, and a
 * death certificate for each planned death.
 */
export class Memory {
  readonly words: number;
  readonly initial: Int32Array;
  /** 1: allocated and never written; 2: freed. */
  readonly poison: Uint8Array;
  /** By location. */
  readonly addresses: number[] = [];
  readonly #locations: Int32Array;

  constructor(words: number, hiddenWords: number) {
    this.words = words;
    this.initial = new Int32Array(words);
    this.poison = new Uint8Array(words);
    this.#locations = new Int32Array(2 * words + hiddenWords).fill(-1);
  }

  location(address: number): number {
    const known = this.#locations[address]!;
    if (known >= 0) return known;
    this.#locations[address] = this.addresses.length;
    return this.addresses.push(address) - 1;
  }

  /** Its location, or -1 if no execution has touched it yet. */
  known(address: number): number {
    return this.#locations[address]!;
  }

  inRange(address: number): boolean {
    return Number.isInteger(address) && address >= 0 && address < this.words;
  }

  initialValue(location: number): number {
    const address = this.addresses[location]!;
    return address < this.words ? this.initial[address]! : 0;
  }

  initialPoison(location: number): number {
    const address = this.addresses[location]!;
    return address < this.words ? this.poison[address]! : 0;
  }

  futexOf(address: number): number {
    return this.words + address;
  }
  deathOf(planned: number): number {
    return 2 * this.words + planned;
  }

  /** How a location is called in reports. */
  name(location: number, labels: ReadonlyMap<number, string>): string {
    const address = this.addresses[location]!;
    if (address >= 2 * this.words) return 'death';
    if (address >= this.words) return `futex(${this.wordName(address - this.words, labels)})`;
    return this.wordName(address, labels);
  }

  wordName(address: number, labels: ReadonlyMap<number, string>): string {
    return labels.get(address) ?? `[${address}]`;
  }
}
