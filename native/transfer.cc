// Tensors to and from typed arrays, and what a tensor is (shape, type, device).
#include <ATen/Functions.h>

#include <cstring>

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

// fromBytes(arrayBuffer, byteOffset, byteLength, shape, dtype, device): a new tensor holding a copy.
napi_value fromBytes(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    Arguments arguments(env, info);
    const Bytes bytes = bytesOf(arguments, 0);
    const auto offset = static_cast<size_t>(arguments.number(1));
    const auto length = static_cast<size_t>(arguments.number(2));
    const auto type = static_cast<at::ScalarType>(static_cast<int>(arguments.number(4)));
    at::Tensor tensor = at::empty(numbersOf(arguments, 3), at::TensorOptions().dtype(type));
    TORCH_CHECK(tensor.nbytes() == length && offset + length <= bytes.size, "a tensor of shape ", tensor.sizes(),
                " and type ", type, " needs ", tensor.nbytes(), " bytes, got ", length);
    if (length > 0) std::memcpy(tensor.data_ptr(), static_cast<char*>(bytes.data) + offset, length);
    const at::Device device(arguments.string(5));
    return makeHandle(env, device.is_cpu() ? std::move(tensor) : tensor.to(device));
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
  define(env, exports, "describe", describe);
  define(env, exports, "free", freeHandle);
}

}  // namespace selm
