/**
 * @file A GPU that is not there, for tests: each tensor remembers the device that it was made for, while its bytes stay on the CPU. As on
 * a real one, an operator whose tensors lie on different devices fails. So a machine without a GPU shows what was left behind on the
 * CPU (`SELM_TEST_DEVICE=pretended`).
 */
import { parseSchema, type Schema } from '../../scripts/operator-schema.ts';
import type { Handle, Native, NativeValue } from '../../src/torch/native.ts';
import { handlesIn, PretendedGraphs } from './pretended-graphs.ts';

/** Copies are what crosses devices. */
const CROSSING = new Set(['aten::copy_', 'aten::_to_copy', 'aten::to', 'aten::_foreach_copy_']);

/**
 * What a program does with a device. `to the device` and `to the host`: a copy that crosses; where the host waits for it, `waits` says so. `heard`:
 * the host waits for a copy that was begun before, by its number. `operator`: one of selm's own is called. `graph`: one is made, or replayed.
 */
export type DeviceUse =
  | { kind: 'to the device' }
  | { kind: 'to the host'; waits: boolean; fetch: number | null }
  | { kind: 'heard'; fetch: number }
  | { kind: 'operator'; name: string }
  | { kind: 'graph'; is: 'captured' | 'replayed' | 'dropped'; graph: number };

/** The addon, with tensors that are said to lie where they were asked to; `sees` is told of what is done with devices. */
export function withPretendedDevices(actual: Native, sees: (use: DeviceUse) => void = () => {}): Native {
  const devices = new Map<Handle, string>();
  const schemas = new Map<number, Schema>();
  /** Copies to the host that were begun and not heard. */
  const fetches = new Set<number>();
  const deviceOf = (handle: Handle): string => devices.get(handle) ?? 'cpu';
  const lie = (handle: Handle, device: string): Handle => {
    // A tensor that an operator changed in place may come back as it is, by the handle that it has.
    devices.set(handle, device);
    return handle;
  };

  const free = (tensor: Handle): boolean => {
    devices.delete(tensor);
    return actual.free(tensor);
  };
  const graphs = new PretendedGraphs({ actual, call, free, isThere: (handle) => devices.has(handle) });

  function schemaOf(operator: number): Schema {
    const known = schemas.get(operator) ?? parseSchema(actual.schema(operator));
    schemas.set(operator, known);
    return known;
  }

  /** The device of an operator's tensors. A single number may lie on the CPU, as LibTorch has it. */
  function commonDevice(schema: Schema, handles: readonly Handle[]): string | null {
    const found = new Set(handles.map(deviceOf));
    if (found.size > 1 && !CROSSING.has(schema.name)) {
      const whole = handles.filter((handle) => deviceOf(handle) !== 'cpu' || actual.describe(handle).length > 2);
      const [one = 'cpu', other] = new Set(whole.map(deviceOf));
      if (other !== undefined)
        throw Object.assign(new Error(`${one} and ${other}, in ${schema.name}`), { code: 'SELM_OPERATOR' });
      return one;
    }
    const [first] = handles;
    return first === undefined ? null : deviceOf(first);
  }

  function call(operator: number, ...values: NativeValue[]): NativeValue {
    const schema = schemaOf(operator);
    const kinds = schema.parameters.map(({ type }) => type);
    const handles = values.flatMap((value, i) => (kinds[i]?.startsWith('Tensor') ? handlesIn(value) : []));
    const wanted = values.find((value, i) => kinds[i]?.startsWith('Device') && typeof value === 'string');
    const passed = values.map((value, i) =>
      kinds[i]?.startsWith('Device') && typeof value === 'string' ? 'cpu' : value,
    );
    const common = commonDevice(schema, handles);
    const device = typeof wanted === 'string' ? numbered(wanted) : (common ?? 'cpu');
    if (schema.name.startsWith('selm::') && common !== null && common !== 'cpu' && !graphs.isCapturing)
      sees({ kind: 'operator', name: schema.name });
    if (CROSSING.has(schema.name)) seeCrossing(handles.map(deviceOf), device);
    const written = writtenOf(schema);
    graphs.beforeWriting(values.flatMap((value, i) => (written[i] ? handlesIn(value) : [])));
    const result = actual.call(operator, ...passed);
    const made = schema.returns.some((type) => type.startsWith('Tensor')) ? handlesIn(result) : [];
    for (const handle of made) lie(handle, device);
    graphs.write({ operator, values, made, isTensor: kinds.map((kind) => kind.startsWith('Tensor')) });
    return result;
  }

  /** A copy by an operator: into the first of several tensors, or of the only one to a device. */
  function seeCrossing([first = 'cpu', ...others]: readonly string[], wanted: string): void {
    const [from, to] = others.length > 0 ? [others.at(-1), first] : [first, wanted];
    if (from === to) return;
    graphs.forbid('a copy between host and device');
    sees(to === 'cpu' ? { kind: 'to the host', waits: true, fetch: null } : { kind: 'to the device' });
  }

  const pretended: Partial<Native> = {
    call,
    openLibrary: () => null,
    fromBytes: (...[buffer, byteOffset, byteLength, shape, dtype, device]) => {
      if (device !== 'cpu') {
        graphs.forbid('a copy to the device');
        sees({ kind: 'to the device' });
      }
      return lie(actual.fromBytes(buffer, byteOffset, byteLength, shape, dtype, 'cpu'), numbered(device));
    },
    toBytes: (tensor, buffer, byteOffset) => {
      if (deviceOf(tensor) !== 'cpu') {
        graphs.forbid('a copy to the host');
        sees({ kind: 'to the host', waits: true, fetch: null });
      }
      return actual.toBytes(tensor, buffer, byteOffset);
    },
    fetchLater: (tensors) => {
      graphs.forbid('a copy to the host');
      const fetch = actual.fetchLater(tensors);
      if (tensors.some((tensor) => deviceOf(tensor) !== 'cpu')) {
        fetches.add(fetch);
        sees({ kind: 'to the host', waits: false, fetch });
      }
      return fetch;
    },
    fetched: (fetch) => {
      graphs.forbid('waiting for a copy');
      if (fetches.delete(fetch)) sees({ kind: 'heard', fetch });
      return actual.fetched(fetch);
    },
    deviceMemory: () => null,
    resetPeak: () => actual.resetPeak('cpu'),
    describe: (tensor) => {
      const [dtype, , ...shape] = actual.describe(tensor);
      return [dtype, deviceOf(tensor), ...shape];
    },
    free,
    openGraphs: () => null,
    beginCapture: () => {
      graphs.begin();
      return null;
    },
    endCapture: () => {
      const graph = graphs.end();
      sees({ kind: 'graph', is: 'captured', graph });
      return graph;
    },
    giveUpCapture: () => {
      graphs.giveUp();
      return null;
    },
    replayGraph: (graph) => {
      sees({ kind: 'graph', is: 'replayed', graph });
      graphs.replay(graph);
      return null;
    },
    dropGraph: (graph) => {
      sees({ kind: 'graph', is: 'dropped', graph });
      graphs.drop(graph);
      return null;
    },
    gradient: (tensor) => {
      const gradient = actual.gradient(tensor);
      return gradient === null ? null : lie(gradient, deviceOf(tensor));
    },
    setGradient: (tensor, gradient) => {
      if (gradient !== null && deviceOf(gradient) !== deviceOf(tensor))
        throw Object.assign(new Error(`a gradient on ${deviceOf(gradient)}`), { code: 'SELM_OPERATOR' });
      return actual.setGradient(tensor, gradient);
    },
    gradients: (outputs, inputs, gradients) =>
      actual.gradients(outputs, inputs, gradients).map((each, i) => each && lie(each, deviceOf(inputs[i] ?? 0))),
  };
  return new Proxy(actual, { get: (addon, name) => Reflect.get(pretended, name) ?? Reflect.get(addon, name) });
}

/** src/torch/native.ts with a pretended addon, for `vi.mock`. */
export function pretendedModule<Module extends { native: () => Native }>(
  actual: Module,
  sees?: (use: DeviceUse) => void,
): Module {
  let pretended: Native | null = null;
  return {
    ...actual,
    native: () => {
      pretended ??= withPretendedDevices(actual.native(), sees);
      return pretended;
    },
  };
}

/** Which parameters of an operator are tensors that it writes. */
function writtenOf({ parameters, text }: Schema): boolean[] {
  const names = new Set([...text.matchAll(/\([a-z]!\)(?:\[\])? (\w+)/g)].map(([, name]) => name));
  return parameters.map(({ name }) => names.has(name));
}

/** As LibTorch says it: `cuda` is `cuda:0`. */
function numbered(device: string): string {
  return device === 'cuda' ? 'cuda:0' : device;
}
