"""`clear_session` forgets what it does in Keras."""

import gc
import weakref

import pytest
import torch

import lamella

keras = pytest.importorskip("keras")


@pytest.mark.parametrize("k", [lamella, keras], ids=["lamella", "keras"])
def test_what_begins_anew(k):
    k.layers.Dense(1)
    k.config.set_dtype_policy("mixed_bfloat16")
    k.config.set_epsilon(1e-3)
    try:
        k.utils.clear_session()
        assert k.layers.Dense(1).name == "dense"
        assert k.config.dtype_policy().name == "float32"
        assert k.config.epsilon() == 1e-3, "a setting stays"
    finally:
        k.config.set_epsilon(1e-7)


@pytest.mark.parametrize("k", [lamella, keras], ids=["lamella", "keras"])
def test_uids_count_with_names(k):
    k.layers.Dense(1)
    assert k.backend.get_uid("dense") == 2
    k.backend.clear_session()
    assert k.backend.get_uid("dense") == 1
    assert k.layers.Dense(1).name == "dense_1"


def test_models_in_a_ring_are_freed():
    model = lamella.Sequential([lamella.Input((2,)), lamella.layers.Dense(1)])
    ring = [model]
    ring.append(ring)
    gone = weakref.ref(model)
    gc.disable()
    try:
        del model, ring
        assert gone() is not None
        lamella.utils.clear_session(free_memory=False)
        assert gone() is not None
        lamella.utils.clear_session()
        assert gone() is None
    finally:
        gc.enable()


def test_what_was_compiled_is_let_go_and_compiled_again():
    times = []

    def backend(graph, inputs):
        times.append(graph)
        return graph.forward

    double = torch.compile(lambda x: x * 2, backend=backend)
    for _ in range(2):
        assert double(torch.ones(2)).tolist() == [2, 2]
        double(torch.ones(2))
        lamella.utils.clear_session()
    assert len(times) == 2
