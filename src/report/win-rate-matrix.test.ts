import { expect, it } from 'vitest';
import { winRateMatrixSvg } from './win-rate-matrix.ts';

const svg = winRateMatrixSvg({
  title: 'At equal lengths',
  models: ['ours', '<script>'],
  winRates: [
    [50, 66.017],
    [33.983, 50],
  ],
});

it('writes every win rate as text, with the names of both models for who cannot see it', () => {
  expect(svg.match(/>\d+\.\d\d</g)).toEqual(['>50.00<', '>66.02<', '>33.98<', '>50.00<']);
  expect(svg).toContain('<title>ours over &lt;script&gt;: 66.02 %</title>');
  expect(svg).not.toContain('<script>');
});

it('colours the better side and the worse side apart, and an even cell not at all', () => {
  expect(svg.match(/cell (better|worse|even)/g)).toEqual(['cell even', 'cell better', 'cell worse', 'cell even']);
  expect(svg).toContain('prefers-color-scheme: dark');
});
