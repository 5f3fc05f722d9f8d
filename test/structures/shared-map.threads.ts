import type { Arena } from '../../lib/index.ts';
import { SharedMap } from '../../lib/structures/map/shared-map.ts';

export function count(arena: Arena): void {
  const map = new SharedMap<string, number>(arena, 'counts');
  for (let i = 0; i < 500; i++) map.update(`key ${i % 50}`, (n = 0) => n + 1);
}
