// Products by rows with packed weights, for sampling: a row's result does not depend on what else is in the batch
// (panels.h).
#include <ATen/ops/empty.h>
#include <torch/library.h>

#include <array>
#include <vector>

#include "../backends.h"
#include "../checks.h"
#include "../composite.h"
#include "activations.h"
#include "block_products.h"
#include "digit_panels.h"
#include "operands.h"
#include "panels.h"
#include "product_results.h"
#include "rounding.h"
#include "team.h"

namespace selm {
namespace {

constexpr int64_t kTask = 1 << 18;  // multiplications that are worth a thread
constexpr int64_t kManyRows = 128;  // rows that are worth a thread, all panels being read for them
constexpr int64_t kNear = 1 << 20;  // bytes of x that are worked through before the next panel: they stay in the cache

// AMX reads whole tiles: x is followed by room for them.
bool hasRoom(const at::Tensor& x, int64_t rows) {
  const int64_t end = (x.storage_offset() + rows * x.size(1)) * static_cast<int64_t>(x.element_size());
  return static_cast<int64_t>(x.storage().nbytes()) >= end;
}

// x [rows, inputs] as a path reads it: in type X, with `padded` inputs of which the last are zeros, and room for whole tiles.
template <typename X>
at::Tensor operandRows(const at::Tensor& x_, int64_t padded) {
  constexpr auto type = c10::CppTypeToScalarType<X>::value;
  const int64_t rows = x_.size(0), inputs = x_.size(1);
  if (x_.scalar_type() == type && padded == inputs && (type == at::kFloat || hasRoom(x_, roomFor(rows)))) return x_;
  const at::Tensor x = contiguousFloats(x_);
  at::Tensor out = at::empty({roomFor(rows), padded}, x.options().dtype(type));
  const float* from = x.data_ptr<float>();
  X* to = out.data_ptr<X>();
  shareRanges(rows, std::max<int64_t>(1, 65536 / padded), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; row++) {
      for (int64_t i = 0; i < inputs; i += kLanes)
        store(to + row * padded + i, load(from + row * inputs + i, inputs - i), inputs - i);
      std::fill(to + row * padded + inputs, to + (row + 1) * padded, X(0.0f));
    }
  });
  return out;
}

// Who takes the rows of a block apart: the thread that multiplies them all, or every thread.
struct ByOne {
  template <typename Body>
  void operator()(int64_t size, int64_t, const Body& body) const {
    body(int64_t{0}, size);
  }
};
struct ByAll {
  template <typename Body>
  void operator()(int64_t size, int64_t grain, const Body& body) const {
    shareRanges(size, grain, body);
  }
};
constexpr int64_t kApart = 1 << 13;  // numbers that are worth a thread

// Rows that a panel's kernel reads as they are.
template <typename X>
struct PlainRows {
  using Element = X;
  at::Tensor x;
  int64_t width;
  PlainRows(const at::Tensor& x_, int64_t padded) : x(operandRows<X>(x_, padded)), width(padded) {}
  template <typename Share>
  const X* block(int64_t first, int64_t, at::Tensor&, const Share&) const {
    return x.data_ptr<X>() + first * width;
  }
};

// fp32 rows in pieces, as PiecesInStretches reads them. They are made block by block, and stay in the cache.
struct RowsInPieces {
  using Element = c10::BFloat16;
  at::Tensor x;
  int64_t inputs, padded, width;
  RowsInPieces(const at::Tensor& x_, int64_t padded_)
      : x(x_.to(at::kFloat)), inputs(x_.size(1)), padded(padded_), width(kPieces * padded_) {}
  // Memory of tensors begins with a line of the cache, as a row of a tile has to.
  template <typename Share>
  const Element* block(int64_t first, int64_t rows, at::Tensor& scratch, const Share& share) const {
    const int64_t room = roomFor(rows) * width;
    if (!scratch.defined() || scratch.numel() < room) scratch = at::empty({room}, x.options().dtype(at::kBFloat16));
    Element* tiles = scratch.data_ptr<Element>();
    share(rows, std::max<int64_t>(1, kApart / inputs), [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; row++)
        amxPieces(x.data_ptr<float>() + (first + row) * inputs, inputs,
                  tiles + row / kTileRows * kTileRows * width + row % kTileRows * kStep, padded);
    });
    return tiles;
  }
};

// fp32 rows in digits, as digitsPanel reads them; block by block, too.
struct RowsInDigits {
  using Element = int8_t;
  at::Tensor x;
  int64_t inputs, width;
  explicit RowsInDigits(const at::Tensor& x_)
      : x(x_.to(at::kFloat)), inputs(x_.size(1)), width(digitWidth(x_.size(1))) {}
  template <typename Share>
  const Element* block(int64_t first, int64_t rows, at::Tensor& scratch, const Share& share) const {
    const int64_t room = roomFor(rows) * width;
    if (!scratch.defined() || scratch.numel() < room) scratch = at::empty({room}, x.options().dtype(at::kChar));
    Element* digits = scratch.data_ptr<Element>();
    share(room / width / kDigitRows, std::max<int64_t>(1, kApart / (kDigitRows * inputs)),
          [&](int64_t begin, int64_t end) {
            for (int64_t row = begin * kDigitRows; row < std::min(rows, end * kDigitRows); row += kDigitRows)
              digitRows(x.data_ptr<float>() + (first + row) * inputs, std::min(kDigitRows, rows - row), inputs,
                        digits + row * width);
          });
    return digits;
  }
};

struct Nothing {};

// Where the results of a task go, of rows from `first` on.
template <typename Write>
struct TaskResults {
  const Write& to;
  int64_t task, first;
  void fetch(int64_t row, int64_t rows) const { to.fetch(task, first + row, rows); }
  void write(int64_t row, int64_t rows, const std::array<const float*, Write::kTogether>& results) const {
    to(task, first + row, rows, results);
  }
};

// Multiplies rows with every panel, a block of rows after the other, and hands results to `write`. Panels p, p + tasks, .. are
// one task: their results are written together. Many rows are shared among the threads block by block, few by panels.
// `Prepare` is held by a thread meanwhile.
template <typename Prepare, typename W, typename Product, typename Rows, typename Write>
void shareProducts(const Product& product, const Rows& operand, int64_t rows, const at::Tensor& packed,
                   const Write& write) {
  using X = typename Rows::Element;
  constexpr int64_t together = Write::kTogether;
  const int64_t inputs = packed.size(1), tasks = packed.size(0) / together, threads = teamSize(), width = operand.width;
  const W* weights = packed.data_ptr<W>();
  const auto multiplyBlock = [&](const X* x, int64_t first, int64_t count, const auto& nextTask) {
    [[maybe_unused]] const Prepare prepared;
    at::Tensor scratch;
    for (int64_t task = nextTask(); task >= 0; task = nextTask()) {
      std::array<const W*, together> panels;
      for (int64_t i = 0; i < together; i++) panels[i] = weights + (task + i * tasks) * inputs * kPanel;
      product.multiply(BlockRows<X>{x, count, width}, panels, inputs, scratch, TaskResults<Write>{write, task, first});
    }
  };
  const int64_t near = std::max<int64_t>(1, kNear / (width * static_cast<int64_t>(sizeof(X)) * kTileRows)) * kTileRows;
  if (rows >= kManyRows * threads) {
    const int64_t share = roomFor((rows + threads - 1) / threads), parts = (share + near - 1) / near;
    const int64_t size = roomFor((share + parts - 1) / parts);
    shareRanges((rows + size - 1) / size, 1, [&](int64_t begin, int64_t end) {
      at::Tensor scratch;
      for (int64_t block = begin; block < end; block++) {
        const int64_t first = block * size, count = std::min(size, rows - first);
        int64_t task = 0;
        multiplyBlock(operand.block(first, count, scratch, ByOne()), first, count,
                      [&] { return task < tasks ? task++ : int64_t{-1}; });
      }
    });
    return;
  }
  at::Tensor scratch;
  for (int64_t first = 0; first < rows; first += near) {
    const int64_t count = std::min(near, rows - first);
    const X* x = operand.block(first, count, scratch, ByAll());
    const int64_t grain = std::max<int64_t>(1, kTask / std::max<int64_t>(1, count * inputs * kPanel * together));
    shareRuns(tasks, grain, [&](const auto& nextTask) { multiplyBlock(x, first, count, nextTask); });
  }
}

template <typename Prepare, typename Rows, typename W, typename Write>
void byPanels(PanelKernel<typename Rows::Element, W> kernel, const Rows& operand, int64_t rows,
              const at::Tensor& packed, const Write& write) {
  shareProducts<Prepare, W>(InGroups<typename Rows::Element, W>{kernel}, operand, rows, packed, write);
}

// fp32 products. Of weights that bf16 holds AMX makes them in pieces: exact before sums are rounded, and several times as fast
// as fp32 arithmetic. Of other weights it makes them by digits.
template <typename Write>
void multiplyFloats(const at::Tensor& x, const at::Tensor& packed, const Write& write) {
  using Bf16 = c10::BFloat16;
  const int64_t rows = x.size(0), inputs = packed.size(1);
  if (packed.scalar_type() == at::kChar)
    return byPanels<AmxTiles, RowsInDigits, int8_t>(digitsPanel, RowsInDigits(x), rows, packed, write);
  if (packed.scalar_type() == at::kFloat)
    return byPanels<Nothing, PlainRows<float>, float>(vectorPanel, {x, inputs}, rows, packed, write);
  if (canRun(Bf16Path::amx))
    return shareProducts<AmxTiles, Bf16>(PiecesInStretches{}, RowsInPieces(x, inputs), rows, packed, write);
  return byPanels<Nothing, PlainRows<float>, Bf16>(vectorPanel, {x, inputs}, rows, packed, write);
}

template <typename Write>
void multiply(const at::Tensor& x, const at::Tensor& packed, std::string_view arithmetic, const Write& write) {
  using Bf16 = c10::BFloat16;
  TORCH_CHECK(packed.is_contiguous(), "row_linear: weights of shape ", packed.sizes(), " do not lie in panels");
  if (arithmetic == "float32") return multiplyFloats(x, packed, write);
  TORCH_CHECK(packed.scalar_type() == at::kBFloat16, "row_linear: products in bf16 need weights packed in bf16, got ",
              packed.scalar_type());
  const PlainRows<Bf16> operand(x, packed.size(1));
  switch (bf16PathOf(arithmetic)) {
    case Bf16Path::amx:
      return shareProducts<AmxTiles, Bf16>(InStretches{}, operand, x.size(0), packed, write);
    case Bf16Path::avx512Bf16:
      return byPanels<Nothing, PlainRows<Bf16>, Bf16>(avx512Bf16Panel, operand, x.size(0), packed, write);
    case Bf16Path::vector:
      return byPanels<Nothing, PlainRows<Bf16>, Bf16>(vectorPanel, operand, x.size(0), packed, write);
  }
}

// Results of each panel as they are, plus a bias; or added to what is there.
template <bool kAdds>
struct WriteSums {
  static constexpr int64_t kTogether = 1;
  // Where a panel's results go in their rows.
  struct Place {
    float* first;
    int64_t stride, width;
    const float* bias;
  };
  std::vector<Place> places;

  void add(at::Tensor& y, const float* bias) {
    const int64_t outputs = y.size(1);
    for (int64_t o = 0; o < outputs; o += kPanel)
      places.push_back(
          {y.data_ptr<float>() + o, outputs, std::min(kPanel, outputs - o), bias != nullptr ? bias + o : nullptr});
  }
  void fetch(int64_t panel, int64_t row, int64_t rows) const {
    fetchRows(places[panel].first + row * places[panel].stride, places[panel].stride, rows);
  }
  void operator()(int64_t panel, int64_t row, int64_t rows, const std::array<const float*, 1>& results) const {
    const Place& place = places[panel];
    for (int64_t r = 0; r < rows; r++) {
      float* to = place.first + (row + r) * place.stride;
      for (int64_t i = 0; i < place.width; i += kLanes) {
        Float16 sums = load(results[0] + r * kPanel + i);
        if (place.bias != nullptr) sums += load(place.bias + i, place.width - i);
        store(to + i, kAdds ? load(to + i, place.width - i) + sums : sums, place.width - i);
      }
    }
  }
};

// activation(gate) * up of two panels, in type T.
template <typename Activation, typename T>
struct WriteGated {
  static constexpr int64_t kTogether = 2;
  T* data;
  int64_t outputs;

  void fetch(int64_t task, int64_t row, int64_t rows) const {
    fetchRows(data + row * outputs + task * kPanel, outputs, rows);
  }
  void operator()(int64_t task, int64_t row, int64_t rows, const std::array<const float*, 2>& results) const {
    const int64_t width = std::min(kPanel, outputs - task * kPanel);
    for (int64_t r = 0; r < rows; r++) {
      T* to = data + (row + r) * outputs + task * kPanel;
      for (int64_t i = 0; i < width; i += kLanes) {
        const Float16 gate = load(results[0] + r * kPanel + i), up = load(results[1] + r * kPanel + i);
        storeNormal(to + i, activatedFor<Activation, T>(gate) * up, width - i);
      }
    }
  }
};

// As checkRowLinears, whose panels of numbers have as many rows as there are inputs; digits have a width of their own.
void checkOperands(const at::Tensor& x, const at::Tensor& packed, at::IntArrayRef outputs,
                   const std::optional<at::Tensor>& bias) {
  if (packed.scalar_type() != at::kChar) return checkRowLinears(x, packed, outputs, bias);
  TORCH_CHECK(x.dim() == 2 && packed.dim() == 3 && packed.size(1) == digitWidth(x.size(1)), "row_linear: x of shape ",
              x.sizes(), " does not fit digits of shape ", packed.sizes());
  checkRowLinears(x, packed.narrow(1, 0, x.size(1)), outputs, bias);
}

std::vector<at::Tensor> rowLinears(const at::Tensor& x, const at::Tensor& packed, at::IntArrayRef outputs,
                                   const std::optional<at::Tensor>& bias_, std::string_view arithmetic) {
  if (x.scalar_type() == at::kDouble) return composite::rowLinears(x, packed, outputs, bias_, arithmetic);
  checkOperands(x, packed, outputs, bias_);
  const at::Tensor bias = bias_.has_value() && bias_->defined() ? bias_->to(at::kFloat).contiguous() : at::Tensor();
  std::vector<at::Tensor> products;
  WriteSums<false> write;
  int64_t first = 0;
  for (const int64_t count : outputs) {
    products.push_back(at::empty({x.size(0), count}, x.options().dtype(at::kFloat)));
    write.add(products.back(), bias.defined() ? bias.data_ptr<float>() + first : nullptr);
    first += count;
  }
  multiply(x.contiguous(), packed, arithmetic, write);
  return products;
}

at::Tensor rowLinear(const at::Tensor& x, const at::Tensor& packed, int64_t outputs,
                     const std::optional<at::Tensor>& bias, std::string_view arithmetic) {
  return rowLinears(x, packed, outputs, bias, arithmetic)[0];
}

at::Tensor& addRowLinear_(at::Tensor& sum, const at::Tensor& x, const at::Tensor& packed,
                          const std::optional<at::Tensor>& bias_, std::string_view arithmetic) {
  checkOperands(x, packed, {sum.size(1)}, bias_);
  TORCH_CHECK(sum.scalar_type() == at::kFloat && sum.is_contiguous() && sum.size(0) == x.size(0),
              "add_row_linear_: a sum of ", sum.sizes(), " in ", sum.scalar_type(), " is not contiguous fp32 with ",
              x.size(0), " rows");
  const at::Tensor bias = bias_.has_value() && bias_->defined() ? bias_->to(at::kFloat).contiguous() : at::Tensor();
  WriteSums<true> write;
  write.add(sum, bias.defined() ? bias.data_ptr<float>() : nullptr);
  multiply(x.contiguous(), packed, arithmetic, write);
  return sum;
}

at::Tensor rowGated(const at::Tensor& x, const at::Tensor& packed, int64_t outputs, std::string_view activation,
                    std::string_view arithmetic) {
  if (x.scalar_type() == at::kDouble) return composite::rowGated(x, packed, outputs, activation, arithmetic);
  checkOperands(x, packed, {outputs, outputs}, std::nullopt);
  const bool isFloat = arithmetic == "float32";
  const at::Tensor y = at::empty({isFloat ? x.size(0) : roomFor(x.size(0)), outputs},
                                 x.options().dtype(isFloat ? at::kFloat : at::kBFloat16));
  forActivations(activation, [&](auto kind) {
    using Activation = decltype(kind);
    if (isFloat) {
      multiply(x.contiguous(), packed, arithmetic, WriteGated<Activation, float>{y.data_ptr<float>(), outputs});
    } else {
      multiply(x.contiguous(), packed, arithmetic,
               WriteGated<Activation, c10::BFloat16>{y.data_ptr<c10::BFloat16>(), outputs});
    }
  });
  return firstRows(y, x.size(0));
}

}  // namespace
}  // namespace selm

TORCH_LIBRARY_IMPL(selm, CPU, library) {
  if (!selm::hasCpuKernels()) return;
  library.impl("row_linear", &selm::rowLinear);
  library.impl("row_linears", &selm::rowLinears);
  library.impl("add_row_linear_", &selm::addRowLinear_);
  library.impl("row_gated", &selm::rowGated);
}
