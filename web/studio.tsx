/** @file The studio in the browser: a bar, and the page that the address means. Texts of runs are shown as text, always. */
import { type JSX, render } from 'preact';
import { useCallback, useEffect, useState } from 'preact/hooks';
import type { Me } from '../src/server/api.ts';
import { ArenaPage } from './arena-page.tsx';
import { LabelPage } from './label-page.tsx';
import { Sentence } from './parts.tsx';
import { followAddress, type Route, route } from './route.ts';
import { RunPage } from './run-page.tsx';
import { RunsPage } from './runs-page.tsx';
import { type Connection, useAnswer } from './server.ts';

const TROUBLES: Readonly<Record<Exclude<Connection, 'open'>, string>> = {
  lost: 'The studio does not answer. Runs go on without it; this page goes on when it is back.',
  refused: 'The studio was started again: open the address that `selm studio` printed now.',
};

function Studio(): JSX.Element {
  const [shown, setShown] = useState<Route>(route.value);
  const [connection, setConnection] = useState<Connection>('open');
  useEffect(() => route.subscribe(setShown), []);
  const heard = useCallback((state: Connection) => setConnection(state), []);
  const me = useAnswer<Me>('/api/me').value;
  const title = shown.page !== 'runs' ? `${shown.id} · selm studio` : 'selm studio';
  useEffect(() => {
    document.title = title;
  }, [title]);
  return (
    <>
      <button type="button" class="skip" onClick={toContent}>
        to the content
      </button>
      <header class="bar">
        <a href="#/" class="brand">
          selm studio
        </a>
        {shown.page !== 'runs' ? <a href="#/">{me?.right === 'label' ? 'all questions' : 'all runs'}</a> : null}
        {me === null || me.name === 'owner' ? null : <span class="hint">{me.name}</span>}
      </header>
      {connection === 'open' ? null : (
        <p class="trouble banner" role="alert">
          <Sentence text={TROUBLES[connection]} />
        </p>
      )}
      {me === null ? null : shown.page === 'arena' ? (
        <ArenaPage key={shown.id} id={shown.id} tab={shown.tab} me={me} />
      ) : me.right === 'label' ? (
        <LabelPage id={shown.page === 'run' ? shown.id : null} />
      ) : shown.page === 'run' ? (
        <RunPage key={shown.id} route={shown} connection={heard} />
      ) : (
        <RunsPage connection={heard} />
      )}
    </>
  );
}

/** Past the bar, for who goes by keyboard. */
function toContent(): void {
  document.getElementById('content')?.focus();
}

followAddress();
const root = document.getElementById('studio');
if (root !== null) {
  root.textContent = '';
  render(<Studio />, root);
}
