/** @file What is said of a training that its learning rate ruined, and what is left alone. */
import { expect, test } from 'vitest';
import { smallConfig, smallWeights } from '../../test/support/small-model.ts';
import { TrainingError } from '../errors.ts';
import { weightOf } from '../model/weights.ts';
import { packTrees } from '../score/packing.ts';
import { openPolicy, type Policy } from '../score/policy.ts';
import { buildTree } from '../score/trees.ts';
import { noGrad } from '../torch/autograd.ts';
import { fill__Scalar } from '../torch/ops.ts';
import { disposeAll, scope } from '../torch/tensor.ts';
import { checkTrained, explainDivergence, lossWarning } from './divergence.ts';
import { withoutPause } from './pausing.ts';

const config = smallConfig();
const progress = { made: 3, of: 3, loss: 3893, learningRate: 50, setting: 'training.learningRate' };
const ids = (...values: number[]): Int32Array => Int32Array.from(values);
const batches = [
  packTrees([
    buildTree({ pairId: 'a', promptIds: ids(1, 5), chosenIds: ids(7, 2), rejectedIds: ids(3, 2), responseIds: null }),
  ]),
];

function trained(names: readonly string[], value: number): Policy {
  const weights = smallWeights(config);
  const policy = openPolicy({ config, weights }, { dtype: 'float32', purpose: 'train' });
  disposeAll(weights);
  for (const name of names) scope('spoil', () => noGrad(() => fill__Scalar(weightOf(policy.masters, name), value)));
  return policy;
}

test('a policy that computes is let through', () => {
  using policy = trained(['model.norm.weight'], 1);
  withoutPause(checkTrained(policy, { batches }, progress));
});

test.each([
  ['whose weights are NaN', ['up_proj'], Number.NaN, 'its weights are no longer finite'],
  ['whose finite weights overflow', ['gate_proj', 'up_proj', 'down_proj'], 1e17, 'computes no finite numbers'],
])('a policy %s is refused, and the learning rate is named', (_, names, value, reason) => {
  using policy = trained(
    names.map((name) => `model.layers.0.mlp.${name}.weight`),
    value,
  );
  expect(() => withoutPause(checkTrained(policy, { batches }, progress))).toThrow(
    expect.objectContaining({
      code: 'TRAINING_DIVERGED',
      message: expect.stringMatching(
        new RegExp(`${reason}.*loss of 3893.*learning rate of 50.*lower training.learningRate`),
      ),
    }),
  );
});

test('a step that meets numbers that are not finite has diverged if there were steps before it, else its input is at fault', () => {
  const error = new TrainingError('OBJECTIVE_INPUT_NOT_FINITE', 'the log-probability is NaN');
  expect(explainDivergence(error, { ...progress, made: 2 })).toMatchObject({
    code: 'TRAINING_DIVERGED',
    cause: error,
    message: expect.stringContaining('step 3 failed: the log-probability is NaN'),
  });
  expect(explainDivergence(error, { ...progress, made: 0 })).toBe(error);
  const other = new TrainingError('FIRST_LOSS_WRONG', 'not ln 2');
  expect(explainDivergence(other, progress)).toBe(other);
});

test('a loss that ends far above its first is warned of, with the learning rate', () => {
  expect(lossWarning(Math.LN2, progress)).toMatch(
    /ended at 3893.*0\.6931.*training\.learningRate \(50 in the last step\)/,
  );
  for (const loss of [0.1, 1, 3]) expect(lossWarning(Math.LN2, { ...progress, loss })).toBeNull();
  expect(lossWarning(Number.NaN, progress)).toBeNull();
});
