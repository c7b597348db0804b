import { describe, expect, test } from 'vitest';
import { DataError } from '../errors.ts';
import { renderReport } from './report.ts';
import type { ReportData } from './report-data.ts';
import { evaluationFixture, methodFixture, reportFixture } from './report-fixture.testing.ts';
import { summariseReport } from './summary.ts';

const HOSTILE = [
  '<script>alert(1)</script>',
  '"><img src=x onerror=alert(1)>',
  "' onmouseover='alert(1)",
  '</style><script>alert(1)</script>',
  '</title><svg onload=alert(1)>',
  '<!--<script>',
  ']]><iframe srcdoc="<script>alert(1)</script>">',
  '&lt;script&gt;',
  'javascript:alert(1)',
  '\u0000<\u0000script>\u001b[2J',
  '<a href="https://example.com/?leak">x</a>',
];

/** A report whose every text is hostile. */
function hostileReport(text: string): ReportData {
  const data = reportFixture();
  const fact = { label: text, value: text };
  return {
    ...data,
    name: text,
    title: text,
    createdAt: text,
    command: text,
    rewardName: text,
    methods: data.methods.map((method, index) => ({
      ...method,
      name: `${text}${index}`,
      description: text,
      pairs: method.pairs.map((counts) => ({ ...counts, skipped: [{ reason: text, count: 1 }] })),
    })),
    examples: [{ promptId: text, prompt: text, answers: [{ by: text, text, reward: 1, textHealth: 1 }] }],
    settings: [fact],
    machine: [fact],
    seeds: [fact],
    timings: [{ stage: text, method: text, iteration: 1, seconds: 1 }],
    audit: text,
    notes: [text],
  };
}

/** Tag names in a document, by a scan that knows no escaping: what a browser would take for tags. */
function tagsOf(html: string): string[] {
  return [...html.replace(/<style>[\s\S]*?<\/style>/, '<style></style>').matchAll(/<([a-zA-Z!/][^\s>/]*)/g)].map(
    (match) => match[1] ?? '',
  );
}

describe('renderReport()', () => {
  test.each(HOSTILE)('lets no hostile text become a tag or an attribute: %j', (text) => {
    const html = renderReport(hostileReport(text));
    // The same tags in the same number as with a harmless text, so that none was added.
    expect(tagsOf(html)).toEqual(tagsOf(renderReport(hostileReport('harmless'))));
    expect(html).not.toMatch(/<(script|img|iframe|a)\b/);
    // No attribute but those written in the templates: quotes inside values are escaped.
    expect(html.replace(/="[^"]*"/g, '')).not.toMatch(/<[^>]*\son\w+\s*=/);
  });

  test('shows text as it is, whatever it looks like', () => {
    const html = renderReport(hostileReport('1 < 2 & "three"'));
    expect(html).toContain('<p dir="auto">1 &lt; 2 &amp; &quot;three&quot;</p>');
  });

  test('asks the network for nothing and runs nothing', () => {
    const html = renderReport(reportFixture());
    expect(html).not.toMatch(/https?:|url\(|@import|src=|<link|<script|\shref=|\sstyle=/);
    expect(html).toMatch(
      /Content-Security-Policy" content="default-src &#39;none&#39;; style-src &#39;sha256-[\w+/]+=*&#39;/,
    );
  });

  test('closes every tag that it opens', () => {
    const open: string[] = [];
    for (const match of renderReport(reportFixture()).matchAll(/<(\/?)([a-z][a-z0-9]*)\b[^>]*?(\/?)>/g)) {
      const [, closing, name = '', selfClosing] = match;
      if (selfClosing === '/' || ['meta', 'br'].includes(name)) continue;
      if (closing === '/') expect(open.pop()).toBe(name);
      else open.push(name);
    }
    expect(open).toEqual([]);
  });

  test('describes every chart to who cannot see it', () => {
    const html = renderReport(reportFixture());
    const charts = html.match(/<svg viewBox="0 0 460 250"[^>]*>/g) ?? [];
    expect(charts).toHaveLength(14);
    for (const chart of charts) expect(chart).toMatch(/role="img" aria-label="[^"]{40,}"/);
  });

  test('is the same text for the same data', () => {
    expect(renderReport(reportFixture())).toBe(renderReport(reportFixture()));
  });

  test('shows both answers, pair counts, audit, seeds, memory and notes', () => {
    const html = renderReport(reportFixture());
    for (const text of [
      'She was scared and went to walk to her house.',
      'Lily helped her friend. &quot;Thank you,&quot; said the friend.',
      '6 all candidates tie',
      'read 768, used 768, dropped 0',
      'bootstrap intervals',
      '412 MiB',
      '1 min 15 s',
      'Alpha is far above the paper’s 0.001',
      'DPO, beta 0.1',
    ]) {
      expect(html).toContain(text);
    }
  });

  test('draws what is finite when a value is not, and never writes NaN', () => {
    const data = reportFixture();
    for (const method of data.methods) {
      const [point] = method.training;
      if (point !== undefined) Object.assign(point, { loss: Number.NaN, margin: Number.POSITIVE_INFINITY });
    }
    const html = renderReport(data);
    expect(html).not.toMatch(/NaN|Infinity/);
    expect(html).toContain('SELM: a loss or margin is not finite.');
  });

  test('stands without training curves, pairs, examples, KL, guard or a second method', () => {
    const bare = { ...evaluationFixture('bare', 0.4, null), textHealth: null, finishedShare: null };
    const method = {
      name: 'SELM',
      description: '',
      iterations: [{ iteration: 1, evaluation: bare }],
      training: [],
      sources: [],
      pairs: [],
      exploration: [],
      benchmarks: [],
      lengthControl: [],
    };
    const html = renderReport(
      reportFixture({
        base: { ...evaluationFixture('base', 0.26, null), textHealth: null },
        methods: [method],
        examples: [],
        notes: [],
        rewardRange: null,
      }),
    );
    expect(html).not.toMatch(/NaN|Infinity|undefined/);
    expect(html).not.toContain('Text soundness');
  });

  test('shows the base alone when no method was evaluated', () => {
    expect(renderReport(reportFixture({ methods: [] }))).toContain('No trained model was measured yet');
    expect(renderReport(reportFixture({ methods: [methodFixture('SELM', '', [])] }))).toContain(
      'No trained model was measured yet',
    );
  });

  test('shows training and where the pairs came from when nothing was measured, and says how to measure', () => {
    const html = renderReport({ ...reportFixture(), base: null, examples: [] });
    expect(html).toContain('set evaluate.prompts to a file of prompts');
    expect(html).toMatch(/<h2 id="training">[\s\S]*Loss[\s\S]*<h2 id="pairs">/);
    expect(html).not.toMatch(/NaN|undefined|Win rate/);
    expect(summariseReport({ ...reportFixture(), base: null })).toContain('no held-out prompts');
  });

  test('says how to measure the KL where it was not, and has no empty columns for it', () => {
    const methods = [methodFixture('SELM', '', [0.4])];
    for (const { iterations } of methods) {
      for (const { evaluation } of iterations) Object.assign(evaluation, { klToBase: null, klToPrevious: null });
    }
    const html = renderReport(reportFixture({ methods }));
    expect(html).toContain('set evaluate.temperature to 1');
    expect(html.slice(html.indexOf('Numbers of every policy'), html.indexOf('id="samples"'))).not.toContain(
      'KL to base',
    );
  });

  test('calls an empty response empty, and claims no diversity of it', () => {
    const examples = [
      { promptId: 'p', prompt: 'Hi', answers: [{ by: 'base', text: ' ', reward: 0, textHealth: null }] },
    ];
    const html = renderReport(reportFixture({ examples }));
    const card = html.slice(html.indexOf('class="answer'), html.indexOf('</article>'));
    expect(card).toContain('(empty response)');
    expect(card).not.toContain('distinct word pairs');
  });

  test('says how far a run is that goes on', () => {
    const state = 'The run goes on: iteration 2 of 3, stage train.';
    expect(renderReport(reportFixture({ state }))).toContain(state);
    expect(summariseReport(reportFixture({ state }))).toContain(state);
  });

  test('refuses to compare evaluations on different prompts', () => {
    const data = reportFixture();
    const other = { ...data.base, promptIds: data.base.promptIds.map((id) => `other-${id}`) };
    expect(() => renderReport({ ...data, base: other })).toThrow(DataError);
  });
});

describe('summariseReport()', () => {
  test('says who won, with the interval, in at most 30 lines of at most 120 columns', () => {
    const lines = summariseReport(reportFixture()).split('\n');
    expect(lines.length).toBeLessThanOrEqual(30);
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(120);
    expect(lines.join('\n')).toMatch(
      /SELM beat alpha = 0 twin: paired difference in mean reward \+0\.1\d\d \[\+0\.\d+, \+0\.\d+\] on 64 prompts, one seed\./,
    );
  });

  test('stays at 30 lines with many methods, iterations and warnings', () => {
    const many = Array.from({ length: 8 }, (_, index) => {
      const method = methodFixture(`method ${index}`, '', [0.3, 0.3, 0.3, 0.3, 0.3, 0.3]);
      const skipped = [{ reason: 'all candidates tie', count: 200 }];
      return { ...method, pairs: method.pairs.map((counts) => ({ ...counts, skipped })) };
    });
    expect(summariseReport(reportFixture({ methods: many })).split('\n').length).toBeLessThanOrEqual(30);
  });

  test('names no winner where the interval holds 0', () => {
    const methods = [methodFixture('SELM', '', [0.45]), methodFixture('twin', '', [0.45])];
    expect(summariseReport(reportFixture({ methods }))).toMatch(
      /No winner between SELM and twin: .* the interval holds 0/,
    );
  });

  test('says so when the first method lost', () => {
    const methods = [methodFixture('SELM', '', [0.3]), methodFixture('twin', '', [0.6])];
    expect(summariseReport(reportFixture({ methods }))).toContain(
      'SELM lost to twin: paired difference in mean reward −0.',
    );
  });

  test('keeps columns apart whatever the numbers are', () => {
    const data = reportFixture({ methods: [methodFixture('SELM', '', [0.4])] });
    const last = data.methods[0]?.iterations[0]?.evaluation;
    last?.rewards.forEach((reward, index) => {
      last.rewards[index] = -1000 * reward - 0.487;
    });
    const [head, , row] = summariseReport(data).split('\n').slice(2);
    const column = head?.indexOf('win rate') ?? 0;
    expect(row?.slice(column - 2, column + 1)).toMatch(/^ {2}\d/);
  });

  test('lets no control character of a text reach the terminal', () => {
    expect(summariseReport(reportFixture({ title: 'a\u001b[2Jb\rc' }))).toMatch(/^a \[2Jb c: /);
  });
});
