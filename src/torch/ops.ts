/**
 * @file Typed wrappers of LibTorch's operators (named as in at::_ops) and of our own kernels. Generated from their schemas
 * by scripts/generate-operators.ts; do not edit. More than 500 lines because it is one list.
 */
import { type Dtype, dtypeCode } from './dtype.ts';
import { asTensor, asTensors, invoke, operator } from './invoke.ts';
import type { NativeValue } from './native.ts';
import type { Tensor } from './tensor.ts';

function code(dtype: Dtype | null | undefined): number | null | undefined {
  return typeof dtype === 'string' ? dtypeCode(dtype) : dtype;
}

const op_empty_memory_format = operator('aten::empty', 'memory_format');
/** `aten::empty.memory_format(SymInt[] size, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, MemoryFormat? memory_format=None) -> Tensor` */
export function empty_memory_format(
  size: readonly number[],
  options: {
    dtype?: Dtype | null | undefined;
    layout?: number | null | undefined;
    device?: string | null | undefined;
    pinMemory?: boolean | null | undefined;
    memoryFormat?: number | null | undefined;
  } = {},
): Tensor {
  return asTensor(
    invoke(
      op_empty_memory_format,
      size,
      code(options.dtype),
      options.layout,
      options.device,
      options.pinMemory,
      options.memoryFormat,
    ),
  );
}

const op_empty_like = operator('aten::empty_like', '');
/** `aten::empty_like(Tensor self, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, MemoryFormat? memory_format=None) -> Tensor` */
export function empty_like(
  self: Tensor,
  options: {
    dtype?: Dtype | null | undefined;
    layout?: number | null | undefined;
    device?: string | null | undefined;
    pinMemory?: boolean | null | undefined;
    memoryFormat?: number | null | undefined;
  } = {},
): Tensor {
  return asTensor(
    invoke(
      op_empty_like,
      self,
      code(options.dtype),
      options.layout,
      options.device,
      options.pinMemory,
      options.memoryFormat,
    ),
  );
}

const op_zeros = operator('aten::zeros', '');
/** `aten::zeros(SymInt[] size, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None) -> Tensor` */
export function zeros(
  size: readonly number[],
  options: {
    dtype?: Dtype | null | undefined;
    layout?: number | null | undefined;
    device?: string | null | undefined;
    pinMemory?: boolean | null | undefined;
  } = {},
): Tensor {
  return asTensor(invoke(op_zeros, size, code(options.dtype), options.layout, options.device, options.pinMemory));
}

const op_zeros_like = operator('aten::zeros_like', '');
/** `aten::zeros_like(Tensor self, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, MemoryFormat? memory_format=None) -> Tensor` */
export function zeros_like(
  self: Tensor,
  options: {
    dtype?: Dtype | null | undefined;
    layout?: number | null | undefined;
    device?: string | null | undefined;
    pinMemory?: boolean | null | undefined;
    memoryFormat?: number | null | undefined;
  } = {},
): Tensor {
  return asTensor(
    invoke(
      op_zeros_like,
      self,
      code(options.dtype),
      options.layout,
      options.device,
      options.pinMemory,
      options.memoryFormat,
    ),
  );
}

const op_ones = operator('aten::ones', '');
/** `aten::ones(SymInt[] size, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None) -> Tensor` */
export function ones(
  size: readonly number[],
  options: {
    dtype?: Dtype | null | undefined;
    layout?: number | null | undefined;
    device?: string | null | undefined;
    pinMemory?: boolean | null | undefined;
  } = {},
): Tensor {
  return asTensor(invoke(op_ones, size, code(options.dtype), options.layout, options.device, options.pinMemory));
}

const op_ones_like = operator('aten::ones_like', '');
/** `aten::ones_like(Tensor self, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, MemoryFormat? memory_format=None) -> Tensor` */
export function ones_like(
  self: Tensor,
  options: {
    dtype?: Dtype | null | undefined;
    layout?: number | null | undefined;
    device?: string | null | undefined;
    pinMemory?: boolean | null | undefined;
    memoryFormat?: number | null | undefined;
  } = {},
): Tensor {
  return asTensor(
    invoke(
      op_ones_like,
      self,
      code(options.dtype),
      options.layout,
      options.device,
      options.pinMemory,
      options.memoryFormat,
    ),
  );
}

const op_full = operator('aten::full', '');
/** `aten::full(SymInt[] size, Scalar fill_value, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None) -> Tensor` */
export function full(
  size: readonly number[],
  fillValue: number | boolean,
  options: {
    dtype?: Dtype | null | undefined;
    layout?: number | null | undefined;
    device?: string | null | undefined;
    pinMemory?: boolean | null | undefined;
  } = {},
): Tensor {
  return asTensor(
    invoke(op_full, size, fillValue, code(options.dtype), options.layout, options.device, options.pinMemory),
  );
}

const op_full_like = operator('aten::full_like', '');
/** `aten::full_like(Tensor self, Scalar fill_value, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, MemoryFormat? memory_format=None) -> Tensor` */
export function full_like(
  self: Tensor,
  fillValue: number | boolean,
  options: {
    dtype?: Dtype | null | undefined;
    layout?: number | null | undefined;
    device?: string | null | undefined;
    pinMemory?: boolean | null | undefined;
    memoryFormat?: number | null | undefined;
  } = {},
): Tensor {
  return asTensor(
    invoke(
      op_full_like,
      self,
      fillValue,
      code(options.dtype),
      options.layout,
      options.device,
      options.pinMemory,
      options.memoryFormat,
    ),
  );
}

const op_arange = operator('aten::arange', '');
/** `aten::arange(Scalar end, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None) -> Tensor` */
export function arange(
  end: number | boolean,
  options: {
    dtype?: Dtype | null | undefined;
    layout?: number | null | undefined;
    device?: string | null | undefined;
    pinMemory?: boolean | null | undefined;
  } = {},
): Tensor {
  return asTensor(invoke(op_arange, end, code(options.dtype), options.layout, options.device, options.pinMemory));
}

const op_arange_start = operator('aten::arange', 'start');
/** `aten::arange.start(Scalar start, Scalar end, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None) -> Tensor` */
export function arange_start(
  start: number | boolean,
  end: number | boolean,
  options: {
    dtype?: Dtype | null | undefined;
    layout?: number | null | undefined;
    device?: string | null | undefined;
    pinMemory?: boolean | null | undefined;
  } = {},
): Tensor {
  return asTensor(
    invoke(op_arange_start, start, end, code(options.dtype), options.layout, options.device, options.pinMemory),
  );
}

const op_arange_start_step = operator('aten::arange', 'start_step');
/** `aten::arange.start_step(Scalar start, Scalar end, Scalar step=1, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None) -> Tensor` */
export function arange_start_step(
  start: number | boolean,
  end: number | boolean,
  options: {
    step?: number | boolean | undefined;
    dtype?: Dtype | null | undefined;
    layout?: number | null | undefined;
    device?: string | null | undefined;
    pinMemory?: boolean | null | undefined;
  } = {},
): Tensor {
  return asTensor(
    invoke(
      op_arange_start_step,
      start,
      end,
      options.step,
      code(options.dtype),
      options.layout,
      options.device,
      options.pinMemory,
    ),
  );
}

const op_scalar_tensor = operator('aten::scalar_tensor', '');
/** `aten::scalar_tensor(Scalar s, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None) -> Tensor` */
export function scalar_tensor(
  s: number | boolean,
  options: {
    dtype?: Dtype | null | undefined;
    layout?: number | null | undefined;
    device?: string | null | undefined;
    pinMemory?: boolean | null | undefined;
  } = {},
): Tensor {
  return asTensor(invoke(op_scalar_tensor, s, code(options.dtype), options.layout, options.device, options.pinMemory));
}

const op_view = operator('aten::view', '');
/** `aten::view(Tensor(a) self, SymInt[] size) -> Tensor(a)` */
export function view(self: Tensor, size: readonly number[]): Tensor {
  return asTensor(invoke(op_view, self, size));
}

const op_view_dtype = operator('aten::view', 'dtype');
/** `aten::view.dtype(Tensor(a) self, ScalarType dtype) -> Tensor(a)` */
export function view_dtype(self: Tensor, dtype: Dtype): Tensor {
  return asTensor(invoke(op_view_dtype, self, code(dtype)));
}

const op_reshape = operator('aten::reshape', '');
/** `aten::reshape(Tensor(a) self, SymInt[] shape) -> Tensor(a)` */
export function reshape(self: Tensor, shape: readonly number[]): Tensor {
  return asTensor(invoke(op_reshape, self, shape));
}

const op_flatten_using_ints = operator('aten::flatten', 'using_ints');
/** `aten::flatten.using_ints(Tensor(a) self, int start_dim=0, int end_dim=-1) -> Tensor(a)` */
export function flatten_using_ints(
  self: Tensor,
  options: { startDim?: number | undefined; endDim?: number | undefined } = {},
): Tensor {
  return asTensor(invoke(op_flatten_using_ints, self, options.startDim, options.endDim));
}

const op_transpose_int = operator('aten::transpose', 'int');
/** `aten::transpose.int(Tensor(a) self, int dim0, int dim1) -> Tensor(a)` */
export function transpose_int(self: Tensor, dim0: number, dim1: number): Tensor {
  return asTensor(invoke(op_transpose_int, self, dim0, dim1));
}

const op_t = operator('aten::t', '');
/** `aten::t(Tensor(a) self) -> Tensor(a)` */
export function t(self: Tensor): Tensor {
  return asTensor(invoke(op_t, self));
}

const op_permute = operator('aten::permute', '');
/** `aten::permute(Tensor(a) self, int[] dims) -> Tensor(a)` */
export function permute(self: Tensor, dims: readonly number[]): Tensor {
  return asTensor(invoke(op_permute, self, dims));
}

const op_slice_Tensor = operator('aten::slice', 'Tensor');
/** `aten::slice.Tensor(Tensor(a) self, int dim=0, SymInt? start=None, SymInt? end=None, SymInt step=1) -> Tensor(a)` */
export function slice_Tensor(
  self: Tensor,
  options: {
    dim?: number | undefined;
    start?: number | null | undefined;
    end?: number | null | undefined;
    step?: number | undefined;
  } = {},
): Tensor {
  return asTensor(invoke(op_slice_Tensor, self, options.dim, options.start, options.end, options.step));
}

const op_select_int = operator('aten::select', 'int');
/** `aten::select.int(Tensor(a) self, int dim, SymInt index) -> Tensor(a)` */
export function select_int(self: Tensor, dim: number, index: number): Tensor {
  return asTensor(invoke(op_select_int, self, dim, index));
}

const op_narrow = operator('aten::narrow', '');
/** `aten::narrow(Tensor(a) self, int dim, SymInt start, SymInt length) -> Tensor(a)` */
export function narrow(self: Tensor, dim: number, start: number, length: number): Tensor {
  return asTensor(invoke(op_narrow, self, dim, start, length));
}

const op_unsqueeze = operator('aten::unsqueeze', '');
/** `aten::unsqueeze(Tensor(a) self, int dim) -> Tensor(a)` */
export function unsqueeze(self: Tensor, dim: number): Tensor {
  return asTensor(invoke(op_unsqueeze, self, dim));
}

const op_squeeze = operator('aten::squeeze', '');
/** `aten::squeeze(Tensor(a) self) -> Tensor(a)` */
export function squeeze(self: Tensor): Tensor {
  return asTensor(invoke(op_squeeze, self));
}

const op_squeeze_dim = operator('aten::squeeze', 'dim');
/** `aten::squeeze.dim(Tensor(a) self, int dim) -> Tensor(a)` */
export function squeeze_dim(self: Tensor, dim: number): Tensor {
  return asTensor(invoke(op_squeeze_dim, self, dim));
}

const op_expand = operator('aten::expand', '');
/** `aten::expand(Tensor(a) self, SymInt[] size, *, bool implicit=False) -> Tensor(a)` */
export function expand(
  self: Tensor,
  size: readonly number[],
  options: { implicit?: boolean | undefined } = {},
): Tensor {
  return asTensor(invoke(op_expand, self, size, options.implicit));
}

const op_split_Tensor = operator('aten::split', 'Tensor');
/** `aten::split.Tensor(Tensor(a -> *) self, SymInt split_size, int dim=0) -> Tensor(a)[]` */
export function split_Tensor(self: Tensor, splitSize: number, options: { dim?: number | undefined } = {}): Tensor[] {
  return asTensors(invoke(op_split_Tensor, self, splitSize, options.dim));
}

const op_chunk = operator('aten::chunk', '');
/** `aten::chunk(Tensor(a -> *) self, int chunks, int dim=0) -> Tensor(a)[]` */
export function chunk(self: Tensor, chunks: number, options: { dim?: number | undefined } = {}): Tensor[] {
  return asTensors(invoke(op_chunk, self, chunks, options.dim));
}

const op_unbind_int = operator('aten::unbind', 'int');
/** `aten::unbind.int(Tensor(a -> *) self, int dim=0) -> Tensor(a)[]` */
export function unbind_int(self: Tensor, options: { dim?: number | undefined } = {}): Tensor[] {
  return asTensors(invoke(op_unbind_int, self, options.dim));
}

const op_detach = operator('aten::detach', '');
/** `aten::detach(Tensor(a) self) -> Tensor(a)` */
export function detach(self: Tensor): Tensor {
  return asTensor(invoke(op_detach, self));
}

const op_alias = operator('aten::alias', '');
/** `aten::alias(Tensor(a) self) -> Tensor(a)` */
export function alias(self: Tensor): Tensor {
  return asTensor(invoke(op_alias, self));
}

const op_contiguous = operator('aten::contiguous', '');
/** `aten::contiguous(Tensor(a) self, *, MemoryFormat memory_format=0) -> Tensor(a)` */
export function contiguous(self: Tensor, options: { memoryFormat?: number | undefined } = {}): Tensor {
  return asTensor(invoke(op_contiguous, self, options.memoryFormat));
}

const op_cat = operator('aten::cat', '');
/** `aten::cat(Tensor[] tensors, int dim=0) -> Tensor` */
export function cat(tensors: readonly Tensor[], options: { dim?: number | undefined } = {}): Tensor {
  return asTensor(invoke(op_cat, tensors, options.dim));
}

const op_stack = operator('aten::stack', '');
/** `aten::stack(Tensor[] tensors, int dim=0) -> Tensor` */
export function stack(tensors: readonly Tensor[], options: { dim?: number | undefined } = {}): Tensor {
  return asTensor(invoke(op_stack, tensors, options.dim));
}

const op_repeat = operator('aten::repeat', '');
/** `aten::repeat(Tensor self, SymInt[] repeats) -> Tensor` */
export function repeat(self: Tensor, repeats: readonly number[]): Tensor {
  return asTensor(invoke(op_repeat, self, repeats));
}

const op_repeat_interleave_self_int = operator('aten::repeat_interleave', 'self_int');
/** `aten::repeat_interleave.self_int(Tensor self, SymInt repeats, int? dim=None, *, SymInt? output_size=None) -> Tensor` */
export function repeat_interleave_self_int(
  self: Tensor,
  repeats: number,
  options: { dim?: number | null | undefined; outputSize?: number | null | undefined } = {},
): Tensor {
  return asTensor(invoke(op_repeat_interleave_self_int, self, repeats, options.dim, options.outputSize));
}

const op_constant_pad_nd = operator('aten::constant_pad_nd', '');
/** `aten::constant_pad_nd(Tensor self, SymInt[] pad, Scalar value=0) -> Tensor` */
export function constant_pad_nd(
  self: Tensor,
  pad: readonly number[],
  options: { value?: number | boolean | undefined } = {},
): Tensor {
  return asTensor(invoke(op_constant_pad_nd, self, pad, options.value));
}

const op_to_dtype = operator('aten::to', 'dtype');
/** `aten::to.dtype(Tensor(a) self, ScalarType dtype, bool non_blocking=False, bool copy=False, MemoryFormat? memory_format=None) -> Tensor(a)` */
export function to_dtype(
  self: Tensor,
  dtype: Dtype,
  options: {
    nonBlocking?: boolean | undefined;
    copy?: boolean | undefined;
    memoryFormat?: number | null | undefined;
  } = {},
): Tensor {
  return asTensor(invoke(op_to_dtype, self, code(dtype), options.nonBlocking, options.copy, options.memoryFormat));
}

const op_to_device = operator('aten::to', 'device');
/** `aten::to.device(Tensor(a) self, Device device, ScalarType dtype, bool non_blocking=False, bool copy=False, MemoryFormat? memory_format=None) -> Tensor(a)` */
export function to_device(
  self: Tensor,
  device: string,
  dtype: Dtype,
  options: {
    nonBlocking?: boolean | undefined;
    copy?: boolean | undefined;
    memoryFormat?: number | null | undefined;
  } = {},
): Tensor {
  return asTensor(
    invoke(op_to_device, self, device, code(dtype), options.nonBlocking, options.copy, options.memoryFormat),
  );
}

const op__to_copy = operator('aten::_to_copy', '');
/** `aten::_to_copy(Tensor self, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, bool non_blocking=False, MemoryFormat? memory_format=None) -> Tensor` */
export function _to_copy(
  self: Tensor,
  options: {
    dtype?: Dtype | null | undefined;
    layout?: number | null | undefined;
    device?: string | null | undefined;
    pinMemory?: boolean | null | undefined;
    nonBlocking?: boolean | undefined;
    memoryFormat?: number | null | undefined;
  } = {},
): Tensor {
  return asTensor(
    invoke(
      op__to_copy,
      self,
      code(options.dtype),
      options.layout,
      options.device,
      options.pinMemory,
      options.nonBlocking,
      options.memoryFormat,
    ),
  );
}

const op_copy_ = operator('aten::copy_', '');
/** `aten::copy_(Tensor(a!) self, Tensor src, bool non_blocking=False) -> Tensor(a!)` */
export function copy_(self: Tensor, src: Tensor, options: { nonBlocking?: boolean | undefined } = {}): Tensor {
  return asTensor(invoke(op_copy_, self, src, options.nonBlocking));
}

const op_clone = operator('aten::clone', '');
/** `aten::clone(Tensor self, *, MemoryFormat? memory_format=None) -> Tensor` */
export function clone(self: Tensor, options: { memoryFormat?: number | null | undefined } = {}): Tensor {
  return asTensor(invoke(op_clone, self, options.memoryFormat));
}

const op_fill__Scalar = operator('aten::fill_', 'Scalar');
/** `aten::fill_.Scalar(Tensor(a!) self, Scalar value) -> Tensor(a!)` */
export function fill__Scalar(self: Tensor, value: number | boolean): Tensor {
  return asTensor(invoke(op_fill__Scalar, self, value));
}

const op_zero_ = operator('aten::zero_', '');
/** `aten::zero_(Tensor(a!) self) -> Tensor(a!)` */
export function zero_(self: Tensor): Tensor {
  return asTensor(invoke(op_zero_, self));
}

const op_add_Tensor = operator('aten::add', 'Tensor');
/** `aten::add.Tensor(Tensor self, Tensor other, *, Scalar alpha=1) -> Tensor` */
export function add_Tensor(
  self: Tensor,
  other: Tensor,
  options: { alpha?: number | boolean | undefined } = {},
): Tensor {
  return asTensor(invoke(op_add_Tensor, self, other, options.alpha));
}

const op_add_Scalar = operator('aten::add', 'Scalar');
/** `aten::add.Scalar(Tensor self, Scalar other, Scalar alpha=1) -> Tensor` */
export function add_Scalar(
  self: Tensor,
  other: number | boolean,
  options: { alpha?: number | boolean | undefined } = {},
): Tensor {
  return asTensor(invoke(op_add_Scalar, self, other, options.alpha));
}

const op_add__Tensor = operator('aten::add_', 'Tensor');
/** `aten::add_.Tensor(Tensor(a!) self, Tensor other, *, Scalar alpha=1) -> Tensor(a!)` */
export function add__Tensor(
  self: Tensor,
  other: Tensor,
  options: { alpha?: number | boolean | undefined } = {},
): Tensor {
  return asTensor(invoke(op_add__Tensor, self, other, options.alpha));
}

const op_add__Scalar = operator('aten::add_', 'Scalar');
/** `aten::add_.Scalar(Tensor(a!) self, Scalar other, Scalar alpha=1) -> Tensor(a!)` */
export function add__Scalar(
  self: Tensor,
  other: number | boolean,
  options: { alpha?: number | boolean | undefined } = {},
): Tensor {
  return asTensor(invoke(op_add__Scalar, self, other, options.alpha));
}

const op_sub_Tensor = operator('aten::sub', 'Tensor');
/** `aten::sub.Tensor(Tensor self, Tensor other, *, Scalar alpha=1) -> Tensor` */
export function sub_Tensor(
  self: Tensor,
  other: Tensor,
  options: { alpha?: number | boolean | undefined } = {},
): Tensor {
  return asTensor(invoke(op_sub_Tensor, self, other, options.alpha));
}

const op_sub_Scalar = operator('aten::sub', 'Scalar');
/** `aten::sub.Scalar(Tensor self, Scalar other, Scalar alpha=1) -> Tensor` */
export function sub_Scalar(
  self: Tensor,
  other: number | boolean,
  options: { alpha?: number | boolean | undefined } = {},
): Tensor {
  return asTensor(invoke(op_sub_Scalar, self, other, options.alpha));
}

const op_sub__Tensor = operator('aten::sub_', 'Tensor');
/** `aten::sub_.Tensor(Tensor(a!) self, Tensor other, *, Scalar alpha=1) -> Tensor(a!)` */
export function sub__Tensor(
  self: Tensor,
  other: Tensor,
  options: { alpha?: number | boolean | undefined } = {},
): Tensor {
  return asTensor(invoke(op_sub__Tensor, self, other, options.alpha));
}

const op_mul_Tensor = operator('aten::mul', 'Tensor');
/** `aten::mul.Tensor(Tensor self, Tensor other) -> Tensor` */
export function mul_Tensor(self: Tensor, other: Tensor): Tensor {
  return asTensor(invoke(op_mul_Tensor, self, other));
}

const op_mul_Scalar = operator('aten::mul', 'Scalar');
/** `aten::mul.Scalar(Tensor self, Scalar other) -> Tensor` */
export function mul_Scalar(self: Tensor, other: number | boolean): Tensor {
  return asTensor(invoke(op_mul_Scalar, self, other));
}

const op_mul__Tensor = operator('aten::mul_', 'Tensor');
/** `aten::mul_.Tensor(Tensor(a!) self, Tensor other) -> Tensor(a!)` */
export function mul__Tensor(self: Tensor, other: Tensor): Tensor {
  return asTensor(invoke(op_mul__Tensor, self, other));
}

const op_mul__Scalar = operator('aten::mul_', 'Scalar');
/** `aten::mul_.Scalar(Tensor(a!) self, Scalar other) -> Tensor(a!)` */
export function mul__Scalar(self: Tensor, other: number | boolean): Tensor {
  return asTensor(invoke(op_mul__Scalar, self, other));
}

const op_div_Tensor = operator('aten::div', 'Tensor');
/** `aten::div.Tensor(Tensor self, Tensor other) -> Tensor` */
export function div_Tensor(self: Tensor, other: Tensor): Tensor {
  return asTensor(invoke(op_div_Tensor, self, other));
}

const op_div_Scalar = operator('aten::div', 'Scalar');
/** `aten::div.Scalar(Tensor self, Scalar other) -> Tensor` */
export function div_Scalar(self: Tensor, other: number | boolean): Tensor {
  return asTensor(invoke(op_div_Scalar, self, other));
}

const op_div__Tensor = operator('aten::div_', 'Tensor');
/** `aten::div_.Tensor(Tensor(a!) self, Tensor other) -> Tensor(a!)` */
export function div__Tensor(self: Tensor, other: Tensor): Tensor {
  return asTensor(invoke(op_div__Tensor, self, other));
}

const op_div__Scalar = operator('aten::div_', 'Scalar');
/** `aten::div_.Scalar(Tensor(a!) self, Scalar other) -> Tensor(a!)` */
export function div__Scalar(self: Tensor, other: number | boolean): Tensor {
  return asTensor(invoke(op_div__Scalar, self, other));
}

const op_div_Tensor_mode = operator('aten::div', 'Tensor_mode');
/** `aten::div.Tensor_mode(Tensor self, Tensor other, *, str? rounding_mode) -> Tensor` */
export function div_Tensor_mode(
  self: Tensor,
  other: Tensor,
  options: { roundingMode?: string | null | undefined } = {},
): Tensor {
  return asTensor(invoke(op_div_Tensor_mode, self, other, options.roundingMode));
}

const op_remainder_Scalar = operator('aten::remainder', 'Scalar');
/** `aten::remainder.Scalar(Tensor self, Scalar other) -> Tensor` */
export function remainder_Scalar(self: Tensor, other: number | boolean): Tensor {
  return asTensor(invoke(op_remainder_Scalar, self, other));
}

const op_neg = operator('aten::neg', '');
/** `aten::neg(Tensor self) -> Tensor` */
export function neg(self: Tensor): Tensor {
  return asTensor(invoke(op_neg, self));
}

const op_abs = operator('aten::abs', '');
/** `aten::abs(Tensor self) -> Tensor` */
export function abs(self: Tensor): Tensor {
  return asTensor(invoke(op_abs, self));
}

const op_reciprocal = operator('aten::reciprocal', '');
/** `aten::reciprocal(Tensor self) -> Tensor` */
export function reciprocal(self: Tensor): Tensor {
  return asTensor(invoke(op_reciprocal, self));
}

const op_square = operator('aten::square', '');
/** `aten::square(Tensor self) -> Tensor` */
export function square(self: Tensor): Tensor {
  return asTensor(invoke(op_square, self));
}

const op_pow_Tensor_Scalar = operator('aten::pow', 'Tensor_Scalar');
/** `aten::pow.Tensor_Scalar(Tensor self, Scalar exponent) -> Tensor` */
export function pow_Tensor_Scalar(self: Tensor, exponent: number | boolean): Tensor {
  return asTensor(invoke(op_pow_Tensor_Scalar, self, exponent));
}

const op_pow_Scalar = operator('aten::pow', 'Scalar');
/** `aten::pow.Scalar(Scalar self, Tensor exponent) -> Tensor` */
export function pow_Scalar(self: number | boolean, exponent: Tensor): Tensor {
  return asTensor(invoke(op_pow_Scalar, self, exponent));
}

const op_sqrt = operator('aten::sqrt', '');
/** `aten::sqrt(Tensor self) -> Tensor` */
export function sqrt(self: Tensor): Tensor {
  return asTensor(invoke(op_sqrt, self));
}

const op_rsqrt = operator('aten::rsqrt', '');
/** `aten::rsqrt(Tensor self) -> Tensor` */
export function rsqrt(self: Tensor): Tensor {
  return asTensor(invoke(op_rsqrt, self));
}

const op_exp = operator('aten::exp', '');
/** `aten::exp(Tensor self) -> Tensor` */
export function exp(self: Tensor): Tensor {
  return asTensor(invoke(op_exp, self));
}

const op_log = operator('aten::log', '');
/** `aten::log(Tensor self) -> Tensor` */
export function log(self: Tensor): Tensor {
  return asTensor(invoke(op_log, self));
}

const op_log1p = operator('aten::log1p', '');
/** `aten::log1p(Tensor self) -> Tensor` */
export function log1p(self: Tensor): Tensor {
  return asTensor(invoke(op_log1p, self));
}

const op_sin = operator('aten::sin', '');
/** `aten::sin(Tensor self) -> Tensor` */
export function sin(self: Tensor): Tensor {
  return asTensor(invoke(op_sin, self));
}

const op_cos = operator('aten::cos', '');
/** `aten::cos(Tensor self) -> Tensor` */
export function cos(self: Tensor): Tensor {
  return asTensor(invoke(op_cos, self));
}

const op_floor = operator('aten::floor', '');
/** `aten::floor(Tensor self) -> Tensor` */
export function floor(self: Tensor): Tensor {
  return asTensor(invoke(op_floor, self));
}

const op_clamp = operator('aten::clamp', '');
/** `aten::clamp(Tensor self, Scalar? min=None, Scalar? max=None) -> Tensor` */
export function clamp(
  self: Tensor,
  options: { min?: number | boolean | null | undefined; max?: number | boolean | null | undefined } = {},
): Tensor {
  return asTensor(invoke(op_clamp, self, options.min, options.max));
}

const op_clamp_min = operator('aten::clamp_min', '');
/** `aten::clamp_min(Tensor self, Scalar min) -> Tensor` */
export function clamp_min(self: Tensor, min: number | boolean): Tensor {
  return asTensor(invoke(op_clamp_min, self, min));
}

const op_clamp_max = operator('aten::clamp_max', '');
/** `aten::clamp_max(Tensor self, Scalar max) -> Tensor` */
export function clamp_max(self: Tensor, max: number | boolean): Tensor {
  return asTensor(invoke(op_clamp_max, self, max));
}

const op_maximum = operator('aten::maximum', '');
/** `aten::maximum(Tensor self, Tensor other) -> Tensor` */
export function maximum(self: Tensor, other: Tensor): Tensor {
  return asTensor(invoke(op_maximum, self, other));
}

const op_minimum = operator('aten::minimum', '');
/** `aten::minimum(Tensor self, Tensor other) -> Tensor` */
export function minimum(self: Tensor, other: Tensor): Tensor {
  return asTensor(invoke(op_minimum, self, other));
}

const op_where_self = operator('aten::where', 'self');
/** `aten::where.self(Tensor condition, Tensor self, Tensor other) -> Tensor` */
export function where_self(condition: Tensor, self: Tensor, other: Tensor): Tensor {
  return asTensor(invoke(op_where_self, condition, self, other));
}

const op_where_ScalarOther = operator('aten::where', 'ScalarOther');
/** `aten::where.ScalarOther(Tensor condition, Tensor self, Scalar other) -> Tensor` */
export function where_ScalarOther(condition: Tensor, self: Tensor, other: number | boolean): Tensor {
  return asTensor(invoke(op_where_ScalarOther, condition, self, other));
}

const op_masked_fill_Scalar = operator('aten::masked_fill', 'Scalar');
/** `aten::masked_fill.Scalar(Tensor self, Tensor mask, Scalar value) -> Tensor` */
export function masked_fill_Scalar(self: Tensor, mask: Tensor, value: number | boolean): Tensor {
  return asTensor(invoke(op_masked_fill_Scalar, self, mask, value));
}

const op_masked_fill__Scalar = operator('aten::masked_fill_', 'Scalar');
/** `aten::masked_fill_.Scalar(Tensor(a!) self, Tensor mask, Scalar value) -> Tensor(a!)` */
export function masked_fill__Scalar(self: Tensor, mask: Tensor, value: number | boolean): Tensor {
  return asTensor(invoke(op_masked_fill__Scalar, self, mask, value));
}

const op_masked_fill_Tensor = operator('aten::masked_fill', 'Tensor');
/** `aten::masked_fill.Tensor(Tensor self, Tensor mask, Tensor value) -> Tensor` */
export function masked_fill_Tensor(self: Tensor, mask: Tensor, value: Tensor): Tensor {
  return asTensor(invoke(op_masked_fill_Tensor, self, mask, value));
}

const op_sigmoid = operator('aten::sigmoid', '');
/** `aten::sigmoid(Tensor self) -> Tensor` */
export function sigmoid(self: Tensor): Tensor {
  return asTensor(invoke(op_sigmoid, self));
}

const op_log_sigmoid = operator('aten::log_sigmoid', '');
/** `aten::log_sigmoid(Tensor self) -> Tensor` */
export function log_sigmoid(self: Tensor): Tensor {
  return asTensor(invoke(op_log_sigmoid, self));
}

const op_silu = operator('aten::silu', '');
/** `aten::silu(Tensor self) -> Tensor` */
export function silu(self: Tensor): Tensor {
  return asTensor(invoke(op_silu, self));
}

const op_gelu = operator('aten::gelu', '');
/** `aten::gelu(Tensor self, *, str approximate="none") -> Tensor` */
export function gelu(self: Tensor, options: { approximate?: string | undefined } = {}): Tensor {
  return asTensor(invoke(op_gelu, self, options.approximate));
}

const op_tanh = operator('aten::tanh', '');
/** `aten::tanh(Tensor self) -> Tensor` */
export function tanh(self: Tensor): Tensor {
  return asTensor(invoke(op_tanh, self));
}

const op_relu = operator('aten::relu', '');
/** `aten::relu(Tensor self) -> Tensor` */
export function relu(self: Tensor): Tensor {
  return asTensor(invoke(op_relu, self));
}

const op_eq_Tensor = operator('aten::eq', 'Tensor');
/** `aten::eq.Tensor(Tensor self, Tensor other) -> Tensor` */
export function eq_Tensor(self: Tensor, other: Tensor): Tensor {
  return asTensor(invoke(op_eq_Tensor, self, other));
}

const op_eq_Scalar = operator('aten::eq', 'Scalar');
/** `aten::eq.Scalar(Tensor self, Scalar other) -> Tensor` */
export function eq_Scalar(self: Tensor, other: number | boolean): Tensor {
  return asTensor(invoke(op_eq_Scalar, self, other));
}

const op_ne_Tensor = operator('aten::ne', 'Tensor');
/** `aten::ne.Tensor(Tensor self, Tensor other) -> Tensor` */
export function ne_Tensor(self: Tensor, other: Tensor): Tensor {
  return asTensor(invoke(op_ne_Tensor, self, other));
}

const op_ne_Scalar = operator('aten::ne', 'Scalar');
/** `aten::ne.Scalar(Tensor self, Scalar other) -> Tensor` */
export function ne_Scalar(self: Tensor, other: number | boolean): Tensor {
  return asTensor(invoke(op_ne_Scalar, self, other));
}

const op_lt_Tensor = operator('aten::lt', 'Tensor');
/** `aten::lt.Tensor(Tensor self, Tensor other) -> Tensor` */
export function lt_Tensor(self: Tensor, other: Tensor): Tensor {
  return asTensor(invoke(op_lt_Tensor, self, other));
}

const op_lt_Scalar = operator('aten::lt', 'Scalar');
/** `aten::lt.Scalar(Tensor self, Scalar other) -> Tensor` */
export function lt_Scalar(self: Tensor, other: number | boolean): Tensor {
  return asTensor(invoke(op_lt_Scalar, self, other));
}

const op_le_Tensor = operator('aten::le', 'Tensor');
/** `aten::le.Tensor(Tensor self, Tensor other) -> Tensor` */
export function le_Tensor(self: Tensor, other: Tensor): Tensor {
  return asTensor(invoke(op_le_Tensor, self, other));
}

const op_le_Scalar = operator('aten::le', 'Scalar');
/** `aten::le.Scalar(Tensor self, Scalar other) -> Tensor` */
export function le_Scalar(self: Tensor, other: number | boolean): Tensor {
  return asTensor(invoke(op_le_Scalar, self, other));
}

const op_gt_Tensor = operator('aten::gt', 'Tensor');
/** `aten::gt.Tensor(Tensor self, Tensor other) -> Tensor` */
export function gt_Tensor(self: Tensor, other: Tensor): Tensor {
  return asTensor(invoke(op_gt_Tensor, self, other));
}

const op_gt_Scalar = operator('aten::gt', 'Scalar');
/** `aten::gt.Scalar(Tensor self, Scalar other) -> Tensor` */
export function gt_Scalar(self: Tensor, other: number | boolean): Tensor {
  return asTensor(invoke(op_gt_Scalar, self, other));
}

const op_ge_Tensor = operator('aten::ge', 'Tensor');
/** `aten::ge.Tensor(Tensor self, Tensor other) -> Tensor` */
export function ge_Tensor(self: Tensor, other: Tensor): Tensor {
  return asTensor(invoke(op_ge_Tensor, self, other));
}

const op_ge_Scalar = operator('aten::ge', 'Scalar');
/** `aten::ge.Scalar(Tensor self, Scalar other) -> Tensor` */
export function ge_Scalar(self: Tensor, other: number | boolean): Tensor {
  return asTensor(invoke(op_ge_Scalar, self, other));
}

const op_logical_and = operator('aten::logical_and', '');
/** `aten::logical_and(Tensor self, Tensor other) -> Tensor` */
export function logical_and(self: Tensor, other: Tensor): Tensor {
  return asTensor(invoke(op_logical_and, self, other));
}

const op_logical_or = operator('aten::logical_or', '');
/** `aten::logical_or(Tensor self, Tensor other) -> Tensor` */
export function logical_or(self: Tensor, other: Tensor): Tensor {
  return asTensor(invoke(op_logical_or, self, other));
}

const op_logical_not = operator('aten::logical_not', '');
/** `aten::logical_not(Tensor self) -> Tensor` */
export function logical_not(self: Tensor): Tensor {
  return asTensor(invoke(op_logical_not, self));
}

const op_bitwise_and_Tensor = operator('aten::bitwise_and', 'Tensor');
/** `aten::bitwise_and.Tensor(Tensor self, Tensor other) -> Tensor` */
export function bitwise_and_Tensor(self: Tensor, other: Tensor): Tensor {
  return asTensor(invoke(op_bitwise_and_Tensor, self, other));
}

const op_bitwise_or_Tensor = operator('aten::bitwise_or', 'Tensor');
/** `aten::bitwise_or.Tensor(Tensor self, Tensor other) -> Tensor` */
export function bitwise_or_Tensor(self: Tensor, other: Tensor): Tensor {
  return asTensor(invoke(op_bitwise_or_Tensor, self, other));
}

const op_isnan = operator('aten::isnan', '');
/** `aten::isnan(Tensor self) -> Tensor` */
export function isnan(self: Tensor): Tensor {
  return asTensor(invoke(op_isnan, self));
}

const op_isfinite = operator('aten::isfinite', '');
/** `aten::isfinite(Tensor self) -> Tensor` */
export function isfinite(self: Tensor): Tensor {
  return asTensor(invoke(op_isfinite, self));
}

const op_equal = operator('aten::equal', '');
/** `aten::equal(Tensor self, Tensor other) -> bool` */
export function equal(self: Tensor, other: Tensor): boolean {
  return invoke(op_equal, self, other) as boolean;
}

const op_allclose = operator('aten::allclose', '');
/** `aten::allclose(Tensor self, Tensor other, float rtol=1.0000000000000001e-05, float atol=1e-08, bool equal_nan=False) -> bool` */
export function allclose(
  self: Tensor,
  other: Tensor,
  options: { rtol?: number | undefined; atol?: number | undefined; equalNan?: boolean | undefined } = {},
): boolean {
  return invoke(op_allclose, self, other, options.rtol, options.atol, options.equalNan) as boolean;
}

const op_sum = operator('aten::sum', '');
/** `aten::sum(Tensor self, *, ScalarType? dtype=None) -> Tensor` */
export function sum(self: Tensor, options: { dtype?: Dtype | null | undefined } = {}): Tensor {
  return asTensor(invoke(op_sum, self, code(options.dtype)));
}

const op_sum_dim_IntList = operator('aten::sum', 'dim_IntList');
/** `aten::sum.dim_IntList(Tensor self, int[1]? dim, bool keepdim=False, *, ScalarType? dtype=None) -> Tensor` */
export function sum_dim_IntList(
  self: Tensor,
  dim: readonly number[] | null,
  options: { keepdim?: boolean | undefined; dtype?: Dtype | null | undefined } = {},
): Tensor {
  return asTensor(invoke(op_sum_dim_IntList, self, dim, options.keepdim, code(options.dtype)));
}

const op_mean = operator('aten::mean', '');
/** `aten::mean(Tensor self, *, ScalarType? dtype=None) -> Tensor` */
export function mean(self: Tensor, options: { dtype?: Dtype | null | undefined } = {}): Tensor {
  return asTensor(invoke(op_mean, self, code(options.dtype)));
}

const op_mean_dim = operator('aten::mean', 'dim');
/** `aten::mean.dim(Tensor self, int[1]? dim, bool keepdim=False, *, ScalarType? dtype=None) -> Tensor` */
export function mean_dim(
  self: Tensor,
  dim: readonly number[] | null,
  options: { keepdim?: boolean | undefined; dtype?: Dtype | null | undefined } = {},
): Tensor {
  return asTensor(invoke(op_mean_dim, self, dim, options.keepdim, code(options.dtype)));
}

const op_var_correction = operator('aten::var', 'correction');
/** `aten::var.correction(Tensor self, int[1]? dim=None, *, Scalar? correction=None, bool keepdim=False) -> Tensor` */
export function var_correction(
  self: Tensor,
  options: {
    dim?: readonly number[] | null | undefined;
    correction?: number | boolean | null | undefined;
    keepdim?: boolean | undefined;
  } = {},
): Tensor {
  return asTensor(invoke(op_var_correction, self, options.dim, options.correction, options.keepdim));
}

const op_amax = operator('aten::amax', '');
/** `aten::amax(Tensor self, int[1] dim=[], bool keepdim=False) -> Tensor` */
export function amax(
  self: Tensor,
  options: { dim?: readonly number[] | undefined; keepdim?: boolean | undefined } = {},
): Tensor {
  return asTensor(invoke(op_amax, self, options.dim, options.keepdim));
}

const op_amin = operator('aten::amin', '');
/** `aten::amin(Tensor self, int[1] dim=[], bool keepdim=False) -> Tensor` */
export function amin(
  self: Tensor,
  options: { dim?: readonly number[] | undefined; keepdim?: boolean | undefined } = {},
): Tensor {
  return asTensor(invoke(op_amin, self, options.dim, options.keepdim));
}

const op_max = operator('aten::max', '');
/** `aten::max(Tensor self) -> Tensor` */
export function max(self: Tensor): Tensor {
  return asTensor(invoke(op_max, self));
}

const op_min = operator('aten::min', '');
/** `aten::min(Tensor self) -> Tensor` */
export function min(self: Tensor): Tensor {
  return asTensor(invoke(op_min, self));
}

const op_max_dim = operator('aten::max', 'dim');
/** `aten::max.dim(Tensor self, int dim, bool keepdim=False) -> (Tensor values, Tensor indices)` */
export function max_dim(self: Tensor, dim: number, options: { keepdim?: boolean | undefined } = {}): [Tensor, Tensor] {
  const result = invoke(op_max_dim, self, dim, options.keepdim) as NativeValue[];
  return [asTensor(result[0]), asTensor(result[1])];
}

const op_argmax = operator('aten::argmax', '');
/** `aten::argmax(Tensor self, int? dim=None, bool keepdim=False) -> Tensor` */
export function argmax(
  self: Tensor,
  options: { dim?: number | null | undefined; keepdim?: boolean | undefined } = {},
): Tensor {
  return asTensor(invoke(op_argmax, self, options.dim, options.keepdim));
}

const op_logsumexp = operator('aten::logsumexp', '');
/** `aten::logsumexp(Tensor self, int[1] dim, bool keepdim=False) -> Tensor` */
export function logsumexp(
  self: Tensor,
  dim: readonly number[],
  options: { keepdim?: boolean | undefined } = {},
): Tensor {
  return asTensor(invoke(op_logsumexp, self, dim, options.keepdim));
}

const op_cumsum = operator('aten::cumsum', '');
/** `aten::cumsum(Tensor self, int dim, *, ScalarType? dtype=None) -> Tensor` */
export function cumsum(self: Tensor, dim: number, options: { dtype?: Dtype | null | undefined } = {}): Tensor {
  return asTensor(invoke(op_cumsum, self, dim, code(options.dtype)));
}

const op_topk = operator('aten::topk', '');
/** `aten::topk(Tensor self, SymInt k, int dim=-1, bool largest=True, bool sorted=True) -> (Tensor values, Tensor indices)` */
export function topk(
  self: Tensor,
  k: number,
  options: { dim?: number | undefined; largest?: boolean | undefined; sorted?: boolean | undefined } = {},
): [Tensor, Tensor] {
  const result = invoke(op_topk, self, k, options.dim, options.largest, options.sorted) as NativeValue[];
  return [asTensor(result[0]), asTensor(result[1])];
}

const op_sort = operator('aten::sort', '');
/** `aten::sort(Tensor self, int dim=-1, bool descending=False) -> (Tensor values, Tensor indices)` */
export function sort(
  self: Tensor,
  options: { dim?: number | undefined; descending?: boolean | undefined } = {},
): [Tensor, Tensor] {
  const result = invoke(op_sort, self, options.dim, options.descending) as NativeValue[];
  return [asTensor(result[0]), asTensor(result[1])];
}

const op_all = operator('aten::all', '');
/** `aten::all(Tensor self) -> Tensor` */
export function all(self: Tensor): Tensor {
  return asTensor(invoke(op_all, self));
}

const op_all_dim = operator('aten::all', 'dim');
/** `aten::all.dim(Tensor self, int dim, bool keepdim=False) -> Tensor` */
export function all_dim(self: Tensor, dim: number, options: { keepdim?: boolean | undefined } = {}): Tensor {
  return asTensor(invoke(op_all_dim, self, dim, options.keepdim));
}

const op_any = operator('aten::any', '');
/** `aten::any(Tensor self) -> Tensor` */
export function any(self: Tensor): Tensor {
  return asTensor(invoke(op_any, self));
}

const op_any_dim = operator('aten::any', 'dim');
/** `aten::any.dim(Tensor self, int dim, bool keepdim=False) -> Tensor` */
export function any_dim(self: Tensor, dim: number, options: { keepdim?: boolean | undefined } = {}): Tensor {
  return asTensor(invoke(op_any_dim, self, dim, options.keepdim));
}

const op_linalg_vector_norm = operator('aten::linalg_vector_norm', '');
/** `aten::linalg_vector_norm(Tensor self, Scalar ord=2, int[1]? dim=None, bool keepdim=False, *, ScalarType? dtype=None) -> Tensor` */
export function linalg_vector_norm(
  self: Tensor,
  options: {
    ord?: number | boolean | undefined;
    dim?: readonly number[] | null | undefined;
    keepdim?: boolean | undefined;
    dtype?: Dtype | null | undefined;
  } = {},
): Tensor {
  return asTensor(invoke(op_linalg_vector_norm, self, options.ord, options.dim, options.keepdim, code(options.dtype)));
}

const op_mm = operator('aten::mm', '');
/** `aten::mm(Tensor self, Tensor mat2) -> Tensor` */
export function mm(self: Tensor, mat2: Tensor): Tensor {
  return asTensor(invoke(op_mm, self, mat2));
}

const op_mm_out = operator('aten::mm', 'out');
/** `aten::mm.out(Tensor self, Tensor mat2, *, Tensor(a!) out) -> Tensor(a!)` */
export function mm_out(self: Tensor, mat2: Tensor, out: Tensor): Tensor {
  return asTensor(invoke(op_mm_out, self, mat2, out));
}

const op_addmm = operator('aten::addmm', '');
/** `aten::addmm(Tensor self, Tensor mat1, Tensor mat2, *, Scalar beta=1, Scalar alpha=1) -> Tensor` */
export function addmm(
  self: Tensor,
  mat1: Tensor,
  mat2: Tensor,
  options: { beta?: number | boolean | undefined; alpha?: number | boolean | undefined } = {},
): Tensor {
  return asTensor(invoke(op_addmm, self, mat1, mat2, options.beta, options.alpha));
}

const op_addmm_out = operator('aten::addmm', 'out');
/** `aten::addmm.out(Tensor self, Tensor mat1, Tensor mat2, *, Scalar beta=1, Scalar alpha=1, Tensor(a!) out) -> Tensor(a!)` */
export function addmm_out(
  self: Tensor,
  mat1: Tensor,
  mat2: Tensor,
  out: Tensor,
  options: { beta?: number | boolean | undefined; alpha?: number | boolean | undefined } = {},
): Tensor {
  return asTensor(invoke(op_addmm_out, self, mat1, mat2, options.beta, options.alpha, out));
}

const op_bmm = operator('aten::bmm', '');
/** `aten::bmm(Tensor self, Tensor mat2) -> Tensor` */
export function bmm(self: Tensor, mat2: Tensor): Tensor {
  return asTensor(invoke(op_bmm, self, mat2));
}

const op_baddbmm = operator('aten::baddbmm', '');
/** `aten::baddbmm(Tensor self, Tensor batch1, Tensor batch2, *, Scalar beta=1, Scalar alpha=1) -> Tensor` */
export function baddbmm(
  self: Tensor,
  batch1: Tensor,
  batch2: Tensor,
  options: { beta?: number | boolean | undefined; alpha?: number | boolean | undefined } = {},
): Tensor {
  return asTensor(invoke(op_baddbmm, self, batch1, batch2, options.beta, options.alpha));
}

const op_matmul = operator('aten::matmul', '');
/** `aten::matmul(Tensor self, Tensor other) -> Tensor` */
export function matmul(self: Tensor, other: Tensor): Tensor {
  return asTensor(invoke(op_matmul, self, other));
}

const op_linear = operator('aten::linear', '');
/** `aten::linear(Tensor input, Tensor weight, Tensor? bias=None) -> Tensor` */
export function linear(input: Tensor, weight: Tensor, options: { bias?: Tensor | null | undefined } = {}): Tensor {
  return asTensor(invoke(op_linear, input, weight, options.bias));
}

const op_mv = operator('aten::mv', '');
/** `aten::mv(Tensor self, Tensor vec) -> Tensor` */
export function mv(self: Tensor, vec: Tensor): Tensor {
  return asTensor(invoke(op_mv, self, vec));
}

const op_addmv = operator('aten::addmv', '');
/** `aten::addmv(Tensor self, Tensor mat, Tensor vec, *, Scalar beta=1, Scalar alpha=1) -> Tensor` */
export function addmv(
  self: Tensor,
  mat: Tensor,
  vec: Tensor,
  options: { beta?: number | boolean | undefined; alpha?: number | boolean | undefined } = {},
): Tensor {
  return asTensor(invoke(op_addmv, self, mat, vec, options.beta, options.alpha));
}

const op_dot = operator('aten::dot', '');
/** `aten::dot(Tensor self, Tensor tensor) -> Tensor` */
export function dot(self: Tensor, tensor: Tensor): Tensor {
  return asTensor(invoke(op_dot, self, tensor));
}

const op_outer = operator('aten::outer', '');
/** `aten::outer(Tensor self, Tensor vec2) -> Tensor` */
export function outer(self: Tensor, vec2: Tensor): Tensor {
  return asTensor(invoke(op_outer, self, vec2));
}

const op_embedding = operator('aten::embedding', '');
/** `aten::embedding(Tensor weight, Tensor indices, SymInt padding_idx=-1, bool scale_grad_by_freq=False, bool sparse=False) -> Tensor` */
export function embedding(
  weight: Tensor,
  indices: Tensor,
  options: {
    paddingIdx?: number | undefined;
    scaleGradByFreq?: boolean | undefined;
    sparse?: boolean | undefined;
  } = {},
): Tensor {
  return asTensor(invoke(op_embedding, weight, indices, options.paddingIdx, options.scaleGradByFreq, options.sparse));
}

const op_embedding_dense_backward = operator('aten::embedding_dense_backward', '');
/** `aten::embedding_dense_backward(Tensor grad_output, Tensor indices, SymInt num_weights, SymInt padding_idx, bool scale_grad_by_freq) -> Tensor` */
export function embedding_dense_backward(
  gradOutput: Tensor,
  indices: Tensor,
  numWeights: number,
  paddingIdx: number,
  scaleGradByFreq: boolean,
): Tensor {
  return asTensor(invoke(op_embedding_dense_backward, gradOutput, indices, numWeights, paddingIdx, scaleGradByFreq));
}

const op_softmax_int = operator('aten::softmax', 'int');
/** `aten::softmax.int(Tensor self, int dim, ScalarType? dtype=None) -> Tensor` */
export function softmax_int(self: Tensor, dim: number, options: { dtype?: Dtype | null | undefined } = {}): Tensor {
  return asTensor(invoke(op_softmax_int, self, dim, code(options.dtype)));
}

const op_log_softmax_int = operator('aten::log_softmax', 'int');
/** `aten::log_softmax.int(Tensor self, int dim, ScalarType? dtype=None) -> Tensor` */
export function log_softmax_int(self: Tensor, dim: number, options: { dtype?: Dtype | null | undefined } = {}): Tensor {
  return asTensor(invoke(op_log_softmax_int, self, dim, code(options.dtype)));
}

const op_nll_loss = operator('aten::nll_loss', '');
/** `aten::nll_loss(Tensor self, Tensor target, Tensor? weight=None, int reduction=1, SymInt ignore_index=-100) -> Tensor` */
export function nll_loss(
  self: Tensor,
  target: Tensor,
  options: {
    weight?: Tensor | null | undefined;
    reduction?: number | undefined;
    ignoreIndex?: number | undefined;
  } = {},
): Tensor {
  return asTensor(invoke(op_nll_loss, self, target, options.weight, options.reduction, options.ignoreIndex));
}

const op_cross_entropy_loss = operator('aten::cross_entropy_loss', '');
/** `aten::cross_entropy_loss(Tensor self, Tensor target, Tensor? weight=None, int reduction=1, SymInt ignore_index=-100, float label_smoothing=0.) -> Tensor` */
export function cross_entropy_loss(
  self: Tensor,
  target: Tensor,
  options: {
    weight?: Tensor | null | undefined;
    reduction?: number | undefined;
    ignoreIndex?: number | undefined;
    labelSmoothing?: number | undefined;
  } = {},
): Tensor {
  return asTensor(
    invoke(
      op_cross_entropy_loss,
      self,
      target,
      options.weight,
      options.reduction,
      options.ignoreIndex,
      options.labelSmoothing,
    ),
  );
}

const op_binary_cross_entropy_with_logits = operator('aten::binary_cross_entropy_with_logits', '');
/** `aten::binary_cross_entropy_with_logits(Tensor self, Tensor target, Tensor? weight=None, Tensor? pos_weight=None, int reduction=1) -> Tensor` */
export function binary_cross_entropy_with_logits(
  self: Tensor,
  target: Tensor,
  options: {
    weight?: Tensor | null | undefined;
    posWeight?: Tensor | null | undefined;
    reduction?: number | undefined;
  } = {},
): Tensor {
  return asTensor(
    invoke(op_binary_cross_entropy_with_logits, self, target, options.weight, options.posWeight, options.reduction),
  );
}

const op_layer_norm = operator('aten::layer_norm', '');
/** `aten::layer_norm(Tensor input, SymInt[] normalized_shape, Tensor? weight=None, Tensor? bias=None, float eps=1.0000000000000001e-05, bool cudnn_enable=True) -> Tensor` */
export function layer_norm(
  input: Tensor,
  normalizedShape: readonly number[],
  options: {
    weight?: Tensor | null | undefined;
    bias?: Tensor | null | undefined;
    eps?: number | undefined;
    cudnnEnable?: boolean | undefined;
  } = {},
): Tensor {
  return asTensor(
    invoke(op_layer_norm, input, normalizedShape, options.weight, options.bias, options.eps, options.cudnnEnable),
  );
}

const op_rms_norm = operator('aten::rms_norm', '');
/** `aten::rms_norm(Tensor input, SymInt[] normalized_shape, Tensor? weight=None, float? eps=None) -> Tensor` */
export function rms_norm(
  input: Tensor,
  normalizedShape: readonly number[],
  options: { weight?: Tensor | null | undefined; eps?: number | null | undefined } = {},
): Tensor {
  return asTensor(invoke(op_rms_norm, input, normalizedShape, options.weight, options.eps));
}

const op_dropout = operator('aten::dropout', '');
/** `aten::dropout(Tensor input, float p, bool train) -> Tensor` */
export function dropout(input: Tensor, p: number, train: boolean): Tensor {
  return asTensor(invoke(op_dropout, input, p, train));
}

const op_scaled_dot_product_attention = operator('aten::scaled_dot_product_attention', '');
/** `aten::scaled_dot_product_attention(Tensor query, Tensor key, Tensor value, Tensor? attn_mask=None, float dropout_p=0., bool is_causal=False, *, float? scale=None, bool enable_gqa=False) -> Tensor` */
export function scaled_dot_product_attention(
  query: Tensor,
  key: Tensor,
  value: Tensor,
  options: {
    attnMask?: Tensor | null | undefined;
    dropoutP?: number | undefined;
    isCausal?: boolean | undefined;
    scale?: number | null | undefined;
    enableGqa?: boolean | undefined;
  } = {},
): Tensor {
  return asTensor(
    invoke(
      op_scaled_dot_product_attention,
      query,
      key,
      value,
      options.attnMask,
      options.dropoutP,
      options.isCausal,
      options.scale,
      options.enableGqa,
    ),
  );
}

const op_index_select = operator('aten::index_select', '');
/** `aten::index_select(Tensor self, int dim, Tensor index) -> Tensor` */
export function index_select(self: Tensor, dim: number, index: Tensor): Tensor {
  return asTensor(invoke(op_index_select, self, dim, index));
}

const op_gather = operator('aten::gather', '');
/** `aten::gather(Tensor self, int dim, Tensor index, *, bool sparse_grad=False) -> Tensor` */
export function gather(
  self: Tensor,
  dim: number,
  index: Tensor,
  options: { sparseGrad?: boolean | undefined } = {},
): Tensor {
  return asTensor(invoke(op_gather, self, dim, index, options.sparseGrad));
}

const op_scatter_src = operator('aten::scatter', 'src');
/** `aten::scatter.src(Tensor self, int dim, Tensor index, Tensor src) -> Tensor` */
export function scatter_src(self: Tensor, dim: number, index: Tensor, src: Tensor): Tensor {
  return asTensor(invoke(op_scatter_src, self, dim, index, src));
}

const op_scatter_value = operator('aten::scatter', 'value');
/** `aten::scatter.value(Tensor self, int dim, Tensor index, Scalar value) -> Tensor` */
export function scatter_value(self: Tensor, dim: number, index: Tensor, value: number | boolean): Tensor {
  return asTensor(invoke(op_scatter_value, self, dim, index, value));
}

const op_scatter__src = operator('aten::scatter_', 'src');
/** `aten::scatter_.src(Tensor(a!) self, int dim, Tensor index, Tensor src) -> Tensor(a!)` */
export function scatter__src(self: Tensor, dim: number, index: Tensor, src: Tensor): Tensor {
  return asTensor(invoke(op_scatter__src, self, dim, index, src));
}

const op_scatter_add = operator('aten::scatter_add', '');
/** `aten::scatter_add(Tensor self, int dim, Tensor index, Tensor src) -> Tensor` */
export function scatter_add(self: Tensor, dim: number, index: Tensor, src: Tensor): Tensor {
  return asTensor(invoke(op_scatter_add, self, dim, index, src));
}

const op_scatter_add_ = operator('aten::scatter_add_', '');
/** `aten::scatter_add_(Tensor(a!) self, int dim, Tensor index, Tensor src) -> Tensor(a!)` */
export function scatter_add_(self: Tensor, dim: number, index: Tensor, src: Tensor): Tensor {
  return asTensor(invoke(op_scatter_add_, self, dim, index, src));
}

const op_index_add = operator('aten::index_add', '');
/** `aten::index_add(Tensor self, int dim, Tensor index, Tensor source, *, Scalar alpha=1) -> Tensor` */
export function index_add(
  self: Tensor,
  dim: number,
  index: Tensor,
  source: Tensor,
  options: { alpha?: number | boolean | undefined } = {},
): Tensor {
  return asTensor(invoke(op_index_add, self, dim, index, source, options.alpha));
}

const op_index_add_ = operator('aten::index_add_', '');
/** `aten::index_add_(Tensor(a!) self, int dim, Tensor index, Tensor source, *, Scalar alpha=1) -> Tensor(a!)` */
export function index_add_(
  self: Tensor,
  dim: number,
  index: Tensor,
  source: Tensor,
  options: { alpha?: number | boolean | undefined } = {},
): Tensor {
  return asTensor(invoke(op_index_add_, self, dim, index, source, options.alpha));
}

const op_index_copy = operator('aten::index_copy', '');
/** `aten::index_copy(Tensor self, int dim, Tensor index, Tensor source) -> Tensor` */
export function index_copy(self: Tensor, dim: number, index: Tensor, source: Tensor): Tensor {
  return asTensor(invoke(op_index_copy, self, dim, index, source));
}

const op_index_copy_ = operator('aten::index_copy_', '');
/** `aten::index_copy_(Tensor(a!) self, int dim, Tensor index, Tensor source) -> Tensor(a!)` */
export function index_copy_(self: Tensor, dim: number, index: Tensor, source: Tensor): Tensor {
  return asTensor(invoke(op_index_copy_, self, dim, index, source));
}

const op_index_Tensor = operator('aten::index', 'Tensor');
/** `aten::index.Tensor(Tensor self, Tensor?[] indices) -> Tensor` */
export function index_Tensor(self: Tensor, indices: readonly (Tensor | null)[]): Tensor {
  return asTensor(invoke(op_index_Tensor, self, indices));
}

const op_index_put_ = operator('aten::index_put_', '');
/** `aten::index_put_(Tensor(a!) self, Tensor?[] indices, Tensor values, bool accumulate=False) -> Tensor(a!)` */
export function index_put_(
  self: Tensor,
  indices: readonly (Tensor | null)[],
  values: Tensor,
  options: { accumulate?: boolean | undefined } = {},
): Tensor {
  return asTensor(invoke(op_index_put_, self, indices, values, options.accumulate));
}

const op_take_along_dim = operator('aten::take_along_dim', '');
/** `aten::take_along_dim(Tensor self, Tensor indices, int? dim=None) -> Tensor` */
export function take_along_dim(
  self: Tensor,
  indices: Tensor,
  options: { dim?: number | null | undefined } = {},
): Tensor {
  return asTensor(invoke(op_take_along_dim, self, indices, options.dim));
}

const op_masked_select = operator('aten::masked_select', '');
/** `aten::masked_select(Tensor self, Tensor mask) -> Tensor` */
export function masked_select(self: Tensor, mask: Tensor): Tensor {
  return asTensor(invoke(op_masked_select, self, mask));
}

const op_nonzero = operator('aten::nonzero', '');
/** `aten::nonzero(Tensor self) -> Tensor` */
export function nonzero(self: Tensor): Tensor {
  return asTensor(invoke(op_nonzero, self));
}

const op_one_hot = operator('aten::one_hot', '');
/** `aten::one_hot(Tensor self, int num_classes=-1) -> Tensor` */
export function one_hot(self: Tensor, options: { numClasses?: number | undefined } = {}): Tensor {
  return asTensor(invoke(op_one_hot, self, options.numClasses));
}

const op_tril = operator('aten::tril', '');
/** `aten::tril(Tensor self, SymInt diagonal=0) -> Tensor` */
export function tril(self: Tensor, options: { diagonal?: number | undefined } = {}): Tensor {
  return asTensor(invoke(op_tril, self, options.diagonal));
}

const op_triu = operator('aten::triu', '');
/** `aten::triu(Tensor self, SymInt diagonal=0) -> Tensor` */
export function triu(self: Tensor, options: { diagonal?: number | undefined } = {}): Tensor {
  return asTensor(invoke(op_triu, self, options.diagonal));
}

const op__fused_adamw_ = operator('aten::_fused_adamw_', '');
/** `aten::_fused_adamw_(Tensor(a!)[] self, Tensor(b!)[] grads, Tensor(c!)[] exp_avgs, Tensor(d!)[] exp_avg_sqs, Tensor(e!)[] max_exp_avg_sqs, Tensor[] state_steps, *, float lr, float beta1, float beta2, float weight_decay, float eps, bool amsgrad, bool maximize, Tensor? grad_scale=None, Tensor? found_inf=None) -> ()` */
export function _fused_adamw_(
  self: readonly Tensor[],
  grads: readonly Tensor[],
  expAvgs: readonly Tensor[],
  expAvgSqs: readonly Tensor[],
  maxExpAvgSqs: readonly Tensor[],
  stateSteps: readonly Tensor[],
  lr: number,
  beta1: number,
  beta2: number,
  weightDecay: number,
  eps: number,
  amsgrad: boolean,
  maximize: boolean,
  options: { gradScale?: Tensor | null | undefined; foundInf?: Tensor | null | undefined } = {},
): void {
  invoke(
    op__fused_adamw_,
    self,
    grads,
    expAvgs,
    expAvgSqs,
    maxExpAvgSqs,
    stateSteps,
    lr,
    beta1,
    beta2,
    weightDecay,
    eps,
    amsgrad,
    maximize,
    options.gradScale,
    options.foundInf,
  );
}

const op__foreach_norm_Scalar = operator('aten::_foreach_norm', 'Scalar');
/** `aten::_foreach_norm.Scalar(Tensor[] self, Scalar ord=2, ScalarType? dtype=None) -> Tensor[]` */
export function _foreach_norm_Scalar(
  self: readonly Tensor[],
  options: { ord?: number | boolean | undefined; dtype?: Dtype | null | undefined } = {},
): Tensor[] {
  return asTensors(invoke(op__foreach_norm_Scalar, self, options.ord, code(options.dtype)));
}

const op__foreach_mul__Scalar = operator('aten::_foreach_mul_', 'Scalar');
/** `aten::_foreach_mul_.Scalar(Tensor(a!)[] self, Scalar scalar) -> ()` */
export function _foreach_mul__Scalar(self: readonly Tensor[], scalar: number | boolean): void {
  invoke(op__foreach_mul__Scalar, self, scalar);
}

const op__foreach_mul__Tensor = operator('aten::_foreach_mul_', 'Tensor');
/** `aten::_foreach_mul_.Tensor(Tensor(a!)[] self, Tensor other) -> ()` */
export function _foreach_mul__Tensor(self: readonly Tensor[], other: Tensor): void {
  invoke(op__foreach_mul__Tensor, self, other);
}

const op__foreach_add__List = operator('aten::_foreach_add_', 'List');
/** `aten::_foreach_add_.List(Tensor(a!)[] self, Tensor[] other, *, Scalar alpha=1) -> ()` */
export function _foreach_add__List(
  self: readonly Tensor[],
  other: readonly Tensor[],
  options: { alpha?: number | boolean | undefined } = {},
): void {
  invoke(op__foreach_add__List, self, other, options.alpha);
}

const op__foreach_add__Scalar = operator('aten::_foreach_add_', 'Scalar');
/** `aten::_foreach_add_.Scalar(Tensor(a!)[] self, Scalar scalar) -> ()` */
export function _foreach_add__Scalar(self: readonly Tensor[], scalar: number | boolean): void {
  invoke(op__foreach_add__Scalar, self, scalar);
}

const op__foreach_copy_ = operator('aten::_foreach_copy_', '');
/** `aten::_foreach_copy_(Tensor(a!)[] self, Tensor[] src, bool non_blocking=False) -> ()` */
export function _foreach_copy_(
  self: readonly Tensor[],
  src: readonly Tensor[],
  options: { nonBlocking?: boolean | undefined } = {},
): void {
  invoke(op__foreach_copy_, self, src, options.nonBlocking);
}

const op__foreach_zero_ = operator('aten::_foreach_zero_', '');
/** `aten::_foreach_zero_(Tensor(a!)[] self) -> ()` */
export function _foreach_zero_(self: readonly Tensor[]): void {
  invoke(op__foreach_zero_, self);
}

const op_from_file = operator('aten::from_file', '');
/** `aten::from_file(str filename, bool? shared=None, int? size=0, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None) -> Tensor` */
export function from_file(
  filename: string,
  options: {
    shared?: boolean | null | undefined;
    size?: number | null | undefined;
    dtype?: Dtype | null | undefined;
    layout?: number | null | undefined;
    device?: string | null | undefined;
    pinMemory?: boolean | null | undefined;
  } = {},
): Tensor {
  return asTensor(
    invoke(
      op_from_file,
      filename,
      options.shared,
      options.size,
      code(options.dtype),
      options.layout,
      options.device,
      options.pinMemory,
    ),
  );
}

const op_set__source_Tensor_storage_offset = operator('aten::set_', 'source_Tensor_storage_offset');
/** `aten::set_.source_Tensor_storage_offset(Tensor(a!) self, Tensor source, SymInt storage_offset, SymInt[] size, SymInt[] stride=[]) -> Tensor(a!)` */
export function set__source_Tensor_storage_offset(
  self: Tensor,
  source: Tensor,
  storageOffset: number,
  size: readonly number[],
  options: { stride?: readonly number[] | undefined } = {},
): Tensor {
  return asTensor(invoke(op_set__source_Tensor_storage_offset, self, source, storageOffset, size, options.stride));
}

const op_item = operator('aten::item', '');
/** `aten::item(Tensor self) -> Scalar` */
export function item(self: Tensor): number {
  return invoke(op_item, self) as number;
}

const op__local_scalar_dense = operator('aten::_local_scalar_dense', '');
/** `aten::_local_scalar_dense(Tensor self) -> Scalar` */
export function _local_scalar_dense(self: Tensor): number {
  return invoke(op__local_scalar_dense, self) as number;
}

const op_rmsNorm = operator('selm::rms_norm', '');
/** `selm::rms_norm(Tensor x, Tensor weight, float eps) -> Tensor` */
export function rmsNorm(x: Tensor, weight: Tensor, eps: number): Tensor {
  return asTensor(invoke(op_rmsNorm, x, weight, eps));
}

const op_rotary = operator('selm::rotary', '');
/** `selm::rotary(Tensor x, Tensor cos, Tensor sin) -> Tensor` */
export function rotary(x: Tensor, cos: Tensor, sin: Tensor): Tensor {
  return asTensor(invoke(op_rotary, x, cos, sin));
}

const op_swiglu = operator('selm::swiglu', '');
/** `selm::swiglu(Tensor gate, Tensor up) -> Tensor` */
export function swiglu(gate: Tensor, up: Tensor): Tensor {
  return asTensor(invoke(op_swiglu, gate, up));
}

const op_geglu = operator('selm::geglu', '');
/** `selm::geglu(Tensor gate, Tensor up) -> Tensor` */
export function geglu(gate: Tensor, up: Tensor): Tensor {
  return asTensor(invoke(op_geglu, gate, up));
}

const op_mixedLinear = operator('selm::mixed_linear', '');
/** `selm::mixed_linear(Tensor x, Tensor master, Tensor compute, Tensor? bias=None) -> Tensor` */
export function mixedLinear(
  x: Tensor,
  master: Tensor,
  compute: Tensor,
  options: { bias?: Tensor | null | undefined } = {},
): Tensor {
  return asTensor(invoke(op_mixedLinear, x, master, compute, options.bias));
}

const op_mixedLinears = operator('selm::mixed_linears', '');
/** `selm::mixed_linears(Tensor x, Tensor[] masters, Tensor[] computes) -> Tensor[]` */
export function mixedLinears(x: Tensor, masters: readonly Tensor[], computes: readonly Tensor[]): Tensor[] {
  return asTensors(invoke(op_mixedLinears, x, masters, computes));
}

const op_treeAttention = operator('selm::tree_attention', '');
/** `selm::tree_attention(Tensor q, Tensor k, Tensor v, int[] segments, float scale, int window=0, float soft_cap=0.) -> Tensor` */
export function treeAttention(
  q: Tensor,
  k: Tensor,
  v: Tensor,
  segments: readonly number[],
  scale: number,
  options: { window?: number | undefined; softCap?: number | undefined } = {},
): Tensor {
  return asTensor(invoke(op_treeAttention, q, k, v, segments, scale, options.window, options.softCap));
}

const op_treeAttentionWithKnown = operator('selm::tree_attention_with_known', '');
/** `selm::tree_attention_with_known(Tensor q, Tensor k, Tensor v, int[] segments, int[] known, float scale, int window=0, float soft_cap=0.) -> Tensor` */
export function treeAttentionWithKnown(
  q: Tensor,
  k: Tensor,
  v: Tensor,
  segments: readonly number[],
  known: readonly number[],
  scale: number,
  options: { window?: number | undefined; softCap?: number | undefined } = {},
): Tensor {
  return asTensor(invoke(op_treeAttentionWithKnown, q, k, v, segments, known, scale, options.window, options.softCap));
}

const op_targetLogProbs = operator('selm::target_log_probs', '');
/** `selm::target_log_probs(Tensor logits, Tensor targets) -> (Tensor, Tensor)` */
export function targetLogProbs(logits: Tensor, targets: Tensor): [Tensor, Tensor] {
  const result = invoke(op_targetLogProbs, logits, targets) as NativeValue[];
  return [asTensor(result[0]), asTensor(result[1])];
}

const op_logProbGradient_ = operator('selm::log_prob_gradient_', '');
/** `selm::log_prob_gradient_(Tensor(a!) logits, Tensor targets, Tensor normalisers, Tensor coefficients, float soft_cap=0.) -> Tensor(a!)` */
export function logProbGradient_(
  logits: Tensor,
  targets: Tensor,
  normalisers: Tensor,
  coefficients: Tensor,
  options: { softCap?: number | undefined } = {},
): Tensor {
  return asTensor(invoke(op_logProbGradient_, logits, targets, normalisers, coefficients, options.softCap));
}

const op_softCap_ = operator('selm::soft_cap_', '');
/** `selm::soft_cap_(Tensor(a!) x, float cap) -> Tensor(a!)` */
export function softCap_(x: Tensor, cap: number): Tensor {
  return asTensor(invoke(op_softCap_, x, cap));
}

const op_roundedAdamw_ = operator('selm::rounded_adamw_', '');
/** `selm::rounded_adamw_(Tensor(a!) master, Tensor gradient, Tensor(b!) first_moment, Tensor(c!) second_moment, int step, float learning_rate, float beta1, float beta2, float weight_decay, float epsilon, int[] key, int first_element=0) -> ()` */
export function roundedAdamw_(
  master: Tensor,
  gradient: Tensor,
  firstMoment: Tensor,
  secondMoment: Tensor,
  step: number,
  learningRate: number,
  beta1: number,
  beta2: number,
  weightDecay: number,
  epsilon: number,
  key: readonly number[],
  options: { firstElement?: number | undefined } = {},
): void {
  invoke(
    op_roundedAdamw_,
    master,
    gradient,
    firstMoment,
    secondMoment,
    step,
    learningRate,
    beta1,
    beta2,
    weightDecay,
    epsilon,
    key,
    options.firstElement,
  );
}

const op_sumOfSquares = operator('selm::sum_of_squares', '');
/** `selm::sum_of_squares(Tensor[] tensors) -> Tensor` */
export function sumOfSquares(tensors: readonly Tensor[]): Tensor {
  return asTensor(invoke(op_sumOfSquares, tensors));
}

const op_addRows_ = operator('selm::add_rows_', '');
/** `selm::add_rows_(Tensor(a!) total, int[] ids, Tensor rows, float alpha=1.) -> Tensor(a!)` */
export function addRows_(
  total: Tensor,
  ids: readonly number[],
  rows: Tensor,
  options: { alpha?: number | undefined } = {},
): Tensor {
  return asTensor(invoke(op_addRows_, total, ids, rows, options.alpha));
}

const op_packRows = operator('selm::pack_rows', '');
/** `selm::pack_rows(Tensor[] weights, str layout="fastest") -> Tensor` */
export function packRows(weights: readonly Tensor[], options: { layout?: string | undefined } = {}): Tensor {
  return asTensor(invoke(op_packRows, weights, options.layout));
}

const op_hasTiles = operator('selm::has_tiles', '');
/** `selm::has_tiles(Tensor x) -> bool` */
export function hasTiles(x: Tensor): boolean {
  return invoke(op_hasTiles, x) as boolean;
}

const op_addProduct_ = operator('selm::add_product_', '');
/** `selm::add_product_(Tensor(a!) sum, Tensor a, Tensor b) -> Tensor(a!)` */
export function addProduct_(sum: Tensor, a: Tensor, b: Tensor): Tensor {
  return asTensor(invoke(op_addProduct_, sum, a, b));
}

const op_rowLinear = operator('selm::row_linear', '');
/** `selm::row_linear(Tensor x, Tensor packed, int outputs, Tensor? bias=None, str arithmetic="float32") -> Tensor` */
export function rowLinear(
  x: Tensor,
  packed: Tensor,
  outputs: number,
  options: { bias?: Tensor | null | undefined; arithmetic?: string | undefined } = {},
): Tensor {
  return asTensor(invoke(op_rowLinear, x, packed, outputs, options.bias, options.arithmetic));
}

const op_rowLinears = operator('selm::row_linears', '');
/** `selm::row_linears(Tensor x, Tensor packed, int[] outputs, Tensor? bias=None, str arithmetic="float32") -> Tensor[]` */
export function rowLinears(
  x: Tensor,
  packed: Tensor,
  outputs: readonly number[],
  options: { bias?: Tensor | null | undefined; arithmetic?: string | undefined } = {},
): Tensor[] {
  return asTensors(invoke(op_rowLinears, x, packed, outputs, options.bias, options.arithmetic));
}

const op_rowGated = operator('selm::row_gated', '');
/** `selm::row_gated(Tensor x, Tensor packed, int outputs, str activation, str arithmetic="float32") -> Tensor` */
export function rowGated(
  x: Tensor,
  packed: Tensor,
  outputs: number,
  activation: string,
  options: { arithmetic?: string | undefined } = {},
): Tensor {
  return asTensor(invoke(op_rowGated, x, packed, outputs, activation, options.arithmetic));
}

const op_packLinear = operator('selm::pack_linear', '');
/** `selm::pack_linear(Tensor weight) -> (Tensor packed, Tensor scales)` */
export function packLinear(weight: Tensor): [Tensor, Tensor] {
  const result = invoke(op_packLinear, weight) as NativeValue[];
  return [asTensor(result[0]), asTensor(result[1])];
}

const op_packedLinear = operator('selm::packed_linear', '');
/** `selm::packed_linear(Tensor x, Tensor packed, Tensor scales, Tensor bias, str activation="none") -> Tensor` */
export function packedLinear(
  x: Tensor,
  packed: Tensor,
  scales: Tensor,
  bias: Tensor,
  options: { activation?: string | undefined } = {},
): Tensor {
  return asTensor(invoke(op_packedLinear, x, packed, scales, bias, options.activation));
}

const op_disentangledAttention = operator('selm::disentangled_attention', '');
/** `selm::disentangled_attention(Tensor q, Tensor k, Tensor v, Tensor? relative_keys, Tensor? relative_queries, int[] rows, int[] query_positions, int[] key_positions, int[] sequences, str arithmetic="fastest") -> Tensor` */
export function disentangledAttention(
  q: Tensor,
  k: Tensor,
  v: Tensor,
  relativeKeys: Tensor | null,
  relativeQueries: Tensor | null,
  rows: readonly number[],
  queryPositions: readonly number[],
  keyPositions: readonly number[],
  sequences: readonly number[],
  options: { arithmetic?: string | undefined } = {},
): Tensor {
  return asTensor(
    invoke(
      op_disentangledAttention,
      q,
      k,
      v,
      relativeKeys,
      relativeQueries,
      rows,
      queryPositions,
      keyPositions,
      sequences,
      options.arithmetic,
    ),
  );
}

const op_writePages = operator('selm::write_pages', '');
/** `selm::write_pages(Tensor(a!) keys, Tensor(b!) values, Tensor k, Tensor v, Tensor places) -> ()` */
export function writePages(keys: Tensor, values: Tensor, k: Tensor, v: Tensor, places: Tensor): void {
  invoke(op_writePages, keys, values, k, v, places);
}

const op_readPages = operator('selm::read_pages', '');
/** `selm::read_pages(Tensor keys, Tensor values, Tensor places) -> (Tensor, Tensor)` */
export function readPages(keys: Tensor, values: Tensor, places: Tensor): [Tensor, Tensor] {
  const result = invoke(op_readPages, keys, values, places) as NativeValue[];
  return [asTensor(result[0]), asTensor(result[1])];
}

const op_pagedAttention = operator('selm::paged_attention', '');
/** `selm::paged_attention(Tensor q, Tensor keys, Tensor values, Tensor tables, Tensor lengths, float scale, int window=0, float soft_cap=0.) -> Tensor` */
export function pagedAttention(
  q: Tensor,
  keys: Tensor,
  values: Tensor,
  tables: Tensor,
  lengths: Tensor,
  scale: number,
  options: { window?: number | undefined; softCap?: number | undefined } = {},
): Tensor {
  return asTensor(invoke(op_pagedAttention, q, keys, values, tables, lengths, scale, options.window, options.softCap));
}

const op_decodeBlocks_ = operator('selm::decode_blocks_', '');
/** `selm::decode_blocks_(Tensor(a!) x, Tensor?[] weights, Tensor[] keys, Tensor[] values, Tensor[] cos, Tensor[] sin, Tensor places, int[] windows, int heads, int inner_size, bool norms_whole, float eps, float scale, float soft_cap, str activation, str arithmetic, Tensor tables, Tensor lengths) -> Tensor(a!)` */
export function decodeBlocks_(
  x: Tensor,
  weights: readonly (Tensor | null)[],
  keys: readonly Tensor[],
  values: readonly Tensor[],
  cos: readonly Tensor[],
  sin: readonly Tensor[],
  places: Tensor,
  windows: readonly number[],
  heads: number,
  innerSize: number,
  normsWhole: boolean,
  eps: number,
  scale: number,
  softCap: number,
  activation: string,
  arithmetic: string,
  tables: Tensor,
  lengths: Tensor,
): Tensor {
  return asTensor(
    invoke(
      op_decodeBlocks_,
      x,
      weights,
      keys,
      values,
      cos,
      sin,
      places,
      windows,
      heads,
      innerSize,
      normsWhole,
      eps,
      scale,
      softCap,
      activation,
      arithmetic,
      tables,
      lengths,
    ),
  );
}

const op_prefillBlocks = operator('selm::prefill_blocks', '');
/** `selm::prefill_blocks(Tensor x, Tensor?[] weights, Tensor[] keys, Tensor[] values, Tensor[] cos, Tensor[] sin, Tensor places, int[] windows, int heads, int inner_size, bool norms_whole, float eps, float scale, float soft_cap, str activation, str arithmetic, Tensor seen, int[] segments, int[] known, Tensor rows) -> Tensor` */
export function prefillBlocks(
  x: Tensor,
  weights: readonly (Tensor | null)[],
  keys: readonly Tensor[],
  values: readonly Tensor[],
  cos: readonly Tensor[],
  sin: readonly Tensor[],
  places: Tensor,
  windows: readonly number[],
  heads: number,
  innerSize: number,
  normsWhole: boolean,
  eps: number,
  scale: number,
  softCap: number,
  activation: string,
  arithmetic: string,
  seen: Tensor,
  segments: readonly number[],
  known: readonly number[],
  rows: Tensor,
): Tensor {
  return asTensor(
    invoke(
      op_prefillBlocks,
      x,
      weights,
      keys,
      values,
      cos,
      sin,
      places,
      windows,
      heads,
      innerSize,
      normsWhole,
      eps,
      scale,
      softCap,
      activation,
      arithmetic,
      seen,
      segments,
      known,
      rows,
    ),
  );
}

const op_treeBlocks = operator('selm::tree_blocks', '');
/** `selm::tree_blocks(Tensor x, Tensor?[] weights, Tensor[] cos, Tensor[] sin, int[] windows, int heads, int key_heads, int inner_size, bool norms_whole, float eps, float scale, float soft_cap, str activation, str arithmetic, int[] segments, Tensor rows) -> Tensor` */
export function treeBlocks(
  x: Tensor,
  weights: readonly (Tensor | null)[],
  cos: readonly Tensor[],
  sin: readonly Tensor[],
  windows: readonly number[],
  heads: number,
  keyHeads: number,
  innerSize: number,
  normsWhole: boolean,
  eps: number,
  scale: number,
  softCap: number,
  activation: string,
  arithmetic: string,
  segments: readonly number[],
  rows: Tensor,
): Tensor {
  return asTensor(
    invoke(
      op_treeBlocks,
      x,
      weights,
      cos,
      sin,
      windows,
      heads,
      keyHeads,
      innerSize,
      normsWhole,
      eps,
      scale,
      softCap,
      activation,
      arithmetic,
      segments,
      rows,
    ),
  );
}

const op_uniforms = operator('selm::uniforms', '');
/** `selm::uniforms(Tensor keys, Tensor counters) -> Tensor` */
export function uniforms(keys: Tensor, counters: Tensor): Tensor {
  return asTensor(invoke(op_uniforms, keys, counters));
}

const op_sampleTokens = operator('selm::sample_tokens', '');
/** `selm::sample_tokens(Tensor logits, float temperature, int top_k, float top_p, Tensor uniforms) -> (Tensor, Tensor)` */
export function sampleTokens(
  logits: Tensor,
  temperature: number,
  topK: number,
  topP: number,
  uniforms: Tensor,
): [Tensor, Tensor] {
  const result = invoke(op_sampleTokens, logits, temperature, topK, topP, uniforms) as NativeValue[];
  return [asTensor(result[0]), asTensor(result[1])];
}
