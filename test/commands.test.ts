/** @file The commands as a user runs them: bin/selm in a process of its own, on a run of seconds. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { sha256 } from '../src/files/hash.ts';
import { packageRoot } from '../src/files/package-root.ts';
import { writeSmallRecipe } from './support/small-recipe.ts';

const launcher = join(packageRoot, 'bin', 'selm');
const model = join(packageRoot, 'assets', 'stories260K');

let folder = '';
let recipe = '';
let finished = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'selm-commands-'));
  recipe = writeSmallRecipe(folder);
  finished = join(folder, 'finished');
  const { status, stderr } = selm('train', recipe, '--set', `output=${finished}`);
  if (status !== 0) throw new Error(stderr);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function selm(...args: string[]): { status: number | null; stdout: string; stderr: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, [launcher, ...args], {
    encoding: 'utf8',
    cwd: folder,
  });
  return { status, stdout, stderr };
}

function jsonLines(text: string): Record<string, unknown>[] {
  return text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

function weights(output: string): string {
  return sha256(readFileSync(join(output, 'iteration-2', 'model', 'model.safetensors')));
}

describe('selm train --dry-run', () => {
  it('plans a published recipe whose model and data are not here, and writes nothing', () => {
    const { status, stdout } = selm('train', '--dry-run', join(packageRoot, 'recipes', 'zephyr-7b.yaml'));
    expect(status).toBe(0);
    expect(stdout).toMatch(/warm start +\[0:15283\] +0 +15,283 +59 +6 +5e-7/);
    expect(stdout).toContain('29 3.014947e-7, 58 4.390671e-10');
    expect(stdout).toMatch(/training \d+\.\d GiB: weights in bfloat16 13\.5 GiB/);
    expect(existsSync(join(folder, 'runs'))).toBe(false);
  });

  it('asks for the rows that it cannot know', () => {
    const path = writeSmallRecipe(join(folder, 'elsewhere'), { data: { train: '/nowhere/rows.jsonl' } });
    const asked = selm('train', '--dry-run', path);
    expect([asked.status, asked.stderr]).toEqual([2, expect.stringContaining('say how many it has with --rows')]);
    const plan = JSON.parse(selm('train', '--dry-run', path, '--rows', '100', '--json').stdout) as {
      iterations: unknown[];
    };
    expect(plan.iterations).toHaveLength(2);
  });
});

describe('selm metrics', () => {
  it('--json prints a line a step with TRL names, timings and memory; the first loss is ln 2', () => {
    const rows = jsonLines(selm('metrics', finished, '--json').stdout);
    // 24 prompts in two slices of 12, less those that gave no pair, 3 pairs a step.
    expect(rows.length).toBeGreaterThanOrEqual(6);
    const [first] = rows;
    expect(first).toMatchObject({ iteration: 1, stage: 'train', step: 0, lr: 0 });
    expect(Math.abs(Number(first?.loss) - Math.LN2)).toBeLessThan(1e-6);
    const names = ['rewards/chosen', 'rewards/margins', 'rewards/accuracies', 'logps/chosen', 'logps/rejected'];
    for (const name of [...names, 'grad_norm', 'seconds', 'tokens_per_second', 'peak_resident_bytes'])
      expect(first?.[name], name).toBeTypeOf('number');
  });

  it('prints a table for a person', () => {
    const { stdout } = selm('metrics', finished);
    expect(stdout.split('\n')[0]).toMatch(/^iteration\s+step\s+loss\s+lr/);
  });

  it('of what is no run is refused, with exit code 2', () => {
    const { status, stderr } = selm('metrics', join(folder, 'nothing'));
    expect(status).toBe(2);
    expect(stderr).toMatch(/nothing/);
  });
});

describe('selm pairs', () => {
  it('lists pairs, and shows by the start of an id the candidates, scores, sampler and ranker of one', () => {
    const [pair] = jsonLines(selm('pairs', finished, '--json').stdout);
    const [row] = jsonLines(selm('pairs', finished, '--trl').stdout);
    expect(row).toMatchObject({ prompt: expect.any(String), chosen: pair?.chosen, rejected: pair?.rejected });
    const id = String(pair?.pairId);
    const [lineage] = jsonLines(selm('pairs', finished, '--id', id.slice(0, 8), '--json').stdout);
    expect(lineage).toMatchObject({ pair: { pairId: id }, responses: [{ seed: 3 }, { seed: 3 }] });
    const page = selm('pairs', finished, '--id', id).stdout;
    expect(page).toMatch(/became CHOSEN/);
    expect(page).toMatch(/weights sha256 [0-9a-f]{64}/);
    expect(page).toMatch(/function:reward\.ts:reward:sha256=/);
  });

  it('says which ids there are when one is unknown', () => {
    const { status, stderr } = selm('pairs', finished, '--id', 'zzzz');
    expect(status).toBe(2);
    expect(stderr).toMatch(/the run has none with that id \(there are [0-9a-f]{16}/);
  });
});

describe('selm generate', () => {
  it('answers greedily as llama2.c does', () => {
    const { stdout } = selm('generate', model, '--text', '--prompt', 'Once upon a time', '--temperature', '0');
    expect(stdout).toMatch(/^, there was a little girl named Lily/);
  });

  it('gives the same answers for the same seed, and prints ids and log-probabilities with --json', () => {
    const args = ['generate', model, '--text', '--prompt', 'Tom', '--samples', '2', '--seed', '5', '--json'];
    const [first, again] = [selm(...args).stdout, selm(...args).stdout];
    expect(again).toBe(first);
    const [a, b] = jsonLines(first);
    expect(a?.text).not.toBe(b?.text);
    expect(Number(a?.logProb)).toBeLessThan(0);
  });

  it('goes on with a model of a run', () => {
    const trained = join(finished, 'iteration-2', 'model');
    expect(selm('generate', trained, '--text', '--prompt', 'Tom', '--temperature', '0').status).toBe(0);
  });
});

describe('selm init', () => {
  it('writes a recipe from flags that trains as it is, and never writes over one', () => {
    const rows = Array.from({ length: 12 }, (_, i) => `${JSON.stringify({ prompt: `Tom saw ${i} dogs.` })}\n`);
    writeFileSync(join(folder, 'own.jsonl'), rows.join(''));
    const args = ['init', 'own.yaml', '--model', model, '--data', 'own.jsonl', '--iterations', '1', '--yes'];
    expect(selm(...args)).toMatchObject({ status: 0, stdout: expect.stringContaining('train own.yaml') });
    expect(existsSync(join(folder, 'reward.ts'))).toBe(true);
    const short = ['--set', 'sampling.maxNewTokens=8', '--set', 'evaluate.maxNewTokens=8'];
    const trained = selm('train', 'own.yaml', ...short);
    expect(trained.stderr).not.toMatch(/error/);
    expect(trained.status).toBe(0);
    expect(selm(...args)).toMatchObject({ status: 2, stderr: expect.stringContaining('it already exists') });
  });
});

describe('selm doctor', () => {
  it('finds nothing wrong where the tests run', () => {
    const { status, stdout } = selm('doctor');
    expect(stdout).toMatch(/LibTorch/);
    expect(status).toBe(0);
  });
});

describe('selm', () => {
  it('names the nearest command, with exit code 2', () => {
    const { status, stderr } = selm('trian');
    expect(status).toBe(2);
    expect(stderr).toMatch(/Did you mean train/);
  });
});

interface Ended {
  status: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
}

/** Runs the recipe with --json and calls `react` with every event and the process. */
/** Trains with --json; `react` sees every event as it comes. */
function trainWatched(
  recipePath: string,
  settings: readonly string[],
  react: (event: Record<string, unknown>, child: ChildProcess) => void,
): Promise<Ended> {
  return new Promise((resolve) => {
    const args = [launcher, 'train', recipePath, ...settings.flatMap((each) => ['--set', each]), '--json'];
    const child = spawn(process.execPath, args, { cwd: folder });
    let [stdout, stderr, rest] = ['', '', ''];
    child.stdout.on('data', (data: Buffer) => {
      stdout += data.toString();
      const lines = (rest + data.toString()).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) react(JSON.parse(line) as Record<string, unknown>, child);
    });
    child.stderr.on('data', (data: Buffer) => {
      stderr += data.toString();
    });
    child.on('close', (status, signal) => resolve({ status, signal, stdout, stderr }));
  });
}

/** Calls `body` for the first event of that kind and stage. */
function once(
  kind: string,
  stage: string | null,
  body: (child: ChildProcess) => void,
): (event: Record<string, unknown>, child: ChildProcess) => void {
  let isDone = false;
  return (event, child) => {
    if (isDone || event.kind !== kind || (stage !== null && event.stage !== stage)) return;
    isDone = true;
    body(child);
  };
}

describe('a signal', () => {
  it('between two steps saves, and prints the command that goes on to the same bytes', async () => {
    const output = join(folder, 'stopped');
    const { status, stdout, stderr } = await trainWatched(
      recipe,
      [`output=${output}`],
      once('metrics', null, (child) => child.kill('SIGINT')),
    );
    expect(stderr).toMatch(/SIGINT: stopping after this micro-batch/);
    expect(status).toBe(130);
    const last = jsonLines(stdout).at(-1);
    expect(last).toMatchObject({ kind: 'run-stopped', resume: expect.stringMatching(/train .*recipe\.yaml/) });
    expect(existsSync(join(output, 'iteration-2', 'model'))).toBe(false);
    expect(selm('train', recipe, '--set', `output=${output}`).status).toBe(0);
    expect(weights(output)).toBe(weights(finished));
  });

  it('inside a step stops it between two micro-batches, and the run goes on to the same bytes', async () => {
    // Every pair is a micro-batch of its own, and all pairs are one step; two epochs, so that rates are not all zero.
    const slow = ['training.batchSize=64', 'training.microBatchTokens=1', 'training.epochs=2', 'iterations=1'];
    const [output, whole] = [join(folder, 'stopped-inside'), join(folder, 'not-stopped')];
    const { status, stdout } = await trainWatched(
      recipe,
      [`output=${output}`, ...slow],
      once('stage-started', 'train', (child) => child.kill('SIGINT')),
    );
    expect(status).toBe(130);
    expect(jsonLines(stdout).at(-1)).toMatchObject({ reason: expect.stringContaining('inside step 1 of 2') });
    const go = (to: string) => selm('train', recipe, ...[`output=${to}`, ...slow].flatMap((each) => ['--set', each]));
    expect([go(output).status, go(whole).status]).toEqual([0, 0]);
    const bytes = (run: string): string => sha256(readFileSync(join(run, 'iteration-1', 'model', 'model.safetensors')));
    expect(bytes(output)).toBe(bytes(whole));
  });

  it('is answered at once while native code computes, and a second one ends the process there', async () => {
    const native = `
      import { listenForStop } from '${join(packageRoot, 'src', 'cli', 'signals.ts')}';
      import { answerSignals } from '${join(packageRoot, 'src', 'torch', 'signals.ts')}';
      import { ones, mm } from '${join(packageRoot, 'src', 'torch', 'ops.ts')}';
      import { setThreads } from '${join(packageRoot, 'src', 'torch', 'native.ts')}';
      setThreads(1);
      listenForStop(() => console.log('heard by the event loop'));
      if (!answerSignals('', 'stopping')) throw new Error('nobody listens');
      const matrix = ones([2000, 2000], { dtype: 'float64' });
      process.stdout.write('busy\\n');
      for (;;) mm(matrix, matrix).dispose(); // the event loop never turns
    `;
    const script = join(folder, 'busy.ts');
    writeFileSync(script, native);
    const args = ['--import', 'tsx', script];
    const child = spawn(process.execPath, args, { cwd: packageRoot });
    let [stdout, stderr] = ['', ''];
    child.stdout.on('data', (data: Buffer) => {
      if (stdout === '') child.kill('SIGINT');
      stdout += data.toString();
    });
    const answered = new Promise<void>((resolve) => {
      child.stderr.on('data', (data: Buffer) => {
        if (stderr === '') resolve();
        stderr += data.toString();
      });
    });
    await answered;
    child.kill('SIGINT');
    const signal = await new Promise((resolve) => child.on('close', (_, name) => resolve(name)));
    expect([signal, stderr, stdout]).toEqual(['SIGINT', 'SIGINT: stopping\n', 'busy\n']);
  });

  it('that comes twice ends the process at once, and the run goes on all the same', async () => {
    const output = join(folder, 'stopped-twice');
    const { signal } = await trainWatched(
      recipe,
      [`output=${output}`],
      once('stage-progress', null, (child) => {
        child.kill('SIGINT');
        // The second must come after the first was taken: the first one's line on stderr says so.
        child.stderr?.once('data', () => child.kill('SIGINT'));
      }),
    );
    expect(signal).toBe('SIGINT');
    expect(selm('train', recipe, '--set', `output=${output}`).status).toBe(0);
    expect(weights(output)).toBe(weights(finished));
  });

  it('ends the wait for a reward that does not come', async () => {
    const waiting = writeSmallRecipe(join(folder, 'waiting'), { iterations: 1 });
    const module = join(folder, 'waiting', 'reward.ts');
    writeFileSync(
      module,
      'export const reward = (): Promise<number[]> => new Promise(() => setInterval(() => {}, 1000));\n',
    );
    const startedMs = performance.now();
    const { status, stdout } = await trainWatched(
      waiting,
      [],
      once('stage-started', 'rank', (child) => setTimeout(() => child.kill('SIGTERM'), 300)),
    );
    expect(status).toBe(143);
    expect(jsonLines(stdout).at(-1)).toMatchObject({ kind: 'run-stopped', reason: expect.stringContaining('SIGTERM') });
    // Its time-out is 60 s.
    expect(performance.now() - startedMs).toBeLessThan(40_000);
  });
});

describe('selm data', () => {
  const fixture = join(packageRoot, 'test', 'fixtures', 'data', 'train_prefs-zstd.parquet');

  it('audits a file with the tokenizer of a model, as text and as JSON', () => {
    const { status, stdout } = selm('data', 'audit', fixture, '--model', model);
    expect(status).toBe(0);
    expect(stdout).toContain('Rows: 7 read, 7 used (0 prompts alone, 1 with several messages');
    const json = selm('data', 'audit', fixture, '--model', model, '--max-prompt-length', '5', '--json');
    expect(JSON.parse(json.stdout)).toMatchObject({ read: 7, used: 7, truncatedPrompts: 7, dropped: {} });
  });

  it('converts a file, tells what became of its rows, and does not write over it', () => {
    const convert = () => selm('data', 'convert', fixture, 'out.jsonl.gz', '--form', 'text', '--on-bad-row', 'drop');
    expect(convert()).toMatchObject({
      status: 0,
      stdout:
        '7 rows read, 6 written to out.jsonl.gz, left out: 1 its prompt is a conversation, which the form text cannot hold\n',
    });
    expect(convert()).toMatchObject({
      status: 2,
      stderr: expect.stringContaining('out.jsonl.gz": it already exists'),
    });
    const again = selm('data', 'audit', 'out.jsonl.gz', '--model', model);
    expect(again.stdout).toContain('Rows: 6 read, 6 used');
  });

  it('says which file and what, with exit code 2', () => {
    writeFileSync(join(folder, 'rows.parquet'), '{"prompt":"a"}\n');
    const { status, stderr } = selm('data', 'audit', 'rows.parquet', '--model', model);
    expect(status).toBe(2);
    expect(stderr).toContain('Cannot read rows.parquet: its name says Parquet, but it begins with "{');
  });
});
