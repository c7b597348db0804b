/** @file A tied model whose files hold a head of its own: the files decide, as in transformers. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import {
  changedModel,
  ONCE_UPON_A_TIME,
  readTensors,
  type StoredTensor,
  tensorOf,
} from '../../test/support/changed-model.ts';
import { greedy } from '../../test/support/greedy.ts';
import { llamaCppModel } from '../export/architecture.ts';
import { ggufTensors } from '../export/export.ts';
import { temporaryFolder } from '../files/temporary.testing.ts';
import { loadModel } from './load.ts';
import { writeModelFiles } from './save.ts';
import { EMBEDDING, HEAD } from './weights.ts';

const TIED = [432, 383, 286, 261, 376, 298, 315, 421, 395, 317, 426, 338];
/** transformers 5.23 on a head whose row i is the embedding's row i - 1. */
const OWN_HEAD = [433, 408, 262, 288, 428, 420, 423, 420, 426, 292, 412, 287];

/** The embedding moved down by one row: its last row comes first. */
function movedByOneRow({ dtype, shape, bytes }: StoredTensor): StoredTensor {
  const rowBytes = bytes.length / (shape[0] ?? 1);
  return { dtype, shape, bytes: Buffer.concat([bytes.subarray(-rowBytes), bytes.subarray(0, -rowBytes)]) };
}

function withHead(head: (embedding: StoredTensor) => StoredTensor): string {
  return changedModel(temporaryFolder(), {
    tensors: (tensors) => void tensors.set(HEAD, head(tensorOf(tensors, EMBEDDING))),
  });
}

function saved(directory: string): string {
  const folder = temporaryFolder();
  const { config, weights, dispose } = loadModel(directory);
  writeModelFiles(folder, { base: directory, raw: config.raw, weights, dtype: 'float32' });
  dispose();
  return folder;
}

test('a head that differs from the embedding is used, though config.json calls it tied', async () => {
  const directory = withHead(movedByOneRow);
  expect((await greedy(directory, ONCE_UPON_A_TIME, 12)).ids).toEqual(OWN_HEAD);
});

test('such a head is saved, and config.json then calls it untied', async () => {
  const directory = withHead(movedByOneRow);
  const again = saved(directory);
  expect(JSON.parse(readFileSync(join(again, 'config.json'), 'utf8'))).toMatchObject({ tie_word_embeddings: false });
  expect((await greedy(again, ONCE_UPON_A_TIME, 12)).ids).toEqual(OWN_HEAD);
});

test('such a head is exported', () => {
  const model = loadModel(withHead(movedByOneRow));
  const tensors = ggufTensors(model, llamaCppModel(model.config), 'f32').map(({ name }) => name);
  model.dispose();
  expect(tensors).toContain('output.weight');
});

test('a head that equals the embedding stays tied, and is not saved twice', async () => {
  const directory = withHead((embedding) => embedding);
  expect((await greedy(directory, ONCE_UPON_A_TIME, 12)).ids).toEqual(TIED);
  const again = saved(directory);
  expect(JSON.parse(readFileSync(join(again, 'config.json'), 'utf8'))).toMatchObject({ tie_word_embeddings: true });
  expect([...readTensors(join(again, 'model.safetensors')).keys()]).not.toContain(HEAD);
});

test('an equal head of another type is tied: its numbers are compared', async () => {
  const zeros = (dtype: 'F32' | 'BF16', bytes: number) => (embedding: StoredTensor) => ({
    dtype,
    shape: embedding.shape,
    bytes: new Uint8Array((embedding.bytes.length / 4) * bytes),
  });
  const directory = changedModel(temporaryFolder(), {
    tensors: (tensors) => {
      tensors.set(HEAD, zeros('BF16', 2)(tensorOf(tensors, EMBEDDING)));
      tensors.set(EMBEDDING, zeros('F32', 4)(tensorOf(tensors, EMBEDDING)));
    },
  });
  const { config, dispose } = loadModel(directory);
  dispose();
  expect(config.tiedHead).toBe(true);
});

test('a head of another shape than the embedding is refused by its name', () => {
  const directory = withHead(({ dtype, shape: [rows = 0, columns = 0], bytes }) => ({
    dtype,
    shape: [rows - 2, columns],
    bytes: bytes.subarray(0, (rows - 2) * columns * 4),
  }));
  expect(() => loadModel(directory)).toThrow(
    expect.objectContaining({
      code: 'MODEL_WEIGHT_SHAPE',
      message: expect.stringContaining('tensor lm_head.weight has shape [510,64]'),
    }),
  );
});

test('a bias of the head is refused by its name, tied or not', () => {
  const bias = { dtype: 'F32', shape: [512], bytes: new Uint8Array(2048) } as const;
  for (const tied of [true, false]) {
    const directory = changedModel(temporaryFolder(), {
      tensors: (tensors) => {
        tensors.set('lm_head.bias', bias);
        tensors.set(HEAD, tensorOf(tensors, EMBEDDING));
      },
      files: { 'config.json': { tie_word_embeddings: tied } },
    });
    expect(() => loadModel(directory)).toThrow(
      expect.objectContaining({ code: 'MODEL_WEIGHT_UNKNOWN', message: expect.stringContaining('lm_head.bias') }),
    );
  }
});
