/** @file The curves of a run, beside those of others. */
import type { JSX } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import type { Curves, RunDetail, RunSummary } from '../src/server/api.ts';
import { Chart, type Line } from './chart.tsx';
import { type Measured, withStep } from './live-curves.ts';
import { Choice } from './parts.tsx';
import { ask, useAnswer } from './server.ts';

interface Group {
  title: string;
  names: readonly string[];
  over: 'step' | 'iteration';
}

/** The charts of the first screen, in the order in which a run is judged. */
const GROUPS: readonly Group[] = [
  { title: 'Loss', names: ['loss'], over: 'step' },
  { title: 'Reward margin', names: ['rewards/margins'], over: 'step' },
  { title: 'Rewards, β · log-ratio', names: ['rewards/chosen', 'rewards/rejected'], over: 'step' },
  { title: 'Accuracy, share of pairs', names: ['rewards/accuracies', 'mean_token_accuracy'], over: 'step' },
  { title: 'Reward on held-out prompts', names: ['reward, held out'], over: 'iteration' },
  { title: 'Win rate on held-out prompts', names: ['win rate over base', 'win rate over previous'], over: 'iteration' },
  { title: 'KL divergence, nats', names: ['KL to base', 'KL to previous'], over: 'iteration' },
  { title: 'Length of a response, tokens', names: ['length, held out', 'length, samples'], over: 'iteration' },
  { title: 'Exploration: log-ratio of y, nats', names: ['exploration: log-ratio of y'], over: 'iteration' },
  { title: 'Exploration term of the loss', names: ['loss/exploration'], over: 'step' },
  { title: 'Gradient norm', names: ['grad_norm'], over: 'step' },
  { title: 'Learning rate', names: ['lr'], over: 'step' },
  { title: 'Speed, tokens a second', names: ['tokens_per_second'], over: 'step' },
  { title: 'Memory at most, bytes', names: ['peak_resident_bytes'], over: 'step' },
];
const STEP_NAMES = GROUPS.filter(({ over }) => over === 'step').flatMap(({ names }) => names);

export function CurvesTab({
  run,
  runs,
  version,
  latest,
  beside,
  onBeside,
}: {
  run: RunDetail;
  runs: readonly RunSummary[];
  version: number;
  /** What the run measured last. */
  latest: Measured | null;
  beside: readonly string[];
  onBeside: (ids: string[]) => void;
}): JSX.Element {
  const [scale, setScale] = useState<'linear' | 'log'>('linear');
  const [more, setMore] = useState<readonly string[]>([]);
  const shown = [run.id, ...beside];
  const curves = useCurves(shown, [...STEP_NAMES, ...more], { version, latest });
  const others = run.metrics.steps.filter((name) => !STEP_NAMES.includes(name));
  const groups = [...GROUPS, ...more.map((name): Group => ({ title: name, names: [name], over: 'step' }))];
  const charts = groups.map((group) => ({ ...group, lines: linesOf(group, shown, curves) }));
  const isEmpty = charts.every(({ lines }) => lines.length === 0);
  return (
    <>
      <div class="fields">
        <Choice
          label="Beside"
          value=""
          options={[
            { value: '', text: 'add a run …' },
            ...runs
              .filter(({ id, standing }) => !shown.includes(id) && standing !== 'unreadable')
              .map(({ id }) => ({ value: id, text: id })),
          ]}
          onChoose={(id) => onBeside([...beside, id].filter((each) => each !== ''))}
        />
        <Choice
          label="Scale"
          value={scale}
          options={[
            { value: 'linear', text: 'linear' },
            { value: 'log', text: 'logarithmic' },
          ]}
          onChoose={(value) => setScale(value === 'log' ? 'log' : 'linear')}
        />
        {others.length === 0 ? null : (
          <Choice
            label="More curves"
            value=""
            options={[
              { value: '', text: 'add a curve …' },
              ...others.filter((name) => !more.includes(name)).map((name) => ({ value: name, text: name })),
            ]}
            onChoose={(name) => setMore(name === '' ? more : [...more, name])}
          />
        )}
      </div>
      {beside.length === 0 ? null : (
        <ul class="legend">
          {shown.map((id, index) => (
            <li key={id}>
              <svg class={`key c${index + 1}`} viewBox="0 0 24 6" aria-hidden="true">
                <line x1="0" x2="24" y1="3" y2="3" />
              </svg>
              {id}
              {index === 0 ? null : (
                <button type="button" class="small" onClick={() => onBeside(beside.filter((each) => each !== id))}>
                  remove<span class="unseen"> {id}</span>
                </button>
              )}
            </li>
          ))}
          <li>
            <a href={`/api/comparison?runs=${encodeURIComponent(shown.join(','))}`}>compare them, with tests</a>
          </li>
        </ul>
      )}
      {isEmpty ? <p class="empty">Nothing was measured yet.</p> : null}
      <div class="charts">
        {charts
          .filter(({ lines }) => lines.length > 0)
          .map(({ title, over, lines }) => (
            <Chart
              key={title}
              title={title}
              over={over}
              lines={lines}
              scale={scale}
              marks={over === 'step' ? marksOf(curves.get(run.id)) : []}
            />
          ))}
      </div>
    </>
  );
}

/** Where iterations begin, but the first. */
function marksOf(curves: Curves | undefined): number[] {
  return (curves?.starts ?? []).flatMap(({ before }) => (before > 0 ? [before] : []));
}

/**
 * The curves of several runs; the first is asked for again with each version, the others too, as they may be at work. In between the
 * first grows by what it tells.
 */
function useCurves(
  ids: readonly string[],
  names: readonly string[],
  { version, latest }: { version: number; latest: Measured | null },
): ReadonlyMap<string, Curves> {
  const [curves, setCurves] = useState<ReadonlyMap<string, Curves>>(new Map());
  const query = names.map(encodeURIComponent).join(',');
  const key = JSON.stringify(ids);
  // `key` and `query` are the lists, by their content
  useEffect(() => {
    const leaving = new AbortController();
    const asked = ids.map(
      async (id): Promise<[string, Curves]> => [
        id,
        await ask<Curves>(`/api/runs/${encodeURIComponent(id)}/curves?points=500&names=${query}`, leaving.signal),
      ],
    );
    void Promise.allSettled(asked).then((answers) => {
      if (leaving.signal.aborted) return;
      setCurves(new Map(answers.flatMap((answer) => (answer.status === 'fulfilled' ? [answer.value] : []))));
    });
    return () => leaving.abort();
  }, [key, query, version]);
  const [first = ''] = ids;
  useEffect(() => {
    if (latest === null) return;
    setCurves((before) => {
      const own = before.get(first);
      return own === undefined ? before : new Map(before).set(first, withStep(own, latest));
    });
  }, [first, latest]);
  return curves;
}

/** The lines of a chart: runs by colour, names by dashes. */
function linesOf({ names, over }: Group, ids: readonly string[], curves: ReadonlyMap<string, Curves>): Line[] {
  return ids.flatMap((id, runIndex) =>
    names.flatMap((name, nameIndex) => {
      const found = curves.get(id);
      const curve = (over === 'step' ? found?.steps : found?.iterations)?.find((each) => each.name === name);
      if (curve === undefined || curve.x.length === 0) return [];
      const label = ids.length === 1 ? name : names.length === 1 ? id : `${id}: ${name}`;
      // A run alone has a colour for each name.
      return [{ ...curve, label, color: ((ids.length === 1 ? nameIndex : runIndex) % 4) + 1, dash: nameIndex }];
    }),
  );
}

/** The settings of runs, those that differ marked. */
export function SettingsTab({ run, beside }: { run: RunDetail; beside: readonly string[] }): JSX.Element {
  const other = useAnswer<RunDetail>(
    beside[0] === undefined ? null : `/api/runs/${encodeURIComponent(beside[0])}`,
  ).value;
  const theirs = new Map((other?.settings ?? []).map(({ label, value }) => [label, value]));
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by keyboard
    <section class="scroll" tabIndex={0} aria-label="Settings">
      <table>
        <thead>
          <tr>
            <th scope="col">setting</th>
            <th scope="col">{run.id}</th>
            {other === null ? null : <th scope="col">{other.id}</th>}
          </tr>
        </thead>
        <tbody>
          {run.settings.map(({ label, value }) => {
            const differs = other !== null && theirs.get(label) !== value;
            return (
              <tr key={label} class={differs ? 'differs' : ''}>
                <th scope="row">{label}</th>
                <td>{value}</td>
                {other === null ? null : <td>{differs ? <mark>{theirs.get(label) ?? '(none)'}</mark> : value}</td>}
              </tr>
            );
          })}
        </tbody>
      </table>
    </section>
  );
}
