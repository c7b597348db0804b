/** @file What somebody sees who was invited to label: the runs that ask, and their questions, and nothing else of them. */
import type { JSX } from 'preact';
import type { Task } from '../src/server/api.ts';
import { ArenaList } from './arena-page.tsx';
import { LabelTab } from './label.tsx';
import { Trouble } from './parts.tsx';
import { routeTo } from './route.ts';
import { useAnswer } from './server.ts';

export function LabelPage({ id }: { id: string | null }): JSX.Element {
  if (id !== null)
    return (
      <main id="content" tabIndex={-1}>
        <h1>{id}</h1>
        <LabelTab runId={id} version={0} />
      </main>
    );
  return <Tasks />;
}

function Tasks(): JSX.Element {
  const { value, problem } = useAnswer<{ tasks: Task[] }>('/api/tasks');
  return (
    <main id="content" tabIndex={-1}>
      <h1>Questions</h1>
      <Trouble problem={problem} />
      {value?.tasks.length === 0 ? <p class="empty">No run asks people at the moment.</p> : null}
      <ul class="runs">
        {value?.tasks.map(({ id, open, answered }) => (
          <li key={id} class="card">
            <h2>
              <a href={routeTo(id, { tab: 'label' })}>{id}</a>
            </h2>
            <p class="hint">
              Questions: {open} open, {answered} answered by you
            </p>
          </li>
        ))}
      </ul>
      <ArenaList />
    </main>
  );
}
