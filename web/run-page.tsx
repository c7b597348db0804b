/** @file One run: how it stands, and its tabs. It follows the run's events, and asks again for what they changed. */
import type { JSX } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import type { LoggedEvent, RunDetail, RunSummary } from '../src/server/api.ts';
import { AfterwardsTab } from './afterwards.tsx';
import { AnnotatorsTab } from './annotators.tsx';
import { ControlButton } from './control.tsx';
import { CurvesTab, SettingsTab } from './curves.tsx';
import { bytes, duration, placeText } from './format.ts';
import { LabelTab } from './label.tsx';
import type { Measured } from './live-curves.ts';
import { PairsTab, PairView } from './pairs.tsx';
import { Command, ProgressBar, Sentence, Standing, Trouble } from './parts.tsx';
import { type Route, routeTo, TABS, type Tab } from './route.ts';
import { SamplesTab } from './samples.tsx';
import { type Connection, follow, useAnswer } from './server.ts';

const TAB_NAMES: Readonly<Record<Tab, string>> = {
  label: 'Answer',
  annotators: 'Annotators',
  afterwards: 'Afterwards',
  curves: 'Curves',
  pairs: 'Pairs',
  samples: 'Samples',
  log: 'Log',
  settings: 'Settings',
};
/** Parts of a run that asks people. */
const OF_PEOPLE: readonly Tab[] = ['label', 'annotators', 'afterwards'];
/** Least time between two questions for the same page, and between two where nothing but steps came: curves grow by those. */
const [AGAIN_MS, AGAIN_WHILE_COUNTING_MS] = [5000, 60_000];

export function RunPage({
  route,
  connection,
}: {
  route: Extract<Route, { page: 'run' }>;
  connection: (state: Connection) => void;
}): JSX.Element {
  const { id, tab, item, query } = route;
  const [begun, setBegun] = useState(0);
  const { value: detail, problem } = useAnswer<RunDetail>(`/api/runs/${encodeURIComponent(id)}`, begun);
  const others = useAnswer<{ runs: RunSummary[] }>('/api/runs', begun).value?.runs ?? [];
  const { summary, version, latest, log } = useLive(detail?.id === id ? detail : null, {
    connection,
    onReset: () => setBegun(begun + 1),
  });
  const beside = (query.get('beside') ?? '').split(',').filter((each) => each !== '');
  if (detail === null || detail.id !== id || summary === null)
    return (
      <main id="content" tabIndex={-1}>
        {problem === null ? <p class="hint">Looking …</p> : <Trouble problem={problem} />}
        <a href="#/">← all runs</a>
      </main>
    );
  const besideQuery = beside.length === 0 ? {} : { beside: beside.join(',') };
  return (
    <main id="content" tabIndex={-1}>
      <Head run={summary} hasReport={detail.hasReport} />
      <nav class="tabs" aria-label="Parts of the run">
        {TABS.filter((each) => detail.asksPeople || !OF_PEOPLE.includes(each)).map((each) => (
          <a
            key={each}
            href={routeTo(id, { tab: each, query: besideQuery })}
            aria-current={each === tab ? 'page' : undefined}
          >
            {TAB_NAMES[each]}
          </a>
        ))}
      </nav>
      {tab === 'label' ? <LabelTab runId={id} version={version} /> : null}
      {tab === 'annotators' ? <AnnotatorsTab runId={id} version={version} /> : null}
      {tab === 'afterwards' ? <AfterwardsTab runId={id} version={version} /> : null}
      {tab === 'curves' ? (
        <CurvesTab
          run={detail}
          runs={others}
          version={version}
          latest={latest}
          beside={beside}
          onBeside={(ids) => {
            location.hash = routeTo(id, { query: { beside: ids.join(',') } });
          }}
        />
      ) : null}
      {tab === 'pairs' && item === null ? <PairsTab run={detail} query={query} version={version} /> : null}
      {tab === 'pairs' && item !== null ? <PairView runId={id} pairId={item} /> : null}
      {tab === 'samples' ? <SamplesTab run={detail} query={query} item={item} version={version} /> : null}
      {tab === 'log' ? <Log events={log} /> : null}
      {tab === 'settings' ? <SettingsTab run={detail} beside={beside} /> : null}
    </main>
  );
}

function Head({ run, hasReport }: { run: RunSummary; hasReport: boolean }): JSX.Element {
  const facts = [
    ...(run.standing === 'finished' ? [] : [placeText(run.place)]),
    ...(run.secondsLeft === null ? [] : [`${duration(run.secondsLeft)} left of the run`]),
    ...(run.residentBytes === null ? [] : [`${bytes(run.residentBytes)} of memory`]),
  ];
  return (
    <header class="head">
      <div class="row">
        <h1>{run.id}</h1>
        <Standing standing={run.standing} />
        {hasReport ? <a href={`/api/runs/${encodeURIComponent(run.id)}/report`}>report</a> : null}
        <ControlButton key={run.control} run={run} />
      </div>
      {facts.length === 0 ? null : <p class="hint">{facts.join(' · ')}</p>}
      {run.progress === null ? null : <ProgressBar progress={run.progress} label="Progress of this stage" />}
      <Trouble problem={run.error} />
      {run.standing === 'running' ? null : (
        <p class="hint">
          <Sentence text={run.next.text} />
        </p>
      )}
      {run.next.command === null ? null : <Command text={run.next.command} />}
    </header>
  );
}

/** Follows a run from where its page began: its summary as it is, a version that grows with what it made, its last step, its log. */
function useLive(
  detail: RunDetail | null,
  { connection, onReset }: { connection: (state: Connection) => void; onReset: () => void },
): { summary: RunSummary | null; version: number; latest: Measured | null; log: readonly LoggedEvent[] } {
  const [summary, setSummary] = useState<RunSummary | null>(null);
  const [version, setVersion] = useState(0);
  const [latest, setLatest] = useState<Measured | null>(null);
  const [log, setLog] = useState<readonly LoggedEvent[]>([]);
  // What came since the page was asked for the last time, and the iteration of the last step.
  const news = useRef({ askedMs: 0, steps: false, others: false, iteration: -1 });
  const resetting = useRef(onReset);
  resetting.current = onReset;
  useEffect(() => {
    if (detail === null) return;
    setSummary(null);
    setLog(detail.log);
    const again = setInterval(() => {
      const { askedMs, steps, others } = news.current;
      const isDue = others || (steps && performance.now() - askedMs >= AGAIN_WHILE_COUNTING_MS);
      if (!isDue) return;
      Object.assign(news.current, { askedMs: performance.now(), steps: false, others: false });
      setVersion((before) => before + 1);
    }, AGAIN_MS);
    const leave = follow(`/api/runs/${encodeURIComponent(detail.id)}/events`, {
      after: detail.lastEventId,
      heard: (event, data) => {
        if (event === 'reset') resetting.current();
        if (event === 'summary') setSummary(data as RunSummary);
        if (event !== 'event') return;
        const told = data as LoggedEvent;
        const { current } = news;
        // Curves grow by one more step; where an iteration begins, and whatever else happens, is asked for.
        const isOneMore = told.kind === 'metrics' && told.iteration === current.iteration;
        if (isOneMore) current.steps = true;
        else current.others = true;
        if (told.kind === 'metrics') {
          current.iteration = told.iteration;
          setLatest(told);
        } else if (told.kind !== 'stage-started') setLog((before) => [...before, told].slice(-500));
      },
      connection,
    });
    return () => {
      clearInterval(again);
      leave();
    };
  }, [detail, connection]);
  return { summary: summary ?? detail, version, latest, log };
}

/** What the run told, newest first. */
function Log({ events }: { events: readonly LoggedEvent[] }): JSX.Element {
  if (events.length === 0)
    return <p class="empty">This run has no event log: an older version made it, or it has not begun.</p>;
  return (
    <ol class="log" reversed>
      {[...events].reverse().map((event, index) => (
        <li key={events.length - index} class={event.kind}>
          <time dateTime={new Date(event.timeMs).toISOString()}>{new Date(event.timeMs).toLocaleString()}</time>
          <span>
            <Sentence text={eventText(event)} />
          </span>
        </li>
      ))}
    </ol>
  );
}

function eventText(event: LoggedEvent): string {
  switch (event.kind) {
    case 'opened':
      return `Process ${event.pid} began to work`;
    case 'heartbeat':
      return `${bytes(event.residentBytes)} of memory`;
    case 'failed':
      return `Failed: ${event.message} (${event.code})`;
    case 'closed':
      return event.outcome === 'finished' ? 'The run is at its end' : 'The run was stopped';
    case 'stage-started':
      return `${where(event)}: ${event.total} ${event.unit}`;
    case 'stage-progress':
      return `${where(event)}: ${event.done} of ${event.total}`;
    case 'stage-finished':
      return `${where(event)}: ${event.summary} (${duration(event.seconds)})`;
    case 'stage-skipped':
      return `${where(event)}: finished before`;
    case 'metrics':
      return `Step ${event.step + 1}`;
    case 'note':
      return event.text;
    case 'warning':
      return `Warning: ${event.text}`;
  }
}

function where({ iteration, stage }: { iteration: number; stage: string }): string {
  return iteration === 0 ? stage : `Iteration ${iteration}, ${stage}`;
}
