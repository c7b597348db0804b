import { expect, it } from 'vitest';
import { type Probe, probeProblem } from './probe.ts';

const limits = { tokens: 100, tolerance: 0.1 };
const before: Probe = { sha256: 'a', sequences: 's', own: [-50, -60], server: [-50.5, -59.5] };
const now = (own: number[], server: number[], changes: Partial<Probe> = {}): Probe => ({
  ...{ sha256: 'b', sequences: 's', own, server },
  ...changes,
});

it('a server within the tolerance that moved as we did serves the model', () => {
  expect(probeProblem(now([-52, -57], [-52.4, -56.3]), before, limits)).toBeNull();
  expect(probeProblem(now([-50, -60], [-50.5, -59.5]), null, limits)).toBeNull();
});

it('more than the tolerance, or what is no number, is another model', () => {
  expect(probeProblem(now([-50, -60], [-56, -66]), null, limits)?.kind).toBe('other');
  expect(probeProblem(now([Number.NaN, -60], [-50, -60]), null, limits)?.kind).toBe('other');
});

it('the same bits for another model are stale, however near they lie', () => {
  expect(probeProblem(now([-50.01, -60.01], before.server.slice()), before, limits)).toMatchObject({ kind: 'stale' });
});

it('a change that is followed in part is told from the noise that there was before', () => {
  const exact: Probe = { ...before, server: [-50.0001, -60] };
  expect(probeProblem(now([-54, -57], [-53.7, -57.2]), exact, limits)).toMatchObject({ kind: 'stale' });
  // The same miss at a server that differed by 0.5 a text before is its noise.
  expect(probeProblem(now([-54, -57], [-54.2, -56.7]), before, limits)).toBeNull();
});

it('what was asked about other texts, or of the same model, is not compared', () => {
  const same = { own: [-50.5, -60.5], server: before.server.slice() };
  expect(probeProblem(now(same.own, same.server, { sequences: 't' }), before, limits)).toBeNull();
  expect(probeProblem(now(same.own, same.server, { sha256: 'a' }), before, limits)).toBeNull();
});
