/** @file Texts that would run as scripts where a page takes them for HTML, a URL, a style or a template. Each sets `window.ran`. */

const RUN = 'window.ran=1';

/** Tags with a handler that fires by itself, or that load a script. */
const TAGS = [
  (code: string) => `<script>${code}</script>`,
  (code: string) => `<img src=x onerror="${code}">`,
  (code: string) => `<svg onload="${code}">`,
  (code: string) => `<svg><script>${code}</script></svg>`,
  (code: string) => `<svg><animate onbegin="${code}" attributeName=x dur=1s>`,
  (code: string) => `<body onload="${code}">`,
  (code: string) => `<iframe srcdoc="<script>parent.${code}</script>"></iframe>`,
  (code: string) => `<iframe src="javascript:${code}"></iframe>`,
  (code: string) => `<object data="javascript:${code}"></object>`,
  (code: string) => `<embed src="javascript:${code}">`,
  (code: string) => `<video><source onerror="${code}"></video>`,
  (code: string) => `<audio src=x onerror="${code}">`,
  (code: string) => `<details open ontoggle="${code}">`,
  (code: string) => `<input autofocus onfocus="${code}">`,
  (code: string) => `<a href="javascript:${code}">x</a>`,
  (code: string) => `<form action="javascript:${code}"><button autofocus>x</button></form>`,
  (code: string) => `<meta http-equiv="refresh" content="0;url=javascript:${code}">`,
  (code: string) => `<link rel=stylesheet href="javascript:${code}">`,
  (code: string) => `<math><mtext><table><mglyph><style><img src=x onerror="${code}">`,
  (code: string) => `<marquee onstart="${code}">`,
];

/** What stands before a tag, to break out of where a page put the text. */
const BEFORE = ['', '">', "'>", '</title>', '</textarea>', '</script>', '--><!-- -->', ']]>', '\u2028', '</style>'];

/** Texts that are no tags. */
const OTHERS = [
  `javascript:${RUN}`,
  `" onmouseover="${RUN}" x="`,
  `' autofocus onfocus='${RUN}`,
  `{{constructor.constructor('${RUN}')()}}`,
  `\${${RUN}}`,
  '<%= 1 %>',
  '\u0000<script>window.ran=1</script>',
  '&lt;script&gt;window.ran=1&lt;/script&gt;',
  '<scr<script>ipt>window.ran=1</scr</script>ipt>',
  '\ufeff<script>window.ran=1</script>',
  '<ScRiPt>window.ran=1</sCrIpT>',
  '%3Cscript%3Ewindow.ran=1%3C/script%3E',
  '__proto__',
  'constructor',
  '=HYPERLINK("http://evil.example")',
  '\u202egnp.exe',
  '<img src=http://evil.example/x.png>',
  '<link rel=prefetch href=http://evil.example/>',
  '@import url(http://evil.example/x.css);',
  '<base href=http://evil.example/>',
  '[x](javascript:window.ran=1)',
  '![x](http://evil.example/x.png)',
];

/** All of them: every tag behind every way to break out, and the others. */
export function hostileTexts(): string[] {
  return [...BEFORE.flatMap((before) => TAGS.map((tag) => before + tag(RUN))), ...OTHERS];
}
