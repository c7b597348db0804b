// The products of attention by rows and panels of 32 lanes, in three kinds of arithmetic behind one face: numbers of bf16 or fp32 by the kernels of
// panels.h, and fp32 by digits (digits.h). A factor's lanes are tokens, distances, or the numbers of a head; they are padded with zeros to
// blocks of 32, their inputs to whole steps.
#pragma once
#include <new>
#include <vector>

#include "digits.h"
#include "panels.h"

namespace selm {

// A head's rows in memory, `stride` numbers from one to the next.
template <typename X>
struct HeadRows {
  const X* x;
  int64_t stride, count, width;
};

// Memory that begins with a line of the cache, as the rows of tiles should.
template <typename T>
struct LineAllocator {
  using value_type = T;
  static constexpr std::align_val_t kLine{64};
  LineAllocator() = default;
  template <typename Other>
  explicit LineAllocator(const LineAllocator<Other>&) {}
  T* allocate(size_t count) { return static_cast<T*>(::operator new(count * sizeof(T), kLine)); }
  void deallocate(T* memory, size_t) { ::operator delete(memory, kLine); }
  bool operator==(const LineAllocator&) const { return true; }
};
template <typename T>
using LineVector = std::vector<T, LineAllocator<T>>;

constexpr int64_t kBlockLanes = 32;
static_assert(kTileRows == kBlockLanes && kPanel == kBlockLanes && kDigitRows == kBlockLanes && kStep == kBlockLanes);

inline int64_t blocksFor(int64_t lanes) { return (lanes + kBlockLanes - 1) / kBlockLanes; }

// By a kernel of panels.h.
template <typename X>
class NumberProducts {
 public:
  using Number = X;
  using Kernel = void (*)(const X*, int64_t, const X*, float*, int64_t, bool);
  struct Factor {
    LineVector<X> numbers;  // [blocks][32 lanes][inputs], of panels [blocks][inputs][32 lanes] (panels.h)
    int64_t inputs = 0;
    const X* block(int64_t index) const { return numbers.data() + index * kBlockLanes * inputs; }
  };
  struct Square {
    alignas(64) float sums[kBlockLanes * kBlockLanes];
  };

  explicit NumberProducts(Kernel kernel) : kernel_(kernel) {}

  void rows(const HeadRows<X>& x, Factor& to) const {
    clear(x.count, x.width, to);
    for (int64_t r = 0; r < x.count; r++) std::copy_n(x.x + r * x.stride, x.width, to.numbers.data() + r * to.inputs);
  }
  // The same lanes as panels.
  void panels(const Factor& rows, Factor& to) const {
    to.inputs = rows.inputs;
    to.numbers.resize(rows.numbers.size());
    for (size_t first = 0; first < rows.numbers.size(); first += kBlockLanes * rows.inputs) {
      const X* from = rows.numbers.data() + first;
      X* panel = to.numbers.data() + first;
      for (int64_t i = 0; i < rows.inputs; i += kBeside, panel += kBlockLanes * kBeside) {
        for (int64_t row = 0; row < kBlockLanes; row++)
          std::copy_n(from + row * rows.inputs + i, kBeside, panel + row * kBeside);
      }
    }
  }
  // Panels whose lanes are the numbers of the rows: inputs are the rows.
  void panelsOfNumbers(const HeadRows<X>& x, Factor& to) const {
    clear(x.width, x.count, to);
    for (int64_t row = 0; row < x.count; row++) {
      X* place = to.numbers.data() + row / kBeside * kBeside * kBlockLanes + row % kBeside;
      for (int64_t n = 0; n < x.width; n++)
        place[n / kBlockLanes * kBlockLanes * to.inputs + n % kBlockLanes * kBeside] = x.x[row * x.stride + n];
    }
  }
  // 32 rows for `put`, of inputs between 0 and 1.
  void shares(int64_t inputs, Factor& to) const { clear(kBlockLanes, inputs, to); }
  static void put(Float16 shares, int64_t row, int64_t input, Factor& to) {
    X* place = to.numbers.data() + row * to.inputs + input;
    if constexpr (std::is_same_v<X, c10::BFloat16>) {
      // Neither a sign nor what is no number has to be kept, so half a unit is added and the rest cut off.
      const UInt16 bits = reinterpret_cast<UInt16>(shares) + 0x8000;
      *reinterpret_cast<Half16*>(place) = __builtin_convertvector(bits >> 16, Half16);
    } else {
      store(place, shares);
    }
  }
  // At least `count` rows of a block times a panel.
  void multiply(const Factor& rows, int64_t row, const Factor& panels, int64_t panel, int64_t count, Square& to) const {
    kernel_(rows.block(row), rows.inputs, panels.block(panel), to.sums, count, false);
  }
  // Sixteen results of one row.
  static Float16 read(const Square& square, const Factor&, int64_t, const Factor&, int64_t, int64_t row, int64_t half) {
    return load(square.sums + row * kBlockLanes + half);
  }

 private:
  // Inputs that lie beside each other in a panel.
  static constexpr int64_t kBeside = std::is_same_v<X, c10::BFloat16> ? 2 : 1;

  static void clear(int64_t lanes, int64_t inputs, Factor& to) {
    to.inputs = blocksFor(inputs) * kStep;
    to.numbers.assign(blocksFor(lanes) * kBlockLanes * to.inputs, X(0.0f));
  }

  Kernel kernel_;
};

// fp32 by digits.
class DigitProducts {
 public:
  using Number = float;
  struct Factor {
    LineVector<int8_t> digits;  // tiles, or panels, of one block after the other
    std::vector<float> scales;  // of lanes
    int64_t inputs = 0;
    int64_t size() const { return digitSteps(inputs) * kDigitTiles; }
    const int8_t* block(int64_t index) const { return digits.data() + index * size(); }
  };
  struct Square {
    alignas(64) int32_t sums[kDigits * kLevel];
  };

  void rows(const HeadRows<float>& x, Factor& to) const {
    resize(x.count, x.width, to);
    for (int64_t r = 0; r < x.count; r += kBlockLanes)
      digitsOfRows(x.x + r * x.stride, x.stride, std::min(kBlockLanes, x.count - r), x.width,
                   to.digits.data() + r / kBlockLanes * to.size(), to.scales.data() + r);
  }
  void panels(const Factor& rows, Factor& to) const {
    to.inputs = rows.inputs;
    to.digits.resize(rows.digits.size());
    to.scales.resize(rows.scales.size());
    for (size_t lane = 0; lane < rows.scales.size(); lane++) to.scales[lane] = rows.scales[lane] * kLevelUnit;
    for (size_t first = 0; first < rows.digits.size(); first += rows.size())
      digitPanel(rows.digits.data() + first, rows.inputs, to.digits.data() + first);
  }
  void panelsOfNumbers(const HeadRows<float>& x, Factor& to) const {
    LineVector<float> turned(x.width * x.count);
    for (int64_t row = 0; row < x.count; row++) {
      for (int64_t n = 0; n < x.width; n++) turned[n * x.count + row] = x.x[row * x.stride + n];
    }
    Factor byRows;
    rows({turned.data(), x.count, x.width, x.count}, byRows);
    panels(byRows, to);
  }
  void shares(int64_t inputs, Factor& to) const {
    resize(kBlockLanes, inputs, to);
    std::fill(to.digits.begin(), to.digits.end(), int8_t{0});
    std::fill(to.scales.begin(), to.scales.end(), 1.0f / kLargestWhole);
  }
  static void put(Float16 shares, int64_t row, int64_t input, Factor& to) {
    putDigits(shares * kLargestWhole, to.digits.data() + digitPlace(row, input));
  }
  void multiply(const Factor& rows, int64_t row, const Factor& panels, int64_t panel, int64_t, Square& to) const {
    multiplyDigits(rows.block(row), panels.block(panel), digitSteps(rows.inputs), to.sums, false);
  }
  static Float16 read(const Square& square, const Factor& rows, int64_t rowBlock, const Factor& panels, int64_t panel,
                      int64_t row, int64_t half) {
    return sumOfLevels(square.sums, row, half) * rows.scales[rowBlock * kBlockLanes + row] *
           load(panels.scales.data() + panel * kBlockLanes + half);
  }

 private:
  static void resize(int64_t lanes, int64_t inputs, Factor& to) {
    to.inputs = inputs;
    to.digits.resize(blocksFor(lanes) * to.size());
    to.scales.resize(blocksFor(lanes) * kBlockLanes);
  }
};

}  // namespace selm
