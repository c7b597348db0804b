// Graphs for JavaScript: captured one at a time, kept by number, replayed and dropped.
#include <c10/util/Exception.h>
#include <dlfcn.h>

#include <unordered_map>

#include "bridge.h"
#include "graphs_library.h"

namespace selm {
namespace {

BeginCapture beginner = nullptr;

// Never destroyed: the device may be gone when the process ends.
std::unique_ptr<Capture>& underWay() {
  static auto& capture = *new std::unique_ptr<Capture>;
  return capture;
}

std::unordered_map<int64_t, std::unique_ptr<Graph>>& graphs() {
  static auto& all = *new std::unordered_map<int64_t, std::unique_ptr<Graph>>;
  return all;
}

// openGraphs(path): null once graphs can be captured by that library, else what keeps them from it.
napi_value openGraphs(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    Arguments arguments(env, info);
    if (beginner != nullptr) return makeNull(env);
    void* const handle = dlopen(arguments.string(0).c_str(), RTLD_NOW | RTLD_LOCAL);
    if (handle == nullptr) return makeString(env, dlerror());
    beginner = reinterpret_cast<BeginCapture>(dlsym(handle, kBeginCapture));
    return beginner == nullptr ? makeString(env, arguments.string(0) + " is of another version") : makeNull(env);
  });
}

// beginCapture(device): from now on the device is not asked, but what it would be asked is written down.
napi_value beginCapture(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    Arguments arguments(env, info);
    TORCH_CHECK(beginner != nullptr && underWay() == nullptr, "a capture is under way, or none can begin");
    beginner(c10::Device(arguments.string(0)), &underWay());
    return makeNull(env);
  });
}

// endCapture(): the number of the graph. Whether it could be made or not, no capture is under way afterwards.
napi_value endCapture(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    static int64_t made = 0;
    const std::unique_ptr<Capture> capture = std::move(underWay());
    TORCH_CHECK(capture != nullptr, "no capture is under way");
    graphs().emplace(++made, capture->end());
    return makeNumber(env, static_cast<double>(made));
  });
}

// giveUpCapture(): what was written down is forgotten.
napi_value giveUpCapture(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    underWay().reset();
    return makeNull(env);
  });
}

// replayGraph(number): asks the device for all of it, behind what it was asked before.
napi_value replayGraph(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    Arguments arguments(env, info);
    const auto found = graphs().find(static_cast<int64_t>(arguments.number(0)));
    TORCH_CHECK(found != graphs().end(), "there is no graph of the number ", arguments.number(0));
    found->second->replay();
    return makeNull(env);
  });
}

// dropGraph(number)
napi_value dropGraph(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    Arguments arguments(env, info);
    graphs().erase(static_cast<int64_t>(arguments.number(0)));
    return makeNull(env);
  });
}

}  // namespace

void defineGraphs(napi_env env, napi_value exports) {
  define(env, exports, "openGraphs", openGraphs);
  define(env, exports, "beginCapture", beginCapture);
  define(env, exports, "endCapture", endCapture);
  define(env, exports, "giveUpCapture", giveUpCapture);
  define(env, exports, "replayGraph", replayGraph);
  define(env, exports, "dropGraph", dropGraph);
}

}  // namespace selm
