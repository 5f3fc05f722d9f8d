/** Steps through the recordings, in the browser that opens the page: plain JavaScript, kept as text. */
export const EXPLAIN_SCRIPT = `
const explanations = JSON.parse(document.getElementById('explanations').textContent);
const element = (id) => document.getElementById(id);
const node = (tag, className, text) => {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
};
let program = 0;
let step = 0;
/** By step: all parts as they are after it. */
let states = [];

function choose(at) {
  program = at;
  const { text, machine, outcome, recording } = explanations[at];
  let state = {};
  states = recording.steps.map(({ changes }) => (state = { ...state, ...changes }));
  element('text').replaceChildren(
    ...text.map((paragraph) => node('p', '', paragraph)),
    node('p', 'outcome', 'On ' + machine + ': ' + outcome + '.'),
  );
  element('slider').max = recording.steps.length - 1;
  show(0);
}

// Fields of one struct share what is in front of the last dot: node.{next, locked}.
function nameOfLine(words) {
  const names = words.map(({ name }) => name);
  const front = names[0].slice(0, names[0].lastIndexOf('.') + 1);
  if (names.length === 1 || front === '' || !names.every((name) => name.startsWith(front))) return names.join(', ');
  return front + '{' + names.map((name) => name.slice(front.length)).join(', ') + '}';
}

function show(at) {
  const { recording } = explanations[program];
  const { steps, lines, operations, waits, cores } = recording;
  step = Math.max(0, Math.min(at, steps.length - 1));
  const state = states[step];
  const { time, notes, changes } = steps[step];
  const start = steps[0].time;
  element('slider').value = step;
  element('place').textContent = 'step ' + (step + 1) + ' of ' + steps.length + ' · ' + (time - start).toFixed(1) + ' ns';
  element('first').disabled = element('back').disabled = step === 0;
  element('last').disabled = element('forward').disabled = step === steps.length - 1;
  element('notes').replaceChildren(...notes.map(([core, text]) => {
    const line = node('p');
    line.append(node('span', 'who', core < 0 ? 'home' : 'core ' + core), ' ' + text);
    return line;
  }));
  const isNew = (part) => step > 0 && part in changes;
  element('cores').replaceChildren(...Array.from({ length: cores }, (_, core) => {
    const box = node('div', 'core' + (notes.some(([who]) => who === core) ? ' acts' : ''));
    box.append(node('h3', '', 'core ' + core));
    const done = state[core + '.done'];
    const code = node('ol', 'code');
    const now = state[core + '.now'];
    // As many rows at every step, so that what stands below does not jump.
    const rows = Math.min(7, Math.max(...operations.map(({ length }) => length)));
    const last = now === null ? rows : rows - 1;
    for (const text of operations[core].slice(Math.max(0, done - last), done)) code.append(node('li', 'old', text));
    if (now !== null) code.append(node('li', 'now', now));
    while (code.childElementCount < rows) code.append(node('li'));
    box.append(node('h4', '', 'operations'), code);
    box.append(node('p', 'for', state[core + '.waits'] ? 'waits for ' + state[core + '.waits'] : ''));
    for (const [part, title] of [['buffer', 'store buffer'], ['queue', 'invalidate queue']]) {
      const entries = state[core + '.' + part];
      const list = node('ul', 'slots' + (entries.length === 0 ? ' none' : '') + (isNew(core + '.' + part) ? ' changed' : ''));
      list.append(...entries.map((text) => node('li', '', text)));
      box.append(node('h4', '', title), list);
    }
    const grid = node('div', 'lines');
    for (const { line, words } of lines) {
      const part = core + '.line.' + line;
      const letter = state[part] || 'I';
      grid.append(node('span', 'state ' + letter + (isNew(part) ? ' changed' : ''), letter), node('code', '', nameOfLine(words)));
    }
    box.append(node('h4', '', 'lines'), grid);
    return box;
  }));
  element('messages').replaceChildren(...state.messages.map((text) => node('li', '', text)));
  if (state.messages.length === 0) element('messages').append(node('li', 'old', 'none'));
  element('memory').replaceChildren(...lines.flatMap(({ words }) => words.flatMap(({ address, name }) => {
    const value = state['word.' + address];
    return [node('code', '', name), node('b', isNew('word.' + address) ? 'changed' : '', value === undefined ? '' : value)];
  })));
  const over = waits.filter(({ until }) => until <= time);
  const table = node('table');
  for (const { core, operation, from, until, what } of over) {
    const row = node('tr');
    row.append(node('td', '', 'core ' + core), node('td', '', operation), node('td', 'ns', (until - from).toFixed(1) + ' ns'), node('td', '', 'for ' + what));
    table.append(row);
  }
  element('waits').replaceChildren(over.length === 0 ? node('p', '', 'nothing') : table);
}

element('program').addEventListener('change', ({ target }) => choose(Number(target.value)));
element('slider').addEventListener('input', ({ target }) => show(Number(target.value)));
for (const [id, to] of [['first', () => 0], ['back', () => step - 1], ['forward', () => step + 1], ['last', () => Infinity]]) {
  element(id).addEventListener('click', () => show(to()));
}
document.addEventListener('keydown', (event) => {
  if (event.target.tagName === 'SELECT' || event.target.type === 'range') return;
  const to = { ArrowLeft: step - 1, ArrowRight: step + 1, Home: 0, End: Infinity }[event.key];
  if (to === undefined) return;
  event.preventDefault();
  show(to);
});
// The place in the address: #program,step from 1 on, so that a step can be pointed at.
const [, wanted = '1', at = '1'] = /^#(\\d+)(?:,(\\d+))?$/.exec(location.hash) ?? [];
const chosen = Math.max(0, Math.min(Number(wanted) - 1, explanations.length - 1));
element('program').value = chosen;
choose(chosen);
show(Number(at) - 1);
`;
