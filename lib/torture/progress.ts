import colors from 'picocolors';
import { count } from '../debug/reports/figures.ts';
import type { Progress, Settings } from './outcome.ts';

const BAR = 20;
const CLEAR = '\r\x1b[K';

/** One line that keeps up with the run, for a terminal. */
export class ProgressLine {
  readonly #stream: NodeJS.WriteStream;
  readonly #settings: Settings;
  readonly #types: number;

  constructor(stream: NodeJS.WriteStream, settings: Settings, types: number) {
    this.#stream = stream;
    this.#settings = settings;
    this.#types = types;
  }

  /** `done`: types before this one. */
  show(type: string, { elapsed, acquisitions, kills, recoveries }: Progress, done: number): void {
    const { seconds, kill } = this.#settings;
    const filled = Math.min(BAR, Math.round((BAR * (done + elapsed / seconds)) / this.#types));
    const deaths = kill ? `, ${kills} killed, ${recoveries} owner deaths recovered` : '';
    const bar = `${'━'.repeat(filled)}${colors.dim('━'.repeat(BAR - filled))}`;
    const text = ` ${elapsed.toFixed(1)} of ${seconds.toFixed(1)} s: ${count(acquisitions)} acquisitions${deaths}`;
    // A line that the terminal has to break cannot be cleared: each one would stay.
    const room = Math.max(0, this.#stream.columns - BAR - type.length - 2);
    this.#stream.write(`${CLEAR}${bar} ${colors.bold(type)}${text.slice(0, room)}`);
  }

  end(): void {
    this.#stream.write(CLEAR);
  }
}
