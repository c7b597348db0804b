#include "bridge.h"

#include <c10/util/Exception.h>

#include <atomic>
#include <new>

namespace selm {

void throwAsJavaScript(napi_env env, const std::exception& error) {
  std::string text = error.what();
  if (auto* c10Error = dynamic_cast<const c10::Error*>(&error)) text = c10Error->what_without_backtrace();
  const char* code = "SELM_OPERATOR";
  const bool outOfMemory = dynamic_cast<const c10::OutOfMemoryError*>(&error) != nullptr ||
                           dynamic_cast<const std::bad_alloc*>(&error) != nullptr ||
                           text.find("can't allocate memory") != std::string::npos;
  if (text.find("SELM_TENSOR_FREED") != std::string::npos) {
    code = "SELM_TENSOR_FREED";
  } else if (outOfMemory) {
    code = "SELM_OUT_OF_MEMORY";
  }
  napi_throw_error(env, code, text.c_str());
}

napi_valuetype Arguments::typeOf(size_t i) const {
  if (i >= count) return napi_undefined;
  napi_valuetype type;
  check(env, napi_typeof(env, values[i], &type));
  return type;
}

bool Arguments::isNullish(size_t i) const {
  const napi_valuetype type = typeOf(i);
  return type == napi_undefined || type == napi_null;
}

double Arguments::number(size_t i) const {
  double value = 0;
  check(env, napi_get_value_double(env, values[i], &value));
  return value;
}

bool Arguments::boolean(size_t i) const {
  bool value = false;
  check(env, napi_get_value_bool(env, values[i], &value));
  return value;
}

std::string Arguments::string(size_t i) const {
  size_t length = 0;
  check(env, napi_get_value_string_utf8(env, values[i], nullptr, 0, &length));
  std::string text(length, '\0');
  check(env, napi_get_value_string_utf8(env, values[i], text.data(), length + 1, &length));
  return text;
}

std::vector<at::Tensor> Arguments::tensors(size_t i) const {
  uint32_t length = 0;
  check(env, napi_get_array_length(env, values[i], &length));
  std::vector<at::Tensor> result;
  result.reserve(length);
  for (uint32_t k = 0; k < length; k++) {
    napi_value element;
    check(env, napi_get_element(env, values[i], k, &element));
    double handle = 0;
    napi_valuetype type;
    check(env, napi_typeof(env, element, &type));
    if (type == napi_null || type == napi_undefined) {
      result.emplace_back();
      continue;
    }
    check(env, napi_get_value_double(env, element, &handle));
    result.push_back(tensorOf(handle));
  }
  return result;
}

napi_value makeNumber(napi_env env, double value) {
  napi_value result;
  check(env, napi_create_double(env, value, &result));
  return result;
}

napi_value makeBoolean(napi_env env, bool value) {
  napi_value result;
  check(env, napi_get_boolean(env, value, &result));
  return result;
}

napi_value makeString(napi_env env, const std::string& value) {
  napi_value result;
  check(env, napi_create_string_utf8(env, value.data(), value.size(), &result));
  return result;
}

napi_value makeNull(napi_env env) {
  napi_value result;
  check(env, napi_get_null(env, &result));
  return result;
}

napi_value makeHandle(napi_env env, at::Tensor tensor) {
  return tensor.defined() ? makeNumber(env, keepTensor(std::move(tensor))) : makeNull(env);
}

napi_value makeNumbers(napi_env env, at::IntArrayRef numbers) {
  napi_value result;
  check(env, napi_create_array_with_length(env, numbers.size(), &result));
  for (size_t k = 0; k < numbers.size(); k++) {
    check(env,
          napi_set_element(env, result, static_cast<uint32_t>(k), makeNumber(env, static_cast<double>(numbers[k]))));
  }
  return result;
}

napi_value makeHandles(napi_env env, const std::vector<at::Tensor>& tensors) {
  napi_value result;
  check(env, napi_create_array_with_length(env, tensors.size(), &result));
  for (size_t k = 0; k < tensors.size(); k++) {
    check(env, napi_set_element(env, result, static_cast<uint32_t>(k), makeHandle(env, tensors[k])));
  }
  return result;
}

void define(napi_env env, napi_value exports, const char* name, Method method) {
  napi_value function;
  check(env, napi_create_function(env, name, NAPI_AUTO_LENGTH, method, nullptr, &function));
  check(env, napi_set_named_property(env, exports, name, function));
}

}  // namespace selm

namespace {

// The JavaScript thread that has the addon. Handles and grad mode are its alone.
std::atomic<napi_env> owner{nullptr};

// The thread ends: its tensors are freed, while every part of LibTorch is still loaded, and another may load the addon.
void release(void*) {
  selm::freeAllTensors();
  owner = nullptr;
}

}  // namespace

NAPI_MODULE_INIT() {
  napi_env none = nullptr;
  if (!owner.compare_exchange_strong(none, env)) {
    napi_throw_error(env, "SELM_SECOND_THREAD", "the addon belongs to the thread of this process that loaded it first");
    return nullptr;
  }
  return selm::guarded(env, [&]() -> napi_value {
    selm::check(env, napi_add_env_cleanup_hook(env, release, nullptr));
    selm::defineDispatch(env, exports);
    selm::defineAutograd(env, exports);
    selm::defineTransfer(env, exports);
    selm::defineMemory(env, exports);
    selm::defineGraphs(env, exports);
    selm::defineSignals(env, exports);
    selm::defineKeyStore(env, exports);
    selm::defineProcessGroup(env, exports);
    return exports;
  });
}
