/**
 * @file Pages of the studio without a browser: each follows a run and asks for its curves as a page does. What comes is not looked at: a
 * page of somebody at another machine costs this one nothing more. Usage: PORT TOKEN RUN COUNT; a line on standard input opens them, the next closes them.
 */
import { Socket } from 'node:net';
import { createInterface } from 'node:readline';

const [port = '', token = '', run = '', count = '0'] = process.argv.slice(2);
const names = [
  'loss',
  'lr',
  'grad_norm',
  'tokens_per_second',
  ...Array.from({ length: 9 }, (_, n) => `metric-${n + 1}`),
];
/** As in web/run-page.tsx, of a run of which nothing but steps is told. */
const AGAIN_MS = 60_000;
const open = new Set<Socket>();
const timers = new Set<NodeJS.Timeout>();

function connected(): Socket {
  const socket = new Socket().connect(Number(port), '127.0.0.1');
  open.add(socket);
  return socket.on('error', () => {});
}

function get(path: string): string {
  return `GET /api/runs/${run}/${path} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nAuthorization: Bearer ${token}\r\n\r\n`;
}

async function page(): Promise<void> {
  let isStale = true;
  const events = connected().on('data', () => {
    isStale = true;
  });
  // A page shows what there is, and follows from there on.
  const headers = { authorization: `Bearer ${token}` };
  const detail = await fetch(`http://127.0.0.1:${port}/api/runs/${run}`, { headers });
  const { lastEventId } = (await detail.json()) as { lastEventId: number };
  if (events.destroyed) return;
  events.write(get(`events?after=${lastEventId}`));
  const curves = connected().resume();
  const again = (): void => {
    if (isStale) curves.write(get(`curves?points=500&names=${names.map(encodeURIComponent).join(',')}`));
    isStale = false;
  };
  again();
  // Nobody opens fifty pages at the same moment.
  const later = (): void => {
    again();
    timers.add(setInterval(again, AGAIN_MS));
  };
  timers.add(setTimeout(later, Math.random() * AGAIN_MS));
}

for await (const _ of createInterface({ input: process.stdin })) {
  if (open.size === 0) for (let n = 0; n < Number(count); n++) void page();
  else {
    for (const timer of timers) clearInterval(timer);
    for (const socket of open) socket.destroy();
    timers.clear();
    open.clear();
  }
}
