"""Exported models compute the same in onnxruntime and in `torch.export`'s own form, for any batch."""

import numpy as np
import pytest
import torch
from model_zoo import (
    ROWS,
    ZOO,
    activations,
    attention,
    branches,
    data,
    dense,
    nested,
    operators,
    pictures_of_every_kind,
    recurrent,
    residual_pictures,
    several_inputs_and_outputs,
    shared,
    signals,
)

import lamella
from lamella.errors import ArgumentError, NotBuiltError

MODELS = [dense, branches, shared, nested, operators, activations, residual_pictures, pictures_of_every_kind]
MODELS += [signals, attention, recurrent]


@pytest.mark.parametrize("make", MODELS, ids=lambda make: make.__name__)
@pytest.mark.filterwarnings("ignore")
def test_onnx(make, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    model = make(lamella)
    model.export(tmp_path / "m.onnx", format="onnx")
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx", providers=["CPUExecutionProvider"])
    for batch in (2, 5):
        x, _ = data((batch, *ZOO[make][1:]), seed=batch)
        (found,) = session.run(None, {session.get_inputs()[0].name: x})
        np.testing.assert_allclose(found, model.predict(x, verbose=0), rtol=0, atol=1e-4)


@pytest.mark.parametrize("make", [dense, residual_pictures, attention], ids=lambda make: make.__name__)
@pytest.mark.filterwarnings("ignore")
def test_torch_export(make, tmp_path):
    model = make(lamella)
    model.export(tmp_path / "m.pt2", format="torch")
    module = torch.export.load(tmp_path / "m.pt2").module()
    x, _ = data((5, *ZOO[make][1:]))
    np.testing.assert_allclose(module(torch.tensor(x)).detach(), model.predict(x, verbose=0), rtol=0, atol=1e-5)


@pytest.mark.filterwarnings("ignore")
def test_several_inputs(tmp_path):
    model = several_inputs_and_outputs(lamella)
    model.export(tmp_path / "m.pt2", format="torch")
    x = torch.tensor(data(ROWS)[0])
    found = torch.export.load(tmp_path / "m.pt2").module()(x, 2 * x)
    assert [tuple(each.shape) for each in found] == [(6, 3), (6, 2)]


@lamella.saving.register_keras_serializable()
class OfTwo(lamella.Model):
    """A subclassed model whose inputs come as a pair or as a dict."""

    def __init__(self, named=False, **kwargs):
        super().__init__(**kwargs)
        self.named = named
        self.first, self.second = lamella.layers.Dense(3), lamella.layers.Dense(2)

    def call(self, inputs):
        a, b = (inputs["a"], inputs["b"]) if self.named else inputs
        return lamella.layers.concatenate([self.first(a), self.second(b)])


@pytest.mark.parametrize("named", [False, True])
def test_a_subclassed_model_of_two_inputs_in_files(named, tmp_path):
    def pair(count):
        a, b = torch.rand(count, 4), torch.rand(count, 5)
        return {"a": a, "b": b} if named else (a, b)

    model = OfTwo(named)
    given = pair(2)
    expected = model(given)
    model.save(tmp_path / "m.keras")
    torch.testing.assert_close(lamella.models.load_model(tmp_path / "m.keras")(given), expected)
    model.export(tmp_path / "m.pt2", format="torch")
    given = pair(3)
    found = torch.export.load(tmp_path / "m.pt2").module()(*torch.utils._pytree.tree_leaves(given))
    torch.testing.assert_close(found, model(given))


def test_what_cannot_be_exported(tmp_path):
    with pytest.raises(ArgumentError, match="'onnx' or 'torch'; got 'tf_saved_model'"):
        dense(lamella).export(tmp_path / "m", format="tf_saved_model")
    with pytest.raises(NotBuiltError, match="no weights yet"):
        lamella.Sequential([lamella.layers.Dense(2)]).export(tmp_path / "m")
