// Tensors to and from typed arrays, at once or while a device goes on, and what a tensor is (shape, type, device).
#include <ATen/Functions.h>
#include <c10/core/Event.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <cstring>
#include <optional>
#include <unordered_map>

#include "bridge.h"

namespace selm {
namespace {

struct Bytes {
  void* data = nullptr;
  size_t size = 0;
};

Bytes bytesOf(const Arguments& arguments, size_t i) {
  Bytes bytes;
  check(arguments.env, napi_get_arraybuffer_info(arguments.env, arguments.values[i], &bytes.data, &bytes.size));
  return bytes;
}

std::vector<int64_t> numbersOf(const Arguments& arguments, size_t i) {
  uint32_t length = 0;
  check(arguments.env, napi_get_array_length(arguments.env, arguments.values[i], &length));
  std::vector<int64_t> numbers(length);
  for (uint32_t k = 0; k < length; k++) {
    napi_value element;
    double number = 0;
    check(arguments.env, napi_get_element(arguments.env, arguments.values[i], k, &element));
    check(arguments.env, napi_get_value_double(arguments.env, element, &number));
    numbers[k] = static_cast<int64_t>(number);
  }
  return numbers;
}

// Pinned memory is kept for good once it was asked for, so that only what is small, and comes again with every pass, goes through it.
constexpr size_t kMostPinnedBytes = 4 << 20;

// fromBytes(arrayBuffer, byteOffset, byteLength, shape, dtype, device): a new tensor holding a copy. A card reads pinned memory by itself: the
// host goes on at once, and LibTorch keeps the memory until it was read.
napi_value fromBytes(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    Arguments arguments(env, info);
    const Bytes bytes = bytesOf(arguments, 0);
    const auto offset = static_cast<size_t>(arguments.number(1));
    const auto length = static_cast<size_t>(arguments.number(2));
    const auto type = static_cast<at::ScalarType>(static_cast<int>(arguments.number(4)));
    const at::Device device(arguments.string(5));
    const bool isPinned = device.is_cuda() && length > 0 && length <= kMostPinnedBytes;
    at::Tensor tensor = at::empty(numbersOf(arguments, 3), at::TensorOptions().dtype(type).pinned_memory(isPinned));
    TORCH_CHECK(tensor.nbytes() == length && offset + length <= bytes.size, "a tensor of shape ", tensor.sizes(),
                " and type ", type, " needs ", tensor.nbytes(), " bytes, got ", length);
    if (length > 0) std::memcpy(tensor.data_ptr(), static_cast<char*>(bytes.data) + offset, length);
    return makeHandle(env, device.is_cpu() ? std::move(tensor) : tensor.to(device, /*non_blocking=*/isPinned));
  });
}

// toBytes(tensor, arrayBuffer, byteOffset): copies the tensor's elements, in order, to the buffer.
napi_value toBytes(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    Arguments arguments(env, info);
    const at::Tensor tensor = arguments.tensor(0).detach().to(at::kCPU).contiguous();
    const Bytes bytes = bytesOf(arguments, 1);
    const auto offset = static_cast<size_t>(arguments.number(2));
    TORCH_CHECK(offset + tensor.nbytes() <= bytes.size, "a tensor of ", tensor.nbytes(), " bytes does not fit ",
                bytes.size);
    if (tensor.nbytes() > 0) std::memcpy(static_cast<char*>(bytes.data) + offset, tensor.data_ptr(), tensor.nbytes());
    return makeNull(env);
  });
}

// Copies to the host that were begun and not read yet. Event: when a device has made them.
struct Fetch {
  std::vector<at::Tensor> copies;
  std::optional<c10::Event> made;
};

// Never destroyed: the device may be gone when the process ends.
std::unordered_map<int64_t, Fetch>& fetches() {
  static auto& all = *new std::unordered_map<int64_t, Fetch>;
  return all;
}

// fetchLater(tensors): begins to copy tensors of one device to the host, after all that the device was asked before; a number to read them by.
napi_value fetchLater(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    static int64_t begun = 0;
    Arguments arguments(env, info);
    Fetch fetch;
    for (const at::Tensor& tensor : arguments.tensors(0)) {
      const auto options = tensor.options().device(at::kCPU).pinned_memory(tensor.is_cuda());
      fetch.copies.push_back(at::empty(tensor.sizes(), options).copy_(tensor.detach(), /*non_blocking=*/true));
      if (tensor.is_cuda()) {
        const c10::impl::VirtualGuardImpl backend(tensor.device().type());
        if (!fetch.made.has_value()) fetch.made.emplace(tensor.device().type());
        fetch.made->record(backend.getStream(tensor.device()));
      }
    }
    fetches().emplace(++begun, std::move(fetch));
    return makeNumber(env, static_cast<double>(begun));
  });
}

// fetched(number): the copies, once they are there.
napi_value fetched(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    Arguments arguments(env, info);
    const auto found = fetches().find(static_cast<int64_t>(arguments.number(0)));
    TORCH_CHECK(found != fetches().end(), "nothing is being fetched by the number ", arguments.number(0));
    if (found->second.made.has_value()) found->second.made->synchronize();
    const std::vector<at::Tensor> copies = std::move(found->second.copies);
    fetches().erase(found);
    return makeHandles(env, copies);
  });
}

// dropFetch(number): nobody will read them.
napi_value dropFetch(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    Arguments arguments(env, info);
    fetches().erase(static_cast<int64_t>(arguments.number(0)));
    return makeNull(env);
  });
}

// describe(tensor): [dtype, device, ...shape]
napi_value describe(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    Arguments arguments(env, info);
    const at::Tensor& tensor = arguments.tensor(0);
    napi_value result;
    check(env, napi_create_array_with_length(env, tensor.dim() + 2, &result));
    check(env, napi_set_element(env, result, 0, makeNumber(env, static_cast<int>(tensor.scalar_type()))));
    check(env, napi_set_element(env, result, 1, makeString(env, tensor.device().str())));
    for (int64_t d = 0; d < tensor.dim(); d++) {
      check(env, napi_set_element(env, result, static_cast<uint32_t>(d + 2),
                                  makeNumber(env, static_cast<double>(tensor.size(d)))));
    }
    return result;
  });
}

napi_value freeHandle(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    Arguments arguments(env, info);
    return makeBoolean(env, freeTensor(arguments.number(0)));
  });
}

}  // namespace

void defineTransfer(napi_env env, napi_value exports) {
  define(env, exports, "fromBytes", fromBytes);
  define(env, exports, "toBytes", toBytes);
  define(env, exports, "fetchLater", fetchLater);
  define(env, exports, "fetched", fetched);
  define(env, exports, "dropFetch", dropFetch);
  define(env, exports, "describe", describe);
  define(env, exports, "free", freeHandle);
}

}  // namespace selm
