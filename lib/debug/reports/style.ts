/** The look of the report, beside what all pages share. */
export const REPORT_STYLE = `
.verdict { font-size: 17px; font-weight: 600; }
.verdict.ok { color: var(--ok); }
.verdict.violation { color: var(--bad); }
.badge { font-size: 12px; font-weight: 600; border-radius: 9px; padding: 1px 9px; white-space: nowrap; }
.badge.ok { background: var(--ok-soft); color: var(--ok); }
.badge.violation { background: var(--bad-soft); color: var(--bad); }
.violations { color: var(--bad); margin: 4px 0 8px; padding-left: 20px; overflow-wrap: anywhere; }
.plots { display: grid; grid-template-columns: repeat(3, 1fr); gap: 14px; }
@media (max-width: 760px) { .plots { grid-template-columns: minmax(0, 1fr); } }
.scroll { overflow-x: auto; }
.plot { min-width: 0; }
.plot .u-title { font-size: 13px; font-weight: 600; text-align: left; padding-left: 6px; }
.plot .u-legend { font-size: 11px; text-align: left; padding-left: 6px; color: var(--faint); }
.plot .u-legend th { font-weight: 400; padding: 0 2px; border: 0; }
.plot .u-legend td { border: 0; padding: 0; }
.plot .u-legend .u-marker { width: 12px; height: 0; border-width: 3px 0 0 !important; }
section.type { border-top: 1px solid var(--line); margin-top: 28px; }
section.type h2 { margin-top: 22px; }
`;
