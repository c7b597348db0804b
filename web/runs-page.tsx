/** @file All runs: how each stands, where it is, how long it still takes, and what to do next. */
import type { JSX } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import type { RunSummary } from '../src/server/api.ts';
import { ArenaList } from './arena-page.tsx';
import { ago, bytes, duration, placeText } from './format.ts';
import { Command, ProgressBar, SearchField, Sentence, Standing } from './parts.tsx';
import { routeTo } from './route.ts';
import { type Connection, follow } from './server.ts';

export function RunsPage({ connection }: { connection: (state: Connection) => void }): JSX.Element {
  const [runs, setRuns] = useState<RunSummary[] | null>(null);
  const [search, setSearch] = useState('');
  useEffect(
    () =>
      follow('/api/events', {
        after: null,
        heard: (event, data) => {
          if (event === 'runs') setRuns(data as RunSummary[]);
        },
        connection,
      }),
    [connection],
  );
  const wanted = search.toLowerCase();
  const shown = (runs ?? [])
    .filter(({ id, name, standing }) => `${id} ${name} ${standing}`.toLowerCase().includes(wanted))
    .sort((a, b) => Number(goesOn(b)) - Number(goesOn(a)));
  const atWork = shown.filter(({ standing }) => standing === 'running').length;
  return (
    <main id="content" tabIndex={-1}>
      <h1>Runs</h1>
      {runs === null ? <p class="hint">Looking …</p> : null}
      {runs?.length === 0 ? (
        <div class="card">
          <p>There is no run here yet. Start one, and it appears:</p>
          <Command text="selm train recipes/quickstart.yaml" />
        </div>
      ) : null}
      {(runs?.length ?? 0) > 8 ? (
        <SearchField label="Search names and states" value={search} onSearch={setSearch} />
      ) : null}
      {runs === null || runs.length === 0 ? null : (
        <p class="hint" role="status">
          Runs: {shown.length}, at work: {atWork}
        </p>
      )}
      <ul class="runs">
        {shown.map((run) => (
          <li key={run.id} class="card">
            <RunCard run={run} />
          </li>
        ))}
      </ul>
      <ArenaList />
    </main>
  );
}

/** Runs that go on come first: of many, they are what somebody comes to see. */
function goesOn({ standing }: RunSummary): boolean {
  return standing === 'running' || standing === 'waiting';
}

function RunCard({ run }: { run: RunSummary }): JSX.Element {
  const now = Date.now();
  const facts = [
    ...(run.standing === 'unreadable' ? [] : [run.standing === 'finished' ? kindText(run) : placeText(run.place)]),
    ...(run.secondsLeft === null ? [] : [`${duration(run.secondsLeft)} left`]),
    ...(run.residentBytes === null ? [] : [`${bytes(run.residentBytes)} of memory`]),
    ...(run.lastSignMs === null ? [] : [`last sign ${ago(run.lastSignMs, now)}`]),
  ];
  return (
    <>
      <div class="row">
        <h2>{run.standing === 'unreadable' ? run.id : <a href={routeTo(run.id)}>{run.id}</a>}</h2>
        <Standing standing={run.standing} />
      </div>
      <p class="hint">{facts.join(' · ')}</p>
      {run.progress === null ? null : <ProgressBar progress={run.progress} label={`Progress of ${run.id}`} />}
      {run.error === null ? null : (
        <p class="trouble">
          <Sentence text={run.error.message} />
        </p>
      )}
      {run.standing === 'unreadable' || run.standing === 'running' ? null : (
        <p class="hint">
          <Sentence text={run.next.text} />
        </p>
      )}
      {run.standing === 'waiting' ? <a href={routeTo(run.id, { tab: 'label' })}>answer its questions</a> : null}
      {run.next.command === null ? null : <Command text={run.next.command} />}
    </>
  );
}

function kindText({ kind, place }: RunSummary): string {
  return kind === 'fine-tuning' ? 'supervised fine-tuning' : `${place?.iterations ?? ''} iterations`.trim();
}
