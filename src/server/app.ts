/**
 * @file The studio's HTTP interface: the guard, the door, then what each address answers. Everything a run says leaves as
 * JSON, as an event, or as the finished report; no text of a run is ever put into a page here.
 */
import type { HttpBindings } from '@hono/node-server';
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response';
import { type Context, Hono } from 'hono';
import { z } from 'zod';
import { SelmError } from '../errors.ts';
import { OWNER } from '../rank/people/owner.ts';
import type { QuestionLog } from '../rank/people/questions.ts';
import { afterwardsOf } from './afterwards.ts';
import { annotatorsOf } from './annotators.ts';
import type { Me, Problem } from './api.ts';
import { Arenas, givenVote } from './arenas.ts';
import type { Asset } from './assets.ts';
import { givenControl, goOnWithRun, stopRun } from './control.ts';
import { type Refusal, requestProblem, shownText } from './guard.ts';
import { Leases } from './leases.ts';
import type { OpenRuns } from './open-runs.ts';
import { pairDetail, pairPage, promptPage, promptSamples } from './pairs.ts';
import { giveAnswer, givenAnswer, takeQuestions, votesOf } from './people.ts';
import { comparisonOf, reportOf } from './report.ts';
import { givenRevocation, Revocations } from './revocations.ts';
import { curvesOf, detailOf } from './run-detail.ts';
import { Streams } from './stream.ts';
import { tasksOf } from './tasks.ts';
import {
  ANNOTATOR_NAME,
  cookieHeader,
  invitationOf,
  RIGHTS,
  type Visitor,
  visitorOf,
  visitorOfBearer,
  visitorOfCookie,
} from './token.ts';

export interface StudioOptions {
  runs: OpenRuns;
  /** What lets in: part of the start URL. */
  token: string;
  port: number;
  /** The pages, by their paths. */
  assets: ReadonlyMap<string, Asset>;
  /** Hears of every request that is refused, as one line. @default nobody */
  log?: (line: string) => void;
  /** Milliseconds since 1970. @default Date.now */
  clock?: () => number;
}

type Env = { Bindings: HttpBindings; Variables: { visitor: Visitor } };
type Ctx = Context<Env>;

/** Streams open at the same time. */
const MOST_STREAMS = 100;
/** Wrong tokens in a minute, after which more of them get another answer. */
const MOST_WRONG_TOKENS = 20;

/** Nothing from another host, no inline script or style, no frame around it. */
const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const HEADERS: Readonly<Record<string, string>> = {
  'content-security-policy': POLICY,
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'cache-control': 'no-store',
};

const text = z.string().max(500).default('');
const offset = z.coerce.number().int().min(0).max(1e9).default(0);
const limit = z.coerce.number().int().min(1).max(200).default(50);
const source = z.enum(['held-out', 'training']);
const pairQuery = z.object({
  iteration: z.coerce.number().int().min(0).max(1e6).optional(),
  chosenFrom: z.enum(['response', 'chosen', 'rejected', 'edit']).optional(),
  order: z.enum(['ledger', 'widest', 'narrowest']).default('ledger'),
  search: text,
  offset,
  limit,
});
const promptQuery = z.object({ source, search: text, offset, limit });
const sampleQuery = z.object({ source, promptId: z.string().min(1).max(500) });
const curveQuery = z.object({
  names: z.string().max(2000),
  points: z.coerce.number().int().min(10).max(5000).default(600),
});
const comparedRuns = z.object({
  runs: z
    .string()
    .max(4000)
    .transform((ids) => [...new Set(ids.split(',').filter((id) => id !== ''))])
    .refine((ids) => ids.length > 1, 'two or more runs are compared, their names with commas between them'),
});
const afterwardsQuery = z.object({ annotator: z.union([z.literal(''), z.string().regex(ANNOTATOR_NAME)]).default('') });
const invited = z.object({
  name: z
    .string()
    .regex(ANNOTATOR_NAME, 'a name has up to 32 of a-z, 0-9 and -, and begins with a letter')
    .refine((name) => name !== OWNER, 'the owner needs no invitation'),
  right: z.enum(RIGHTS),
});
const eventId = z.string().regex(/^\d{1,15}$/);

/** What somebody who only labels may ask for, beside the pages themselves. */
const LABELLING = /^\/api\/(me|tasks|runs\/[^/]+\/(questions|answers)|arenas(\/[^/]+\/(bouts|votes))?)$/;

const CONTROL = /^\/api\/runs\/[^/]+\/control$/;

/** The right that a path needs. */
function neededFor(path: string): Visitor['right'] {
  if (path === '/api/invitations' || CONTROL.test(path)) return 'admin';
  return path.startsWith('/api/') && !LABELLING.test(path) ? 'review' : 'label';
}

/** The application; `listen.ts` serves it. */
export function createStudio({
  runs,
  token,
  port,
  assets,
  log = () => {},
  clock = Date.now,
}: StudioOptions): Hono<Env> {
  const app = new Hono<Env>();
  const wrong = { minute: 0, count: 0 };
  const streams = new Streams(runs);
  const leases = new Leases();
  const revocations = new Revocations(runs.folders[0] ?? '.');
  const arenas = new Arenas(runs.folders);

  /** Who is at the door, or why nobody is let in. */
  const atTheDoor = (c: Ctx, given: string | undefined): Visitor | Refusal => {
    const visitor =
      (given === undefined ? null : visitorOf(given, token)) ??
      visitorOfCookie(c.req.header('cookie'), { token, port }) ??
      visitorOfBearer(c.req.header('authorization'), token);
    if (visitor !== null && visitor.name !== OWNER && revocations.names().has(visitor.name)) {
      const message =
        'This invitation was taken back: what you answered is kept; ask whoever runs the studio for another one';
      return { status: 401, code: 'INVITATION_REVOKED', message };
    }
    if (visitor !== null) return visitor;
    const minute = Math.floor(clock() / 60_000);
    if (wrong.minute !== minute) Object.assign(wrong, { minute, count: 0 });
    if (given !== undefined) wrong.count += 1;
    return wrong.count > MOST_WRONG_TOKENS
      ? { status: 429, code: 'TOKENS_WRONG', message: 'Too many wrong tokens: wait a minute' }
      : {
          status: 401,
          code: 'TOKEN_MISSING',
          message:
            'Open the address that `selm studio` printed when it was started, or ask for a new invitation: an earlier one does not open this studio',
        };
  };

  const refuse = (c: Ctx, { status, code, message }: Refusal): Response => {
    // Without the query, which may hold a token.
    const [path = ''] = (c.env.incoming.url ?? '').split('?', 1);
    log(`refused ${shownText(c.req.method)} ${shownText(path)}: ${code}`);
    return c.json(
      { code, message } satisfies Problem,
      status,
      status === 405 ? { allow: 'GET, HEAD, POST' } : undefined,
    );
  };

  app.use(async (c, next) => {
    for (const [name, value] of Object.entries(HEADERS)) c.header(name, value);
    const { method = '', url: target = '', headers, headersDistinct } = c.env.incoming;
    const problem = requestProblem({ method, target, headers, hosts: headersDistinct.host ?? [] }, { port });
    if (problem !== null) return refuse(c, problem);
    const given = c.req.path === '/' ? c.req.query('token') : undefined;
    const visitor = atTheDoor(c, given);
    if ('status' in visitor) return refuse(c, visitor);
    if (given !== undefined && visitorOf(given, token) !== null) {
      c.header('set-cookie', cookieHeader(token, port, visitor));
      return c.redirect('/', 303); // the token leaves the address bar
    }
    const right = neededFor(c.req.path);
    if (RIGHTS.indexOf(visitor.right) < RIGHTS.indexOf(right)) {
      const message = `This needs the right to ${right}, and your invitation is to ${visitor.right}: ask for another one`;
      return refuse(c, { status: 403, code: 'RIGHT_MISSING', message });
    }
    c.set('visitor', visitor);
    await next();
    return undefined;
  });

  /** Keeps the response open, and lets `follow` write what happens into it until the reader leaves or the studio closes. */
  const following = (c: Ctx, follow: (response: HttpBindings['outgoing']) => void): Response => {
    if (streams.open >= MOST_STREAMS)
      return refuse(c, {
        status: 429,
        code: 'STREAMS_MANY',
        message: `At most ${MOST_STREAMS} pages can follow at once`,
      });
    const type = { 'content-type': 'text/event-stream' };
    if (c.env.incoming.method === 'HEAD') return c.body(null, 200, type);
    // Past the framework: fifty pages are told with fifty writes of the same bytes.
    c.env.outgoing.writeHead(200, { ...HEADERS, ...type });
    follow(c.env.outgoing);
    return RESPONSE_ALREADY_SENT;
  };

  const sentJson = (c: Ctx, json: string): Response =>
    c.body(json, 200, { 'content-type': 'application/json; charset=utf-8' });

  app.get('/api/me', (c) => c.json(c.get('visitor') satisfies Me));
  app.get('/api/tasks', (c) => c.json({ tasks: tasksOf(runs, c.get('visitor').name) }));
  app.get('/api/invitations', (c) => {
    const visitor = invited.parse(c.req.query());
    revocations.check(visitor);
    return c.json({ address: `http://127.0.0.1:${port}/?token=${invitationOf(visitor, token)}` });
  });
  app.post('/api/invitations', async (c) => {
    revocations.put(givenRevocation.parse(JSON.parse(await c.req.text())));
    return c.json({ revoked: [...revocations.names()].sort() });
  });
  app.get('/api/runs', (c) => c.json({ runs: runs.summaries() }));
  app.get('/api/events', (c) => following(c, (response) => streams.followRuns(response)));
  app.get('/api/runs/:id', async (c) => {
    const run = runs.open(c.req.param('id'));
    return sentJson(c, await run.answers.of('detail', run.views.version(), () => detailOf(run)));
  });
  app.get('/api/runs/:id/curves', async (c) => {
    const { names, points } = curveQuery.parse(c.req.query());
    const wanted = names.split(',').slice(0, 50);
    const run = runs.open(c.req.param('id'));
    const key = `curves ${points} ${wanted}`;
    return sentJson(c, await run.answers.of(key, run.views.version(), () => curvesOf(run, wanted, points)));
  });
  app.get('/api/runs/:id/pairs', (c) => {
    const { views } = runs.open(c.req.param('id'));
    const { iteration, chosenFrom, ...query } = pairQuery.parse(c.req.query());
    const some = {
      ...(iteration === undefined ? {} : { iteration }),
      ...(chosenFrom === undefined ? {} : { chosenFrom }),
    };
    return c.json(pairPage(views, { ...query, ...some }));
  });
  app.get('/api/runs/:id/pairs/:pair', (c) =>
    c.json(pairDetail(runs.open(c.req.param('id')).views, c.req.param('pair'))),
  );
  app.get('/api/runs/:id/prompts', (c) =>
    c.json(promptPage(runs.open(c.req.param('id')).views, promptQuery.parse(c.req.query()))),
  );
  app.get('/api/runs/:id/samples', (c) =>
    c.json(promptSamples(runs.open(c.req.param('id')).views, sampleQuery.parse(c.req.query()))),
  );
  app.get('/api/runs/:id/events', (c) => {
    const { id } = runs.find(c.req.param('id'));
    const afterId = Number(eventId.parse(c.req.header('last-event-id') ?? c.req.query('after') ?? '0'));
    return following(c, (response) => {
      streams.followRun(response, { id, afterId }).catch((error: unknown) => {
        log(`failed ${shownText(c.req.path)}: ${shownText(String(error))}`);
        response.destroy();
      });
    });
  });
  /** Where people answer a run's questions, and who does. */
  const asking = (c: Ctx, id: string): { questions: QuestionLog; votes: number; annotator: string } => {
    const { questions, config } = runs.open(id);
    const votes = 'ranker' in config.recipe ? votesOf(config.recipe) : null;
    return { questions, votes: votes ?? 1, annotator: c.get('visitor').name };
  };
  app.get('/api/runs/:id/questions', (c) => {
    const { questions, ...who } = asking(c, c.req.param('id'));
    return c.json(takeQuestions(questions, who, { leases, now: clock() }));
  });
  app.post('/api/runs/:id/answers', async (c) => {
    const { questions, ...who } = asking(c, c.req.param('id'));
    const answer = givenAnswer.parse(JSON.parse(await c.req.text()));
    await giveAnswer(questions, answer, { annotator: who.annotator, timeMs: clock() });
    return c.json(takeQuestions(questions, who, { leases, now: clock() })); // durable by now
  });
  app.get('/api/runs/:id/afterwards', (c) => {
    const { annotator } = afterwardsQuery.parse(c.req.query());
    return c.json(afterwardsOf(runs.open(c.req.param('id')), annotator));
  });
  app.post('/api/runs/:id/control', async (c) => {
    const { path } = runs.find(c.req.param('id'));
    const { action } = givenControl.parse(JSON.parse(await c.req.text()));
    log(`${c.get('visitor').name} asked to ${action} ${shownText(c.req.param('id'))}`);
    if (action === 'stop') stopRun(path);
    else await goOnWithRun(path);
    return c.json(runs.summary(c.req.param('id')));
  });
  app.get('/api/runs/:id/annotators', (c) => c.json(annotatorsOf(runs.open(c.req.param('id')))));
  app.get('/api/runs/:id/report', (c) => {
    const { html, policy } = reportOf(runs.open(c.req.param('id')));
    // The report carries its own style sheet: its policy allows that one, and nothing else.
    return c.html(html, 200, { 'content-security-policy': policy });
  });
  app.get('/api/comparison', (c) => {
    const { html, policy } = comparisonOf(comparedRuns.parse(c.req.query()).runs.map((id) => runs.open(id)));
    return c.html(html, 200, { 'content-security-policy': policy });
  });

  app.get('/api/arenas', (c) => c.json({ arenas: arenas.items(c.get('visitor').name) }));
  app.get('/api/arenas/:id/bouts', (c) => c.json(arenas.bouts(c.req.param('id'), c.get('visitor').name)));
  app.post('/api/arenas/:id/votes', async (c) => {
    const vote = givenVote.parse(JSON.parse(await c.req.text()));
    const who = { voter: c.get('visitor').name, timeMs: clock() };
    return c.json(await arenas.vote(c.req.param('id'), vote, who));
  });
  app.get('/api/arenas/:id/standings', (c) => c.json(arenas.standings(c.req.param('id'))));

  app.get('*', (c) => {
    const asset = assets.get(c.req.path);
    if (asset === undefined)
      return refuse(c, { status: 404, code: 'NOT_THERE', message: 'There is nothing at this address' });
    return c.body(asset.content, 200, { 'content-type': asset.type });
  });

  app.onError((error, c) => {
    if (error instanceof z.ZodError) {
      const message = error.issues.map((issue) => `${issue.path.join('.') || 'id'}: ${issue.message}`).join('; ');
      return refuse(c, { status: 400, code: 'QUERY_INVALID', message });
    }
    if (error instanceof SyntaxError)
      return refuse(c, { status: 400, code: 'BODY_INVALID', message: 'An answer is JSON' });
    const known = error instanceof SelmError;
    const status = known ? (error.code.endsWith('_UNKNOWN') ? 404 : 422) : 500;
    log(`failed ${shownText(c.req.path)}: ${shownText(error.message)}`);
    const code = known ? error.code : 'UNEXPECTED';
    for (const [name, value] of Object.entries(HEADERS)) c.header(name, value);
    return c.json({ code, message: error.message } satisfies Problem, status);
  });
  return app;
}
