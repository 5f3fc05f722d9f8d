/** The look of the report. */
export const REPORT_STYLE = `
:root { color-scheme: light; --ink: #1b1f24; --faint: #667080; --line: #e3e7ec; --ok: #117a3d; --bad: #b42318; }
body { margin: 0 auto; max-width: 1160px; padding: 24px 20px 60px; background: #fff; color: var(--ink);
  font: 14px/1.45 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
h1 { font-size: 26px; margin: 0; }
h2 { font-size: 18px; margin: 36px 0 4px; display: flex; align-items: center; gap: 10px; }
p { margin: 4px 0 8px; color: var(--faint); }
.verdict { font-size: 17px; font-weight: 600; }
.verdict.ok { color: var(--ok); }
.verdict.violation { color: var(--bad); }
.badge { font-size: 12px; font-weight: 600; border-radius: 9px; padding: 1px 9px; white-space: nowrap; }
.badge.ok { background: #e3f5ea; color: var(--ok); }
.badge.violation { background: #fdeae8; color: var(--bad); }
table { border-collapse: collapse; width: 100%; margin: 10px 0 18px; font-variant-numeric: tabular-nums; font-size: 13px; }
th, td { padding: 5px 7px; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap; }
thead th { color: var(--faint); font-weight: 500; font-size: 12px; }
th:first-child { text-align: left; }
a { color: inherit; text-decoration-color: #b9c2cd; }
.violations { color: var(--bad); margin: 4px 0 8px; padding-left: 20px; overflow-wrap: anywhere; }
.plots { display: grid; grid-template-columns: repeat(3, 1fr); gap: 14px; }
.plot { min-width: 0; }
.plot .u-title { font-size: 13px; font-weight: 600; text-align: left; padding-left: 6px; }
.plot .u-legend { font-size: 11px; text-align: left; padding-left: 6px; color: var(--faint); }
.plot .u-legend th { font-weight: 400; padding: 0 2px; border: 0; }
.plot .u-legend td { border: 0; padding: 0; }
.plot .u-legend .u-marker { width: 12px; height: 0; border-width: 3px 0 0 !important; }
section.type { border-top: 1px solid var(--line); margin-top: 28px; }
section.type h2 { margin-top: 22px; }
`;
