/** @file What the policy answers to a prompt, from iteration to iteration, with what changed marked. */
import type { JSX } from 'preact';
import type { PromptPage, PromptSamples, RunDetail, SampleSource } from '../src/server/api.ts';
import { short } from './format.ts';
import { Choice, Marked, Pager, SearchField, Trouble } from './parts.tsx';
import { replaceRoute, routeTo } from './route.ts';
import { useAnswer } from './server.ts';

const LIMIT = 20;

export function SamplesTab({
  run,
  query,
  item,
  version,
}: {
  run: RunDetail;
  query: URLSearchParams;
  item: string | null;
  version: number;
}): JSX.Element {
  const source = query.get('source') ?? (run.metrics.iterations.includes('reward, held out') ? 'held-out' : 'training');
  const search = query.get('search') ?? '';
  const offset = query.get('offset') ?? '';
  const asked = new URLSearchParams({ source, search, limit: String(LIMIT), offset: offset === '' ? '0' : offset });
  const path = `/api/runs/${encodeURIComponent(run.id)}`;
  const { value: page, problem } = useAnswer<PromptPage>(`${path}/prompts?${asked}`, version);
  const filters = { source, search, offset };
  const change = (changes: Record<string, string>): void =>
    replaceRoute(routeTo(run.id, { tab: 'samples', query: { ...filters, offset: '', ...changes } }));
  const chosen = item ?? page?.prompts[0]?.promptId ?? null;
  return (
    <>
      <div class="fields">
        <SearchField label="Search prompts" value={search} onSearch={(text) => change({ search: text })} />
        <Choice
          label="Prompts"
          value={source}
          options={[
            { value: 'held-out', text: 'held out, asked of every model' },
            { value: 'training', text: 'trained on' },
          ]}
          onChoose={(value) => change({ source: value })}
        />
      </div>
      <Trouble problem={problem} />
      {page === null ? (
        <p class="hint">Looking …</p>
      ) : (
        <div class="samples">
          <div>
            <Pager
              total={page.total}
              offset={page.offset}
              limit={LIMIT}
              what="prompts"
              onTurn={(next) => change({ offset: String(next) })}
            />
            <ul class="prompts">
              {page.prompts.map(({ promptId, prompt, iterations }) => (
                <li key={promptId}>
                  <a
                    dir="auto"
                    href={routeTo(run.id, { tab: 'samples', item: promptId, query: filters })}
                    aria-current={promptId === chosen ? 'true' : undefined}
                  >
                    <span class="clipped">{prompt?.trim() || promptId}</span>
                    {source === 'training' ? <span class="hint"> iteration {iterations.join(', ')}</span> : null}
                  </a>
                </li>
              ))}
            </ul>
          </div>
          {chosen === null ? null : (
            <Answers path={path} source={source as SampleSource} promptId={chosen} version={version} />
          )}
        </div>
      )}
    </>
  );
}

/** The answers to one prompt: a row a sample, a column an iteration; marked is what the iteration before did not say. */
function Answers({
  path,
  source,
  promptId,
  version,
}: {
  path: string;
  source: SampleSource;
  promptId: string;
  version: number;
}): JSX.Element {
  const query = new URLSearchParams({ source, promptId });
  const { value, problem } = useAnswer<PromptSamples>(`${path}/samples?${query}`, version);
  if (value === null) return problem === null ? <p class="hint">Looking …</p> : <Trouble problem={problem} />;
  const samples = Math.max(0, ...value.iterations.map((each) => each.samples.length));
  return (
    <article aria-live="polite">
      <p class="prompt" dir="auto">
        {value.prompt ?? '(the prompt was not kept)'}
      </p>
      <p class="hint">Marked is what the iteration before did not say at that place.</p>
      {Array.from({ length: samples }, (_, row) => (
        <div class="answers" key={row}>
          {value.iterations.map(({ iteration, samples: answers }, column) => {
            const answer = answers[row];
            if (answer === undefined) return null;
            const before = value.iterations[column - 1]?.samples[row]?.text ?? null;
            return (
              <div class="answer" key={iteration}>
                <h3>
                  {iteration === 0 ? 'base' : `iteration ${iteration}`}{' '}
                  <span class="hint">{answer.score === null ? '' : `score ${short(answer.score)}`}</span>
                </h3>
                <Marked text={answer.text} other={before} />
              </div>
            );
          })}
        </div>
      ))}
    </article>
  );
}
