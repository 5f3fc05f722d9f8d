/**
 * What the kernel maps into a process as an ELF file, and the dynamic linker reads: here a table in the arena. A thread
 * finds the image by the auxiliary vector, and in it symbols by name and version, and fills its table of pointers. What it
 * does not find it falls back from, so a thread whose library is of another version has right times as well.
 *
 *   image   magic | version | buckets | chains | symbols: name, version, value | names
 *
 * The hash is that of ELF (System V ABI, "Hash Table"): bucket[hash % nbucket] is the first symbol, chain[symbol] the next,
 * 0 none. All places in it count from its first word, so it can be moved. `value` says which of this module's functions it
 * is: code can't be shared.
 */
import { HoldfastError } from '../errors.ts';
import type { Cpu } from '../machine/cpu.ts';
import { hash } from '../memory/kinds.ts';
import { struct } from '../memory/struct.ts';
import { readText, textWords, utf8, writeBytes } from '../memory/text.ts';

/** '\x7fELF', as words are read. */
const IMAGE_MAGIC = 0x464c457f;
const IMAGE_VERSION = 1;
/** `VDSO_NAME`: the version that all symbols have. */
export const SYMBOL_VERSION = 'HOLDFAST_1';

export const SYMBOLS = [
  '__vdso_clock_gettime',
  '__vdso_clock_getres',
  '__vdso_gettimeofday',
  '__vdso_time',
  '__vdso_getcpu',
] as const;
export type SymbolName = (typeof SYMBOLS)[number];

const BUCKETS = 3;
/** The longest name of a symbol, bytes. */
const NAME_BYTES = 24;
const Sym = struct({ nameLength: 1, version: 1, value: 1, name: textWords(NAME_BYTES) });

export const Image = struct({
  magic: 1,
  version: 1,
  bucketCount: 1,
  buckets: BUCKETS,
  /** Symbol 0 is none, as in ELF. */
  chains: SYMBOLS.length + 1,
  symbols: (SYMBOLS.length + 1) * Sym.words,
});

/** Types of the auxiliary vector's entries: include/uapi/linux/auxvec.h. */
export const AT_NULL = 0;
export const AT_IGNORE = 1;
export const AT_PAGESZ = 6;
export const AT_PLATFORM = 15;
export const AT_HWCAP = 16;
export const AT_CLKTCK = 17;
export const AT_FPUCW = 18;
export const AT_RANDOM = 25;
export const AT_HWCAP2 = 26;
export const AT_HWCAP3 = 29;
export const AT_HWCAP4 = 30;
export const AT_SYSINFO = 32;
export const AT_SYSINFO_EHDR = 33;
export const AT_MINSIGSTKSZ = 51;

/** Bits of AT_HWCAP: what the thread that made the image had. */
export const HWCAP_WAIT_ASYNC = 1;
export const HWCAP_PAUSE = 2;
export const HWCAP_HRTIME = 4;

const AuxEntry = struct({ type: 1, value: 1 });
const AUX_ENTRIES = 14;
export const AUXV_WORDS = (AUX_ENTRIES + 1) * AuxEntry.words;

/** System V ABI, elf_hash. */
export function elfHash(name: string): number {
  let h = 0;
  for (const byte of utf8(name)) {
    h = ((h << 4) + byte) >>> 0;
    const high = h & 0xf0000000;
    h = (h ^ (high >>> 24)) & ~high;
  }
  return h >>> 0;
}

/** Writes the image: memory that is all zero and that no other thread can reach yet. */
export function formatImage(cpu: Cpu, image: number, names: readonly string[] = SYMBOLS): void {
  cpu.write(image + Image.magic, IMAGE_MAGIC);
  cpu.write(image + Image.version, IMAGE_VERSION);
  cpu.write(image + Image.bucketCount, BUCKETS);
  for (const [i, name] of names.entries()) {
    const symbol = i + 1;
    const at = image + Image.symbols + symbol * Sym.words;
    cpu.write(at + Sym.nameLength, name.length);
    cpu.write(at + Sym.version, hash(SYMBOL_VERSION));
    cpu.write(at + Sym.value, symbol);
    writeBytes(cpu, at + Sym.name, utf8(name));
    const bucket = image + Image.buckets + (elfHash(name) % BUCKETS);
    cpu.write(image + Image.chains + symbol, cpu.read(bucket));
    cpu.write(bucket, symbol);
  }
}

/** `dl_vdso_vsym`: what the image has for the symbol, or 0. Throws EINVAL where there is no image of this layout. */
export function vdsoSymbol(cpu: Cpu, image: number, name: string, version = SYMBOL_VERSION): number {
  if (cpu.read(image + Image.magic) !== IMAGE_MAGIC || cpu.read(image + Image.version) !== IMAGE_VERSION) {
    throw new HoldfastError('EINVAL', `no image of version ${IMAGE_VERSION} of the shared clock is at ${image}`);
  }
  const bucket = elfHash(name) % cpu.read(image + Image.bucketCount);
  let symbol = cpu.read(image + Image.buckets + bucket);
  for (; symbol !== 0; symbol = cpu.read(image + Image.chains + symbol)) {
    const at = image + Image.symbols + symbol * Sym.words;
    if (cpu.read(at + Sym.version) !== hash(version)) continue;
    if (readText(cpu, at + Sym.name, cpu.read(at + Sym.nameLength)) === name) return cpu.read(at + Sym.value);
  }
  return 0;
}

/**
 * Writes the auxiliary vector. All that the kernel's parser knows is there: what means nothing here as AT_IGNORE, as the
 * kernel does it.
 */
export function formatAuxv(cpu: Cpu, auxv: number, image: number, entries: Readonly<Record<number, number>>): void {
  const all: Record<number, number | undefined> = {
    [AT_SYSINFO_EHDR]: image,
    [AT_PAGESZ]: entries[AT_PAGESZ],
    [AT_CLKTCK]: entries[AT_CLKTCK],
    [AT_HWCAP]: entries[AT_HWCAP],
    [AT_RANDOM]: entries[AT_RANDOM],
    [AT_PLATFORM]: entries[AT_PLATFORM],
    [AT_HWCAP2]: undefined,
    [AT_HWCAP3]: undefined,
    [AT_HWCAP4]: undefined,
    [AT_FPUCW]: undefined,
    [AT_MINSIGSTKSZ]: undefined,
    [AT_SYSINFO]: undefined,
  };
  let at = auxv;
  for (const [type, value] of Object.entries(all)) {
    cpu.write(at + AuxEntry.type, value === undefined ? AT_IGNORE : Number(type));
    cpu.write(at + AuxEntry.value, value ?? 0);
    at += AuxEntry.words;
  }
  cpu.write(at + AuxEntry.type, AT_NULL);
}

/** `_dl_parse_auxv`: the vector's values by their types. */
export function parseAuxv(cpu: Cpu, auxv: number): Map<number, number> {
  const values = new Map<number, number>();
  for (let at = auxv; cpu.load(at + AuxEntry.type) !== AT_NULL; at += AuxEntry.words) {
    const type = cpu.load(at + AuxEntry.type);
    if (type !== AT_IGNORE) values.set(type, cpu.loadAcquire(at + AuxEntry.value));
  }
  return values;
}

/** `vdso_mremap`: the image is at `to` from here on. Threads that look for it later find it there. */
export function moveImage(cpu: Cpu, auxv: number, from: number, to: number): void {
  for (let word = 0; word < Image.words; word++) cpu.write(to + word, cpu.read(from + word));
  for (let at = auxv; cpu.load(at + AuxEntry.type) !== AT_NULL; at += AuxEntry.words) {
    // Pairs with the loads of parseAuxv: a thread that is sent there finds it complete.
    if (cpu.load(at + AuxEntry.type) === AT_SYSINFO_EHDR) cpu.storeRelease(at + AuxEntry.value, to);
  }
}
