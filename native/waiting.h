// Calls that wait for other ranks: each runs on a thread of its own and settles a promise, so that the event loop turns
// meanwhile. And the tables of what such calls have opened.
#pragma once
#include <c10/util/Exception.h>

#include <functional>
#include <map>
#include <utility>
#include <variant>
#include <vector>

#include "bridge.h"

namespace selm {

using Bytes = std::vector<uint8_t>;
// What a call finds: nothing (null), a number, or bytes.
using Result = std::variant<std::monostate, double, Bytes>;

// A promise of what `work` returns, which runs on a thread of its own. `finish`, where there is one, makes the value of the
// result on the JavaScript thread: what was opened gets its number there.
napi_value promised(napi_env env, std::function<Result()> work,
                    std::function<napi_value(napi_env, const Result&)> finish = nullptr);

// What is open, by number. Only the JavaScript thread touches these tables; a call in flight holds its own reference.
template <typename Kind>
struct Table {
  std::map<int, Kind> entries;
  int next = 1;
  int keep(Kind entry) {
    entries.emplace(next, std::move(entry));
    return next++;
  }
  Kind at(double number) const {
    const auto found = entries.find(static_cast<int>(number));
    TORCH_CHECK(found != entries.end(), "no open store or group has the number ", number);
    return found->second;
  }
};

}  // namespace selm
