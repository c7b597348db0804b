import { expect, it } from 'vitest';
import { completionBody, readCompletion, readScore } from './completion.ts';

const asked = { stopIds: [2, 7] };
const answer = (choice: Record<string, unknown>) => ({ choices: [choice] });

it('ids and log-probabilities come from vLLM, from tokens named by their ids, and from llama.cpp', () => {
  const wanted = { tokenIds: [5, 6], endId: 2, finish: 'stop', tokenLogProbs: [-1, -2, -0.5], logProb: -3.5 };
  const token_logprobs = [-1, -2, -0.5];
  const forms = [
    { token_ids: [5, 6, 2], logprobs: { token_logprobs } },
    { logprobs: { token_logprobs, tokens: ['token_id:5', 'token_id:6', 'token_id:2'] } },
    { logprobs: { content: [5, 6, 2].map((id, i) => ({ id, logprob: token_logprobs[i] })) } },
  ];
  for (const form of forms) expect(readCompletion(answer({ finish_reason: 'stop', ...form }), asked)).toEqual(wanted);
});

it('a response ends at the first end token, and is cut where there is none', () => {
  const logprobs = { token_logprobs: [-1, -2, -3] };
  expect(readCompletion(answer({ finish_reason: 'length', token_ids: [5, 7, 6], logprobs }), asked)).toMatchObject({
    tokenIds: [5],
    endId: 7,
    finish: 'stop',
    logProb: -3,
  });
  expect(readCompletion(answer({ finish_reason: 'length', token_ids: [5, 5, 6], logprobs }), asked)).toMatchObject({
    endId: null,
    finish: 'length',
  });
});

it.each([
  ['no completion', {}],
  ['no completion', { choices: [] }],
  ['no token ids', answer({ text: 'Paris' })],
  ['no token ids', answer({ logprobs: { tokens: ['Paris'], token_logprobs: [-1] } })],
  ['2 tokens and 1 log-probabilities', answer({ token_ids: [5, 6], logprobs: { token_logprobs: [-1, null] } })],
  ['2 tokens and 0 log-probabilities', answer({ token_ids: [5, 6] })],
])('an answer with %s is refused', (problem, body) => {
  expect(readCompletion(body, asked)).toEqual({ problem: expect.stringContaining(problem) as string });
});

it('vLLM is told everything that generation_config.json would decide; others only what they know', () => {
  const request = {
    model: 'm',
    promptIds: [1],
    temperature: 1,
    topP: 1,
    topK: 0,
    maxNewTokens: 4,
    ...asked,
    stop: [],
    seed: 3,
  };
  expect(completionBody(request, 'vllm')).toMatchObject({
    top_k: 0,
    min_p: 0,
    repetition_penalty: 1,
    top_p: 1,
    seed: 3,
  });
  expect(Object.keys(completionBody(request, 'openai'))).not.toEqual(expect.arrayContaining(['top_k']));
});

it('the log-probability of a sequence is the sum over its own tokens behind the prompt', () => {
  const prompt_logprobs = [null, { '5': { logprob: -1 } }, { '6': { logprob: -2 }, '9': { logprob: -0.1 } }];
  expect(readScore(answer({ prompt_logprobs }), [1, 5, 6], 1)).toEqual({ logProb: -3 });
  expect(readScore(answer({ prompt_logprobs }), [1, 5, 6], 2)).toEqual({ logProb: -2 });
  expect(readScore(answer({ prompt_logprobs }), [1, 5, 8], 1)).toMatchObject({ problem: expect.any(String) as string });
  expect(readScore(answer({}), [1, 5], 1)).toMatchObject({ problem: expect.any(String) as string });
});
