/**
 * @file From a full matrix of pairwise comparisons to one score a candidate, as LLM-Blender's rank() does it
 * (https://github.com/yuchenlin/LLM-Blender at 2a67366, gpt_eval/utils.py). Pure.
 */

/**
 * score_i = (1/N) sum_j (M[i][j] - M[j][i]): how much i is preferred on both sides. Scores sum to 0 and mean something
 * among these candidates only.
 *
 * @param matrix M[i][j] > 0 prefers i, shown first, to j; zeros on the diagonal. It need not be antisymmetric.
 */
export function scoresFromMatrix(matrix: readonly (readonly number[])[]): number[] {
  return matrix.map((row, i) => {
    const sum = row.reduce((total, forward, j) => total + forward - (matrix[j]?.[i] ?? Number.NaN), 0);
    return sum / matrix.length;
  });
}
