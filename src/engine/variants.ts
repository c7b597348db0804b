/**
 * @file Builds of the engine beside the usual one: `debug` without optimisation, for a debugger; `sanitized` with checks of every
 * memory access and of undefined behaviour; `portable` for other machines of this kind (prebuilt.ts). Each lies in a folder of its
 * own, and `$SELM_ENGINE` chooses it.
 */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { packageRoot } from '../files/package-root.ts';
import { engineDirectory } from '../torch/native.ts';

export const ENGINE_VARIANTS = ['release', 'debug', 'sanitized', 'portable'] as const;
export type EngineVariant = (typeof ENGINE_VARIANTS)[number];

/** Where a variant is built. */
export function variantFolder(variant: EngineVariant): string {
  return variant === 'release' ? engineDirectory : join(packageRoot, 'build', variant);
}

/** What a process that loads a variant needs in its environment. */
export function variantEnvironment(
  variant: EngineVariant,
  { compiler, output = variantFolder(variant) }: { compiler: string; output?: string },
): Record<string, string> {
  if (variant !== 'sanitized') return { SELM_ENGINE: output };
  const library = (name: string): string =>
    spawnSync(compiler, [`-print-file-name=${name}`], { encoding: 'utf8' }).stdout.trim();
  return {
    SELM_ENGINE: output,
    // The address sanitizer must be there before everything else, and with it the library whose `throw` it watches.
    LD_PRELOAD: ['libasan.so', 'libubsan.so', 'libstdc++.so.6'].map(library).join(' '),
    // Node and LibTorch leave memory to the end of the process, and are not instrumented: leaks, and containers that they
    // and the addon hand to each other, would be reported without being mistakes.
    // An absurd request must be refused by the allocator, as it is without the sanitizer: tests make one.
    ASAN_OPTIONS: 'detect_leaks=0:detect_container_overflow=0:alloc_dealloc_mismatch=0:allocator_may_return_null=1',
    UBSAN_OPTIONS: 'print_stacktrace=1',
  };
}
