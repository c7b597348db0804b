/**
 * @file Markdown as a tree of plain elements, never as HTML: what a model wrote as a tag stays text, a link is its text with the
 * address beside it, and an image is not fetched. Pure, so that it is tested without a browser.
 */
import { lexer, type MarkedToken, type Token } from 'marked';
import { differences } from './difference.ts';

/** The elements that a text can become; none of them has an attribute, so nothing of a text ever stands in one. */
export type MarkdownTag =
  | 'p'
  | 'h4'
  | 'pre'
  | 'code'
  | 'blockquote'
  | 'ul'
  | 'ol'
  | 'li'
  | 'strong'
  | 'em'
  | 'del'
  | 'br'
  | 'hr'
  | 'table'
  | 'tbody'
  | 'tr'
  | 'th'
  | 'td';

export type MarkdownNode =
  /** `isOnlyHere`: the text that it is compared with lacks it. */
  { kind: 'text'; text: string; isOnlyHere: boolean } | { kind: 'element'; tag: MarkdownTag; children: MarkdownNode[] };

/** Longer texts stay as they are: a page must not hang on one. */
const LONGEST = 50_000;
/** Deeper nesting than any answer has is shown as it was written. */
const DEEPEST = 16;

/** The tree of a text; with `other`, the words that the other text's tree lacks are marked. */
export function markdownOf(text: string, other: string | null = null): MarkdownNode[] {
  const tree = treeOf(text);
  return other === null ? tree : marked(tree, textOf(treeOf(other)));
}

function treeOf(text: string): MarkdownNode[] {
  if (text.length > LONGEST) return [plain(text)];
  try {
    // A line's end stays one: poems, lists without marks and code without fences are common in answers.
    return blocks(lexer(text, { gfm: true, breaks: true }), 0);
  } catch {
    return [plain(text)]; // nested deeper than the stack is
  }
}

function blocks(tokens: readonly Token[], depth: number): MarkdownNode[] {
  return tokens.flatMap((token) => (depth > DEEPEST ? [plain(token.raw)] : nodesOf(token as MarkedToken, depth + 1)));
}

function nodesOf(token: MarkedToken, depth: number): MarkdownNode[] {
  switch (token.type) {
    case 'space':
      return [];
    case 'paragraph':
      return [element('p', blocks(token.tokens, depth))];
    case 'heading':
      return [element('h4', blocks(token.tokens, depth))];
    case 'code':
      return [element('pre', [element('code', [plain(token.text)])])];
    case 'blockquote':
      return [element('blockquote', blocks(token.tokens, depth))];
    case 'list':
      return [listOf(token, depth)];
    case 'list_item':
      return [element('li', blocks(token.tokens, depth))];
    case 'table':
      return [tableOf(token, depth)];
    case 'hr':
      return [element('hr', [])];
    case 'strong':
    case 'em':
    case 'del':
      return [element(token.type, blocks(token.tokens, depth))];
    case 'codespan':
      return [element('code', [plain(token.text)])];
    case 'br':
      return [element('br', [])];
    case 'link':
      return linkOf(token, depth);
    case 'image':
      return [plain(`[image: ${token.text}] (${token.href})`)];
    case 'text':
      return token.tokens === undefined ? [plain(token.text)] : blocks(token.tokens, depth);
    case 'escape':
      return [plain(token.text)];
    case 'checkbox':
      return [plain(token.checked ? '☑ ' : '☐ ')];
    case 'html':
    case 'def':
      return [plain(token.raw)];
  }
}

/** An ordered list that does not begin with 1 keeps its numbers as text: an element here has no attribute. */
function listOf(token: Extract<MarkedToken, { type: 'list' }>, depth: number): MarkdownNode {
  const start = token.ordered && typeof token.start === 'number' ? token.start : 1;
  const items = token.items.map((item, index) =>
    element('li', [...(start === 1 ? [] : [plain(`${start + index}. `)]), ...blocks(item.tokens, depth)]),
  );
  return element(token.ordered && start === 1 ? 'ol' : 'ul', items);
}

function tableOf(token: Extract<MarkedToken, { type: 'table' }>, depth: number): MarkdownNode {
  const row = (tag: 'th' | 'td', cells: readonly { tokens: Token[] }[]): MarkdownNode =>
    element(
      'tr',
      cells.map((cell) => element(tag, blocks(cell.tokens, depth))),
    );
  return element('table', [element('tbody', [row('th', token.header), ...token.rows.map((each) => row('td', each))])]);
}

/** The text, and where it would lead: nothing that a model wrote can be clicked. */
function linkOf(token: Extract<MarkedToken, { type: 'link' }>, depth: number): MarkdownNode[] {
  const shown = blocks(token.tokens, depth);
  return token.href === token.text ? shown : [...shown, plain(` (${token.href})`)];
}

/** Marks what `other` lacks, leaf by leaf. */
function marked(nodes: readonly MarkdownNode[], other: string): MarkdownNode[] {
  const pieces = differences(textOf(nodes), other);
  let [piece, used] = [0, 0];
  const cut = (text: string): MarkdownNode[] => {
    const parts: MarkdownNode[] = [];
    for (let left = text; left !== ''; ) {
      const now = pieces[piece];
      if (now === undefined) return [...parts, plain(left)];
      const taken = left.slice(0, now.text.length - used);
      if (taken !== '') parts.push({ kind: 'text', text: taken, isOnlyHere: now.isOnlyHere && taken.trim() !== '' });
      left = left.slice(taken.length);
      used += taken.length;
      if (used >= now.text.length) [piece, used] = [piece + 1, 0];
    }
    return parts;
  };
  const visit = (node: MarkdownNode): MarkdownNode[] => {
    if (node.kind === 'element') return [element(node.tag, node.children.flatMap(visit))];
    const parts = cut(node.text);
    cut(BETWEEN);
    return parts;
  };
  return nodes.flatMap(visit);
}

/** Stands between leaves where texts are compared, so that words of two cells are two words. */
const BETWEEN = '\n';

function textOf(nodes: readonly MarkdownNode[]): string {
  return nodes.map((node) => (node.kind === 'text' ? `${node.text}${BETWEEN}` : textOf(node.children))).join('');
}

function element(tag: MarkdownTag, children: MarkdownNode[]): MarkdownNode {
  return { kind: 'element', tag, children };
}

function plain(text: string): MarkdownNode {
  return { kind: 'text', text, isOnlyHere: false };
}
