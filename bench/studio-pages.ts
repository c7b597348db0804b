/** @file Pages of the studio without a browser: each follows a run and asks for its curves as a page does. Usage: URL TOKEN COUNT */
import { setTimeout } from 'node:timers/promises';

const [url = '', token = '', count = '0'] = process.argv.slice(2);
const headers = { authorization: `Bearer ${token}` };
const names = ['loss', ...Array.from({ length: 12 }, (_, n) => `metric-${n + 1}`)].join(',');

async function page(): Promise<void> {
  let isStale = false;
  const asking = (async () => {
    for (;;) {
      await setTimeout(1500);
      if (!isStale) continue;
      isStale = false;
      await (await fetch(`${url}/api/runs/large/curves?points=500&names=${names}`, { headers })).arrayBuffer();
    }
  })();
  const response = await fetch(`${url}/api/runs/large/events`, { headers });
  for await (const _ of response.body ?? []) isStale = true;
  await asking;
}

await Promise.all(Array.from({ length: Number(count) }, page));
