import { expect, it } from 'vitest';
import { methodFixture, reportFixture } from './report-fixture.testing.ts';
import { sourcesMarkdown, sourcesSection, trainingBySource } from './sources-section.ts';

const step = (iteration: number, values: Record<string, number>) => ({
  iteration,
  stage: 'train',
  step: 0,
  attempt: 1,
  values,
});

it('margins and accuracies of a source are means over its pairs of an iteration', () => {
  const metrics = [
    step(2, { 'pairs/prefs': 3, 'rewards/margins/prefs': 1, 'rewards/accuracies/prefs': 1 }),
    step(2, { 'pairs/prefs': 1, 'rewards/margins/prefs': 5, 'rewards/accuracies/prefs': 0 }),
    step(2, { pairs: 4, loss: 1 }),
  ];
  expect(trainingBySource(metrics)).toEqual([{ iteration: 2, source: 'prefs', pairs: 4, margin: 2, accuracy: 0.75 }]);
});

it('a report has a table of the sources where there are several, and none where there is one', () => {
  const method = methodFixture('SELM', 'alpha = 0.01', [0.5]);
  expect(sourcesSection(reportFixture({ methods: [method] }))).toBeNull();
  const sources = [{ iteration: 1, source: 'chats', pairs: 40, margin: 0.125, accuracy: 0.75 }];
  const report = reportFixture({ methods: [{ ...method, sources }] });
  expect(sourcesSection(report)?.text).toContain('<td>chats</td><td>40</td><td>0.1250</td><td>75');
  expect(sourcesMarkdown(report).join('\n')).toMatch(/SELM, iteration 1.*chats.*40.*0\.1250/);
});
