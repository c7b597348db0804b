/** @file Why a text is not JSON, for a message about it. */

/**
 * What JSON.parse says, or, where the text would be JSON but for the numbers that Python and JavaScript have and JSON has not,
 * which of them it holds and what to do.
 */
export function jsonProblem(text: string, error: unknown): string {
  const outsideStrings = text.replaceAll(/"(?:[^"\\]|\\.)*"/g, '""');
  const [name] = /-?\b(?:NaN|Infinity)\b/.exec(outsideStrings) ?? [];
  if (name !== undefined && isJson(outsideStrings.replaceAll(/-?\b(?:NaN|Infinity)\b/g, 'null'))) {
    return `it holds ${name}, which Python's json.dumps writes and JSON has not: write a number or null in its place`;
  }
  return error instanceof Error ? error.message : String(error);
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
