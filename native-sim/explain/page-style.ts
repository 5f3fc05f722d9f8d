/** The look of the microscope's page, beside what all pages share. */
export const EXPLAIN_STYLE = `
select { font: inherit; font-weight: 600; margin: 10px 0 4px; padding: 5px 8px; max-width: 100%; color: var(--ink);
  background: var(--soft); border: 1px solid var(--line); border-radius: 6px; }
#text .outcome { color: var(--ink); font-weight: 600; }
nav { position: sticky; top: 0; display: flex; flex-wrap: wrap; align-items: center; gap: 6px; padding: 8px 0;
  background: var(--paper); border-bottom: 1px solid var(--line); z-index: 1; }
nav button { font-size: 19px; line-height: 1; width: 38px; height: 34px; color: var(--ink); background: var(--soft);
  border: 1px solid var(--line); border-radius: 6px; cursor: pointer; }
nav button:disabled { opacity: 0.4; cursor: default; }
nav input { flex: 1 1 120px; min-width: 90px; accent-color: var(--accent); }
nav output { font-variant-numeric: tabular-nums; color: var(--faint); white-space: nowrap; }
#notes { min-height: 92px; margin: 10px 0; padding: 8px 12px; background: var(--soft); border-radius: 8px; }
#notes p { margin: 2px 0; color: var(--ink); overflow-wrap: anywhere; }
.who { display: inline-block; min-width: 52px; color: var(--faint); font-size: 12px; }
#cores { display: grid; grid-template-columns: repeat(auto-fit, minmax(260px, 1fr)); gap: 12px; }
.core { border: 1px solid var(--line); border-radius: 8px; padding: 10px 12px; min-width: 0; }
.core.acts { border-color: var(--accent); box-shadow: inset 0 0 0 1px var(--accent); }
.core h3 { font-size: 15px; margin: 0 0 4px; }
h4 { font-size: 12px; font-weight: 500; color: var(--faint); margin: 8px 0 2px; }
ol, ul { margin: 0; padding: 0; list-style: none; }
li { font: 12.5px/1.5 ui-monospace, "DejaVu Sans Mono", monospace; overflow-wrap: anywhere; }
.code li { min-height: 19px; }
.code li.old { color: var(--faint); }
.code li.now { color: var(--warm); }
.code li.now::before { content: "▸ "; }
.slots { min-height: 22px; }
.slots li { display: inline-block; padding: 0 7px; margin: 0 5px 3px 0; border-radius: 5px; background: var(--warm-soft);
  color: var(--warm); }
.slots.none::before { content: "empty"; color: var(--faint); font-size: 12px; }
.for { color: var(--warm); font-size: 12.5px; min-height: 36px; margin: 4px 0 0; overflow-wrap: anywhere; }
.lines { display: grid; grid-template-columns: auto 1fr; gap: 2px 8px; align-items: baseline; }
.lines code, #memory code { font: 12px/1.5 ui-monospace, "DejaVu Sans Mono", monospace; overflow-wrap: anywhere; }
.state { display: inline-block; width: 20px; text-align: center; font-weight: 700; border-radius: 4px;
  background: var(--soft); color: var(--faint); }
.state.M, .state.E, .state.O { background: var(--bad-soft); color: var(--bad); }
.state.S, .state.F { background: var(--ok-soft); color: var(--ok); }
.changed { outline: 2px solid var(--accent); outline-offset: 1px; border-radius: 4px; }
.two { display: grid; grid-template-columns: 3fr 2fr; gap: 20px; }
.two > section { min-width: 0; }
#messages { min-height: 64px; }
#memory { display: grid; grid-template-columns: 1fr auto; gap: 1px 12px; align-items: baseline; }
#memory b { font-variant-numeric: tabular-nums; }
#waits { overflow-x: auto; }
#waits td, #waits th { text-align: left; white-space: normal; vertical-align: baseline; }
#waits td.ns { text-align: right; white-space: nowrap; }
@media (max-width: 640px) { body { padding: 14px 12px 40px; } .two { grid-template-columns: 1fr; gap: 0; }
  nav output { width: 100%; } h2 { margin-top: 20px; } }
`;
