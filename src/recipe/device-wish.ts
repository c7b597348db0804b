/** @file What a recipe asks of the device that computes it. Pure. */
import type { DeviceWish } from '../torch/device.ts';
import type { Recipe } from './schema.ts';

/** The device by its name, and the types of products of training, sampling, and a ranker that computes here. */
export function deviceWishOf({ device, training, sampling, ranker }: Recipe): DeviceWish {
  return { device, dtypes: [training.dtype, sampling.dtype, ...('dtype' in ranker ? [ranker.dtype] : [])] };
}
