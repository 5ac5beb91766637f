"""`tf.config`, `tf.test`, `tf.autograph` and what else TensorFlow tells of how it works."""

import inspect

import pytest
import torch

import lamella.tensorflow_stand_in as tf
from lamella.engine.device import default_device
from lamella.errors import ArgumentError


def test_devices_have_a_name_and_a_type():
    cpu = tf.config.list_physical_devices("CPU")
    assert [tuple(each) for each in cpu] == [("/physical_device:CPU:0", "CPU")]
    assert cpu[0].name == "/physical_device:CPU:0" and cpu[0].device_type == "CPU" and cpu[0].number == 0
    assert len(tf.config.experimental.list_physical_devices("GPU")) == torch.cuda.device_count()
    logical = tf.config.list_logical_devices()
    assert logical == tf.config.experimental.list_logical_devices() and logical[0].name == "/device:CPU:0"
    with tf.device(logical[0].name):
        assert tf.constant(1).device.type == "cpu"
    with pytest.raises(ArgumentError, match=r"no 'TPU:0', only CPU:0"):
        tf.device("TPU:0")


def test_without_a_gpu_that_is_seen_everything_is_on_the_cpu():
    from lamella.tensorflow_stand_in.config import _chosen

    try:
        tf.config.set_visible_devices([], "GPU")
        assert default_device().type == "cpu"
        assert tf.config.get_visible_devices() == tf.config.list_physical_devices("CPU")
        tf.config.set_visible_devices(tf.config.list_physical_devices("CPU"), "CPU")  # of GPUs it says nothing
        assert default_device().type == "cpu"
    finally:
        _chosen.close()


def test_what_is_set_for_tensorflow_s_own_workings_changes_nothing():
    cpu = tf.config.list_physical_devices("CPU")[0]
    part = tf.config.LogicalDeviceConfiguration(memory_limit=1024)
    tf.config.set_logical_device_configuration(cpu, [part])
    tf.config.experimental.set_virtual_device_configuration(
        cpu, [tf.config.experimental.VirtualDeviceConfiguration(memory_limit=1024)]
    )
    tf.config.set_soft_device_placement(True)
    tf.debugging.set_log_device_placement(True)
    assert part.memory_limit == 1024 and tf.config.get_soft_device_placement()
    with tf.control_dependencies([]):
        pass


def test_what_the_machine_can_do():
    there = torch.cuda.is_available()
    assert tf.test.is_gpu_available() == there and tf.test.gpu_device_name() == ("/device:GPU:0" if there else "")
    assert tf.test.is_built_with_cuda() == (torch.version.cuda is not None)
    assert tf.test.is_built_with_gpu_support() >= tf.test.is_built_with_cuda()


def test_functions_stay_as_they_are_written():
    @tf.autograph.experimental.do_not_convert
    def double(x):
        return x * 2

    traced = tf.function(double)
    assert tf.autograph.to_code(traced.python_function) == inspect.getsource(double)
    assert tf.autograph.to_graph(double) is double and tf.autograph.experimental.do_not_convert()(double) is double
    tf.autograph.set_verbosity(3)


def test_no_graph_is_traced_and_that_is_told():
    with pytest.warns(UserWarning, match="no graph"):
        tf.summary.trace_on(graph=True, profiler=False)
    tf.summary.trace_export("graph", step=0, profiler_outdir="unused")
    tf.summary.trace_off()


def test_an_iterator_has_next():
    items = iter(tf.data.Dataset.range(2))
    assert int(items.next()) == 0 and int(items.get_next()) == 1
    with pytest.raises(StopIteration):
        items.next()
