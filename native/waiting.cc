// Promises of calls that wait for other ranks.
#include "waiting.h"

#include <memory>
#include <thread>

namespace selm {
namespace {

// One call in flight: the promise, and what the thread found.
struct Call {
  napi_deferred deferred = nullptr;
  napi_threadsafe_function settle = nullptr;
  std::function<Result()> work;
  // Runs on the JavaScript thread when the work is done: what it opened gets its number here.
  std::function<napi_value(napi_env, const Result&)> finish;
  Result result;
  std::string problem;
  bool failed = false;
};

napi_value asValue(napi_env env, const Result& result) {
  if (const double* number = std::get_if<double>(&result)) return makeNumber(env, *number);
  if (const Bytes* bytes = std::get_if<Bytes>(&result)) {
    void* data = nullptr;
    napi_value value;
    check(env, napi_create_buffer_copy(env, bytes->size(), bytes->data(), &data, &value));
    return value;
  }
  return makeNull(env);
}

void settleCall(napi_env env, napi_value, void*, void* data) {
  std::unique_ptr<Call> call(static_cast<Call*>(data));
  if (env == nullptr) return;  // the process is ending
  try {
    if (!call->failed) {
      const napi_value value = call->finish ? call->finish(env, call->result) : asValue(env, call->result);
      check(env, napi_resolve_deferred(env, call->deferred, value));
      return;
    }
    napi_value error;
    check(env, napi_create_error(env, makeString(env, "SELM_GROUP"), makeString(env, call->problem), &error));
    check(env, napi_reject_deferred(env, call->deferred, error));
  } catch (const std::exception&) {
    // JavaScript has the exception already.
  }
}

}  // namespace

napi_value promised(napi_env env, std::function<Result()> work,
                    std::function<napi_value(napi_env, const Result&)> finish) {
  auto call = std::make_unique<Call>();
  call->work = std::move(work);
  call->finish = std::move(finish);
  napi_value promise;
  check(env, napi_create_promise(env, &call->deferred, &promise));
  check(env, napi_create_threadsafe_function(env, nullptr, nullptr, makeString(env, "selm collective"), 0, 1, nullptr,
                                             nullptr, nullptr, settleCall, &call->settle));
  // A thread that still waits when the process ends is left where it is: nothing joins it.
  std::thread([raw = call.release()] {
    try {
      raw->result = raw->work();
    } catch (const c10::Error& error) {
      raw->failed = true;
      raw->problem = error.what_without_backtrace();
    } catch (const std::exception& error) {
      raw->failed = true;
      raw->problem = error.what();
    }
    const napi_threadsafe_function settle = raw->settle;  // `raw` is gone once it is settled
    napi_call_threadsafe_function(settle, raw, napi_tsfn_blocking);
    napi_release_threadsafe_function(settle, napi_tsfn_release);
  }).detach();
  return promise;
}

}  // namespace selm
