#include "team.h"

#include <ATen/Parallel.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <exception>
#include <mutex>
#include <thread>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace selm {
namespace {

void rest() {
#if defined(__x86_64__)
  _mm_pause();
#endif
}

// A job's number, how many tasks it has, and the next one, in one word: a task is taken by adding one to it, and only as long as the job is
// the one that was meant. Jobs are counted around; a helper that sleeps through all 2^24 of them misses one more.
//
//   | job: 24 bits | tasks: 20 bits | next: 20 bits |
constexpr int kBits = 20;
constexpr uint64_t kMask = (uint64_t{1} << kBits) - 1;
uint64_t jobOf(uint64_t state) { return state >> 2 * kBits; }
int64_t tasksOf(uint64_t state) { return static_cast<int64_t>(state >> kBits & kMask); }
int64_t nextOf(uint64_t state) { return static_cast<int64_t>(state & kMask); }

// A helper that finds nothing to do looks for this long before it sleeps: longer than the time between two products of a pass.
constexpr auto kPatience = std::chrono::microseconds(100);

class Team {
 public:
  void run(int64_t count, const std::function<void(int64_t)>& body, int64_t helpers) {
    const std::unique_lock<std::mutex> turn(running_, std::try_to_lock);
    if (!turn.owns_lock() || helpers < 1 || count > static_cast<int64_t>(kMask)) {
      for (int64_t task = 0; task < count; task++) body(task);
      return;
    }
    for (; made_ < helpers; made_++) std::thread([this, index = made_] { help(index); }).detach();
    helpers_ = helpers;
    body_ = &body;
    done_ = 0;
    failure_ = nullptr;
    const uint64_t job = (jobOf(state_) + 1) & (~uint64_t{0} >> 2 * kBits);
    state_ = job << 2 * kBits | static_cast<uint64_t>(count) << kBits;
    calls_++;
    if (sleepers_ > 0) calls_.notify_all();
    work(job);
    for (int64_t looks = 0; done_ < count; looks++) looks % 1024 == 1023 ? std::this_thread::yield() : rest();
    if (failure_) std::rethrow_exception(failure_);
  }

 private:
  void work(uint64_t job) {
    uint64_t state = state_;
    while (jobOf(state) == job && nextOf(state) < tasksOf(state)) {
      // The job goes on until this task is done, and what it consists of stays where it is.
      if (!state_.compare_exchange_weak(state, state + 1)) continue;
      try {
        (*body_)(nextOf(state));
      } catch (...) {
        const std::lock_guard<std::mutex> lock(failing_);
        failure_ = std::current_exception();
      }
      done_++;
      state = state_;
    }
  }

  [[noreturn]] void help(int64_t index) {
    // Signals are for the threads that know of them.
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, nullptr);
    for (uint64_t seen = jobOf(state_);;) {
      const auto begin = std::chrono::steady_clock::now();
      while (jobOf(state_) == seen) {
        const uint32_t heard = calls_;
        for (int look = 0; look < 64 && jobOf(state_) == seen; look++) rest();
        if (jobOf(state_) != seen || std::chrono::steady_clock::now() - begin < kPatience) continue;
        sleepers_++;
        calls_.wait(heard);
        sleepers_--;
      }
      seen = jobOf(state_);
      if (index < helpers_) work(seen);
    }
  }

  std::mutex running_, failing_;
  std::atomic<uint64_t> state_{0};
  std::atomic<int64_t> done_{0}, helpers_{0};
  std::atomic<uint32_t> calls_{0}, sleepers_{0};
  const std::function<void(int64_t)>* body_ = nullptr;
  std::exception_ptr failure_;
  int64_t made_ = 0;
};

// Never destroyed: its helpers wait for it until the process ends.
Team& team() {
  static Team* const all = new Team;
  return *all;
}

}  // namespace

int64_t teamSize() { return at::get_num_threads(); }

void shareTasks(int64_t count, const std::function<void(int64_t)>& body) {
  team().run(count, body, std::min(teamSize(), count) - 1);
}

}  // namespace selm
