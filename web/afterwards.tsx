/** @file What people's labels changed: the policy's answers before and after the training on them, and the margins of their pairs. */
import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import type { AfterwardsPage, MovedPrompt } from '../src/server/api.ts';
import { short } from './format.ts';
import { Choice, Command, Rendered, Trouble } from './parts.tsx';
import { useAnswer } from './server.ts';

export function AfterwardsTab({ runId, version }: { runId: string; version: number }): JSX.Element {
  const [annotator, setAnnotator] = useState('');
  const query = new URLSearchParams({ annotator });
  const path = `/api/runs/${encodeURIComponent(runId)}/afterwards?${query}`;
  const { value, problem } = useAnswer<AfterwardsPage>(path, version);
  if (value === null) return problem === null ? <p class="hint">Looking …</p> : <Trouble problem={problem} />;
  return (
    <section aria-label="Afterwards">
      <Trouble problem={problem} />
      {value.annotators.length < 2 ? null : (
        <div class="fields">
          <Choice
            label="Labelled by"
            value={annotator}
            options={[{ value: '', text: 'anybody' }, ...value.annotators.map((name) => ({ value: name, text: name }))]}
            onChoose={setAnnotator}
          />
        </div>
      )}
      {value.iterations.map(({ iteration, prompts, rose, meanBefore, meanAfter }) => (
        <p key={iteration}>
          Iteration {iteration}: the margin rose in <b>{rose}</b> of {prompts} labelled pairs, on average from{' '}
          {short(meanBefore)} to <b>{short(meanAfter)}</b>.
        </p>
      ))}
      {value.iterations.length === 0 ? (
        <p class="empty">
          Nothing was measured yet. When an iteration is trained, this asks the new policy the same again:
        </p>
      ) : (
        <p class="hint">
          A margin is β times the log-ratio to the initial model, of the chosen answer less the rejected one. Both
          policies drew with the same random numbers; marked is what the policy did not say before. An iteration is
          measured with
        </p>
      )}
      <Command text={value.command} />
      <ul class="pairs">
        {value.prompts.map((moved) => (
          <li key={`${moved.iteration} ${moved.promptId}`} class="card">
            <Moved moved={moved} />
          </li>
        ))}
      </ul>
    </section>
  );
}

function Moved({ moved }: { moved: MovedPrompt }): JSX.Element {
  const { iteration, prompt, chosen, rejected, marginBefore, marginAfter, before, after, annotators } = moved;
  return (
    <article>
      <p class="prompt" dir="auto">
        {prompt}
      </p>
      <p class="hint">
        Iteration {iteration}, labelled by {annotators.join(', ')}. Margin {short(marginBefore)} before,{' '}
        {short(marginAfter)} after: it {marginAfter > marginBefore ? 'rose' : 'fell'}.
      </p>
      <div class="answers two">
        <Column title="before" texts={before} others={null} />
        <Column title="after" texts={after} others={before} />
      </div>
      <details>
        <summary>the pair that the labels made</summary>
        <div class="answers two">
          <div class="answer chosen">
            <h3>chosen</h3>
            <Rendered text={chosen} other={rejected} />
          </div>
          <div class="answer rejected">
            <h3>rejected</h3>
            <Rendered text={rejected} other={chosen} />
          </div>
        </div>
      </details>
    </article>
  );
}

function Column({
  title,
  texts,
  others,
}: {
  title: string;
  texts: readonly string[];
  others: readonly string[] | null;
}): JSX.Element {
  return (
    <div class="answer">
      <h3>{title}</h3>
      {texts.map((text, index) => (
        <Rendered key={index} text={text} other={others?.[index] ?? null} />
      ))}
    </div>
  );
}
