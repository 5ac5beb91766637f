"""Every layer under the mixed policies: computed in the short type, kept in float32, close to real Keras."""

import inspect

import numpy as np
import pytest
import torch
from every_layer import LAYERS, data_for, layer_of, model_of, takes_several

import lamella

keras = pytest.importorskip("keras")

POLICIES = ("mixed_bfloat16", "mixed_float16")


@pytest.fixture(params=POLICIES)
def policy(request):
    for house in (lamella, keras):
        house.config.set_dtype_policy(request.param)
    yield request.param
    lamella.config.set_dtype_policy(None)
    keras.config.set_dtype_policy("float32")


def _tensor(x):
    return torch.as_tensor(x) if not isinstance(x, list) else [torch.as_tensor(each) for each in x]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", LAYERS)
def test_as_in_keras(name, policy):
    ours, theirs = model_of(name, lamella), model_of(name, keras)
    weights = [np.asarray(weight.value.detach().float().cpu()) for weight in theirs.layers[-1].weights]
    ours.layers[-1].set_weights(weights)
    x = _tensor(data_for(name))
    with torch.no_grad():
        found = ours(x, training=False)
        try:
            wanted = theirs(x, training=False)
        except (RuntimeError, NotImplementedError, TypeError, ValueError) as error:
            pytest.skip(f"Keras on torch does not compute it: {str(error)[:60]}")
    assert found.dtype is wanted.dtype or name == "RandomCrop"  # which in Keras hands back what it got
    assert all(w.dtype is torch.float32 for w in ours.weights if w.is_floating_point())
    scale = float(wanted.float().abs().max()) + 1e-6
    np.testing.assert_allclose(found.float() / scale, wanted.float() / scale, atol=2e-2)


@pytest.mark.filterwarnings("ignore:.*weights have no gradient")
@pytest.mark.parametrize("name", LAYERS)
def test_in_fit(name, policy):
    base = model_of(name, lamella)
    model = lamella.Model(base.inputs, lamella.layers.Dense(1, dtype="float32")(lamella.layers.Flatten()(base.output)))
    model.compile("sgd", "mse")
    history = model.fit(data_for(name), np.ones((3, 1), "float32"), epochs=2, verbose=0).history["loss"]
    assert np.isfinite(history).all()
    assert all(w.dtype is torch.float32 for w in model.weights if w.is_floating_point())


# Wrappers and RNN are given the layers inside them; CategoryEncoding, as in Keras, gives the type of its weights.
WHOLE = [name for name, (arguments, _) in LAYERS.items() if not callable(arguments) and name != "CategoryEncoding"]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", WHOLE)
@pytest.mark.parametrize(("everywhere", "own"), [("float32", "mixed_bfloat16"), ("mixed_float16", "float32")])
def test_a_policy_of_its_own(name, everywhere, own):
    """What a layer makes inside itself follows it, whatever the policy of other layers: also in training."""
    drops = "dropout" in inspect.signature(getattr(lamella.layers, name)).parameters
    x = _tensor(data_for(name))
    lamella.config.set_dtype_policy(everywhere)
    try:
        layer = layer_of(name, lamella, dtype=own, **({"dropout": 0.2} if drops else {}))
        found = layer(*x, training=True) if takes_several(name) else layer(x, training=True)
    finally:
        lamella.config.set_dtype_policy(None)
    assert found.dtype is getattr(torch, layer.compute_dtype) or not found.is_floating_point()
    assert layer.compute_dtype in own
