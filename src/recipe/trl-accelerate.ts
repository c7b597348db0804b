/** @file What accelerate's configuration says of the machine: how many processes there are, and what they share. */
import { z } from 'zod';
import { unknown } from './trl-advice.ts';
import { refuse, type Unmatched } from './trl-fields.ts';

export interface Machine {
  processes: number;
  /** `no`, `fp16`, `bf16`, `fp8`; null where it says nothing. */
  precision: string | null;
  accumulationSteps: number | null;
  /** As in the recipe's training.sharding. */
  sharding: 'none' | 'optimiser' | 'full';
}

const schema = z.looseObject({
  num_processes: z.coerce.number().int().min(1).default(1),
  mixed_precision: z.string().nullable().default(null),
  distributed_type: z.string().default('NO'),
  num_machines: z.coerce.number().int().default(1),
  deepspeed_config: z
    .looseObject({ gradient_accumulation_steps: z.unknown().optional(), zero_stage: z.coerce.number().optional() })
    .nullish(),
});

/** How processes find each other and where they run: whoever starts the ranks says so (docs/scale.md). */
const NEEDLESS = [
  'compute_environment',
  'use_cpu',
  'debug',
  'machine_rank',
  'gpu_ids',
  'main_process_ip',
  'main_process_port',
  'rdzv_backend',
  'same_network',
  'main_training_function',
  'enable_cpu_affinity',
  'fsdp_config',
  'mpirun_config',
  'downcast_bf16',
  'tpu_name',
  'tpu_zone',
  'tpu_use_cluster',
  'tpu_use_sudo',
  'command_file',
  'commands',
  'tpu_vm',
  'tpu_env',
  'dynamo_config',
  'dynamo_backend',
] as const;

const LISTED = ['fp8_config', 'parallelism_config', 'megatron_lm_config'];

/** The machine; what has no equivalent is added to `unmatched`. RecipeError TRL_CONFIG where the configuration is none. */
export function machineOf(config: unknown, unmatched: Unmatched[]): Machine {
  const parsed = schema.safeParse(config);
  if (!parsed.success)
    return refuse("accelerate's configuration", 'is not a map with num_processes and mixed_precision');
  const {
    num_processes: processes,
    mixed_precision: precision,
    distributed_type: type,
    num_machines: machines,
    deepspeed_config: deepspeed,
    ...others
  } = parsed.data;
  const sharding = shardingOf(type, deepspeed?.zero_stage ?? 0);
  if (sharding === null)
    unmatched.push({ field: 'distributed_type', value: type, text: 'see docs/scale.md for what several ranks share' });
  if (processes > 1) {
    const text = `start ${processes} ranks with --ranks ${processes} or torchrun; batchSize is that of all ranks together`;
    unmatched.push({ field: 'num_processes', value: processes, text });
  }
  if (machines > 1)
    unmatched.push({
      field: 'num_machines',
      value: machines,
      text: 'start the ranks by torchrun or Slurm: docs/scale.md',
    });
  for (const [field, value] of Object.entries(others)) {
    if (value === null || NEEDLESS.some((name) => name === field)) continue;
    const text = LISTED.includes(field)
      ? 'see docs/scale.md for what several ranks share'
      : unknown(field, [...NEEDLESS, ...LISTED, ...Object.keys(schema.shape)]);
    unmatched.push({ field, value, text });
  }
  const steps = Number(deepspeed?.gradient_accumulation_steps);
  return {
    processes,
    precision,
    accumulationSteps: Number.isInteger(steps) && steps > 0 ? steps : null,
    sharding: sharding ?? 'none',
  };
}

/** What ranks share by ZeRO's stage and by FSDP; null where there is nothing like it. */
function shardingOf(type: string, zeroStage: number): Machine['sharding'] | null {
  if (type === 'FSDP' || (type === 'DEEPSPEED' && zeroStage === 3)) return 'full';
  if (type === 'DEEPSPEED' && zeroStage > 0) return 'optimiser';
  return /^(NO|MULTI_|TPU|XLA)/.test(type) ? 'none' : null;
}
