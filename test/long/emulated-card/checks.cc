// Kernels for NVIDIA cards on the emulated one (emulator.h), against the same said in double. Each check prints a line: its name, and the largest
// difference. The lines `uniform` have keys, counter and number instead: the test knows which number it has to be.
#include <cstdio>
#include <random>
#include <string>

#include "emulator.h"
// Sources that stand on their own, as NVRTC gets them: the prelude, then one file with its types.
#include "prelude.cu"

namespace of_uniforms {
#include "uniforms.cu"
}
#define X float
#define Y bf16
#define GELU 0
#define AT_ONCE 4
namespace of_sample {
#include "sample.cu"
}
namespace of_gates {
#include "gates.cu"
}
namespace of_log_probs {
#include "log_probs.cu"
}
#undef Y
#define Y float
namespace of_norms {
thread_local float own[1 << 14];  // shared memory whose size a launch names
#include "norms.cu"
}  // namespace of_norms
#undef X
#undef Y

#define P bf16
#define WIDTH 128
#define GROUP 4
#define paged_attention pagedAttention128
namespace of_pages_128 {
#include "paged_attention.cu"
}
#undef WIDTH
#undef GROUP
#undef paged_attention
#define WIDTH 64
#define GROUP 16
#define paged_attention pagedAttention64
namespace of_pages_64 {
#include "paged_attention.cu"
}

namespace {

using emulated::launch;
using Numbers = std::vector<float>;

std::mt19937 generator(1);

Numbers normals(int count, float scale = 1) {
  std::normal_distribution<float> normal(0, scale);
  Numbers numbers(static_cast<size_t>(count));
  for (float& each : numbers) each = normal(generator);
  return numbers;
}

// The largest of some differences.
struct Worst {
  double value = 0;
  void of(double found, double expected) {
    const double difference = std::abs(found - expected);
    if (!(difference <= value)) value = difference;  // what is no number counts
  }
  void print(const std::string& name) const { std::printf("%s: %g\n", name.c_str(), value); }
};

int blocksFor(int count, int each) { return (count + each - 1) / each; }

void checkGates() {
  const int rows = 37, width = 2052, between = 64, stride = 2 * width + between;
  const Numbers both = normals(rows * stride);
  const float *gate = both.data(), *up = both.data() + width + between;
  std::vector<bf16> result(static_cast<size_t>(rows) * width);
  launch({rows, blocksFor(width, 1024)}, 256, [&] { of_gates::gated(gate, up, result.data(), width, stride); });
  Worst worst;
  for (int row = 0; row < rows; row++)
    for (int i = 0; i < width; i++) {
      const double g = gate[row * stride + i], expected = g / (1 + std::exp(-g)) * up[row * stride + i];
      // Rounded to bf16 once: by its own size.
      worst.of(wide(result[row * width + i]) / (std::abs(expected) + 1e-2), expected / (std::abs(expected) + 1e-2));
    }
  worst.print("gates");
}

void checkLogProbs() {
  const int rows = 7, width = 4100;
  const double cap = 20;
  const Numbers logits = normals(rows * width, 3), coefficients = normals(rows);
  Numbers changed = logits, logProbs(rows), normalisers(rows);
  std::vector<long long> targets;
  for (int row = 0; row < rows; row++) targets.push_back(row * 577);
  launch({rows, 1}, 512, [&] {
    of_log_probs::target_log_probs(logits.data(), targets.data(), logProbs.data(), normalisers.data(), width);
  });
  launch({rows, blocksFor(width, 1024)}, 256, [&] {
    of_log_probs::log_prob_gradient(changed.data(), targets.data(), normalisers.data(), coefficients.data(), width,
                                    static_cast<float>(cap));
  });
  Worst values, gradients;
  for (int row = 0; row < rows; row++) {
    double total = 0;
    for (int i = 0; i < width; i++) total += std::exp(static_cast<double>(logits[row * width + i]));
    values.of(logProbs[row], logits[row * width + targets[row]] - std::log(total));
    for (int i = 0; i < width; i++) {
      const double logit = logits[row * width + i], hit = i == targets[row] ? 1 : 0;
      gradients.of(changed[row * width + i],
                   coefficients[row] * (hit - std::exp(logit) / total) * (1 - logit * logit / (cap * cap)));
    }
  }
  values.print("log-probabilities");
  gradients.print("gradients of logits");
}

void checkNorms() {
  const int rows = 3, width = 12288, blocks = 2;
  const double epsilon = 1e-5;
  const Numbers x = normals(rows * width), gradient = normals(rows * width), weight = normals(width);
  Numbers y(x.size()), dx(x.size()), inverse(rows), parts(blocks * width);
  launch({rows, 1}, 256, [&] {
    of_norms::rms_norm(x.data(), weight.data(), y.data(), inverse.data(), width, static_cast<float>(epsilon));
  });
  launch({blocks, 1}, 256, [&] {
    of_norms::rms_norm_backward(gradient.data(), x.data(), weight.data(), inverse.data(), dx.data(), parts.data(), rows,
                                width);
  });
  Worst values, ofInput, ofWeight;
  std::vector<double> dweight(width);
  for (int row = 0; row < rows; row++) {
    const float *xs = &x[row * width], *dys = &gradient[row * width];
    double squares = 0, products = 0;
    for (int i = 0; i < width; i++) squares += static_cast<double>(xs[i]) * xs[i];
    const double scale = 1 / std::sqrt(squares / width + epsilon);
    for (int i = 0; i < width; i++) products += static_cast<double>(dys[i]) * weight[i] * xs[i] * scale;
    for (int i = 0; i < width; i++) {
      values.of(y[row * width + i], xs[i] * scale * weight[i]);
      ofInput.of(dx[row * width + i],
                 scale * (static_cast<double>(dys[i]) * weight[i] - xs[i] * scale * products / width));
      dweight[i] += dys[i] * xs[i] * scale;
    }
  }
  for (int i = 0; i < width; i++) ofWeight.of(static_cast<double>(parts[i]) + parts[width + i], dweight[i]);
  values.print("norms");
  ofInput.print("gradients of norms");
  ofWeight.print("gradients of their weights");
}

// Prompts that end inside a page and at its end, and a sequence without one.
template <typename Kernel>
void checkPages(int width, int group, int window, Kernel attention) {
  constexpr int batch = 3, keyHeads = 2, pages = 23, tableWidth = 9, page = 16;
  const int heads = keyHeads * group;
  const float scale = 1 / std::sqrt(static_cast<float>(width));
  const Numbers q = normals(batch * heads * width);
  std::vector<bf16> keys, values;
  for (const float each : normals(pages * keyHeads * width * page)) keys.push_back(rounded<bf16>(each));
  for (const float each : normals(pages * keyHeads * width * page)) values.push_back(rounded<bf16>(each));
  std::vector<long long> tables;
  for (int i = 0; i < batch * tableWidth; i++) tables.push_back(i * 5 % pages);
  const long long lengths[] = {37, 60, 64, 1, 0, 90};
  Numbers out(q.size());
  launch({batch, keyHeads}, 128, [&] {
    attention(q.data(), keys.data(), values.data(), tables.data(), lengths, out.data(), tableWidth, scale, window, 0);
  });
  Worst worst;
  for (int b = 0; b < batch; b++)
    for (int h = 0; h < heads; h++) {
      const auto prompt = static_cast<int>(lengths[2 * b]), all = prompt + static_cast<int>(lengths[2 * b + 1]);
      const float* query = &q[(b * heads + h) * width];
      std::vector<double> sums(width);
      double total = 0;
      for (int token = window > 0 ? std::max(0, all - window) : 0; token < all; token++) {
        const int own = token - prompt, index = own < 0 ? token / page : blocksFor(prompt, page) + own / page;
        const int place = (own < 0 ? token : own) % page;
        const long long first = (tables[b * tableWidth + index] * keyHeads + h / group) * width * page;
        double score = 0;
        for (int i = 0; i < width; i++) score += static_cast<double>(query[i]) * wide(keys[first + i * page + place]);
        const double share = std::exp(score * scale);
        total += share;
        for (int i = 0; i < width; i++) sums[i] += share * wide(values[first + place * width + i]);
      }
      for (int i = 0; i < width; i++) worst.of(out[(b * heads + h) * width + i], sums[i] / total);
    }
  worst.print("attention over pages, heads of " + std::to_string(width) + ", window " + std::to_string(window));
}

// Which token a row of logits gives: by the definition, one after the other.
int tokenOf(const float* logits, int width, double uniform, float scale) {
  const int largest = static_cast<int>(std::max_element(logits, logits + width) - logits);
  if (scale == 0) return largest;
  const auto weight = [&](int i) { return static_cast<double>(std::exp((logits[i] - logits[largest]) * scale)); };
  double total = 0, before = 0;
  for (int i = 0; i < width; i++) total += weight(i);
  for (int i = 0; i < width; i++) {
    before += weight(i);
    if (before > uniform * total) return i;
  }
  return width - 1;
}

void checkSample(int width, float scale) {
  const int rows = 6;
  Numbers logits = normals(rows * width, 2);
  logits[(rows - 1) * width + width / 2] = NAN;
  const double uniforms[rows] = {0, 0.3, 0.5, 0.999999, 0.7, 0.2};
  long long ids[rows];
  double logProbs[rows];
  launch({rows, 1}, 1024, [&] { of_sample::sample(logits.data(), uniforms, ids, logProbs, width, scale); });
  Worst tokens, values;
  for (int row = 0; row + 1 < rows; row++) {
    const float* own = &logits[row * width];
    tokens.of(static_cast<double>(ids[row]), tokenOf(own, width, uniforms[row], scale));
    double total = 0;
    for (int i = 0; i < width; i++) total += std::exp(static_cast<double>(own[i]));
    values.of(logProbs[row], own[ids[row]] - std::log(total));
  }
  const std::string name = "of " + std::to_string(width) + " at " + std::to_string(scale);
  tokens.print("tokens " + name);
  values.print("log-probabilities of tokens " + name);
  // Where a logit is no number, the log-probability is none either, and the token one of those that there are.
  const bool isSaid = std::isnan(logProbs[rows - 1]) && ids[rows - 1] >= 0 && ids[rows - 1] < width;
  Worst{isSaid ? 0.0 : 1.0}.print("a row that is not finite " + name);
}

void printUniforms() {
  constexpr int rows = 4;
  const long long counters[rows] = {0, 1, 8589934592, 123456789};
  long long keys[4 * rows];
  for (long long& word : keys) word = generator();
  double numbers[rows];
  launch({1, 1}, 256, [&] { of_uniforms::uniforms(keys, counters, numbers, rows); });
  for (int row = 0; row < rows; row++) {
    const long long* key = keys + 4 * row;
    std::printf("uniform %lld %lld %lld %lld %lld %.17g\n", key[0], key[1], key[2], key[3], counters[row],
                numbers[row]);
  }
}

}  // namespace

int main() {
  checkGates();
  checkLogProbs();
  checkNorms();
  for (const int window : {0, 40}) {
    checkPages(128, 4, window, of_pages_128::pagedAttention128);
    checkPages(64, 16, window, of_pages_64::pagedAttention64);
  }
  for (const int width : {5, 320, 32003})
    for (const float scale : {0.0f, 1.0f, 1 / 0.7f}) checkSample(width, scale);
  printUniforms();
}
