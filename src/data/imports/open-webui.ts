/**
 * @file Chats as Open WebUI exports them (Settings, Export chats): a tree of messages, of which a path is shown. Its feedback
 * becomes rows:
 *
 *   regenerations   several answers to one message: the one on the shown path, or with the better thumb, over each other one
 *   thumbs          an answer with a rating: a label
 *   edits           an answer that a person rewrote: the rewritten over the original
 */
import { type ImportedMessage, type ImportedRow, type ImportForm, NoRow, objectOf } from './row.ts';

/** A message of the tree. */
interface Node {
  id: string;
  parentId: string | null;
  role: string;
  content: string;
  /** Before a person rewrote it. */
  original: string | null;
  /** 1, -1, or 0 where nobody said. */
  thumb: number;
  isShown: boolean;
}

export const openWebui: ImportForm = {
  name: 'open-webui',
  about: 'chats of Open WebUI: regenerations and edits become pairs, thumbs become labels',
  rowsOf(record) {
    const chat = objectOf(record.chat ?? record, 'chat');
    const nodes = treeOf(objectOf(chat.history, 'chat.history'));
    const rows: (ImportedRow | NoRow)[] = [];
    const byParent = new Map<string, Node[]>();
    for (const node of nodes.values()) {
      if (node.role !== 'assistant' || node.content.trim() === '') continue;
      const prompt = promptOf(node, nodes);
      if (prompt instanceof NoRow) {
        rows.push(prompt);
        continue;
      }
      if (node.thumb !== 0) rows.push({ kind: 'label', prompt, completion: node.content, label: node.thumb > 0 });
      if (node.original !== null) rows.push({ kind: 'pair', prompt, chosen: node.content, rejected: node.original });
      byParent.set(node.parentId ?? '', [...(byParent.get(node.parentId ?? '') ?? []), node]);
    }
    for (const siblings of byParent.values()) rows.push(...pairsOf(siblings, nodes));
    return rows;
  },
};

/** Each answer over those that are worse: by their thumbs, and where those are alike the one that is shown. */
function pairsOf(siblings: readonly Node[], nodes: ReadonlyMap<string, Node>): ImportedRow[] {
  const isBetter = (a: Node, b: Node): boolean =>
    a.thumb !== b.thumb ? a.thumb > b.thumb : a.thumb >= 0 && a.isShown && !b.isShown;
  return siblings.flatMap((chosen) =>
    siblings
      .filter((rejected) => isBetter(chosen, rejected) && chosen.content !== rejected.content)
      .flatMap((rejected) => {
        const prompt = promptOf(chosen, nodes);
        if (prompt instanceof NoRow) return [];
        return [{ kind: 'pair' as const, prompt, chosen: chosen.content, rejected: rejected.content }];
      }),
  );
}

function treeOf(history: Record<string, unknown>): Map<string, Node> {
  const messages = objectOf(history.messages, 'chat.history.messages');
  const nodes = new Map(
    Object.entries(messages).flatMap(([id, value]): [string, Node][] => {
      if (typeof value !== 'object' || value === null) return [];
      const { parentId, role, content, originalContent, annotation } = value as Record<string, unknown>;
      if (typeof role !== 'string' || typeof content !== 'string') return [];
      const { rating } =
        typeof annotation === 'object' && annotation !== null ? (annotation as { rating?: unknown }) : {};
      const thumb = typeof rating === 'number' || typeof rating === 'string' ? Math.sign(Number(rating)) || 0 : 0;
      const original =
        typeof originalContent === 'string' && originalContent !== content && originalContent.trim() !== ''
          ? originalContent
          : null;
      const parent = typeof parentId === 'string' ? parentId : null;
      return [[id, { id, parentId: parent, role, content, original, thumb, isShown: false }]];
    }),
  );
  // The path that the user left the chat at, which ends with the current message.
  let at = typeof history.currentId === 'string' ? nodes.get(history.currentId) : undefined;
  for (let steps = nodes.size; at !== undefined && steps > 0; steps--) {
    at.isShown = true;
    at = at.parentId === null ? undefined : nodes.get(at.parentId);
  }
  return nodes;
}

/** The messages before one, from the first of the chat; not those of a chat whose tree has holes or a circle. */
function promptOf(node: Node, nodes: ReadonlyMap<string, Node>): ImportedMessage[] | NoRow {
  const before: ImportedMessage[] = [];
  for (let parentId = node.parentId; parentId !== null; ) {
    const parent = nodes.get(parentId);
    if (parent === undefined)
      return new NoRow('a message is missing', `message ${node.id} follows ${parentId}, which is not in the export`);
    if (before.length > nodes.size) return new NoRow('a message is missing', `message ${node.id} follows itself`);
    before.unshift({ role: parent.role, content: parent.content });
    parentId = parent.parentId;
  }
  return before.some(({ role }) => role === 'user')
    ? before
    : new NoRow('no prompt', `message ${node.id} answers no message of the user`);
}
