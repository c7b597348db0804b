/** @file The pairs of a run: a list that is searched and paged on the server, and one pair with where it comes from. */
import type { ComponentChildren, JSX } from 'preact';
import type { PairDetail, PairPage, RunDetail } from '../src/server/api.ts';
import type { CandidateOrigin } from '../src/store/ledger-rows.ts';
import { short } from './format.ts';
import { Choice, Facts, Marked, Pager, SearchField, Trouble } from './parts.tsx';
import { replaceRoute, routeTo } from './route.ts';
import { useAnswer } from './server.ts';

const LIMIT = 50;

export function PairsTab({
  run,
  query,
  version,
}: {
  run: RunDetail;
  query: URLSearchParams;
  version: number;
}): JSX.Element {
  const [search, iteration, order, offset] = ['search', 'iteration', 'order', 'offset'].map(
    (name) => query.get(name) ?? '',
  );
  const asked = new URLSearchParams({
    limit: String(LIMIT),
    search: search ?? '',
    offset: offset === '' ? '0' : (offset ?? '0'),
  });
  if (iteration !== '') asked.set('iteration', iteration ?? '');
  if (order !== '') asked.set('order', order ?? '');
  const { value: page, problem } = useAnswer<PairPage>(
    `/api/runs/${encodeURIComponent(run.id)}/pairs?${asked}`,
    version,
  );
  /** A changed filter begins at the first page. */
  const change = (changes: Record<string, string>): void => {
    const filters = { search: search ?? '', iteration: iteration ?? '', order: order ?? '', offset: '', ...changes };
    replaceRoute(routeTo(run.id, { tab: 'pairs', query: filters }));
  };
  return (
    <>
      <div class="fields">
        <SearchField
          label="Search prompts, answers and ids"
          value={search ?? ''}
          onSearch={(text) => change({ search: text })}
        />
        <Choice
          label="Iteration"
          value={iteration ?? ''}
          options={[
            { value: '', text: 'all' },
            ...run.pairCounts.map((each) => ({
              value: String(each.iteration),
              text: `${each.iteration} (${each.pairs} pairs)`,
            })),
          ]}
          onChoose={(value) => change({ iteration: value })}
        />
        <Choice
          label="Order"
          value={order ?? ''}
          options={[
            { value: '', text: 'as they were made' },
            { value: 'widest', text: 'clearest first' },
            { value: 'narrowest', text: 'closest first' },
          ]}
          onChoose={(value) => change({ order: value })}
        />
      </div>
      <Trouble problem={problem} />
      {page === null ? (
        <p class="hint">Looking …</p>
      ) : (
        <>
          <Pager
            total={page.total}
            offset={page.offset}
            limit={LIMIT}
            what="pairs"
            onTurn={(next) => change({ offset: String(next) })}
          />
          <ul class="pairs">
            {page.pairs.map((pair) => (
              <li key={pair.pairId} class="card">
                <a class="prompt" dir="auto" href={routeTo(run.id, { tab: 'pairs', item: pair.pairId })}>
                  {pair.prompt?.trim() || `prompt of pair ${pair.pairId.slice(0, 12)}`}
                </a>
                <div class="answers">
                  <Side side="chosen" from={scored(pair.chosenFrom, pair.scoreChosen)}>
                    <p class="text clipped" dir="auto">
                      {pair.chosen}
                    </p>
                  </Side>
                  <Side side="rejected" from={scored(pair.rejectedFrom, pair.scoreRejected)}>
                    <p class="text clipped" dir="auto">
                      {pair.rejected}
                    </p>
                  </Side>
                </div>
                <p class="hint">iteration {pair.iteration}</p>
              </li>
            ))}
          </ul>
          {page.total > LIMIT ? (
            <Pager
              total={page.total}
              offset={page.offset}
              limit={LIMIT}
              what="pairs"
              onTurn={(next) => change({ offset: String(next) })}
            />
          ) : null}
        </>
      )}
    </>
  );
}

/** One pair: the two texts with their differences, every candidate in its place, and who said so. */
export function PairView({ runId, pairId }: { runId: string; pairId: string }): JSX.Element {
  const path = `/api/runs/${encodeURIComponent(runId)}/pairs/${encodeURIComponent(pairId)}`;
  const { value: pair, problem } = useAnswer<PairDetail>(path);
  if (pair === null) return problem === null ? <p class="hint">Looking …</p> : <Trouble problem={problem} />;
  return (
    <article>
      <p>
        <a href={routeTo(runId, { tab: 'pairs' })}>← all pairs</a>
      </p>
      <h2>Pair {pair.pairId.slice(0, 16)}</h2>
      <p class="prompt" dir="auto">
        {pair.prompt ?? '(the prompt was not kept)'}
      </p>
      <p class="hint">What one answer has and the other lacks is marked.</p>
      <div class="answers">
        <Side side="chosen" from={originText(pair.chosenFrom)}>
          <Marked text={pair.chosen} other={pair.rejected} />
        </Side>
        <Side side="rejected" from={originText(pair.rejectedFrom)}>
          <Marked text={pair.rejected} other={pair.chosen} />
        </Side>
      </div>
      {pair.rankings.map((ranking) => (
        <Verdict key={ranking.rankerId} pair={pair} ranking={ranking} />
      ))}
      <h3>Where it comes from</h3>
      <Facts
        facts={[
          ['Iteration', pair.iteration],
          ['Prompt id', <code key="id">{pair.promptId}</code>],
          ['Row of the data', pair.source === null ? 'not recorded' : `${pair.source.file}, line ${pair.source.line}`],
          ...(pair.label === null
            ? []
            : [
                [
                  'Label',
                  `better with probability ${short(pair.label.probability)}, weight ${short(pair.label.weight)}`,
                ] as [string, string],
              ]),
          ['Ranked by', pair.rankerId ?? 'nobody: a pair of the data as it is'],
          [
            'Sampled from',
            pair.sampler === null ? (
              'nothing was sampled'
            ) : (
              <code key="sampler">
                weights {pair.sampler.sha256.slice(0, 16)}, seed {pair.sampler.seed}
              </code>
            ),
          ],
        ]}
      />
      {pair.answers.length === 0 ? null : (
        <details>
          <summary>Raw answers of the ranker ({pair.answers.length})</summary>
          {pair.answers.map((answer, index) => (
            <pre key={index}>{answer.text}</pre>
          ))}
        </details>
      )}
    </article>
  );
}

function Verdict({ pair, ranking }: { pair: PairDetail; ranking: PairDetail['rankings'][number] }): JSX.Element {
  const { candidates, scores, order, ties, problem } = ranking;
  const isOf = (from: CandidateOrigin, candidate: CandidateOrigin | undefined): boolean =>
    from.kind === candidate?.kind && from.sampleIndex === candidate.sampleIndex;
  const decided = pair.rankerId === null || pair.rankerId === ranking.rankerId;
  return (
    <section>
      <h3>
        {decided ? 'Verdict' : 'Also asked'} <span class="hint">{ranking.rankerId}</span>
      </h3>
      {problem === undefined ? null : <p class="trouble">No verdict: {problem}</p>}
      <ol class="candidates">
        {order.map((index) => {
          const candidate = candidates[index];
          const sample =
            candidate?.kind === 'response'
              ? pair.responses.find(({ sampleIndex }) => sampleIndex === candidate.sampleIndex)
              : undefined;
          const tied = ties.some((tie) => tie.includes(index));
          const roles = [
            ...(decided && isOf(pair.chosenFrom, candidate) ? ['became chosen'] : []),
            ...(decided && isOf(pair.rejectedFrom, candidate) ? ['became rejected'] : []),
            ...(candidate?.kind === 'response' && candidate.text === pair.response
              ? ['y of the exploration term']
              : []),
          ];
          const facts = [
            ...(candidate === undefined ? [] : [originText(candidate)]),
            ...(scores === null ? [] : [`score ${short(scores[index])}`]),
            ...(tied ? ['shares its place'] : []),
            ...(sample === undefined
              ? []
              : [
                  `${sample.tokens} tokens`,
                  `log-probability ${short(sample.logProb)}`,
                  sample.finish === 'stop' ? 'ended by itself' : 'cut at the length limit',
                ]),
          ];
          return (
            <li key={index}>
              <p class="hint">
                {facts.join(' · ')}{' '}
                {roles.map((role) => (
                  <b key={role}>{role} </b>
                ))}
              </p>
              <p class="text" dir="auto">
                {candidate?.text ?? ''}
              </p>
            </li>
          );
        })}
      </ol>
    </section>
  );
}

function originText({ kind, sampleIndex }: CandidateOrigin): string {
  if (kind === 'edit') return 'written by a person';
  return kind === 'response' ? `sample ${(sampleIndex ?? 0) + 1} of the policy` : `${kind} of the data`;
}

function scored(from: CandidateOrigin, score: number | null): string {
  return score === null ? originText(from) : `${originText(from)} · score ${short(score)}`;
}

/** One side of a pair, under where it comes from. */
function Side(props: { side: 'chosen' | 'rejected'; from: string; children: ComponentChildren }): JSX.Element {
  return (
    <div class={`answer ${props.side}`}>
      <h3>
        {props.side} <span class="hint">{props.from}</span>
      </h3>
      {props.children}
    </div>
  );
}
