// A device of torch's that is no device: its memory is the CPU's, but torch keeps its tensors apart from the CPU's, as
// those of a GPU are. What mixes the two, or gives NumPy a tensor of the device, fails here as it does on a GPU.
//
// Operations are done by the CPU's kernels (at::native::cpu_fallback). Each first refuses tensors of two devices, by
// the rule of CUDA's: numbers (0-d tensors) of the CPU may stand beside the device's tensors.

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/EmptyTensor.h>
#include <ATen/detail/PrivateUse1HooksInterface.h>
#include <ATen/native/CPUFallback.h>
#include <ATen/native/Resize.h>
#include <ATen/ops/_reshape_alias_cpu_dispatch.h>
#include <ATen/ops/as_strided_cpu_dispatch.h>
#include <ATen/ops/set_cpu_dispatch.h>
#include <ATen/ops/unfold_cpu_dispatch.h>
#include <ATen/ops/view_cpu_dispatch.h>
#include <c10/core/CPUAllocator.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <torch/csrc/autograd/python_variable.h>
#include <torch/extension.h>
#include <torch/library.h>

namespace {

using at::Tensor;
using Maybe = std::optional<at::Tensor>;
using Sizes = c10::SymIntArrayRef;
constexpr auto kKind = c10::DeviceType::PrivateUse1;
const c10::Device kDevice(kKind, 0);

// -- memory ------------------------------------------------------------------------------------------------

struct Memory final : at::Allocator {
  static void release(void* place) { free(place); }
  at::DataPtr allocate(size_t bytes) override {
    void* place = nullptr;
    if (bytes && posix_memalign(&place, 64, bytes)) throw std::bad_alloc();
    return {place, place, &release, kDevice};
  }
  at::DeleterFnPtr raw_deleter() const override { return &release; }
  void copy_data(void* to, const void* from, std::size_t bytes) const override { memcpy(to, from, bytes); }
};
Memory memory;
REGISTER_ALLOCATOR(kKind, &memory);

// The same numbers as a tensor of the CPU, in the same memory.
Tensor on_host(const Tensor& x) {
  if (x.device().is_cpu()) return x;
  Tensor owner = x;
  auto bytes = at::from_blob(
      x.storage().mutable_data(), {(int64_t)x.storage().nbytes()}, [owner](void*) {}, at::TensorOptions().dtype(at::kByte));
  auto out = at::empty({0}, at::TensorOptions().dtype(x.scalar_type()));
  out.set_(bytes.storage(), x.storage_offset(), x.sizes(), x.strides());
  if (x.is_conj()) out._set_conj(true);
  if (x.is_neg()) out._set_neg(true);
  return out;
}

// -- the device ----------------------------------------------------------------------------------------------

struct Guard final : c10::impl::DeviceGuardImplInterface {
  c10::DeviceType type() const override { return kKind; }
  c10::Device exchangeDevice(c10::Device) const override { return kDevice; }
  c10::Device getDevice() const override { return kDevice; }
  void setDevice(c10::Device) const override {}
  void uncheckedSetDevice(c10::Device) const noexcept override {}
  c10::Stream getStream(c10::Device d) const override { return c10::Stream(c10::Stream::DEFAULT, d); }
  c10::Stream getDefaultStream(c10::Device d) const override { return c10::Stream(c10::Stream::DEFAULT, d); }
  c10::Stream getNewStream(c10::Device d, int) const override { return c10::Stream(c10::Stream::DEFAULT, d); }
  c10::Stream exchangeStream(c10::Stream stream) const override { return stream; }
  c10::DeviceIndex deviceCount() const noexcept override { return 1; }
  void record(void**, const c10::Stream&, const c10::DeviceIndex, const c10::EventFlag) const override {}
  void block(void*, const c10::Stream&) const override {}
  bool queryEvent(void*) const override { return true; }
  bool queryStream(const c10::Stream&) const override { return true; }
  void synchronizeStream(const c10::Stream&) const override {}
  void synchronizeDevice(const c10::DeviceIndex) const override {}
  void recordDataPtrOnStream(const c10::DataPtr&, const c10::Stream&) const override {}
};
C10_REGISTER_GUARD_IMPL(PrivateUse1, Guard);

// Draws as a generator of the CPU does, but is the device's.
struct Generator final : c10::GeneratorImpl {
  at::Generator inner = at::detail::createCPUGenerator();
  Generator() : c10::GeneratorImpl(kDevice, c10::DispatchKeySet(c10::DispatchKey::PrivateUse1)) {}
  void set_current_seed(uint64_t seed) override { inner.set_current_seed(seed); }
  void set_offset(uint64_t) override { TORCH_CHECK(false, "it has no offset"); }
  uint64_t get_offset() const override { TORCH_CHECK(false, "it has no offset"); }
  uint64_t current_seed() const override { return inner.current_seed(); }
  uint64_t seed() override { return inner.seed(); }
  void set_state(const c10::TensorImpl& state) override { inner.unsafeGetGeneratorImpl()->set_state(state); }
  c10::intrusive_ptr<c10::TensorImpl> get_state() const override { return inner.unsafeGetGeneratorImpl()->get_state(); }
  Generator* clone_impl() const override {
    auto twin = new Generator();
    twin->inner = inner.clone();
    return twin;
  }
};

at::Generator& default_generator() {
  static at::Generator made = at::make_generator<Generator>();
  return made;
}

struct Hooks final : at::PrivateUse1HooksInterface {
  bool isAvailable() const override { return true; }
  bool hasPrimaryContext(c10::DeviceIndex) const override { return true; }
  void init() const override {}
  c10::DeviceIndex deviceCount() const override { return 1; }
  c10::DeviceIndex getCurrentDevice() const override { return 0; }
  void setCurrentDevice(c10::DeviceIndex) const override {}
  c10::DeviceIndex exchangeDevice(c10::DeviceIndex) const override { return 0; }
  c10::DeviceIndex maybeExchangeDevice(c10::DeviceIndex) const override { return 0; }
  const at::Generator& getDefaultGenerator(c10::DeviceIndex) const override { return default_generator(); }
  at::Generator getNewGenerator(c10::DeviceIndex) const override { return at::make_generator<Generator>(); }
  at::Device getDeviceFromPtr(void*) const override { return kDevice; }
  bool isPinnedPtr(const void*) const override { return false; }
  at::Allocator* getPinnedMemoryAllocator() const override { return c10::GetCPUAllocator(); }
  void resizePrivateUse1Bytes(const c10::Storage& storage, size_t bytes) const override {
    auto place = memory.allocate(bytes);
    if (auto kept = std::min(bytes, storage.nbytes())) memcpy(place.get(), storage.data(), kept);
    storage.unsafeGetStorageImpl()->set_data_ptr_noswap(std::move(place));
    storage.unsafeGetStorageImpl()->set_nbytes(bytes);
  }
};
const bool registered = [] { return at::RegisterPrivateUse1HooksInterface(new Hooks()), true; }();

// -- what makes and views tensors ----------------------------------------------------------------------------

using Type = std::optional<at::ScalarType>;
using Layout = std::optional<at::Layout>;
using Device = std::optional<at::Device>;
using Pinned = std::optional<bool>;
using Format = std::optional<at::MemoryFormat>;
const c10::DispatchKeySet kKeys(c10::DispatchKey::PrivateUse1);

Tensor empty(Sizes size, Type type, Layout, Device, Pinned, Format format) {
  return at::detail::empty_generic(C10_AS_INTARRAYREF_SLOW(size), &memory, kKeys, c10::dtype_or_default(type), format);
}
Tensor empty_strided(Sizes size, Sizes stride, Type type, Layout, Device, Pinned) {
  return at::detail::empty_strided_generic(
      C10_AS_INTARRAYREF_SLOW(size), C10_AS_INTARRAYREF_SLOW(stride), &memory, kKeys, c10::dtype_or_default(type));
}
Tensor copy_from(const Tensor& from, const Tensor& to, bool) {
  at::NoGradGuard no_grad;
  on_host(to).copy_(on_host(from));
  return to;
}
Tensor copy_from_and_resize(const Tensor& from, const Tensor& to) {
  at::native::resize_(to, from.sizes(), std::nullopt);
  return copy_from(from, to, false);
}
at::Scalar number(const Tensor& x) { return on_host(x).item(); }
Tensor as_strided(const Tensor& x, Sizes size, Sizes stride, std::optional<c10::SymInt> offset) {
  return at::cpu::as_strided_symint(x, size, stride, offset);
}
Tensor view(const Tensor& x, Sizes size) { return at::cpu::view_symint(x, size); }
Tensor reshape_alias(const Tensor& x, Sizes size, Sizes stride) { return at::cpu::_reshape_alias_symint(x, size, stride); }
Tensor unfold(const Tensor& x, int64_t axis, int64_t size, int64_t step) { return at::cpu::unfold(x, axis, size, step); }
const Tensor& resize(const Tensor& x, Sizes size, Format format) {
  return at::native::resize_(x, C10_AS_INTARRAYREF_SLOW(size), format);
}
Tensor& set_storage(Tensor& x, at::Storage storage) { return at::cpu::set_(x, storage); }
Tensor& set_part(Tensor& x, at::Storage storage, c10::SymInt offset, Sizes size, Sizes stride) {
  return at::cpu::set__symint(x, storage, offset, size, stride);
}
Tensor& set_tensor(Tensor& x, const Tensor& from) { return at::cpu::set_(x, from); }

// -- what torch has no CPU kernel for under the names that other devices use -----------------------------------------

Tensor convolution(
    const Tensor& x, const Tensor& kernel, const Maybe& bias, Sizes stride, Sizes padding, Sizes dilation,
    bool transposed, Sizes output_padding, c10::SymInt groups) {
  TORCH_CHECK(x.device() == kernel.device(), "convolution: the input and the kernel are on two devices");
  at::NoGradGuard no_grad;
  Maybe host_bias;
  if (bias && bias->defined()) host_bias = on_host(*bias);
  auto y = at::convolution_symint(
      on_host(x), on_host(kernel), host_bias, stride, padding, dilation, transposed, output_padding, groups);
  return y.to(x.device());
}
std::tuple<Tensor, Tensor, Tensor> convolution_backward(
    const Tensor& gradient, const Tensor& x, const Tensor& kernel, Sizes stride, Sizes padding, Sizes dilation,
    bool transposed, Sizes output_padding, c10::SymInt groups, std::array<bool, 3> wanted) {
  at::NoGradGuard no_grad;
  std::vector<c10::SymInt> bias = {transposed ? kernel.sym_size(1) * groups : kernel.sym_size(0)};
  auto [of_x, of_kernel, of_bias] = at::convolution_backward_symint(
      on_host(gradient), on_host(x), on_host(kernel), at::OptionalSymIntArrayRef(bias), stride, padding, dilation,
      transposed, output_padding, groups, wanted);
  auto there = [&](const Tensor& t) { return t.defined() ? t.to(kDevice) : t; };
  return {there(of_x), there(of_kernel), there(of_bias)};
}

// -- everything else ---------------------------------------------------------------------------------------------

void refuse_two_devices(const c10::OperatorHandle& operation, const torch::jit::Stack& stack) {
  static const std::set<std::string> may = {  // an index may be the CPU's, and what copies goes between devices
      "aten::copy_", "aten::_to_copy", "aten::_copy_from", "aten::index", "aten::index_put_", "aten::_index_put_impl_"};
  if (may.count(operation.schema().name())) return;
  bool ours = false, theirs = false;
  auto look = [&](const Tensor& t) {
    if (!t.defined()) return;
    ours |= t.device().type() == kKind;
    theirs |= t.device().type() != kKind && t.dim() > 0;
  };
  for (size_t i = stack.size() - operation.schema().arguments().size(); i < stack.size(); ++i) {
    if (stack[i].isTensor()) look(stack[i].toTensor());
    if (stack[i].isTensorList()) for (const Tensor& t : stack[i].toTensorVector()) look(t);
  }
  TORCH_CHECK(!(ours && theirs), operation.schema().name(), ": expected all tensors to be on the same device");
}

void by_the_cpu(const c10::OperatorHandle& operation, torch::jit::Stack* stack) {
  refuse_two_devices(operation, *stack);
  for (size_t i = stack->size() - operation.schema().arguments().size(); i < stack->size(); ++i) {
    auto& argument = (*stack)[i];
    if (!argument.isGenerator()) continue;
    auto given = argument.toGenerator();
    TORCH_CHECK(given.device().type() == kKind, "a generator of another device: ", given.device());
    argument = static_cast<Generator*>(given.unsafeGetGeneratorImpl())->inner;
  }
  at::native::cpu_fallback(operation, stack);
}

}  // namespace

TORCH_LIBRARY_IMPL(_, PrivateUse1, m) { m.fallback(torch::CppFunction::makeFromBoxedFunction<&by_the_cpu>()); }

TORCH_LIBRARY_IMPL(aten, PrivateUse1, m) {
  m.impl("empty.memory_format", empty);
  m.impl("empty_strided", empty_strided);
  m.impl("_copy_from", copy_from);
  m.impl("_copy_from_and_resize", copy_from_and_resize);
  m.impl("_local_scalar_dense", number);
  m.impl("as_strided", as_strided);
  m.impl("view", view);
  m.impl("_reshape_alias", reshape_alias);
  m.impl("unfold", unfold);
  m.impl("resize_", resize);
  m.impl("set_.source_Storage", set_storage);
  m.impl("set_.source_Storage_storage_offset", set_part);
  m.impl("set_.source_Tensor", set_tensor);
  m.impl("convolution_overrideable", convolution);
  m.impl("convolution_backward_overrideable", convolution_backward);
}

PYBIND11_MODULE(TORCH_EXTENSION_NAME, m) { m.def("default_generator", &default_generator); }
