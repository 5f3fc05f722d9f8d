/**
 * Extensions that are not modelled: most are of AArch64, instruction fetch is of any machine. A file that uses one is not
 * malformed, though its notation is none that the reader knows: it is unsupported, and which extension it is can be told.
 */

interface Extension {
  readonly name: string;
  /** Notation of its own, in the initial state, the header or a condition. */
  readonly notation?: RegExp;
  readonly instructions?: RegExp;
  /** The notation tells it on any machine. */
  readonly everywhere?: boolean;
}

const extensions: readonly Extension[] = [
  {
    name: 'Morello (capabilities)',
    notation: /\bVariant=[^\n]*morello/i,
    instructions:
      /^(?:ALIGN[DU]|BUILD|CHK(?:EQ|SLD|TGD)|CLR(?:TAG|PERM)|CPY(?:TYPE|VALUE)|CSEAL|GC(?:FLGS|PERM|SEAL|TAG|TYPE|VALUE)|SC(?:FLGS|TAG|VALUE)|SEAL|UNSEAL|LDCT|STCT)$/,
  },
  {
    name: 'MTE (memory tagging)',
    notation:
      /:(?:red|green|blue|black|white|pink|yellow|orange)\b|\btag\(|Variant=[^\n]*mem(?:ory-)?tag|\bTagCheck\b/i,
    instructions: /^(?:ST2?G|STZ2?G|STGP|STGM|STZGM|LDG|LDGM|IRG|ADDG|SUBG|SUBPS?|GMI|CMPP)$/,
  },
  {
    name: 'VMSA (address translation)',
    notation: /\b(?:PTE|PA|TTD|TTHM|PTE2|PTHM)\b *[(=:]|\(oa:|\bVariant=[^\n]*vmsa|\b(?:Fault|fault)\(|MMU:/,
    instructions: /^(?:TLBI.*|AT|ERET|SVC|HVC|SMC|MSR|MRS|UDF)$/,
  },
  {
    name: 'instruction fetch',
    everywhere: true,
    notation: /\binstr:"|\bins_t\b|\[ *P[0-9]+:|\bVariant=[^\n]*ifetch/,
    instructions: /^(?:IC|DC|BRK|HLT)$/,
  },
  { name: 'GCS (guarded control stack)', notation: /\bGCS/i, instructions: /^(?:GCS.*|BLRAA|RETAA)$/ },
  {
    name: 'PAC (pointer authentication)',
    notation: /\bpac[a-z]*\(|\bVariant=[^\n]*pac/i,
    instructions: /^(?:PAC.*|AUT.*|XPAC.*|BRAA.*|BLRAA.*|RETA[AB]|LDRA[AB])$/,
  },
  {
    name: 'SIMD and floating point',
    notation: /\b[VQDSHBZ][0-9]+(?:\.[0-9]*[BHSDQ])?\b *[,;}[=]|\{ *[VZ][0-9]+\./i,
    instructions: /^(?:LD[1-4]R?|ST[1-4]|F[A-Z]+|MOVI|DUP|ADDV|UMOV|SMOV|INS)$/,
  },
  {
    name: 'SVE and SME',
    notation: /\bP[0-9]+\/[MZ]\b|\bZA[0-9]?[HV]?\b/i,
    instructions: /^(?:LD[1-4][BHWDQ]|ST[1-4][BHWDQ]|PTRUE|WHILE.*|INDEX|CNT[BHWD]|SMSTART|SMSTOP|RDVL|MOVA|UADDV)$/,
  },
  {
    name: 'LRCPC3, LSE128, THE and later atomics',
    instructions: /^(?:LDIAPP|STILP|SWPP.*|LDCLRP.*|LDSETP.*|RCW.*|LDTADD.*|SWPT.*|CAST.*|LD64B|ST64B.*)$/,
  },
  { name: 'MOPS (memory copy)', instructions: /^(?:CPY.*|SET[PME].*|SETG[PME].*)$/ },
];

/** The extension that an AArch64 instruction belongs to. */
export function extensionOfInstruction(name: string): string | undefined {
  return extensions.find((extension) => extension.instructions?.test(name) === true)?.name;
}

/** The extension whose notation a test that cannot be read is written in. */
export function extensionOfNotation(text: string): string | undefined {
  const ofAArch64 = /^\s*AArch64\b/.test(text);
  const candidates = extensions.filter((extension) => ofAArch64 || extension.everywhere);
  return candidates.find((extension) => extension.notation?.test(text) === true)?.name;
}
