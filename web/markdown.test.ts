import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type MarkdownNode, markdownOf } from './markdown.ts';

/** A tree as a short text: `p(bold strong(word))`, marked pieces in brackets. */
function shown(nodes: readonly MarkdownNode[]): string {
  return nodes
    .map((node) =>
      node.kind === 'text' ? (node.isOnlyHere ? `[${node.text}]` : node.text) : `${node.tag}(${shown(node.children)})`,
    )
    .join('');
}

test.each([
  ['a **bold** word\nand a line', 'p(a strong(bold) wordbr()and a line)'],
  ['# Title', 'h4(Title)'],
  ['```js\nlet a = 1 < 2;\n```', 'pre(code(let a = 1 < 2;))'],
  ['use `a && b`', 'p(use code(a && b))'],
  ['1. one\n2. two', 'ol(li(one)li(two))'],
  ['3. three', 'ul(li(3. three))'],
  ['> said', 'blockquote(p(said))'],
  ['|a|b|\n|-|-|\n|1|2|', 'table(tbody(tr(th(a)th(b))tr(td(1)td(2))))'],
])('shows %j as elements', (text, tree) => {
  expect(shown(markdownOf(text))).toBe(tree);
});

test.each([
  ['<img src=x onerror="x()">', '<img src=x onerror="x()">'],
  ['[x](javascript:x)', 'p(x (javascript:x))'],
  ['![cat](http://evil.example/x.png)', 'p([image: cat] (http://evil.example/x.png))'],
  ['a <b>b</b>', 'p(a <b>b</b>)'],
])('makes no element, link or image of %j: it stays text', (text, tree) => {
  expect(shown(markdownOf(text))).toBe(tree);
});

test('marks what the other text lacks, inside the elements', () => {
  expect(shown(markdownOf('a **big** dog', 'a dog'))).toBe('p(a strong([big]) dog)');
  expect(shown(markdownOf('a **big** dog', 'a *big* dog'))).toBe('p(a strong(big) dog)');
});

test('every word of any text is there, and marks change no text', () => {
  const words = (text: string): string => text.replace(/[\p{P}\p{S}\s\p{C}\d]/gu, '');
  const leaves = (nodes: readonly MarkdownNode[]): string =>
    nodes.map((node) => (node.kind === 'text' ? node.text : leaves(node.children))).join('');
  const line = fc.array(
    fc.constantFrom('word', '**bold**', '`code`', '<b>', '- item', '> q', '\n', '\n\n', '[l](u)', '| a |'),
  );
  fc.assert(
    fc.property(line, line, (one, two) => {
      const [text, other] = [one.join(' '), two.join(' ')];
      expect(words(leaves(markdownOf(text)))).toBe(words(text));
      expect(leaves(markdownOf(text, other))).toBe(leaves(markdownOf(text)));
    }),
  );
});

test('a text that is nested or long beyond reason is shown as it was written', () => {
  const deep = '> '.repeat(5000);
  const long = '**a** '.repeat(20_000);
  const leaves = (nodes: readonly MarkdownNode[]): string =>
    nodes.map((node) => (node.kind === 'text' ? node.text : leaves(node.children))).join('');
  expect(shown(markdownOf(long))).toBe(long);
  expect(leaves(markdownOf(`${deep}end`))).toContain('end');
});
