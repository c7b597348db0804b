/** @file A studio in a process of its own, for a test that kills it. Usage: FOLDER PORT TOKEN */
import { writeSync } from 'node:fs';
import { serveStudio } from '../../src/server/listen.ts';

const [folder = '', port = '0', token = ''] = process.argv.slice(2);
const studio = await serveStudio({ folders: [folder], port: Number(port), token, assets: new Map() });
writeSync(1, `ready ${studio.port}\n`);
