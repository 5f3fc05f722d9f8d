/**
 * Pages that the commands write: one HTML file that needs nothing else, neither network nor server. What is in it goes in as
 * text; scripts are plain JavaScript, kept as text, which read their figures from elements of JSON.
 */
import { PAGE_STYLE } from './style.ts';

export interface PageParts {
  readonly title: string;
  /** Behind the style that all pages have. */
  readonly style: string;
  /** HTML. */
  readonly body: string;
  /** In order: figures for the scripts, by id of their element. */
  readonly figures?: Readonly<Record<string, unknown>>;
  readonly scripts?: readonly string[];
}

export function htmlPage({ title, style, body, figures = {}, scripts = [] }: PageParts): string {
  const elements = Object.entries(figures).map(
    ([id, value]) =>
      `<script type="application/json" id="${id}">${JSON.stringify(value).replaceAll('<', '\\u003c')}</script>`,
  );
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>${escaped(title)}</title>
<style>${PAGE_STYLE}${style}</style>
</head>
<body>
${body}
${elements.join('\n')}
${scripts.map((script) => `<script>${script}</script>`).join('\n')}
</body>
</html>
`;
}

/** For text between tags and in attributes. */
export function escaped(text: string): string {
  return text.replace(/[&<>"]/g, (letter) => `&#${letter.charCodeAt(0)};`);
}
