/** @file The GPU that is not there (test/support/pretended-device.ts): what it must notice, else it shows nothing. */
import { expect, it } from 'vitest';
import { native } from '../src/torch/native.ts';
import { withPretendedDevices } from './support/pretended-device.ts';

const addon = withPretendedDevices(native());
const FLOAT32 = 6;
const ADD = addon.resolve('aten::add', 'Tensor');
const ZEROS = addon.resolve('aten::zeros', '');
const COPY = addon.resolve('aten::copy_', '');
const on = (device: string, shape = [2]): number => Number(addon.call(ZEROS, shape, FLOAT32, undefined, device));
const deviceOf = (handle: unknown): string => addon.describe(Number(handle))[1];

it('a result lies where its operands do, and a mixture fails', () => {
  expect(deviceOf(addon.call(ADD, on('cuda'), on('cuda:0')))).toBe('cuda:0');
  expect(deviceOf(addon.call(ADD, on('cpu'), on('cpu')))).toBe('cpu');
  expect(() => addon.call(ADD, on('cuda'), on('cpu'))).toThrow('cuda:0 and cpu, in aten::add');
});

it('a single number of the CPU may stand beside a device, and a copy goes across', () => {
  expect(deviceOf(addon.call(ADD, on('cpu', []), on('cuda')))).toBe('cuda:0');
  expect(deviceOf(addon.call(COPY, on('cuda'), on('cpu')))).toBe('cuda:0');
});

it('a gradient on another device is refused', () => {
  expect(() => addon.setGradient(on('cuda'), on('cpu'))).toThrow('a gradient on cpu');
});
