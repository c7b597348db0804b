/**
 * @file The frame of a report: one HTML file with its style sheet inside, no script, no font, no request. The content
 * security policy allows exactly this style sheet (by its hash) and nothing else, so that even a mistake in escaping
 * could neither run nor send anything.
 */
import { createHash } from 'node:crypto';
import { type Markup, type MarkupValue, markup } from './markup.ts';

// Series colours are those of Okabe and Ito 2008 (told apart by colour-blind readers), lightened for the dark page.
const STYLE = `
:root { color-scheme: light dark; --page: #fbfbf9; --card: #ffffff; --ink: #1c1e21; --soft: #5b616b; --rule: #dfe1e5; --grid: #ebecef;
  --good: #1b7a43; --warn: #8a5a00; --warnback: #fff6e0; --c0: #6b7280; --c1: #0063a6; --c2: #c25400; --c3: #007a5a; --c4: #a3478a; --c5: #7d6500; --c6: #b3273f; --c7: #4a4fb5; --mark: #fff0b8; }
@media (prefers-color-scheme: dark) { :root { --page: #14161a; --card: #1c1f25; --ink: #e8e9ec; --soft: #a2a8b3; --rule: #343943;
  --grid: #2a2e36; --good: #6fd39b; --warn: #f0c060; --warnback: #33290f; --c0: #a2a8b3; --c1: #62b5f0; --c2: #f59a4c; --c3: #3fc79d; --c4: #dd8fc8; --c5: #d9bd4f; --c6: #f58598; --c7: #a3a8f5; --mark: #554a16; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
main { max-width: 1140px; margin: 0 auto; padding: 40px 24px 72px; }
h1 { font-size: 30px; line-height: 1.2; margin: 0 0 4px; letter-spacing: -.01em; }
h2 { font-size: 21px; margin: 52px 0 4px; padding-top: 18px; border-top: 1px solid var(--rule); }
h3 { font-size: 16px; margin: 26px 0 8px; }
p { margin: 6px 0; max-width: 76ch; }
a { color: var(--c1); }
.meta, .lead, .hint, figcaption, .empty { color: var(--soft); }
.meta, .hint { font-size: 14px; } .empty { font-style: italic; }
.state { border-left: 4px solid var(--warn); background: var(--warnback); padding: 8px 12px; margin: 12px 0 0; }
.verdict { margin: 22px 0; padding: 14px 20px; background: var(--card); border: 1px solid var(--rule); border-left: 5px solid var(--c1); border-radius: 6px; }
.verdict p { font-size: 17px; } .verdict p.hint { font-size: 13px; }
.warnings { margin: 18px 0; padding: 10px 20px; background: var(--warnback); border: 1px solid var(--warn); border-radius: 6px; }
.warnings h3 { margin: 4px 0; color: var(--warn); }
.warnings ul, .notes ul { margin: 6px 0; padding-left: 20px; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(440px, 100%), 1fr)); gap: 18px; margin: 14px 0; }
figure { margin: 0; max-width: 620px; padding: 12px 12px 4px; background: var(--card); border: 1px solid var(--rule); border-radius: 6px; }
figcaption { font-size: 14px; font-weight: 600; color: var(--ink); padding-left: 4px; }
svg { display: block; width: 100%; height: auto; }
svg text { font: 12px system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; fill: var(--soft); }
svg text.small { font-size: 11px; }
.grid { stroke: var(--grid); } .axis { stroke: var(--soft); }
.mark { stroke: var(--rule); stroke-dasharray: 2 3; } .reference { stroke: var(--soft); stroke-dasharray: 5 4; }
.line, .step, .bar { fill: none; stroke-width: 2; stroke-linejoin: round; } .bar { stroke-width: 1.5; } .raw { opacity: .3; stroke-width: 1; }
.marker { stroke: var(--card); stroke-width: 1; }
.c0 { --own: var(--c0); } .c1 { --own: var(--c1); } .c2 { --own: var(--c2); } .c3 { --own: var(--c3); } .c4 { --own: var(--c4); }
.c5 { --own: var(--c5); } .c6 { --own: var(--c6); } .c7 { --own: var(--c7); }
.line, .bar, .step { stroke: var(--own); } .marker { fill: var(--own); } .line.c5, .line.c6, .line.c7 { stroke-dasharray: 7 3; }
.step.filled { fill: var(--c0); fill-opacity: .18; } .step.c2 { stroke-dasharray: 6 3; } .step.c3 { stroke-dasharray: 2 2; } .step.c4 { stroke-dasharray: 9 2 2 2; }
svg .cell { stroke: var(--rule); } svg .better { fill: var(--c1); } svg .worse { fill: var(--c2); } svg .even { fill: none; }
.matrix { max-width: 100%; overflow-x: auto; } .matrix svg { min-width: 420px; max-width: 900px; } .matrix svg text { fill: var(--ink); font-size: 13px; } .matrix text.number { text-anchor: middle; font-variant-numeric: tabular-nums; } .matrix text.row { text-anchor: end; }
.legend { list-style: none; display: flex; flex-wrap: wrap; gap: 4px 22px; margin: 12px 0 0; padding: 0; font-size: 14px; }
.legend li { display: flex; align-items: center; gap: 8px; } .key { width: 28px; height: 12px; }
.scroll { overflow-x: auto; margin: 12px 0; }
table { border-collapse: collapse; font-size: 14px; font-variant-numeric: tabular-nums; width: 100%; background: var(--card); }
th, td { text-align: right; padding: 6px 9px; border-bottom: 1px solid var(--rule); vertical-align: top; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; } th { font-weight: 600; color: var(--soft); } tbody th[scope=row] { color: var(--ink); white-space: normal; min-width: 11em; } th .hint { font-size: 11.5px; font-weight: 400; display: block; }
thead th { border-bottom: 2px solid var(--rule); white-space: normal; vertical-align: bottom; } td .hint { font-size: 11.5px; display: block; }
tr.group th { color: var(--ink); padding-top: 14px; text-align: left; }
.facts td { text-align: left; white-space: normal; overflow-wrap: anywhere; } .facts th { text-align: left; white-space: nowrap; width: 30%; }
.facts td:last-child { width: 70%; }
.example { margin: 16px 0 30px; }
.prompt { margin: 0 0 10px; padding: 10px 16px; border-left: 3px solid var(--rule); font-style: italic; white-space: pre-wrap; overflow-wrap: anywhere; }
.answers { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(280px, 100%), 1fr)); gap: 14px; }
.answer { padding: 12px 16px; background: var(--card); border: 1px solid var(--rule); border-top: 4px solid var(--own); border-radius: 6px; }
.answer h3, .answer h4 { margin: 0; font-size: 14px; } .answer p { white-space: pre-wrap; overflow-wrap: anywhere; font-size: 15px; unicode-bidi: plaintext; }
pre { padding: 14px 16px; background: var(--card); border: 1px solid var(--rule); border-radius: 6px; overflow-x: auto; font: 13px/1.5 ui-monospace, Menlo, Consolas, monospace; }
mark { background: var(--mark); color: inherit; border-radius: 2px; text-decoration: underline; text-decoration-thickness: 1px; text-underline-offset: 3px; }
caption { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
code { font: 13px ui-monospace, Menlo, Consolas, monospace; overflow-wrap: anywhere; }
@media print { :root { --page: #ffffff; } main { max-width: none; } figure, .answer, tr { break-inside: avoid; } }
`;

/** The content security policy of a report: its style sheet and nothing else. */
export const REPORT_POLICY = [
  `default-src 'none'`,
  `style-src 'sha256-${createHash('sha256').update(STYLE).digest('base64')}'`,
  `base-uri 'none'`,
  `form-action 'none'`,
].join('; ');

/** A whole document around its content. */
export function page(title: string, content: MarkupValue): string {
  const style: Markup = markup(rawParts(STYLE));
  return markup`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${REPORT_POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>${title}</title>
<style>${style}</style>
</head>
<body>
<main>
${content}
</main>
</body>
</html>
`.text;
}

/** Our own constant, as a template without values: the only way to markup that is not escaped. */
function rawParts(text: string): TemplateStringsArray {
  return Object.assign([text], { raw: [text] });
}

/** A table that scrolls by itself where it is too wide. `caption` is read to who cannot see it. */
export function table(caption: string, head: MarkupValue[], rows: MarkupValue): Markup {
  const cells = head.map((cell) => markup`<th scope="col">${cell}</th>`);
  return markup`<div class="scroll" tabindex="0" role="region" aria-label="${caption}"><table><caption>${caption}</caption><thead><tr>${cells}</tr></thead><tbody>${rows}</tbody></table></div>`;
}

/** Two columns: what, and its value. */
export function factTable(caption: string, facts: readonly { label: string; value: string }[]): Markup {
  const rows = facts.map(({ label, value }) => markup`<tr><th scope="row">${label}</th><td>${value}</td></tr>`);
  return markup`<table class="facts"><caption>${caption}</caption><tbody>${rows}</tbody></table>`;
}
