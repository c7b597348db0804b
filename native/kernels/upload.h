// Integers that the host hands to a device.
#pragma once
#include <ATen/ATen.h>

#include <algorithm>
#include <vector>

namespace selm {

// In one copy that the host does not wait for: a card reads pinned memory by itself, and LibTorch keeps that until it was read. From other
// memory LibTorch would wait for all that the card was asked before.
inline at::Tensor onDevice(const std::vector<int64_t>& values, at::Device device) {
  const auto options = at::TensorOptions().dtype(at::kLong);
  if (!device.is_cuda() || values.empty()) return at::tensor(values, options).to(device);
  const at::Tensor host = at::empty({static_cast<int64_t>(values.size())}, options.pinned_memory(true));
  std::copy(values.begin(), values.end(), host.data_ptr<int64_t>());
  return host.to(device, /*non_blocking=*/true);
}

}  // namespace selm
