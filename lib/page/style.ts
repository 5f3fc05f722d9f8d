/** What all pages look like, by day and by night. */
export const PAGE_STYLE = `
:root { color-scheme: light dark; --paper: #fff; --ink: #1b1f24; --faint: #5d6776; --line: #e3e7ec; --soft: #f4f6f8;
  --accent: #1d5fb4; --ok: #117a3d; --ok-soft: #e3f5ea; --bad: #b42318; --bad-soft: #fdeae8; --warm: #9a5b00;
  --warm-soft: #fdf1dc; }
@media (prefers-color-scheme: dark) { :root { --paper: #14171b; --ink: #e4e8ed; --faint: #9aa5b3; --line: #2c333c;
  --soft: #1d2228; --accent: #7db3f5; --ok: #5ccb8a; --ok-soft: #12321f; --bad: #ff8a7e; --bad-soft: #3f1a16;
  --warm: #f0b45a; --warm-soft: #3a2a10; } }
body { margin: 0 auto; max-width: 1160px; padding: 24px 20px 60px; background: var(--paper); color: var(--ink);
  font: 14px/1.45 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
h1 { font-size: 26px; margin: 0; }
h2 { font-size: 18px; margin: 36px 0 4px; display: flex; align-items: center; gap: 10px; }
p { margin: 4px 0 8px; color: var(--faint); }
a { color: inherit; text-decoration-color: var(--faint); }
table { border-collapse: collapse; width: 100%; margin: 10px 0 18px; font-variant-numeric: tabular-nums; font-size: 13px; }
th, td { padding: 5px 7px; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap; }
thead th { color: var(--faint); font-weight: 500; font-size: 12px; }
th:first-child { text-align: left; }
`;
