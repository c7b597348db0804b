/**
 * @file One measurement of PairRM's encoder with random weights of its shape: the triples of a file (pairrm-workload.ts).
 * Prints one JSON line like peers/hf_pairrm.py. Usage: pairrm-run.ts FILE LAYERS DTYPE THREADS
 */
import { readFileSync } from 'node:fs';
import { debertaShapes, openDeberta } from '../src/model/encoder/deberta.ts';
import { normaliseDebertaConfig } from '../src/model/encoder/deberta-config.ts';
import { encodeRows } from '../src/model/encoder/encoder.ts';
import type { EncoderDtype } from '../src/model/encoder/encoder-weights.ts';
import { normalAt, randomKey } from '../src/random.ts';
import { batchesOf } from '../src/rank/model/batches.ts';
import { memoryStatistics } from '../src/torch/memory.ts';
import { setThreads } from '../src/torch/native.ts';
import { outlive, scope, type Tensor, tensorFrom, toBytes } from '../src/torch/tensor.ts';
import type { Triple } from './pairrm-workload.ts';

const [file = '', layers = '24', type, threads = '2'] = process.argv.slice(2);
const triples = JSON.parse(readFileSync(file, 'utf8')) as Triple[];
const dtype: EncoderDtype = type === 'bfloat16' ? 'bfloat16' : 'float32';
setThreads(Number(threads));

const config = normaliseDebertaConfig(
  {
    model_type: 'deberta-v2',
    vocab_size: 128_005,
    hidden_size: 1024,
    num_hidden_layers: Number(layers),
    num_attention_heads: 16,
    intermediate_size: 4096,
    relative_attention: true,
    position_buckets: 256,
    share_att_key: true,
    pos_att_type: ['p2c', 'c2p'],
    norm_rel_ebd: 'layer_norm',
    position_biased_input: false,
  },
  'the benchmark',
);
// One stretch of random numbers serves every weight: values do not change the time.
const key = randomKey(0, 'bench');
const pool = Float32Array.from({ length: 2 ** 20 }, (_, i) => 0.02 * normalAt(key, i));
const weights = new Map<string, Tensor>();
for (const [name, shape] of debertaShapes(config)) {
  const size = shape.reduce((product, length) => product * length, 1);
  const values = new Float32Array(size);
  for (let at = 0; at < size; at += pool.length) values.set(pool.subarray(0, Math.min(pool.length, size - at)), at);
  weights.set(name, outlive(tensorFrom(values, shape, 'float32')));
}
const encoder = openDeberta(config, weights, { dtype });
/** Tokens computed at once: the ranker's own default. */
const BATCH_TOKENS = 8192;

/** A triple as the ranker computes it, and the rows that PairRM's head reads. */
function rank({ sequences }: Triple): void {
  for (const batch of batchesOf(sequences, BATCH_TOKENS, ({ ids }) => ids.length)) {
    const markers = batch.map((sequence) => sequence.markers);
    scope('triple', () => void toBytes(encodeRows(encoder, batch, markers)));
  }
}

const [shortest] = [...triples].sort((a, b) => tokensOf(a) - tokensOf(b));
if (shortest !== undefined) rank(shortest);
const startedMs = performance.now();
const before = process.cpuUsage();
triples.forEach(rank);
const seconds = (performance.now() - startedMs) / 1000;
const { user, system } = process.cpuUsage(before);
const { peakResidentBytes } = memoryStatistics();
process.stdout.write(
  `${JSON.stringify({
    dtype,
    triples: triples.length,
    seconds,
    cpu_seconds: (user + system) / 1e6,
    triples_per_s: triples.length / seconds,
    peak_rss_mb: Math.round(peakResidentBytes / 2 ** 20),
  })}\n`,
);

function tokensOf({ sequences }: Triple): number {
  return sequences.reduce((total, { ids }) => total + ids.length, 0);
}
