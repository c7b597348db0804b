/**
 * @file One measurement of PairRM's encoder with random weights of its shape: triples of candidates in all six orders.
 * Prints one JSON line like peers/hf_pairrm.py. Usage: pairrm-run.ts TRIPLES TOKENS LAYERS DTYPE THREADS
 */
import { debertaShapes, openDeberta } from '../src/model/encoder/deberta.ts';
import { normaliseDebertaConfig } from '../src/model/encoder/deberta-config.ts';
import { type EncoderDtype, encodeRows } from '../src/model/encoder/encoder.ts';
import { normalAt, randomKey } from '../src/random.ts';
import { memoryStatistics } from '../src/torch/memory.ts';
import { setThreads } from '../src/torch/native.ts';
import { outlive, scope, type Tensor, tensorFrom, toBytes } from '../src/torch/tensor.ts';

const [triples = 8, tokens = 384, layers = 24] = process.argv.slice(2, 5).map(Number);
const dtype: EncoderDtype = process.argv[5] === 'bfloat16' ? 'bfloat16' : 'float32';
setThreads(Number(process.argv[6] ?? 2));

const config = normaliseDebertaConfig(
  {
    model_type: 'deberta-v2',
    vocab_size: 128_005,
    hidden_size: 1024,
    num_hidden_layers: layers,
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
const sequence = { ids: Array.from({ length: tokens }, (_, i) => 5 + ((i * 7919) % 128_000)) };
const third = Math.floor(tokens / 3);
/** The six orders of one triple, one stream, and the rows that PairRM's head reads. */
function rank(): void {
  const six = Array.from({ length: 6 }, () => sequence);
  scope(
    'triple',
    () =>
      void toBytes(
        encodeRows(
          encoder,
          six,
          six.map(() => [1, third, 2 * third]),
        ),
      ),
  );
}
rank();
const startedMs = performance.now();
for (let i = 0; i < triples; i++) rank();
const seconds = (performance.now() - startedMs) / 1000;
const { peakResidentBytes } = memoryStatistics();
process.stdout.write(
  `${JSON.stringify({ dtype, triples, tokens, seconds, triples_per_s: triples / seconds, peak_rss_mb: Math.round(peakResidentBytes / 2 ** 20) })}\n`,
);
