/** @file The people of a run: what their answers look like, how far they agree with each other and with the other rankers. */
import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import type { AgreementFigures, AgreementOfTwo, AnnotatorFigures, Annotators, Me } from '../src/server/api.ts';
import { Choice, Command, Marked, Scroll, Trouble } from './parts.tsx';
import { ask, problemOf, tell, useAnswer } from './server.ts';

export function AnnotatorsTab({ runId, version }: { runId: string; version: number }): JSX.Element {
  const { value, problem } = useAnswer<Annotators>(`/api/runs/${encodeURIComponent(runId)}/annotators`, version);
  const me = useAnswer<Me>('/api/me').value;
  return (
    <section aria-label="Annotators">
      <Trouble problem={problem} />
      {value === null ? null : value.annotators.length === 0 ? (
        <p class="empty">Nobody has answered yet.</p>
      ) : (
        <>
          <People annotators={value.annotators} />
          <Agreements people={value.people} between={value.between} rankers={value.rankers} />
          <Flagged flagged={value.flagged} />
        </>
      )}
      {me?.right === 'admin' ? <Invite /> : null}
    </section>
  );
}

function People({ annotators }: { annotators: readonly AnnotatorFigures[] }): JSX.Element {
  return (
    <>
      <h2>Who answered</h2>
      <Scroll label="Figures of annotators">
        <table>
          <thead>
            <Columns
              names={[
                'name',
                'answers',
                'left chosen',
                'much better',
                'ties',
                'both bad',
                'skipped',
                'median time',
                'ability',
                'gold right',
                'said again',
              ]}
            />
          </thead>
          <tbody>
            {annotators.map((each) => (
              <tr key={each.name}>
                <th scope="row">{each.name}</th>
                <td>{each.answers}</td>
                <td>{percent(each.left)}</td>
                <td>{each.much}</td>
                <td>{each.ties}</td>
                <td>{each.bothBad}</td>
                <td>{each.skipped}</td>
                <td>{each.medianSeconds.toFixed(1)} s</td>
                <td>{each.ability === null ? '' : each.ability.toFixed(2)}</td>
                <td>
                  {each.gold === null ? '' : `${percent(each.gold.right)} of ${each.gold.answers}`}
                  {each.gold?.fails === true ? ' — fails' : ''}
                </td>
                <td>{each.again === null ? '' : `${percent(each.again.same)} of ${each.again.questions}`}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </Scroll>
      <p class="hint">
        Brackets are 95 % bootstrap intervals. Sides are drawn, so whoever reads both texts chooses the left one about
        half of the time. Ability is told by who agrees with whom (GLAD): about 1 is expected of somebody unknown, 0
        guesses, below 0 says mostly the opposite. Gold questions have a known answer: who surely gives fewer than four
        of five fails. Said again: the same answer to a question that came a second time.
      </p>
    </>
  );
}

/** The first row of a table. */
function Columns({ names }: { names: readonly string[] }): JSX.Element {
  return (
    <tr>
      {names.map((name) => (
        <th key={name} scope="col">
          {name}
        </th>
      ))}
    </tr>
  );
}

function Agreements({ people, between, rankers }: Pick<Annotators, 'people' | 'between' | 'rankers'>): JSX.Element {
  return (
    <>
      <h2>Agreement</h2>
      {people === null ? <p class="hint">No question was answered by two people yet (ranker.votes).</p> : null}
      {people === null && rankers.length === 0 ? null : (
        <Scroll label="Figures of agreement">
          <table>
            <thead>
              <Columns names={['between', 'n', 'same', 'Krippendorff’s alpha', 'Cohen’s kappa', 'Gwet’s AC1']} />
            </thead>
            <tbody>
              {people === null ? null : (
                <tr>
                  <th scope="row">people</th>
                  <td>{people.questions} questions</td>
                  <td>{percent(people.percent)}</td>
                  <td>{coefficient(people.alpha)}</td>
                  <td />
                  <td>{coefficient(people.ac1)}</td>
                </tr>
              )}
              {between.map((each) => (
                <OfTwo key={each.names.join(' ')} name={each.names.join(' and ')} what="questions" figures={each} />
              ))}
              {rankers.map((each) => (
                <OfTwo
                  key={`${each.annotator} ${each.rankerId}`}
                  name={`${each.annotator ?? 'people'} and ${each.rankerId.slice(0, 60)}`}
                  what="answers"
                  figures={each}
                />
              ))}
            </tbody>
          </table>
        </Scroll>
      )}
      <p class="hint">
        First better, tie or second better; skipped questions do not count. Alpha and kappa fall to 0 where nearly all
        answers are alike, AC1 does not. Where people were asked about prompts in doubt, agreement with the other ranker
        is lower than on all.
      </p>
    </>
  );
}

function OfTwo({ name, what, figures }: { name: string; what: string; figures: AgreementOfTwo }): JSX.Element {
  return (
    <tr>
      <th scope="row">{name}</th>
      <td>
        {figures.comparisons} {what}
      </td>
      <td>{percent(figures.percent)}</td>
      <td />
      <td>{coefficient(figures.kappa)}</td>
      <td>{coefficient(figures.ac1)}</td>
    </tr>
  );
}

function Flagged({ flagged }: Pick<Annotators, 'flagged'>): JSX.Element | null {
  if (flagged.length === 0) return null;
  return (
    <>
      <h2>Flagged</h2>
      <ul class="runs">
        {flagged.map(({ annotator, prompt, texts: [first, second] }, index) => (
          <li key={index} class="card">
            <p class="prompt" dir="auto">
              {prompt}
            </p>
            <div class="answers two">
              <div class="answer">
                <Marked text={first} other={second} />
              </div>
              <div class="answer">
                <Marked text={second} other={first} />
              </div>
            </div>
            <p class="hint">flagged by {annotator}</p>
          </li>
        ))}
      </ul>
    </>
  );
}

/** The address for another annotator. */
function Invite(): JSX.Element {
  const [name, setName] = useState('');
  const [right, setRight] = useState('label');
  const [address, setAddress] = useState<string | null>(null);
  const [revoked, setRevoked] = useState<string[] | null>(null);
  const [problem, setProblem] = useState<ReturnType<typeof problemOf> | null>(null);
  const invite = (event: Event): void => {
    event.preventDefault();
    ask<{ address: string }>(`/api/invitations?${new URLSearchParams({ name, right })}`).then(
      (found) => {
        setAddress(found.address);
        setProblem(null);
      },
      (error: unknown) => {
        setAddress(null);
        setProblem(problemOf(error));
      },
    );
  };
  const takeBack = (action: 'revoke' | 'restore'): void => {
    tell<{ revoked: string[] }>('/api/invitations', { action, name }).then(
      (found) => {
        setAddress(null);
        setProblem(null);
        setRevoked(found.revoked);
      },
      (error: unknown) => setProblem(problemOf(error)),
    );
  };
  return (
    <form onSubmit={invite}>
      <h2>Invite</h2>
      <div class="row">
        <label class="field">
          <span>Name</span>
          <input type="text" value={name} maxLength={32} onInput={(event) => setName(event.currentTarget.value)} />
        </label>
        <Choice
          label="May"
          value={right}
          options={[
            { value: 'label', text: 'label: answer questions, nothing else' },
            { value: 'review', text: 'review: see everything' },
            { value: 'admin', text: 'admin: invite too' },
          ]}
          onChoose={setRight}
        />
        <button type="submit">make an address</button>
        <button type="button" onClick={() => takeBack('revoke')}>
          take back
        </button>
        <button type="button" onClick={() => takeBack('restore')}>
          restore
        </button>
      </div>
      <Trouble problem={problem} />
      {address === null ? null : <Command text={address} />}
      {revoked === null ? null : (
        <p class="hint" role="status">
          {revoked.length === 0 ? 'No invitation is taken back.' : `Taken back: ${revoked.join(', ')}.`}
        </p>
      )}
    </form>
  );
}

function percent(figures: AgreementFigures): string {
  if (figures === null) return '';
  const [value, low, high] = [figures.value, figures.low, figures.high].map((each) => Math.round(100 * each));
  return `${value} % [${low}, ${high}]`;
}

function coefficient(figures: AgreementFigures): string {
  if (figures === null) return 'not defined';
  return `${figures.value.toFixed(2)} [${figures.low.toFixed(2)}, ${figures.high.toFixed(2)}]`;
}
