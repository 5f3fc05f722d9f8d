/** The microscope's page: a run of a machine, step by step, forward and back. */
import { escaped, htmlPage } from '../../lib/page/page.ts';
import { EXPLAIN_SCRIPT } from './page-script.ts';
import { EXPLAIN_STYLE } from './page-style.ts';
import type { Explanation } from './programs.ts';

export function explainPage(explanations: readonly Explanation[]): string {
  const title = explanations.length === 1 ? explanations[0]!.title : 'What cores do to each other';
  const choices = explanations.map(({ title: name }, at) => `<option value="${at}">${escaped(name)}</option>`);
  const chooser = `<select id="program" aria-label="program">${choices.join('')}</select>`;
  return htmlPage({
    title: `holdfast: ${title}`,
    style: EXPLAIN_STYLE,
    body: `<header>
<h1>holdfast sim --explain</h1>
${chooser}
<div id="text"></div>
</header>
<nav>
<button id="first" title="first step (Home)">«</button>
<button id="back" title="a step back (←)">‹</button>
<button id="forward" title="a step forward (→)">›</button>
<button id="last" title="last step (End)">»</button>
<input id="slider" type="range" min="0" value="0" aria-label="step">
<output id="place"></output>
</nav>
<section id="notes" aria-live="polite"></section>
<section id="cores"></section>
<div class="two">
<section><h2>Messages under way</h2><ul id="messages"></ul></section>
<section><h2>Memory, as all see it</h2><div id="memory"></div></section>
</div>
<section><h2>What was waited for, so far</h2><div id="waits"></div></section>
<section class="legend"><h2>States and arcs</h2>
<p>M modified, E exclusive, S shared, I invalid; O owned (modified, and others may read it) and F forward (the sharer that
answers) where the machine has them. Arcs are lettered as in McKenney's diagram: a written back, b first write, c M taken away,
d I to M and e S to M by an atomic, f M and g E read by another, h S to E, i E taken away, j I to E, to be written,
k I to S, l S taken away. A message's time is until it arrives.</p></section>`,
    figures: { explanations },
    scripts: [EXPLAIN_SCRIPT],
  });
}
