"""The sums: exact, kept in place, without gradients, without waiting for a device; metrics of your own."""

import numpy as np
import pytest
import torch
from metric_cases import CASES, IDS
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from lamella import initializers, metrics
from lamella.engine.variable import State

keras = pytest.importorskip("keras")

by_case = pytest.mark.parametrize(("name", "arguments", "make"), CASES, ids=IDS)


def batch_of(make, rng):
    return tuple(torch.tensor(each) for each in make(rng))


@by_case
def test_sums_stay_exact_after_100_million_samples(name, arguments, make, rng):
    metric = getattr(metrics, name)(**arguments)
    batch = batch_of(make, rng)
    metric.update_state(*batch)
    added = [state.clone() for state in metric.variables]
    for state in metric.variables:
        state.fill_(100_000_000)
    metric.update_state(*batch)
    for state, amount in zip(metric.variables, added, strict=True):
        torch.testing.assert_close(state.detach() - 100_000_000, amount, rtol=0, atol=1e-6)


def test_one_sample_at_a_time_is_counted_where_float32_stops():
    metric = metrics.SparseCategoricalAccuracy()
    for state in metric.variables:
        state.fill_(2**24)
    for _ in range(10):
        metric.update_state(torch.tensor([0]), torch.tensor([[1.0, 0.0]]))
    assert [float(state) for state in metric.variables] == [2**24 + 10, 2**24 + 10]
    metric.update_state(torch.tensor([1]), torch.tensor([[1.0, 0.0]]), sample_weight=torch.tensor([1.0]))
    assert [float(state) for state in metric.variables] == [2**24 + 10, 2**24 + 11]


@by_case
def test_sums_keep_their_memory(name, arguments, make, rng):
    metric = getattr(metrics, name)(**arguments)
    metric.update_state(*batch_of(make, rng))
    places = [state.data_ptr() for state in metric.variables]
    first = metric.result()
    metric.update_state(*batch_of(make, rng))
    metric.result()
    metric.reset_state()
    metric(*batch_of(make, rng))
    assert [state.data_ptr() for state in metric.variables] == places
    assert not any(state.data_ptr() == first.data_ptr() for state in metric.variables)


@by_case
def test_the_result_changes_nothing_and_a_reset_forgets_all(name, arguments, make, rng):
    metric, fresh = getattr(metrics, name)(**arguments), getattr(metrics, name)(**arguments)
    metric.update_state(*batch_of(make, rng))
    torch.testing.assert_close(metric.result(), metric.result(), rtol=0, atol=0)
    metric.reset_state()
    batch = batch_of(make, rng)
    torch.testing.assert_close(metric(*batch), fresh(*batch), rtol=0, atol=0)


@by_case
def test_no_gradient_is_kept(name, arguments, make, rng):
    metric = getattr(metrics, name)(**arguments)
    y, p = batch_of(make, rng)
    if p.is_floating_point():
        p.requires_grad_()
    metric.update_state(y, p)
    metric.update_state(y, p, sample_weight=torch.ones(len(y), requires_grad=True) if y.ndim < 3 else None)
    assert not any(state.requires_grad for state in metric.variables)
    assert not metric.result().requires_grad


class NoCopies(TorchDispatchMode):
    """Fails where a tensor is sent from the CPU to the device: that waits."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        if function.overloadpacket in (torch.ops.aten._to_copy, torch.ops.aten.copy_):
            devices = {each.device.type for each in tree_leaves((args, result)) if isinstance(each, torch.Tensor)}
            assert devices == {"meta"}, f"{function} between {devices}"
        return result


@by_case
@pytest.mark.parametrize("weighted", [False, True], ids=["", "weighted"])
def test_nothing_waits_for_the_device(name, arguments, make, weighted, rng):
    # A meta tensor has no values: reading one (item, bool, nonzero) raises.
    metric = getattr(metrics, name)(**arguments).to("meta")
    y, p = (each.to("meta") for each in batch_of(make, rng))
    weight = torch.ones(y.shape[:1], device="meta") if weighted and y.ndim < 3 else None
    metric.update_state(y, p, sample_weight=weight)
    shape = metric.result().shape
    with NoCopies():
        metric.update_state(y, p, sample_weight=weight)
        assert metric.result().shape == shape
        metric.reset_state()
    assert all(state.device.type == "meta" for state in metric.variables)


def test_no_copies_notices_a_copy():
    with pytest.raises(AssertionError, match="between"), NoCopies():
        torch.ones(2).to("meta")


@by_case
def test_the_sums_follow_the_first_batch(name, arguments, make, rng):
    metric = getattr(metrics, name)(**arguments)
    metric.update_state(*(each.to("meta") for each in batch_of(make, rng)))
    assert metric.result().device.type == "meta"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("name", ["SparseCategoricalAccuracy", "SparseCategoricalCrossentropy", "Mean"])
def test_a_cuda_graph_counts_every_time_that_it_is_played(name):
    metric = getattr(metrics, name)().to("cuda")
    y, p = torch.randint(0, 4, (16,), device="cuda"), torch.rand(16, 4, device="cuda")
    batch = (p,) if name == "Mean" else (y, p)
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        metric.update_state(*batch)
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        metric.update_state(*batch)
    metric.reset_state()
    for _ in range(3):
        graph.replay()
    assert float(metric.count) == 48


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_half_precision_is_summed_in_full(dtype):
    large = torch.full((6000, 1), 20.0, dtype=dtype)
    assert float(metrics.Mean()(large)) == 20
    assert float(metrics.Mean()(large, torch.ones(6000))) == 20
    assert float(metrics.Sum()(large)) == 120_000
    assert float(metrics.MeanAbsoluteError()(torch.zeros_like(large), large)) == 20
    y, p = torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([[0.9, 0.2], [0.7, 0.4]], dtype=dtype)
    assert float(metrics.Precision(top_k=1)(y, p)) == 0.5
    assert float(metrics.AUC()(y, p)) == 0.75


def test_another_type_of_result():
    assert metrics.Mean(dtype="float64")([1.0]).dtype is torch.float64
    metric = metrics.Sum(dtype="float64")
    first = metric([1.0])
    metric.update_state([2.0])
    assert float(first) == 1.0


def test_stateless_like_keras(rng):
    for name in ("Mean", "Sum", "RootMeanSquaredError", "BinaryAccuracy"):
        ours, theirs = getattr(metrics, name)(), getattr(keras.metrics, name)()
        batch = rng.uniform(size=(2, 6, 1)).astype("float32")
        batch = batch if name not in ("Mean", "Sum") else batch[:1]
        mine, yours = ours.stateless_reset_state(), theirs.stateless_reset_state()
        for _ in range(2):
            mine = ours.stateless_update_state(mine, *batch)
            yours = theirs.stateless_update_state(yours, *batch)
            np.testing.assert_allclose([float(m) for m in mine], [float(y) for y in yours], rtol=1e-6)
        assert float(ours.stateless_result(mine)) == pytest.approx(float(theirs.stateless_result(yours)), rel=1e-6)
        assert all(float(state) == 0 for state in ours.variables)


@by_case
def test_stateless_is_the_same_as_with_state(name, arguments, make, rng):
    metric, other = getattr(metrics, name)(**arguments), getattr(metrics, name)(**arguments)
    sums = metric.stateless_reset_state()
    for _ in range(2):
        batch = batch_of(make, rng)
        other.update_state(*batch)
        sums = metric.stateless_update_state(sums, *batch)
    torch.testing.assert_close(metric.stateless_result(sums), other.result(), rtol=0, atol=0)
    assert all(float(state.abs().sum()) == 0 for state in metric.variables)


class KerasStyle(metrics.Metric):
    """As the Keras guide writes one."""

    def __init__(self, name="true_share", **kwargs):
        super().__init__(name=name, **kwargs)
        self.total = self.add_weight(name="total", initializer="zeros")
        self.seen = self.add_variable(shape=(), initializer=initializers.Zeros(), name="seen")

    def update_state(self, y_true, y_pred, sample_weight=None):
        values = (y_true == (y_pred > 0.5)).to(torch.float32)
        if sample_weight is not None:
            values = values * sample_weight
        self.total.assign(self.total + values.sum())
        self.seen.assign_add(len(values))

    def result(self):
        return self.total / self.seen


def test_a_metric_written_as_for_keras():
    metric = KerasStyle(dtype="float32")
    places = [state.data_ptr() for state in metric.variables]
    metric.update_state(torch.tensor([1, 0]), torch.tensor([0.9, 0.8]))
    metric.update_state(torch.tensor([1, 1]), torch.tensor([0.9, 0.8]), sample_weight=torch.tensor([1.0, 0.0]))
    assert float(metric.result()) == 0.5
    assert [state.data_ptr() for state in metric.variables] == places
    metric.reset_state()
    assert float(metric(torch.tensor([1, 0]), torch.tensor([0.9, 0.8]))) == 0.5
    assert KerasStyle.from_config(metric.get_config()).name == "true_share"
    assert metrics.deserialize(metrics.serialize(metric), {"KerasStyle": KerasStyle}).dtype == "float32"
    metric.to("meta")
    assert metric.total.device.type == metric.seen.device.type == "meta"


@pytest.mark.parametrize(
    ("initializer", "expected"),
    [
        (None, [0, 0]),
        ("zeros", [0, 0]),
        ("ones", [1, 1]),
        (initializers.Constant(3.0), [3, 3]),
        (lambda shape, dtype=None: torch.full(shape, 7.0, dtype=dtype), [7, 7]),
    ],
)
def test_what_a_sum_starts_from(initializer, expected):
    class Empty(metrics.Metric):
        pass

    metric = Empty(name="empty")
    state = metric.add_variable(2, initializer)
    assert isinstance(state, State)
    assert state.tolist() == expected
    assert metric.add_weight((2,), initializer, "int32").dtype is torch.int32
    state.assign_add([5, 5])
    metric.reset_state()
    assert state.tolist() == expected


class F1FromTwo(metrics.Metric):
    """A metric made of metrics, as attributes and in a list."""

    def __init__(self, name="f1_from_two"):
        super().__init__(name=name)
        self.precision = metrics.Precision()
        self.others = [metrics.Recall(), metrics.Mean()]

    def update_state(self, y_true, y_pred, sample_weight=None):
        self.precision.update_state(y_true, y_pred, sample_weight)
        self.others[0].update_state(y_true, y_pred, sample_weight)
        self.others[1].update_state(y_pred)

    def result(self):
        p, r = self.precision.result(), self.others[0].result()
        return 2 * p * r / (p + r)


def test_a_metric_made_of_metrics():
    metric = F1FromTwo()
    assert len(metric.variables) == 4 + 4 + 2
    y, p = torch.tensor([1.0, 0.0, 1.0, 1.0]), torch.tensor([0.9, 0.9, 0.8, 0.1])
    assert float(metric(y, p)) == pytest.approx(2 / 3)
    assert float(metric.others[1].count) == 4
    metric.reset_state()
    assert all(float(state.sum()) == 0 for state in metric.variables)
    assert metric.to("meta").others[1].total.device.type == "meta"


def test_a_subclass_of_mean_reads_total_and_count():
    class RootOfMean(metrics.Mean):
        def result(self):
            return (self.total / self.count).sqrt()

        def reset_state(self):
            self.total.assign(0.0)
            self.count.assign(0.0)

    metric = RootOfMean()
    metric.update_state([4.0, 4.0])
    metric.update_state(torch.tensor(4.0), 3)
    assert float(metric.count) == 5
    assert float(metric.result()) == 2.0
    metric.reset_state()
    assert float(metric([9.0])) == 3.0


def test_an_empty_batch_adds_nothing():
    metric = metrics.SparseCategoricalAccuracy()
    metric.update_state(torch.tensor([1]), torch.tensor([[0.0, 1.0]]))
    metric.update_state(torch.zeros(0, dtype=torch.int64), torch.zeros(0, 2))
    assert float(metric.result()) == 1.0
    assert float(metrics.Mean().result()) == 0.0
