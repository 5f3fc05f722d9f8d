import { readFileSync } from 'node:fs';
import { type Profile, parseProfile, SimError } from './profile.ts';
import { profiles } from './profiles.ts';

/** A profile by name, or from a JSON file. */
export function findProfile(name: string): Profile {
  const known = profiles.get(name);
  if (known !== undefined) return known;
  if (!name.endsWith('.json')) {
    throw new SimError(`profile must be one of ${[...profiles.keys()].join(', ')}, or a .json file; received ${name}`);
  }
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(name, 'utf8'));
  } catch (thrown) {
    throw new SimError(`${name}: ${thrown instanceof Error ? thrown.message : String(thrown)}`);
  }
  return parseProfile(value, name);
}
