/** @file What every run has, whatever it does: a name, a place, a seed, the model that it starts from, and a machine. */
import { z } from 'zod';
import { deviceName, integer, path } from './fields.ts';
import { track } from './track.ts';

export const runFields = {
  name: z
    .string({ error: 'a name' })
    .regex(/^[a-z0-9][a-z0-9_-]{0,63}$/, { error: 'up to 64 of a-z, 0-9, - and _, the first a letter or digit' })
    .describe('Name of the run')
    .meta({ change: 'free' }),
  output: path('a path')
    .nullable()
    .default(null)
    .describe('Run directory, from where the command is started; null: runs/<name>')
    .meta({ change: 'free' }),
  seed: integer(0).default(42).describe('Every random number of the run follows from it').meta({ change: 'never' }),
  model: path('a path to a model folder')
    .describe('Model to start from: a folder in Hugging Face layout, or hub:owner/name')
    .meta({ change: 'never', compared: 'by content' }),
  device: deviceName()
    .default('cpu')
    .describe('Where the model is computed; auto: on a GPU that works, else on the CPU')
    .meta({ change: 'warn' }),
  threads: integer(1)
    .nullable()
    .default(null)
    .describe(
      'Threads of the engine; null: all cores, which a twin beside a run shares with it. Results are the same only for the same number',
    )
    .meta({ change: 'warn' }),
  track,
};
