/** @file Stop and go on, for who may: a second press of the same button means it. */
import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import type { GivenControl, Me, Problem, RunSummary } from '../src/server/api.ts';
import { Trouble } from './parts.tsx';
import { problemOf, tell, useAnswer } from './server.ts';

const TEXTS = {
  stop: { ask: 'stop', sure: 'stop it now: it saves, and can go on', busy: 'stopping …' },
  'go-on': { ask: 'go on', sure: 'start its command again', busy: 'starting …' },
} as const;

export function ControlButton({ run: { id, control } }: { run: RunSummary }): JSX.Element | null {
  const me = useAnswer<Me>('/api/me').value;
  const [state, setState] = useState<'ask' | 'sure' | 'busy'>('ask');
  const [problem, setProblem] = useState<Problem | null>(null);
  if (control === null || me?.right !== 'admin') return null;
  const press = (): void => {
    if (state === 'ask') {
      setState('sure');
      return;
    }
    setState('busy');
    setProblem(null);
    tell<RunSummary>(`/api/runs/${encodeURIComponent(id)}/control`, { action: control } satisfies GivenControl).catch(
      (error: unknown) => {
        setProblem(problemOf(error));
        setState('ask');
      },
    );
  };
  return (
    <>
      <button type="button" class="small" disabled={state === 'busy'} onClick={press}>
        {TEXTS[control][state]}
      </button>
      <Trouble problem={problem} />
    </>
  );
}
