/** @file `--device`: where the model of a command computes, in the words of a recipe's `device`. */
import { InvalidArgumentError, Option } from 'commander';
import { SelmError } from '../errors.ts';
import { deviceName } from '../recipe/fields.ts';
import type { DeviceMachine, DeviceWish } from '../torch/device.ts';

/** The option of every command that opens a model. It has no default here, so that a command knows whether it was given. */
export function deviceOption(unless = 'cpu'): Option {
  const meaning = 'where the model computes: cpu, cuda, cuda:1 ..., or auto: a GPU that works, else the CPU';
  return new Option('--device <name>', `${meaning} (default: ${unless})`).argParser(parseDevice);
}

function parseDevice(text: string): string {
  const parsed = deviceName().safeParse(text);
  if (parsed.success) return parsed.data;
  throw new InvalidArgumentError('Allowed are cpu, cuda, cuda:N, and auto.');
}

/**
 * The device that is computed on. What `auto` came to is told. Throws EngineError DEVICE_UNAVAILABLE, or DEVICE_BFLOAT16 for
 * products in a type that its card has not.
 */
export async function chosenDevice(
  device: string | undefined,
  { dtypes, say }: { dtypes?: readonly string[]; say: (text: string) => void },
): Promise<string> {
  // Loaded here: --help needs no engine.
  const { chooseDevice } = await import('../torch/device.ts');
  const chosen = chooseDevice({ device: device ?? 'cpu', ...(dtypes === undefined ? {} : { dtypes }) });
  if (chosen.note !== null) say(chosen.note);
  return chosen.device;
}

/** What this machine says to a device that a plan names: which one `auto` is, or why it would be refused; null where nothing is to be said. */
export async function deviceHere(wish: DeviceWish, machine?: DeviceMachine): Promise<string | null> {
  const { chooseDevice } = await import('../torch/device.ts');
  try {
    return chooseDevice(wish, machine).note;
  } catch (error) {
    if (error instanceof SelmError) return `This machine would refuse it: ${error.message}`;
    throw error;
  }
}
