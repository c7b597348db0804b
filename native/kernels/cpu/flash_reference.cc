// A reference for LibTorch's two operators of flash attention, which it has on GPUs only: with it the code that calls them
// runs on a CPU, and is tested there (flash_trees.cc). It is registered for LibTorch's own operators, so that their schemas
// hold, of whatever version; asks of its arguments what the kernels of the GPU ask; and is slow.
#include <ATen/ATen.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <torch/library.h>

#include <limits>
#include <string_view>
#include <vector>

namespace selm {
namespace {

// Arguments of a call by their names in the schema: later versions of LibTorch have more of them.
class Arguments {
 public:
  Arguments(const c10::OperatorHandle& op, const torch::jit::Stack& stack)
      : schema_(op.schema()), values_(stack.end() - static_cast<int64_t>(schema_.arguments().size()), stack.end()) {}

  const c10::IValue& at(std::string_view name) const {
    for (size_t i = 0; i < values_.size(); i++)
      if (schema_.arguments()[i].name() == name) return values_[i];
    TORCH_CHECK(false, schema_.name(), " has no argument ", name);
  }
  at::Tensor tensor(std::string_view name) const { return at(name).toTensor(); }
  size_t count() const { return values_.size(); }
  int64_t integer(std::string_view name) const { return at(name).toSymInt().expect_int(); }
  int64_t integer(std::string_view name, int64_t otherwise) const {
    return at(name).isNone() ? otherwise : integer(name);
  }

 private:
  const c10::FunctionSchema& schema_;
  std::vector<c10::IValue> values_;
};

void checkKind(const at::Tensor& x, const at::Tensor& q, const char* name) {
  TORCH_CHECK(x.scalar_type() == at::kBFloat16 || x.scalar_type() == at::kHalf, "flash attention: ", name,
              " must be fp16 or bf16, got ", x.scalar_type());
  TORCH_CHECK(x.scalar_type() == q.scalar_type() && x.dim() == 3 && x.stride(2) == 1 && x.size(2) == q.size(2),
              "flash attention: ", name, " of ", x.sizes(), " must be [T, heads, d] of the query's type and d ",
              q.sizes());
  TORCH_CHECK(x.size(2) % 8 == 0 && x.size(2) <= 256, "flash attention: heads of ", x.size(2),
              " are not a multiple of 8 up to 256");
}

void checkEnds(const at::Tensor& ends, const at::Tensor& x, int64_t longest, const char* name) {
  TORCH_CHECK(ends.scalar_type() == at::kInt && ends.dim() == 1 && ends.is_contiguous() && ends.size(0) >= 2,
              "flash attention: ", name, " must be int32, contiguous, one more than sequences, got ", ends.sizes());
  const at::Tensor lengths = ends.diff();
  TORCH_CHECK(ends[0].item<int>() == 0 && ends[-1].item<int>() == x.size(0) && lengths.min().item<int>() > 0 &&
                  lengths.max().item<int>() <= longest,
              "flash attention: ", name, " must rise from 0 to ", x.size(0), " by at most ", longest);
}

// A call as both operators have it.
struct Call {
  at::Tensor q, k, v, queryEnds, keyEnds;
  double scale;
  bool isCausal;
  int64_t left, right;

  explicit Call(const Arguments& of)
      : q(of.tensor("query")),
        k(of.tensor("key")),
        v(of.tensor("value")),
        queryEnds(of.tensor("cum_seq_q")),
        keyEnds(of.tensor("cum_seq_k")),
        scale(of.at("scale").isNone() ? 1 / std::sqrt(static_cast<double>(q.size(2))) : of.at("scale").toDouble()),
        isCausal(of.at("is_causal").toBool()),
        left(of.integer("window_size_left", -1)),
        right(isCausal ? 0 : of.integer("window_size_right", -1)) {
    checkKind(q, q, "query");
    checkKind(k, q, "key");
    checkKind(v, q, "value");
    TORCH_CHECK(q.size(1) % k.size(1) == 0 && k.sizes() == v.sizes(), "flash attention: heads of ", q.sizes(), " and ",
                k.sizes(), " do not fit");
    checkEnds(queryEnds, q, of.integer("max_q"), "cum_seq_q");
    checkEnds(keyEnds, k, of.integer("max_k"), "cum_seq_k");
    TORCH_CHECK(queryEnds.size(0) == keyEnds.size(0), "flash attention: ", queryEnds.size(0) - 1,
                " sequences of queries and ", keyEnds.size(0) - 1, " of keys");
    TORCH_CHECK(of.at("dropout_p").toDouble() == 0, "flash attention: the reference has no dropout");
  }

  int64_t sequences() const { return queryEnds.size(0) - 1; }

  static at::Tensor sequence(const at::Tensor& x, const at::Tensor& ends, int64_t index) {
    const int64_t begin = ends[index].item<int>(), end = ends[index + 1].item<int>();
    return x.narrow(0, begin, end - begin);
  }

  // [L, heads, d] as [K, groups, L, d] in fp32.
  at::Tensor byGroup(const at::Tensor& x) const {
    return x.to(at::kFloat).view({x.size(0), k.size(1), -1, x.size(2)}).permute({1, 2, 0, 3});
  }
  // And back.
  static at::Tensor byToken(const at::Tensor& x) { return x.permute({2, 0, 1, 3}).flatten(1, 2); }

  // Scores [K, groups, queries, keys] of a sequence; the last query stands at the last key.
  at::Tensor scores(int64_t index) const {
    const at::Tensor queries = byGroup(sequence(q, queryEnds, index)), keys = byGroup(sequence(k, keyEnds, index));
    const int64_t rows = queries.size(2), columns = keys.size(2), diagonal = columns - rows;
    at::Tensor isSeen = at::ones({rows, columns}, at::kBool);
    if (right >= 0) isSeen = isSeen.tril(diagonal + right);
    if (left >= 0) isSeen = isSeen.triu(diagonal - left);
    return (queries.matmul(keys.transpose(2, 3)) * scale).masked_fill(~isSeen, -std::numeric_limits<float>::infinity());
  }
};

void forward(const c10::OperatorHandle& op, torch::jit::Stack* stack) {
  const Arguments arguments(op, *stack);
  for (const char* name : {"seqused_k", "alibi_slopes"})
    TORCH_CHECK(arguments.at(name).isNone(), "flash attention: the reference knows no ", name);
  const Call call(arguments);
  std::vector<at::Tensor> outs, sums;
  for (int64_t i = 0; i < call.sequences(); i++) {
    const at::Tensor scores = call.scores(i);
    const at::Tensor values = call.byGroup(Call::sequence(call.v, call.keyEnds, i));
    outs.push_back(Call::byToken(scores.softmax(-1).matmul(values)));
    sums.push_back(scores.logsumexp(-1).flatten(0, 1));
  }
  const at::Tensor random = at::zeros({2}, at::kUInt64), none = at::empty({0}, call.q.options());
  torch::jit::drop(*stack, arguments.count());
  torch::jit::push(*stack, at::cat(outs).to(call.q.scalar_type()), at::cat(sums, 1), random, none, none);
}

void backward(const c10::OperatorHandle& op, torch::jit::Stack* stack) {
  const Arguments arguments(op, *stack);
  const Call call(arguments);
  const at::Tensor gradient = arguments.tensor("grad_out"), out = arguments.tensor("out"),
                   logSums = arguments.tensor("logsumexp");
  checkKind(gradient, call.q, "grad_out");
  checkKind(out, call.q, "out");
  TORCH_CHECK(logSums.sizes() == at::IntArrayRef({call.q.size(1), call.q.size(0)}) &&
                  logSums.scalar_type() == at::kFloat && logSums.is_contiguous(),
              "flash attention: logsumexp must be fp32 [heads, T], contiguous, got ", logSums.sizes());
  std::vector<at::Tensor> dq, dk, dv;
  for (int64_t i = 0; i < call.sequences(); i++) {
    const auto ofQueries = [&](const at::Tensor& x) { return call.byGroup(Call::sequence(x, call.queryEnds, i)); };
    const auto ofKeys = [&](const at::Tensor& x) { return call.byGroup(Call::sequence(x, call.keyEnds, i)); };
    const at::Tensor sums = ofQueries(logSums.t().unsqueeze(2));
    const at::Tensor probabilities = (call.scores(i) - sums).exp(), dOut = ofQueries(gradient);
    const at::Tensor mean = (dOut * ofQueries(out)).sum(-1, true);
    const at::Tensor dScores = probabilities * (dOut.matmul(ofKeys(call.v).transpose(2, 3)) - mean) * call.scale;
    dq.push_back(Call::byToken(dScores.matmul(ofKeys(call.k))));
    // The heads of a group share their keys.
    dk.push_back(Call::byToken(dScores.transpose(2, 3).matmul(ofQueries(call.q)).sum(1, true)));
    dv.push_back(Call::byToken(probabilities.transpose(2, 3).matmul(dOut).sum(1, true)));
  }
  const auto joined = [&](const std::vector<at::Tensor>& parts) { return at::cat(parts).to(call.q.scalar_type()); };
  torch::jit::drop(*stack, arguments.count());
  torch::jit::push(*stack, joined(dq), joined(dk), joined(dv));
}

}  // namespace
}  // namespace selm

TORCH_LIBRARY_IMPL(aten, CPU, library) {
  library.impl("_flash_attention_forward", torch::CppFunction::makeFromBoxedFunction<&selm::forward>());
  library.impl("_flash_attention_backward", torch::CppFunction::makeFromBoxedFunction<&selm::backward>());
}
