// The small part of Node-API that the families share: argument reading, errors, and a guard that turns every C++
// exception into a JavaScript error with a code. No C++ exception crosses into JavaScript otherwise.
#pragma once
#include <ATen/ATen.h>
#include <node_api.h>

#include <exception>
#include <string>
#include <vector>

#include "handles.h"

namespace selm {

// A JavaScript exception is already pending; unwinds to the guard, which returns at once.
struct PendingException : std::exception {};

inline void check(napi_env env, napi_status status) {
  if (status == napi_ok) return;
  bool pending = false;
  napi_is_exception_pending(env, &pending);
  if (!pending) {
    const napi_extended_error_info* info = nullptr;
    napi_get_last_error_info(env, &info);
    napi_throw_error(env, "SELM_NATIVE_ARGUMENT",
                     info && info->error_message ? info->error_message : "Node-API call failed");
  }
  throw PendingException();
}

void throwAsJavaScript(napi_env env, const std::exception& error);

struct Arguments {
  static constexpr size_t kMax = 48;
  napi_env env;
  size_t count = kMax;
  napi_value values[kMax];

  Arguments(napi_env env_, napi_callback_info info) : env(env_) {
    check(env, napi_get_cb_info(env, info, &count, values, nullptr, nullptr));
  }
  napi_valuetype typeOf(size_t i) const;
  bool isNullish(size_t i) const;
  double number(size_t i) const;
  bool boolean(size_t i) const;
  std::string string(size_t i) const;
  const at::Tensor& tensor(size_t i) const { return tensorOf(number(i)); }
  std::vector<at::Tensor> tensors(size_t i) const;
};

napi_value makeNumber(napi_env env, double value);
napi_value makeBoolean(napi_env env, bool value);
napi_value makeString(napi_env env, const std::string& value);
napi_value makeNull(napi_env env);
napi_value makeHandle(napi_env env, at::Tensor tensor);  // null for an undefined tensor
napi_value makeNumbers(napi_env env, at::IntArrayRef values);
napi_value makeHandles(napi_env env, const std::vector<at::Tensor>& tensors);

// Runs `body` and turns whatever it throws into a JavaScript exception.
template <typename Body>
napi_value guarded(napi_env env, Body body) {
  try {
    return body();
  } catch (const PendingException&) {
    return nullptr;
  } catch (const std::exception& error) {
    throwAsJavaScript(env, error);
    return nullptr;
  }
}

using Method = napi_value (*)(napi_env, napi_callback_info);
void define(napi_env env, napi_value exports, const char* name, Method method);

void defineDispatch(napi_env env, napi_value exports);
void defineAutograd(napi_env env, napi_value exports);
void defineTransfer(napi_env env, napi_value exports);
void defineMemory(napi_env env, napi_value exports);
void defineGraphs(napi_env env, napi_value exports);
void defineSignals(napi_env env, napi_value exports);
void defineKeyStore(napi_env env, napi_value exports);
void defineProcessGroup(napi_env env, napi_value exports);

}  // namespace selm
