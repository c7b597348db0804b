#include "handles.h"

#include <vector>

namespace selm {
namespace {

struct Slot {
  at::Tensor tensor;
  int64_t generation = 1;
  bool used = false;
};

constexpr int64_t kSlotBits = 28;
constexpr int64_t kSlotMask = (int64_t{1} << kSlotBits) - 1;
constexpr int64_t kMaxGeneration = (int64_t{1} << 24) - 1;
constexpr Handle kEndOfHandles = int64_t{1} << 52;

// Never destroyed: when the process ends, the device that a tensor lies on may be gone already.
std::vector<Slot>& slots = *new std::vector<Slot>;
std::vector<int64_t>& freeSlots = *new std::vector<int64_t>;

Slot* find(Handle handle) {
  // What no integer can hold (NaN, infinity) may not be converted to one.
  if (!(handle >= 0 && handle < kEndOfHandles)) return nullptr;
  const auto value = static_cast<int64_t>(handle);
  const int64_t index = value & kSlotMask;
  if (index >= static_cast<int64_t>(slots.size())) return nullptr;
  Slot& slot = slots[index];
  return slot.used && slot.generation == value >> kSlotBits ? &slot : nullptr;
}

Handle handleOf(int64_t index) { return static_cast<Handle>((slots[index].generation << kSlotBits) | index); }

}  // namespace

Handle keepTensor(at::Tensor tensor) {
  int64_t index;
  if (freeSlots.empty()) {
    index = static_cast<int64_t>(slots.size());
    slots.emplace_back();
  } else {
    index = freeSlots.back();
    freeSlots.pop_back();
  }
  Slot& slot = slots[index];
  slot.tensor = std::move(tensor);
  slot.used = true;
  return handleOf(index);
}

const at::Tensor& tensorOf(Handle handle) {
  Slot* slot = find(handle);
  TORCH_CHECK(slot != nullptr, "SELM_TENSOR_FREED");
  return slot->tensor;
}

bool freeTensor(Handle handle) {
  Slot* slot = find(handle);
  if (slot == nullptr) return false;
  slot->tensor.reset();
  slot->used = false;
  slot->generation = slot->generation == kMaxGeneration ? 1 : slot->generation + 1;
  freeSlots.push_back(static_cast<int64_t>(handle) & kSlotMask);
  return true;
}

void freeAllTensors() {
  for (size_t index = 0; index < slots.size(); index++) {
    if (slots[index].used) freeTensor(handleOf(index));
  }
}

int64_t liveTensors() { return static_cast<int64_t>(slots.size() - freeSlots.size()); }

}  // namespace selm
