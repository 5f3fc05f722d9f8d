/** A counterexample as a picture: threads as columns, time downwards within each, and what memory adds as arrows. */
import type { Counterexample, Edge } from './report.ts';
import { placeOf } from './site.ts';

const ROW = 46;
const GAP = 90;
/** Width of a character of the 12 px monospace font. */
const CHARACTER = 7.3;
const TOP = 84;

const COLOURS: Record<Edge['kind'], string> = { rf: '#1a7f37', co: '#0969da', fr: '#cf222e' };
const MEANINGS: Record<Edge['kind'], string> = { rf: 'read by', co: 'overwritten by', fr: 'read before' };

const escapes: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };
const escapeXml = (text: string) => text.replace(/[&<>"]/g, (c) => escapes[c]!);

export function drawCounterexample(c: Counterexample): string {
  const rows = Math.max(1, ...c.threads.map((events) => events.length));
  const longest = Math.max(20, ...c.threads.flat().map((e) => e.name.length + e.text.length + 2));
  const box = Math.ceil(longest * CHARACTER) + 12;
  const column = box + GAP;
  const width = Math.max(column * c.threads.length + 40, Math.ceil(c.message.length * CHARACTER) + 40);
  const height = TOP + ROW * (rows + 1) + 40;
  const at = new Map<string, { x: number; y: number }>();
  const boxes: string[] = [];
  for (const [t, events] of c.threads.entries()) {
    const x = 20 + t * column;
    boxes.push(text(x, TOP - 14, `thread ${t}`, 'font-weight="bold"'));
    for (const [i, e] of events.entries()) {
      const y = TOP + i * ROW;
      at.set(e.name, { x, y });
      const fill = c.culprits.includes(e.name) ? '#ffebe9' : '#f6f8fa';
      boxes.push(
        `<rect x="${x}" y="${y}" width="${box}" height="${ROW - 12}" rx="4" fill="${fill}" stroke="#8c959f"/>`,
        text(x + 6, y + 15, `${e.name}  ${e.text}`),
        text(
          x + 6,
          y + 29,
          e.site === null || e.site.line === 0 ? '' : placeOf(e.site),
          'fill="#57606a" font-size="10"',
        ),
      );
    }
    boxes.push(text(x, TOP + events.length * ROW + 8, c.endings[t]!, 'fill="#57606a" font-style="italic"'));
  }
  const arrows = c.edges.flatMap((edge) => arrow(edge, at, box));
  const legend = (Object.keys(COLOURS) as Edge['kind'][]).map((kind, i) =>
    text(20 + i * 150, height - 14, `${kind}: ${MEANINGS[kind]}`, `fill="${COLOURS[kind]}"`),
  );
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" font-family="monospace" font-size="12">`,
    '<defs>',
    ...Object.entries(COLOURS).map(
      ([kind, colour]) =>
        `<marker id="${kind}" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" orient="auto"><path d="M0 0L8 4L0 8z" fill="${colour}"/></marker>`,
    ),
    '</defs>',
    `<rect width="${width}" height="${height}" fill="white"/>`,
    text(20, 24, `${c.kind} on ${c.model}`, 'font-weight="bold"'),
    text(20, 42, c.message),
    ...boxes,
    ...arrows,
    ...legend,
    '</svg>',
    '',
  ].join('\n');
}

function text(x: number, y: number, content: string, attributes = ''): string {
  return `<text x="${x}" y="${y}" ${attributes}>${escapeXml(content)}</text>`;
}

function arrow(edge: Edge, at: ReadonlyMap<string, { x: number; y: number }>, box: number): string[] {
  const from = at.get(edge.from);
  const to = at.get(edge.to);
  if (from === undefined || to === undefined) return [];
  const middle = (ROW - 12) / 2;
  // co, rf and fr between the same boxes would lie on each other.
  const shift = edge.kind === 'rf' ? -6 : edge.kind === 'fr' ? 6 : 0;
  const y1 = from.y + middle + shift;
  const y2 = to.y + middle + shift;
  let path: string;
  if (from.x === to.x) {
    const x = from.x + box;
    path = `M${x} ${y1}C${x + 50} ${y1} ${x + 50} ${y2} ${x} ${y2}`;
  } else {
    const rightwards = to.x > from.x;
    const x1 = rightwards ? from.x + box : from.x;
    const x2 = rightwards ? to.x : to.x + box;
    const bend = rightwards ? 40 : -40;
    path = `M${x1} ${y1}C${x1 + bend} ${y1} ${x2 - bend} ${y2} ${x2} ${y2}`;
  }
  return [`<path d="${path}" fill="none" stroke="${COLOURS[edge.kind]}" marker-end="url(#${edge.kind})"/>`];
}
