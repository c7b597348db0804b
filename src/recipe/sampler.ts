/** @file The section `sampler` of a recipe: who samples the policy's responses, this program or a server. */
import { z } from 'zod';
import { apiKeyVariable, fromZero, integer, listOf, PLAIN_ADDRESS, path } from './fields.ts';

const URL_PROBLEM = 'an address such as http://127.0.0.1:8000, without user, query or key in it';
const address = () =>
  z.string({ error: URL_PROBLEM }).regex(PLAIN_ADDRESS, {
    error: URL_PROBLEM,
  });

const serverFields = {
  url: z
    .union([address(), listOf(address(), 'a list of addresses')], { error: URL_PROBLEM })
    .describe('Address of the server; several share the prompts')
    .meta({ change: 'free' }),
  model: path('a model name or null')
    .nullable()
    .default(null)
    .describe('Name of the model, as the server knows it; null: the only one that it names')
    .meta({ change: 'free' }),
  apiKeyVariable: apiKeyVariable(),
  reload: listOf(path('a text'), 'a list of texts such as [./reload.sh, "{model}"], or null')
    .nullable()
    .default(null)
    .describe(
      'Program and arguments that make the server serve a model folder; {model} and {url} stand for folder and address. null: by calls of vLLM; with kind openai the model never changes',
    )
    .meta({ change: 'free' }),
  tolerance: fromZero()
    .default(0.1)
    .describe(
      "Largest mean difference, in nats a token, of the server's log-probabilities of fixed texts to our own; more stops the run",
    )
    .meta({ change: 'free' }),
  concurrency: integer(1).default(64).describe('Requests under way at once, at each server').meta({ change: 'free' }),
  retries: integer(0).default(5).describe('Times a failed request is sent again').meta({ change: 'free' }),
  timeoutMs: integer(1)
    .default(600_000)
    .describe('Milliseconds one request, or a reload, may take')
    .meta({ change: 'free' }),
};

export const sampler = z
  .discriminatedUnion(
    'kind',
    [
      z.strictObject({ kind: z.literal('own').meta({ change: 'sample' }) }),
      z.strictObject({ kind: z.literal('vllm').meta({ change: 'sample' }), ...serverFields }),
      z.strictObject({ kind: z.literal('openai').meta({ change: 'sample' }), ...serverFields }),
    ],
    { error: 'one of own, vllm, openai' },
  )
  .prefault({ kind: 'own' })
  .describe(
    'Who samples: own is this program. vllm: a vLLM server, which gets the model of every iteration. openai: another OpenAI-compatible server. Evaluation is always sampled by this program',
  );
