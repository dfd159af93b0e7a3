"""The style sheet of a page, for light and dark screens, wide and narrow ones, and paper."""

CSS = """
:root {
  color-scheme: light dark;
  --page: #ffffff; --text: #1b1f24; --faint: #57606a; --line: #d0d7de; --panel: #f6f8fa;
  --accent: #0b57d0; --bad: #a40e26; --good: #1a6330;
  --c0: #0b57d0; --c1: #b3261e; --c2: #1a6330; --c3: #7a3e9d; --c4: #8a5300; --c5: #00626b;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #0f1419; --text: #e6edf3; --faint: #9da7b3; --line: #3a434e; --panel: #1a212a;
    --accent: #8ab4f8; --bad: #ff9e9e; --good: #7fd69a;
    --c0: #8ab4f8; --c1: #ff9e9e; --c2: #7fd69a; --c3: #d7aefb; --c4: #f7c873; --c5: #79d8e0;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; padding: 1rem; max-width: 72rem; background: var(--page); color: var(--text);
  font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif;
  overflow-wrap: anywhere;
}
a { color: var(--accent); }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
.skip { position: absolute; left: -100vw; background: var(--page); padding: 0.5rem; }
.skip:focus { left: 1rem; top: 1rem; z-index: 1; }
h1 { font-size: 1.75rem; line-height: 1.2; margin: 0.5rem 0; }
h2 { font-size: 1.3rem; margin: 2.5rem 0 0.75rem; border-top: 1px solid var(--line);
  padding-top: 1rem; }
h3 { font-size: 1.05rem; margin: 1.5rem 0 0.5rem; }
p { max-width: 44rem; }
nav ul, .legend, .facts { list-style: none; padding: 0; display: flex; flex-wrap: wrap;
  gap: 0.25rem 1.25rem; }
nav a { display: inline-block; padding: 0.25rem 0; }
.ending { border-left: 4px solid var(--good); padding: 0.5rem 1rem; background: var(--panel); }
.ending.cut { border-color: var(--bad); }
.facts { gap: 0.75rem; margin: 1rem 0; }
.facts li { background: var(--panel); border: 1px solid var(--line); border-radius: 6px;
  padding: 0.5rem 0.9rem; }
.facts span { display: block; color: var(--faint); font-size: 0.9rem; }
.facts strong { font-size: 1.25rem; font-variant-numeric: tabular-nums; }
.pair { display: grid; gap: 1rem 2rem; grid-template-columns: repeat(auto-fit, minmax(min(100%,
  22rem), 1fr)); }
figure { margin: 0; min-width: 0; }
figcaption { font-weight: 600; margin-bottom: 0.25rem; }
.frame { overflow-x: auto; overflow-wrap: break-word; max-width: 100%; margin: 0.75rem 0; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
caption { text-align: left; color: var(--faint); padding-bottom: 0.35rem; }
caption span { display: inline-block; position: sticky; left: 0; max-width: calc(100vw - 3rem); }
th, td { border-bottom: 1px solid var(--line); padding: 0.3rem 0.6rem; text-align: left;
  vertical-align: top; }
thead th { border-bottom: 2px solid var(--line); vertical-align: bottom; }
tbody th { font-weight: 500; max-width: 24rem; }
td { max-width: 60rem; }
.number { text-align: right; white-space: nowrap; }
code { font: 0.9rem/1.5 ui-monospace, "Cascadia Mono", Menlo, Consolas, "DejaVu Sans Mono",
  monospace; overflow-wrap: anywhere; }
details { margin: 0.5rem 0; }
summary { cursor: pointer; color: var(--accent); padding: 0.25rem 0; }
svg.chart { display: block; width: 100%; max-width: 34rem; height: auto; }
svg text { fill: var(--text); font-size: 12px; font-variant-numeric: tabular-nums; }
svg .grid { stroke: var(--line); fill: none; }
svg .axis { stroke: var(--faint); fill: none; }
svg .line { fill: none; stroke-width: 2; stroke-linejoin: round; }
svg .diagonal { stroke: var(--faint); stroke-dasharray: 5 4; fill: none; }
svg .dot { fill: var(--c0); fill-opacity: 0.6; }
.key { width: 2rem; height: 0.8rem; margin-right: 0.4rem; }
.style-0 { stroke: var(--c0); color: var(--c0); }
.style-1 { stroke: var(--c1); color: var(--c1); stroke-dasharray: 7 4; }
.style-2 { stroke: var(--c2); color: var(--c2); stroke-dasharray: 2 3; }
.style-3 { stroke: var(--c3); color: var(--c3); stroke-dasharray: 9 3 2 3; }
.style-4 { stroke: var(--c4); color: var(--c4); stroke-dasharray: 12 4; }
.style-5 { stroke: var(--c5); color: var(--c5); stroke-dasharray: 4 2 1 2; }
.mark { fill: currentColor; stroke-dasharray: none; }
svg.bar { width: 100%; height: 1.5rem; display: block; }
svg.bar rect { fill: currentColor; stroke: var(--page); stroke-dasharray: none; }
.matrix td { text-align: center; min-width: 2.6rem;
  background: color-mix(in srgb, var(--c0) calc(var(--share, 0) * 45%), var(--page)); }
.matrix td.wrong {
  background: color-mix(in srgb, var(--c1) calc(var(--share, 0) * 45%), var(--page)); }
.matrix td.total { background: none; }
.matrix td.zero { color: var(--faint); }
table { min-width: min(100%, 24rem); }
.samples { list-style: none; padding: 0; display: grid; gap: 1rem;
  grid-template-columns: repeat(auto-fill, minmax(9rem, 1fr)); }
.samples li { background: var(--panel); border: 1px solid var(--line); border-radius: 6px;
  padding: 0.6rem; }
.samples dl { margin: 0.4rem 0 0; display: grid; grid-template-columns: auto minmax(3rem, 1fr);
  gap: 0 0.6rem; font-size: 0.95rem; }
.samples dt { color: var(--faint); }
.samples dd { margin: 0; }
img.input { width: 6rem; height: auto; image-rendering: pixelated; background: #000000; }
.absent { color: var(--faint); }
footer { margin-top: 3rem; border-top: 1px solid var(--line); color: var(--faint); }
@media print { nav, .skip { display: none; } .frame { overflow: visible; } }
@media (forced-colors: active) { .matrix td { forced-color-adjust: none; } }
"""
