/**
 * @file One whole iteration of SELM against the same work by two programs: vLLM samples, a function ranks, TRL trains. Ours is the
 * wall time of `selm train`, from starting Node to the saved model, with what exploring measures; of the peers only what comes after
 * their models are loaded counts, and TRL trains without an optimism term and does not save.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { parseArgs } from 'node:util';
import { stringify } from 'yaml';
import { here, measureAs, python, type Result, spread } from './dpo.ts';
import { saveResult } from './results.ts';
import { vllmPython } from './sample.ts';
import { writeUltraFeedback } from './ultrafeedback.ts';

interface Settings {
  model: string;
  prompts: number;
  samples: number;
  tokens: number;
  batch: number;
  dtype: string;
  threads: number;
}

/** Seconds of one turn. */
interface Turn {
  selm: number;
  /** Of selm's, by stage. */
  stages: Record<string, number>;
  vllm: number;
  trl: number;
}

/** Wall time of one iteration of ours, and of its stages. */
function runOurs(
  folder: string,
  rows: string,
  settings: Settings,
): { seconds: number; stages: Record<string, number> } {
  const recipe = {
    name: 'bench',
    seed: 1,
    model: settings.model,
    output: join(folder, 'run'),
    threads: settings.threads,
    data: { train: rows },
    text: { maxLength: 1024, maxPromptLength: 512 },
    iterations: 1,
    sampling: { samples: settings.samples, temperature: 1, maxNewTokens: settings.tokens, dtype: settings.dtype },
    ranker: { kind: 'function', module: join(here, 'loop-reward.ts') },
    objective: { preference: { kind: 'dpo', beta: 0.1 }, exploration: { kind: 'selm', alpha: 0.001 } },
    training: { batchSize: settings.batch, learningRate: 5e-7, dtype: settings.dtype },
  };
  const path = join(folder, 'recipe.yaml');
  writeFileSync(path, stringify(recipe));
  const startedMs = performance.now();
  const { status, stdout, stderr } = spawnSync(join(here, '..', 'bin', 'selm'), ['train', path, '--json'], {
    encoding: 'utf8',
    maxBuffer: 2 ** 28,
  });
  const seconds = (performance.now() - startedMs) / 1000;
  if (status !== 0) throw new Error(`selm train ended with ${status}:\n${stderr}`);
  const stages: Record<string, number> = {};
  for (const line of stdout.trim().split('\n')) {
    const event = JSON.parse(line) as { kind?: string; stage?: string; seconds?: number };
    if (event.kind === 'stage-finished' && event.stage !== undefined)
      stages[event.stage] = (stages[event.stage] ?? 0) + (event.seconds ?? 0);
  }
  return { seconds, stages };
}

/** Seconds of both peers, their models loaded. */
function runPeers(folder: string, rows: string, settings: Settings): { vllm: number; trl: number } {
  const pairs = join(folder, 'pairs.jsonl');
  const { model, samples, tokens, dtype, threads, batch } = settings;
  const numbers = [samples, tokens, dtype, threads].map(String);
  const script = join(here, 'peers', 'vllm_pairs.py');
  const vllm = measureAs<{ seconds: number }>(vllmPython, [script, model, rows, pairs, ...numbers]).seconds;
  const steps = Math.floor(settings.prompts / batch);
  const options = [model, pairs, steps, batch, dtype, threads].map(String);
  const trained = measureAs<Result>(python, [join(here, 'peers', 'trl_dpo.py'), ...options, '--tuned']);
  return { vllm, trl: (steps * batch) / trained.pairs_per_s_all };
}

/** The command. Options: --model FOLDER, --prompts, --samples, --tokens, --batch, --dtype, --threads, --repeats, --save NAME. */
export function benchLoop(args: string[]): void {
  const { values } = parseArgs({
    args,
    options: {
      model: { type: 'string' },
      prompts: { type: 'string', default: '64' },
      samples: { type: 'string', default: '4' },
      tokens: { type: 'string', default: '128' },
      batch: { type: 'string', default: '8' },
      dtype: { type: 'string', default: 'bfloat16' },
      threads: { type: 'string', default: '2' },
      repeats: { type: 'string', default: '1' },
      save: { type: 'string' },
    },
  });
  if (values.model === undefined) throw new Error('bench loop needs --model, the folder of a chat model');
  const numbers = {
    prompts: Number(values.prompts),
    samples: Number(values.samples),
    tokens: Number(values.tokens),
    batch: Number(values.batch),
    threads: Number(values.threads),
  };
  const settings: Settings = { model: values.model, dtype: values.dtype, ...numbers };
  process.stdout.write(
    `${cpus().length} x ${cpus()[0]?.model}; ${basename(settings.model)}, ${settings.prompts} prompts, ${settings.samples} x up to ${settings.tokens} tokens each, one iteration, ${settings.dtype}\n`,
  );
  const turns = Array.from({ length: Number(values.repeats) }, (): Turn => {
    const folder = mkdtempSync(join(tmpdir(), 'selm-loop-'));
    try {
      const rows = join(folder, 'rows.jsonl');
      writeUltraFeedback(rows, settings.prompts);
      const { seconds: selm, stages } = runOurs(folder, rows, settings);
      return { selm, stages, ...runPeers(folder, rows, settings) };
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
  const ratios = turns.map(({ selm, vllm, trl }) => (vllm + trl) / selm);
  for (const { selm, stages, vllm, trl } of turns) {
    const parts = Object.entries(stages).map(([stage, seconds]) => `${stage} ${seconds.toFixed(1)}`);
    const share = (100 * (stages.explore ?? Number.NaN)) / (stages.train ?? Number.NaN);
    process.stdout.write(
      `  selm ${selm.toFixed(1)} s (${parts.join(', ')}); explore is ${share.toFixed(0)} % of training\n  vLLM ${vllm.toFixed(1)} s, TRL ${trl.toFixed(1)} s\n`,
    );
  }
  process.stdout.write(`  selm is ${spread(ratios)} times as fast\n`);
  if (values.save !== undefined)
    saveResult(`${values.save}-${values.dtype}`, { settings: { ...settings, model: basename(settings.model) }, turns });
}
