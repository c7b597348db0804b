/**
 * @file Makes the package that brings a built engine, @selm/engine-linux-x64 on such a machine: `tsx scripts/build-engine-package.ts`.
 * The addon is built for all processors of the kind (x86-64-v3: AVX2) and for any place of LibTorch; the package is packed by npm into
 * build/packages. Publish it with the selm of the same sources. docs/debugging.md says which machines have one.
 */
import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { installEngine } from '../src/engine/install.ts';
import { ENGINE_PACKAGES } from '../src/engine/prebuilt.ts';
import { variantFolder } from '../src/engine/variants.ts';
import { packageRoot } from '../src/files/package-root.ts';

const kind = `${process.platform}-${process.arch}`;
const name = ENGINE_PACKAGES[kind];
if (name === undefined)
  throw new Error(`No package for ${kind}: there are ${Object.values(ENGINE_PACKAGES).join(', ')}`);
const { record } = await installEngine({ variant: 'portable', log: (line) => console.error(line) });

const folder = join(packageRoot, 'build', 'packages', `engine-${kind}`);
rmSync(folder, { recursive: true, force: true });
mkdirSync(folder, { recursive: true });
copyFileSync(join(variantFolder('portable'), 'selm.node'), join(folder, 'selm.node'));
copyFileSync(join(packageRoot, 'LICENSE'), join(folder, 'LICENSE'));
// Where LibTorch lay when it was built says nothing to others.
writeFileSync(join(folder, 'engine.json'), `${JSON.stringify({ ...record, libtorchDirectory: '' }, null, 2)}\n`);
const { version, license } = JSON.parse(readFileSync(join(packageRoot, 'package.json'), 'utf8')) as Record<
  string,
  string
>;
const description = `The engine of selm ${version} for ${kind}, built against LibTorch ${record.libtorchVersion}`;
const files = ['selm.node', 'engine.json'];
const manifest = { name, version, description, license, os: [process.platform], cpu: [process.arch], files };
writeFileSync(join(folder, 'package.json'), `${JSON.stringify(manifest, null, 2)}\n`);
const packed = spawnSync('npm', ['pack', '--silent', '--pack-destination', '..'], { cwd: folder, encoding: 'utf8' });
if (packed.status !== 0) throw new Error(`npm pack fails:\n${packed.stderr}`);
console.log(join(packageRoot, 'build', 'packages', packed.stdout.trim()));
