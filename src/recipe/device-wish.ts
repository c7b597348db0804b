/** @file What a recipe asks of the device that computes it. Pure. */
import type { DeviceWish } from '../torch/device.ts';
import type { Recipe } from './schema.ts';

/** The device by its name, and the types of products of training, sampling, and the rankers that compute here. */
export function deviceWishOf({ device, training, sampling, ranker, secondOpinion, select }: Recipe): DeviceWish {
  const rankers = [ranker, secondOpinion?.ranker, select?.otherwise];
  const ranking = rankers.flatMap((each) => (each && 'dtype' in each ? [each.dtype] : []));
  return { device, dtypes: [training.dtype, sampling.dtype, ...ranking] };
}
