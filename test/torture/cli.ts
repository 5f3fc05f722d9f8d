import { spawn } from 'node:child_process';
import { inject } from 'vitest';

export interface Run {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the `holdfast` command, built from the sources for this run of the tests. */
export function holdfast(...args: string[]): Promise<Run> {
  return run(args, true);
}

/** The same, but nobody reads what it prints. */
export function holdfastUnread(...args: string[]): Promise<Run> {
  return run(args, false);
}

function run(args: string[], isRead: boolean): Promise<Run> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [...inject('command'), ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
    if (!isRead) child.stdout.destroy();
    let stdout = '';
    let stderr = '';
    child.stdout.on('data', (chunk) => (stdout += chunk));
    child.stderr.on('data', (chunk) => (stderr += chunk));
    child.once('error', reject);
    child.once('close', (code) => resolve({ code, stdout, stderr }));
  });
}
