import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { guard, kindness, reward } from '../../recipes/quickstart/reward.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
const read = (name: string) => readFileSync(join(root, 'recipes/quickstart', name), 'utf8');
const promptsOf = (name: string) =>
  read(name)
    .trimEnd()
    .split('\n')
    .map((line) => (JSON.parse(line) as { prompt: string }).prompt);
const score = (response: string) => reward('', [response])[0] ?? Number.NaN;

const PLAIN = 'She went to the park with her mom. They saw a big tree and a red ball. She wanted to go home.';
const SAD = 'She was sad and cried. She lost her red ball in the big park. Her mom was angry and scared.';
const HELPED = 'She saw a bird in the tree. She helped the bird to find its nest. "Thank you!" said the bird.';

describe('the prompts of the quickstart', () => {
  test('are three times 256, and 128 other ones held out, all different', () => {
    const prompts = promptsOf('prompts.jsonl');
    const heldOut = promptsOf('heldout.jsonl');
    expect(prompts).toHaveLength(3 * 256);
    expect(heldOut).toHaveLength(128);
    expect(new Set([...prompts, ...heldOut]).size).toBe(3 * 256 + 128);
  });

  test('are what the committed script writes, byte for byte', () => {
    const directory = mkdtempSync(join(tmpdir(), 'selm-prompts-'));
    try {
      execFileSync(process.execPath, ['--import', 'tsx', 'scripts/make-quickstart-prompts.ts', directory], {
        cwd: root,
      });
      for (const name of ['prompts.jsonl', 'heldout.jsonl']) {
        expect(readFileSync(join(directory, name), 'utf8')).toBe(read(name));
      }
    } finally {
      rmSync(directory, { recursive: true });
    }
  });
});

describe('the reward of the quickstart', () => {
  test('puts a good deed that is thanked far above a plain story, and a sad one below', () => {
    expect([score(SAD), score(PLAIN), score(HELPED)]).toEqual([0, 0.2, 0.7]);
  });

  test('wants the deed before the thanks', () => {
    expect(kindness('She said thank you. Then she went to the park. There she helped a bird.')).toBe(0.2);
  });

  test('counts a kind word once, and a sentence once however many kind words it lists', () => {
    const once = kindness('They were happy. It was a day.');
    expect(kindness('They were happy. They were happy. They were happy.')).toBe(once);
    expect(kindness('They were happy sweet gentle brave friends.')).toBe(once);
    expect(kindness('They were happy. He was sweet.')).toBeGreaterThan(once);
  });

  test('saturates at 1 and stays in [0, 1]', () => {
    const all =
      'He helped her. She said thank you. They were happy. He was brave. She was sweet. They laughed. All is safe.';
    expect(kindness(all)).toBe(1);
    expect(kindness(`${all} It was a gentle day. He smiled. They were friends together.`)).toBe(1);
    expect(kindness(`${SAD} ${SAD}`)).toBe(0);
  });

  test.each([
    ['nothing', ''],
    ['a word', 'Thank'],
    ['no sentence end', 'she helped the bird and the bird said thank you and they were happy together'],
    ['one sentence over and over', 'She helped him. Thank you! '.repeat(8)],
    [
      'words that are none',
      'She helpeded the birb. Thank yoo! Blorp snarfed glimp wug. Zibber florn tock. Fendle gars.',
    ],
    ['punctuation only', '. . . ! ! ? '.repeat(5)],
  ])('is not won by %s', (_, response) => {
    expect(score(response)).toBeLessThanOrEqual(0.1);
  });

  test('gives the guard 1 for sound text and less the more it breaks', () => {
    expect([PLAIN, SAD, HELPED].map(guard)).toEqual([1, 1, 1]);
    const broken = guard(HELPED.replace('bird in', 'birb onk'));
    expect(broken).toBeLessThan(1);
    expect(guard(HELPED.replace('bird in', 'birb onk').replace('find its', 'fimd ots'))).toBeLessThan(broken);
  });

  test('forgives only the last word of a response that was cut', () => {
    expect(guard(`${PLAIN} She was very hap`)).toBe(1);
    expect(score(`${PLAIN} She was very hap`)).toBe(score(PLAIN));
  });

  test('is finite on text that is no story', () => {
    for (const response of ['\u0000', '👋'.repeat(50), 'ÀÉ ß 中文。', "'".repeat(100), 'a'.repeat(10_000)]) {
      expect(score(response)).toBe(0);
    }
  });

  test('fits on a page', () => {
    expect(read('reward.ts').split('\n').length).toBeLessThan(100);
  });
});
