/** @file The reward of `npm run bench -- loop`: the share of different words in a text. peers/vllm_pairs.py says the same. */

/** Scores of a prompt's responses, higher is better. */
export function reward(_prompt: string, responses: string[]): number[] {
  return responses.map((response) => {
    const words = response.toLowerCase().split(/\s+/).filter(Boolean);
    return words.length === 0 ? 0 : new Set(words).size / words.length;
  });
}
