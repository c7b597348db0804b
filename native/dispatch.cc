// Every operator of LibTorch through its dispatcher: the schema says what the arguments are, one function converts them,
// calls the operator boxed, and converts the results back.
#include <ATen/core/dispatch/Dispatcher.h>
#include <torch/csrc/api/include/torch/version.h>

#include <cmath>

#include "bridge.h"

namespace selm {
namespace {

std::vector<c10::OperatorHandle> operators;

c10::IValue scalarFrom(napi_env env, napi_value value) {
  napi_valuetype type;
  check(env, napi_typeof(env, value, &type));
  if (type == napi_boolean) {
    bool flag = false;
    check(env, napi_get_value_bool(env, value, &flag));
    return at::Scalar(flag);
  }
  double number = 0;
  check(env, napi_get_value_double(env, value, &number));
  // An integral number stays an integer, as a Python literal would: `add(x, 2)` keeps an integer tensor an integer one.
  if (std::trunc(number) == number && std::abs(number) < 9.0e15) return at::Scalar(static_cast<int64_t>(number));
  return at::Scalar(number);
}

template <typename Element, typename Read>
c10::IValue listFrom(napi_env env, napi_value value, Read read) {
  uint32_t length = 0;
  check(env, napi_get_array_length(env, value, &length));
  c10::List<Element> list;
  list.reserve(length);
  for (uint32_t i = 0; i < length; i++) {
    napi_value element;
    check(env, napi_get_element(env, value, i, &element));
    list.push_back(read(element));
  }
  return list;
}

double doubleFrom(napi_env env, napi_value value) {
  double number = 0;
  check(env, napi_get_value_double(env, value, &number));
  return number;
}

int64_t integerFrom(napi_env env, napi_value value) {
  const double number = doubleFrom(env, value);
  TORCH_CHECK(std::trunc(number) == number, "expected an integer, got ", number);
  return static_cast<int64_t>(number);
}

c10::IValue convertList(napi_env env, napi_value value, const c10::TypePtr& element) {
  switch (element->kind()) {
    case c10::TypeKind::TensorType:
      return listFrom<at::Tensor>(env, value, [&](napi_value v) { return tensorOf(doubleFrom(env, v)); });
    case c10::TypeKind::IntType:
    case c10::TypeKind::SymIntType:
      return listFrom<int64_t>(env, value, [&](napi_value v) { return integerFrom(env, v); });
    case c10::TypeKind::FloatType:
      return listFrom<double>(env, value, [&](napi_value v) { return doubleFrom(env, v); });
    case c10::TypeKind::BoolType:
      return listFrom<bool>(env, value, [&](napi_value v) {
        bool flag = false;
        check(env, napi_get_value_bool(env, v, &flag));
        return flag;
      });
    case c10::TypeKind::NumberType:
      return listFrom<at::Scalar>(env, value, [&](napi_value v) { return scalarFrom(env, v).toScalar(); });
    case c10::TypeKind::OptionalType:
      return listFrom<std::optional<at::Tensor>>(env, value, [&](napi_value v) -> std::optional<at::Tensor> {
        napi_valuetype type;
        check(env, napi_typeof(env, v, &type));
        if (type == napi_null || type == napi_undefined) return std::nullopt;
        return tensorOf(doubleFrom(env, v));
      });
    default:
      TORCH_CHECK(false, "no conversion from JavaScript to a list of ", element->str());
  }
}

c10::IValue convert(napi_env env, napi_value value, const c10::TypePtr& type) {
  switch (type->kind()) {
    case c10::TypeKind::TensorType:
      return tensorOf(doubleFrom(env, value));
    case c10::TypeKind::OptionalType:
      return convert(env, value, type->castRaw<c10::OptionalType>()->getElementType());
    case c10::TypeKind::ListType:
      return convertList(env, value, type->castRaw<c10::ListType>()->getElementType());
    case c10::TypeKind::NumberType:
      return scalarFrom(env, value);
    case c10::TypeKind::IntType:
    case c10::TypeKind::SymIntType:
    case c10::TypeKind::ScalarTypeType:
    case c10::TypeKind::LayoutType:
    case c10::TypeKind::MemoryFormatType:
      return integerFrom(env, value);
    case c10::TypeKind::FloatType:
      return doubleFrom(env, value);
    case c10::TypeKind::BoolType: {
      bool flag = false;
      check(env, napi_get_value_bool(env, value, &flag));
      return flag;
    }
    case c10::TypeKind::StringType:
    case c10::TypeKind::DeviceObjType: {
      size_t length = 0;
      check(env, napi_get_value_string_utf8(env, value, nullptr, 0, &length));
      std::string text(length, '\0');
      check(env, napi_get_value_string_utf8(env, value, text.data(), length + 1, &length));
      if (type->kind() == c10::TypeKind::DeviceObjType) return c10::Device(text);
      return text;
    }
    default:
      TORCH_CHECK(false, "no conversion from JavaScript to ", type->str());
  }
}

napi_value convertBack(napi_env env, const c10::IValue& value) {
  if (value.isTensor()) return makeHandle(env, value.toTensor());
  if (value.isTensorList()) return makeHandles(env, value.toTensorVector());
  if (value.isBool()) return makeBoolean(env, value.toBool());
  if (value.isInt()) return makeNumber(env, static_cast<double>(value.toInt()));
  if (value.isDouble()) return makeNumber(env, value.toDouble());
  if (value.isScalar()) return makeNumber(env, value.toScalar().toDouble());
  if (value.isIntList()) return makeNumbers(env, value.toIntVector());
  if (value.isString()) return makeString(env, value.toStringRef());
  if (value.isNone()) return makeNull(env);
  TORCH_CHECK(false, "no conversion to JavaScript from ", value.tagKind());
}

// resolve(name, overload): index of an operator for call(), or -1 when this LibTorch does not have it.
napi_value resolve(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    Arguments arguments(env, info);
    auto handle = c10::Dispatcher::singleton().findSchema({arguments.string(0), arguments.string(1)});
    if (!handle) return makeNumber(env, -1);
    operators.push_back(*handle);
    return makeNumber(env, static_cast<double>(operators.size() - 1));
  });
}

// schema(index): the operator's schema as LibTorch prints it.
napi_value schema(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    Arguments arguments(env, info);
    std::ostringstream text;
    text << operators.at(static_cast<size_t>(arguments.number(0))).schema();
    return makeString(env, text.str());
  });
}

// call(index, ...arguments in schema order): undefined means the schema's default.
napi_value call(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    Arguments arguments(env, info);
    const c10::OperatorHandle& op = operators.at(static_cast<size_t>(arguments.number(0)));
    const auto& formal = op.schema().arguments();
    TORCH_CHECK(arguments.count - 1 <= formal.size(), op.schema().name(), " takes ", formal.size(), " arguments, got ",
                arguments.count - 1);
    torch::jit::Stack stack;
    stack.reserve(formal.size());
    for (size_t i = 0; i < formal.size(); i++) {
      const napi_valuetype type = arguments.typeOf(i + 1);
      if (type == napi_null) {
        stack.emplace_back();
      } else if (type == napi_undefined) {
        if (formal[i].default_value()) {
          stack.push_back(*formal[i].default_value());
        } else {
          TORCH_CHECK(formal[i].type()->kind() == c10::TypeKind::OptionalType, op.schema().name(), " needs argument ",
                      formal[i].name());
          stack.emplace_back();
        }
      } else {
        stack.push_back(convert(env, arguments.values[i + 1], formal[i].type()));
      }
    }
    op.callBoxed(stack);
    if (stack.empty()) return makeNull(env);
    if (stack.size() == 1) return convertBack(env, stack[0]);
    napi_value result;
    check(env, napi_create_array_with_length(env, stack.size(), &result));
    for (size_t i = 0; i < stack.size(); i++) {
      check(env, napi_set_element(env, result, static_cast<uint32_t>(i), convertBack(env, stack[i])));
    }
    return result;
  });
}

// version(): the LibTorch that this addon was built against.
napi_value version(napi_env env, napi_callback_info info) {
  return guarded(env, [&] { return makeString(env, TORCH_VERSION); });
}

}  // namespace

void defineDispatch(napi_env env, napi_value exports) {
  define(env, exports, "resolve", resolve);
  define(env, exports, "schema", schema);
  define(env, exports, "call", call);
  define(env, exports, "version", version);
}

}  // namespace selm
