/**
 * @file A real vLLM samples for runs of two iterations, with all weights and with adapters, and is a judge. Needs vLLM as
 * test/support/vllm-server.ts finds it; the judge is the instruct model in ~/.cache/selm/smollm2-135m-instruct. Run: `npm run test:vllm`.
 */
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { rank } from '../../src/api/rank.ts';
import { runRecipe } from '../../src/loop/run.ts';
import type { Ranking } from '../../src/rank/ranker.ts';
import type { LoopEvent } from '../../src/store/events.ts';
import { openLedger } from '../../src/store/ledger.ts';
import { writeServedModel } from '../support/served-model.ts';
import { servedRecipe } from '../support/served-run.ts';
import { startVllm, type VllmServer } from '../support/vllm-server.ts';

const root = mkdtempSync(join(tmpdir(), 'selm-vllm-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

async function gapsOf(place: string, url: string, changes: Record<string, unknown> = {}): Promise<number[]> {
  const events: LoopEvent[] = [];
  const recipe = servedRecipe(place, { kind: 'vllm', url, model: 'policy' }, changes);
  await runRecipe(recipe, { watch: (event) => void events.push(event) });
  return events.flatMap((event) => (event.kind === 'metrics' ? [event.values['sampler/logp_gap'] ?? Number.NaN] : []));
}

describe('as the sampler', () => {
  let vllm: VllmServer;
  beforeAll(async () => {
    writeServedModel(join(root, 'served'));
    vllm = await startVllm(join(root, 'served'), ['--enable-lora', '--max-lora-rank', '8', '--max-loras', '1']);
  });
  afterAll(() => vllm.close());

  it('serves the model of each of two iterations: log-probabilities are our own to 1e-4 nats a token', async () => {
    const place = join(root, 'whole');
    const gaps = await gapsOf(place, vllm.url);
    expect(gaps).toHaveLength(2);
    expect(Math.max(...gaps)).toBeLessThan(1e-4);
    using ledger = openLedger(join(place, 'run', 'run.db'), { access: 'read' });
    expect(ledger.responses(2)).toHaveLength(6);
  });

  it('serves the adapter of each iteration under a name of its own', async () => {
    const adapter = { kind: 'lora', rank: 4, alpha: 8 };
    const training = { batchSize: 3, learningRate: 0.005, microBatchTokens: 64, adapter };
    // Two prompts an iteration: of two short answers to each all may tie.
    const sampling = { samples: 6, temperature: 1, maxNewTokens: 8, batchSize: 6 };
    const gaps = await gapsOf(join(root, 'lora'), vllm.url, {
      training,
      sampling,
      iterations: 3,
      slices: { count: 3 },
    });
    expect(gaps).toHaveLength(3);
    expect(Math.max(...gaps)).toBeLessThan(1e-4);
    const models = (await (await fetch(`${vllm.url}/v1/models`)).json()) as { data: { id: string }[] };
    // The adapter of the second iteration has taken the place of the first's.
    expect(models.data.filter(({ id }) => id.startsWith('selm-served-'))).toHaveLength(1);
  });
});

const instruct = join(homedir(), '.cache', 'selm', 'smollm2-135m-instruct');

describe.skipIf(!existsSync(instruct))('as a judge', () => {
  let vllm: VllmServer;
  beforeAll(async () => {
    vllm = await startVllm(instruct, ['--dtype', 'bfloat16', '--max-model-len', '2048']);
  });
  afterAll(() => vllm.close());

  it('says which of two answers it prefers, by the log-probabilities of its first token', async () => {
    const rows = [
      { prompt: 'What is the capital of France?', responses: ['Paris.', 'I do not know, leave me alone.'] },
    ];
    const ranker = { kind: 'judge', model: 'policy', baseUrl: `${vllm.url}/v1` } as const;
    const rankings: Ranking[] = [];
    for await (const ranking of rank(rows, { ranker })) rankings.push(ranking);
    console.log(JSON.stringify(rankings));
    expect(rankings).toHaveLength(1);
  });

  it('samples in bfloat16 for one iteration, within the tolerance', async () => {
    const sampling = { samples: 2, temperature: 1, maxNewTokens: 16 };
    const changes = { model: instruct, iterations: 1, sampling, slices: { count: 2 } };
    const gaps = await gapsOf(join(root, 'bf16'), vllm.url, changes);
    console.log(gaps);
    expect(Math.max(...gaps)).toBeLessThan(0.1);
  });
});
