// Tensors live in a slab here; JavaScript holds a number (slot and generation). Freeing a handle frees the tensor at
// once: no wrapper object stays behind for the garbage collector, which would keep freed blocks from being reused.
// The slab has no lock: bridge.cc lets one thread at a time load the addon.
#pragma once
#include <ATen/ATen.h>
#include <node_api.h>

namespace selm {

using Handle = double;  // exact up to 2^53: generation * 2^28 + slot

Handle keepTensor(at::Tensor tensor);
// Throws c10::Error when the handle was freed.
const at::Tensor& tensorOf(Handle handle);
bool freeTensor(Handle handle);
void freeAllTensors();
int64_t liveTensors();

}  // namespace selm
