/** @file Prompts of stored pairs: from the ledger, or for a run of an older version from its data file. */
import { existsSync } from 'node:fs';
import { readRows } from '../data/read.ts';
import type { Ledger } from '../store/ledger.ts';
import type { StoredPair } from '../store/ledger-rows.ts';
import type { Prompt } from '../text/rendering.ts';
import { shownPrompt } from '../text/shown.ts';

/** The prompts of pairs, by pair id. A pair is left out when neither the ledger nor its data file has its prompt any more. */
export async function findPrompts(ledger: Ledger, pairs: readonly StoredPair[]): Promise<Map<string, Prompt>> {
  const found = new Map<string, Prompt>();
  for (const { pairId, promptId } of pairs) {
    const row = ledger.row(promptId);
    if (row !== null) found.set(pairId, row.prompt);
  }
  const missing = pairs.filter(({ pairId }) => !found.has(pairId));
  return new Map([...found, ...(await promptsOfFiles(missing))]);
}

/** Each file is read once, and no further than needed. */
async function promptsOfFiles(pairs: readonly StoredPair[]): Promise<Map<string, Prompt>> {
  const found = new Map<string, Prompt>();
  const files = new Set(pairs.flatMap(({ source }) => (source === null ? [] : [source.file])));
  for (const file of files) {
    if (!existsSync(file)) continue;
    const wanted = pairs.filter(({ source }) => source?.file === file);
    const byPrompt = new Map(wanted.map(({ promptId }) => [promptId, [] as string[]]));
    for (const { promptId, pairId } of wanted) byPrompt.get(promptId)?.push(pairId);
    const last = wanted.reduce((most, { source }) => Math.max(most, source?.line ?? 0), 0);
    for await (const parsed of readRows([file])) {
      if (parsed.kind === 'problem') continue;
      const { row } = parsed;
      for (const pairId of byPrompt.get(row.promptId) ?? []) found.set(pairId, row.prompt);
      if (row.source.line >= last) break;
    }
  }
  return found;
}

/** A prompt for a person, or that it is not there any more. */
export function promptAsText(prompt: Prompt | null | undefined): string {
  if (prompt === null || prompt === undefined) return '(not found: the data file moved or changed since)';
  return shownPrompt(prompt);
}
