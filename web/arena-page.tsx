/** @file An arena: two answers to a prompt without a name, one key a vote; and who stands how by the votes. */
import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import type { ArenaItem, ArenaStandings, GivenVote, Me, OpenBouts, ShownBout } from '../src/server/api.ts';
import { useAsking } from './asking.ts';
import { AS_WRITTEN, AsWritten, Decisions } from './decisions.tsx';
import { useFromItsStart } from './from-its-start.ts';
import { useKeys } from './keys.ts';
import { Marked, Rendered, Scroll, Trouble } from './parts.tsx';
import { ARENA_TABS, type ArenaTab, arenaRoute } from './route.ts';
import { useAnswer } from './server.ts';

/** Every vote with its key, as its button shows it. */
const ACTIONS: readonly { choice: GivenVote['choice']; key: string; text: string }[] = [
  { choice: 'left', key: '1', text: 'left is better' },
  { choice: 'right', key: '2', text: 'right is better' },
  { choice: 'tie', key: '3', text: 'equally good' },
  { choice: 'both-bad', key: '4', text: 'both bad' },
  { choice: 'skip', key: 's', text: 'skip' },
  { choice: 'undo', key: 'u', text: 'undo' },
];
const TAB_NAMES: Readonly<Record<ArenaTab, string>> = { vote: 'Vote', ratings: 'Ratings' };

export function ArenaPage({ id, tab, me }: { id: string; tab: ArenaTab; me: Me }): JSX.Element {
  const mayWatch = me.right !== 'label';
  return (
    <main id="content" tabIndex={-1}>
      <h1>{id}</h1>
      {mayWatch ? (
        <nav class="tabs" aria-label="Parts of the arena">
          {ARENA_TABS.map((each) => (
            <a key={each} href={arenaRoute(id, each)} aria-current={each === tab ? 'page' : undefined}>
              {TAB_NAMES[each]}
            </a>
          ))}
        </nav>
      ) : null}
      {tab === 'ratings' && mayWatch ? <Ratings id={id} /> : <VoteTab id={id} />}
    </main>
  );
}

function VoteTab({ id }: { id: string }): JSX.Element {
  const path = `/api/arenas/${encodeURIComponent(id)}`;
  const places = { from: `${path}/bouts`, to: `${path}/votes` };
  const { known, item, back, problem, decide } = useAsking<ShownBout, OpenBouts>(places, 0);
  const [isAsWritten, setAsWritten] = useState(false);
  const choose = (choice: GivenVote['choice']): void =>
    decide(choice === 'undo' ? 'undo' : 'answer', ({ id: bout, ...facts }): GivenVote => ({ bout, choice, ...facts }));
  useKeys((key) => {
    const action = ACTIONS.find((each) => each.key === key);
    if (action !== undefined) choose(action.choice);
    if (key === AS_WRITTEN) setAsWritten((before) => !before);
    return action !== undefined || key === AS_WRITTEN;
  });
  const article = useFromItsStart(item?.id ?? null);
  const Text = isAsWritten ? Marked : Rendered;
  return (
    <section aria-label="Vote">
      <Trouble problem={problem} />
      <p class="hint" role="status">
        {known === null ? 'Looking …' : `Pairs of answers: ${known.open} left, ${known.own} voted on`}
      </p>
      {item === null ? (
        <p class="empty">You have voted on everything that is here.</p>
      ) : (
        <article ref={article}>
          <div class="prompt">
            <Text text={item.prompt} other={null} />
          </div>
          <div class="answers two">
            {(['left', 'right'] as const).map((side) => (
              <div class="answer" key={side}>
                <h3>{side}</h3>
                <Text text={item[side]} other={side === 'left' ? item.right : item.left} />
              </div>
            ))}
          </div>
        </article>
      )}
      <div class="actions">
        <Decisions actions={ACTIONS} about={item} back={back} onChoose={choose} />
        <AsWritten isOn={isAsWritten} onChange={setAsWritten} />
      </div>
    </section>
  );
}

function Ratings({ id }: { id: string }): JSX.Element {
  const { value, problem } = useAnswer<ArenaStandings>(`/api/arenas/${encodeURIComponent(id)}/standings`);
  if (value === null) return problem === null ? <p class="hint">Looking …</p> : <Trouble problem={problem} />;
  const low = Math.min(...value.contenders.map(({ rating }) => rating.low));
  const high = Math.max(...value.contenders.map(({ rating }) => rating.high));
  const place = (points: number): number => (100 * (points - low)) / Math.max(1, high - low);
  return (
    <section aria-label="Ratings">
      <Scroll label="Table of ratings">
        <table>
          <thead>
            <tr>
              {['contender', 'rating', '95 %', '', 'wins', 'ties', 'losses', 'from'].map((name) => (
                <th key={name} scope="col">
                  {name === '' ? <span class="unseen">interval, drawn</span> : name}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {value.contenders.map(({ name, source, rating, wins, ties, losses }) => (
              <tr key={name}>
                <th scope="row">{name}</th>
                <td>{rating.value.toFixed(0)}</td>
                <td>
                  {rating.low.toFixed(0)} to {rating.high.toFixed(0)}
                </td>
                <td>
                  <svg class="interval" viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">
                    <line x1={place(rating.low)} x2={place(rating.high)} y1="5" y2="5" />
                    <circle cx={place(rating.value)} cy="5" r="3" />
                  </svg>
                </td>
                <td>{wins}</td>
                <td>{ties}</td>
                <td>{losses}</td>
                <td class="source">{source}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </Scroll>
      <p class="hint">
        {value.votes} votes, {value.skipped} of them skipped
        {value.leftShare === null ? '' : `; ${(100 * value.leftShare).toFixed(0)} % of the decisions for the left side`}
        . Ratings by Bradley and Terry: 400 points are odds of ten to one, 1000 is the mean of all; a tie is half a win
        for each. Votes of one voter, and on one prompt, do not count as independent.
      </p>
      {value.votes === 0 ? null : (
        <p class="hint">
          <code>selm arena export {id} votes.jsonl</code> writes the votes as pairs that a recipe trains on.
        </p>
      )}
    </section>
  );
}

/** The arenas, for the page of all runs and for who only labels. Nothing where there is none. */
export function ArenaList(): JSX.Element | null {
  const { value } = useAnswer<{ arenas: ArenaItem[] }>('/api/arenas');
  if (value === null || value.arenas.length === 0) return null;
  return (
    <>
      <h2>Arenas</h2>
      <ul class="runs">
        {value.arenas.map(({ id, prompts, open, own }) => (
          <li key={id} class="card">
            <h3>
              <a href={arenaRoute(id, 'vote')}>{id}</a>
            </h3>
            <p class="hint">
              {prompts} prompts, {open} pairs of answers are left, you voted on {own}
            </p>
          </li>
        ))}
      </ul>
    </>
  );
}
