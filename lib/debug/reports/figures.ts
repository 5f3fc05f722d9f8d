/** Durations in ns and counts, as people read them. */
export function duration(ns: number): string {
  if (ns < 1000) return `${Math.round(ns)} ns`;
  if (ns < 1e6) return `${digits(ns / 1000)} µs`;
  return ns < 1e9 ? `${digits(ns / 1e6)} ms` : `${digits(ns / 1e9)} s`;
}

export function count(n: number): string {
  return Math.round(n).toLocaleString('en');
}

export function percent(share: number): string {
  return `${(share * 100).toFixed(1)}%`;
}

function digits(n: number): string {
  return n < 10 ? n.toFixed(1) : n.toFixed(0);
}
