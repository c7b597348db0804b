/** @file The work of `selm rank`: rows in, one line of JSON for each out, in order. */
import { type CandidateRow, readCandidates } from '../data/candidates.ts';
import type { BadRowRule } from '../data/read.ts';
import { writeFileAtomic } from '../files/atomic.ts';
import { type AnswerFile, openAnswerFile } from '../rank/answer-file.ts';
import { bothOrders } from '../rank/doubt.ts';
import { openRanker, rankerModel } from '../rank/open.ts';
import type { RankItem, Ranking } from '../rank/ranker.ts';
import { type AnswerStore, memoryAnswers } from '../rank/services.ts';
import { loadRanker, loadRecipe } from '../recipe/load.ts';
import type { RankerSettings } from '../recipe/schema.ts';
import { coloursOf } from './colour.ts';
import { chosenDevice } from './device.ts';
import { UsageError } from './errors.ts';
import { formatRate } from './format.ts';
import { localRanker } from './hub.ts';

/** Options of the command. */
export interface RankOptions {
  ranker?: string;
  recipe?: string;
  set: string[];
  device?: string;
  output?: string;
  answers?: string;
  onBadRow?: BadRowRule;
  json?: true;
}

/** What was done, in numbers. */
export interface RankSummary {
  ranker: string;
  rows: number;
  /** Rows with nothing to rank, left out. */
  dropped: number;
  ties: number;
  problems: number;
  /** Comparisons that were asked in both orders, and those whose orders agree. */
  bothOrders: number;
  consistent: number;
  /** Of the ranker in its answers file, earlier commands included. */
  calls: number;
  promptTokens: number;
  completionTokens: number;
}

/** The setting that the part after `kind:` is. */
const KINDS = new Map([
  ['function', 'module'],
  ['command', 'command'],
  ['pairrm', 'model'],
  ['reward-model', 'model'],
  ['judge', 'model'],
]);

/** Rows that are named one by one when they are left out. */
const SHOWN_ROWS = 5;

/** Ranks a file; the rankings are on stdout or in the output file when it returns. Throws SelmError. */
export async function rankFile(
  file: string,
  options: RankOptions,
  { signal, say }: { signal: AbortSignal; say: (text: string) => void },
): Promise<{ text: string; summary: RankSummary }> {
  const asked = settingsOf(options);
  const device = await chosenDevice(asked.device, {
    ...('dtype' in asked.ranker ? { dtypes: [asked.ranker.dtype] } : {}),
    say,
  });
  const settings = await localRanker(asked.ranker);
  // Every row is read before the first is ranked: a bad one is found before anything is paid for.
  let dropped = 0;
  const rows = await readCandidates([file], {
    onBadRow: options.onBadRow ?? 'stop',
    dropped: ({ source, field, problem, detail }) => {
      dropped += 1;
      if (dropped <= SHOWN_ROWS)
        say(`left out ${source.file}:${source.line}:${field === '' ? '' : ` field "${field}":`} ${problem}: ${detail}`);
    },
  });
  if (dropped > SHOWN_ROWS) say(`left out ${dropped} rows in all`);
  const kept: AnswerFile | null = options.answers === undefined ? null : openAnswerFile(options.answers);
  const answers: AnswerStore = kept ?? memoryAnswers();
  if (settings.kind === 'judge' && kept === null)
    say('The answers of the judge are not kept: --answers FILE keeps them');
  try {
    const ranker = await openRanker(settings, {
      answers: () => answers,
      signal,
      device,
      warn: (text) => say(`${coloursOf(process.stderr).warning('warning:')} ${text}`),
    });
    const lines: string[] = [];
    const summary = { ranker: ranker.id, rows: 0, dropped, ties: 0, problems: 0, bothOrders: 0, consistent: 0 };
    const progress = openCount(rows.length);
    try {
      for await (const ranking of ranker.rank(stream(rows))) {
        signal.throwIfAborted();
        const line = lineOf(ranking, rows[summary.rows]);
        count(summary, ranking);
        if (options.output === undefined) process.stdout.write(line);
        else lines.push(line);
        progress.show(summary.rows);
      }
    } finally {
      progress.close();
      await ranker.close();
    }
    if (options.output !== undefined) writeFileAtomic(options.output, lines.join(''));
    const whole = { ...summary, ...answers.spent(ranker.id) };
    return { text: describe(whole), summary: whole };
  } finally {
    kept?.close();
  }
}

/** The ranker, and where it computes. What asks a program or a server computes nothing here, whatever the recipe's device. */
function settingsOf(options: RankOptions): { ranker: RankerSettings; device: string } {
  const { ranker, device } = readSettings(options);
  if (rankerModel(ranker) !== null) return { ranker, device: options.device ?? device };
  if (options.device === undefined) return { ranker, device: 'cpu' };
  throw new UsageError(
    `Cannot rank on ${options.device}: a ${ranker.kind} does not compute here: leave --device to pairrm and reward-model`,
  );
}

function readSettings({ ranker, recipe, set }: RankOptions): { ranker: RankerSettings; device: string } {
  if ((ranker === undefined) === (recipe === undefined))
    throw new UsageError('Cannot rank: give the ranker either by --ranker KIND:WHAT or by --recipe FILE');
  if (recipe !== undefined) return loadRecipe(recipe, { overrides: set });
  const [, kind = ranker ?? '', what = ''] = /^([^:]*):(.+)$/.exec(ranker ?? '') ?? [];
  const key = KINDS.get(kind);
  if (key === undefined || what === '') {
    const forms = "function:reward.ts, 'command:python3 reward.py', pairrm:DIR, reward-model:DIR, judge:MODEL";
    throw new UsageError(`Cannot use --ranker ${JSON.stringify(ranker)}: allowed are ${forms}`);
  }
  // A command is given as a shell would be given it, without quotes: arguments with spaces stand in a recipe.
  const value = kind === 'command' ? what.trim().split(/\s+/) : what;
  return { ranker: loadRanker({ kind, [key]: value }, { overrides: set }), device: 'cpu' };
}

async function* stream(rows: readonly CandidateRow[]): AsyncGenerator<RankItem> {
  for (const { promptId, prompt, chosen, rejected, responses, source } of rows) {
    const candidates: RankItem['candidates'] = responses.map((text, sampleIndex) => ({
      kind: 'response',
      sampleIndex,
      text,
    }));
    if (chosen !== null) candidates.push({ kind: 'chosen', sampleIndex: null, text: chosen });
    if (rejected !== null) candidates.push({ kind: 'rejected', sampleIndex: null, text: rejected });
    yield { promptId, prompt, candidates, source };
  }
}

function lineOf({ promptId, scores, order, ties, problem, cut }: Ranking, row: CandidateRow | undefined): string {
  const line = row?.source.line ?? null;
  return `${JSON.stringify({ promptId, line, scores, order, ties, problem, cut })}\n`;
}

function count(summary: Omit<RankSummary, 'calls' | 'promptTokens' | 'completionTokens'>, ranking: Ranking): void {
  const both = bothOrders(ranking.judgements ?? []);
  summary.rows += 1;
  summary.ties += ranking.ties.length > 0 ? 1 : 0;
  summary.problems += ranking.problem === undefined ? 0 : 1;
  summary.bothOrders += both.length;
  summary.consistent += both.filter(({ consistent }) => consistent).length;
}

function describe(summary: RankSummary): string {
  const { ranker, rows, dropped, ties, problems, calls, promptTokens, completionTokens } = summary;
  const lines = [
    `${rows} rows ranked by ${ranker}, ${ties} with ties, ${problems} without a verdict${dropped === 0 ? '' : `, ${dropped} left out`}`,
  ];
  if (summary.bothOrders > 0) {
    const share = ((100 * summary.consistent) / summary.bothOrders).toFixed(1);
    lines.push(`Orders agree on ${share} % of ${summary.bothOrders} comparisons`);
  }
  if (calls > 0) lines.push(`${calls} requests, ${promptTokens} prompt tokens, ${completionTokens} completion tokens`);
  return lines.join('\n');
}

/** Least time between two drawings. */
const DRAW_MS = 100;

/** On a terminal a line that counts; nothing elsewhere. */
function openCount(total: number): { show(done: number): void; close(): void } {
  const startedMs = performance.now();
  let drawnMs = 0;
  const isTerminal = process.stderr.isTTY === true;
  return {
    show(done) {
      const now = performance.now();
      if (!isTerminal || now - drawnMs < DRAW_MS) return;
      drawnMs = now;
      process.stderr.write(`\r\x1b[2K${done}/${total} rows, ${formatRate((1000 * done) / (now - startedMs))}`);
    },
    close() {
      if (drawnMs > 0) process.stderr.write('\r\x1b[2K');
    },
  };
}
