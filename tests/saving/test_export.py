"""Exported models compute the same in onnxruntime and in `torch.export`'s own form, for any batch."""

import sys
from functools import partial

import numpy as np
import pytest
import torch
from model_zoo import (
    IMAGES,
    ROWS,
    STEPS,
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
from lamella.errors import ArgumentError, ExportError, NotBuiltError

# Each export to ONNX pays for its table of operations: the models of one kind of data go into one file.
TOGETHER = {
    "alone": (ROWS, [dense]),
    "rows": (ROWS, [branches, shared, nested, operators, activations]),
    "pictures": (IMAGES, [residual_pictures, pictures_of_every_kind]),
    "steps": (STEPS, [signals, attention]),
    "recurrent": ((6, 2, 5), [partial(recurrent, shape=(2, 5))]),  # of 2 steps: the graph is unrolled
}


@pytest.mark.parametrize(("shape", "makes"), TOGETHER.values(), ids=TOGETHER)
@pytest.mark.filterwarnings("ignore")
def test_onnx(shape, makes, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    models = [make(lamella) for make in makes]
    x = lamella.Input(shape[1:])
    model = lamella.Model(x, [each(x) for each in models]) if models[1:] else models[0]
    model.export(tmp_path / "m.onnx", format="onnx")
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx", providers=["CPUExecutionProvider"])
    for batch in (2, 5):
        x, _ = data((batch, *shape[1:]), seed=batch)
        found = session.run(None, {session.get_inputs()[0].name: x})
        for each, one in zip(found, models, strict=True):
            np.testing.assert_allclose(each, one.predict(x, verbose=0), rtol=0, atol=1e-4)


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
    found = torch.export.load(tmp_path / "m.pt2").module()([x, 2 * x])
    assert {name: tuple(each.shape) for name, each in found.items()} == {"one": (6, 3), "two": (6, 2)}


class OfArguments(lamella.Model):
    """A subclassed model whose inputs are several arguments."""

    def build(self, b_shape, a_shape):
        self.scale = self.add_weight((a_shape[-1],), "ones")

    def call(self, a, b):
        return {"sum": self.scale * a + b, "difference": a - b}


def test_nested_inputs_and_outputs_stay_nested(tmp_path):
    x = torch.rand(3, 4)
    inputs = {name: lamella.Input((4,), name=f"input_{name}") for name in "xy"}
    added = lamella.Model(inputs, {"z": lamella.layers.add(list(inputs.values()))})
    added.export(tmp_path / "m.pt2", format="torch")
    found = torch.export.load(tmp_path / "m.pt2").module()({"x": x, "y": 2 * x})
    torch.testing.assert_close(found, {"z": 3 * x})
    model = OfArguments()
    model(x[:1], b=x[:1])
    model.export(tmp_path / "m.pt2", format="torch")
    found = torch.export.load(tmp_path / "m.pt2").module()(2 * x, x)
    torch.testing.assert_close(found, {"sum": 3 * x, "difference": x})


@pytest.mark.filterwarnings("ignore")
def test_inputs_of_onnx_have_the_names_of_the_signature(tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    model = lamella.Sequential([lamella.Input((4,)), lamella.layers.Dense(2)])
    spec = lamella.InputSpec(shape=(None, 4), dtype="float32", name="pixels")
    model.export(tmp_path / "m.onnx", format="onnx", input_signature=[spec])
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx", providers=["CPUExecutionProvider"])
    assert [each.name for each in session.get_inputs()] == ["pixels"]


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
    found = torch.export.load(tmp_path / "m.pt2").module()(given if named else list(given))
    torch.testing.assert_close(found, model(given))


def test_input_signatures(tmp_path):
    """As Keras takes them: specifications, symbolic tensors or examples, alone or in a list of one."""
    model = dense(lamella)
    (width,) = ZOO[dense][1:]
    spec = lamella.InputSpec(shape=(None, width), dtype="float32")
    x = data((5, width))[0]
    for signature in ([spec], spec, [[spec]], model.inputs, torch.zeros(3, width), [np.zeros((3, width), "float32")]):
        model.export(tmp_path / "m.pt2", format="torch", input_signature=signature)
        found = torch.export.load(tmp_path / "m.pt2").module()(torch.tensor(x))
        np.testing.assert_allclose(found.detach(), model.predict(x, verbose=0), rtol=0, atol=1e-5)
    model.export(tmp_path / "m.pt2", "torch", input_signature=lamella.InputSpec(shape=(4, width), dtype="float32"))
    with pytest.raises(AssertionError, match="4"):
        torch.export.load(tmp_path / "m.pt2").module()(torch.tensor(x))
    with pytest.raises(ArgumentError, match="InputSpec"):
        model.export(tmp_path / "m.pt2", "torch", input_signature=["x"])


def test_dynamic_shapes_of_torch(tmp_path, capsys):
    model = dense(lamella)
    (width,) = ZOO[dense][1:]
    shapes = {0: torch.export.Dim("batch", min=1, max=8)}
    model.export(tmp_path / "m.pt2", format="torch", dynamic_shapes=shapes, verbose=True)
    assert "m.pt2" in capsys.readouterr().out
    module = torch.export.load(tmp_path / "m.pt2").module()
    assert module(torch.ones(8, width)).shape[0] == 8
    with pytest.raises(AssertionError, match="8"):
        module(torch.ones(9, width))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("make", [dense, residual_pictures, recurrent], ids=lambda make: make.__name__)
def test_openvino(make, tmp_path):
    openvino = pytest.importorskip("openvino")
    model = make(lamella)
    model.export(tmp_path / "m.xml", format="openvino")
    compiled = openvino.compile_model(tmp_path / "m.xml", "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    for batch in (2, 5):
        x, _ = data((batch, *ZOO[make][1:]))
        np.testing.assert_allclose(compiled(x)[0], model.predict(x, verbose=0), rtol=0, atol=1e-4)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("make", [dense, residual_pictures], ids=lambda make: make.__name__)
def test_litert(make, tmp_path):
    pytest.importorskip("litert_torch")
    from ai_edge_litert.interpreter import Interpreter

    model = make(lamella)
    model.export(tmp_path / "m.tflite", format="litert")
    interpreter = Interpreter(str(tmp_path / "m.tflite"))
    interpreter.allocate_tensors()
    x, _ = data((1, *ZOO[make][1:]))
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], x)
    interpreter.invoke()
    found = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    np.testing.assert_allclose(found, model.predict(x, verbose=0), rtol=0, atol=1e-4)


@pytest.mark.parametrize(("package", "name"), [("openvino", "m.xml"), ("litert_torch", "m.tflite")])
def test_a_package_that_is_not_there(package, name, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match="pip install"):
        dense(lamella).export(tmp_path / name, format=package.removesuffix("_torch"))


def test_what_cannot_be_exported(tmp_path):
    with pytest.raises(ArgumentError, match=r"SavedModel .* format='onnx'"):
        dense(lamella).export(tmp_path / "m", format="tf_saved_model")
    with pytest.raises(ArgumentError, match="'onnx', 'torch', 'openvino', 'litert'; got 'pickle'"):
        dense(lamella).export(tmp_path / "m", format="pickle")
    with pytest.raises(ArgumentError, match=r"ends in \.xml; got 'm.onnx'"):
        dense(lamella).export(tmp_path / "m.onnx", format="openvino")
    with pytest.raises(NotBuiltError, match="no weights yet"):
        lamella.Sequential([lamella.layers.Dense(2)]).export(tmp_path / "m")


@pytest.mark.filterwarnings("ignore")
def test_orders_in_onnx_and_what_it_has_nothing_for(tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    inputs = lamella.Input((9,))
    ops = lamella.ops
    model = lamella.Model(inputs, [*ops.top_k(inputs, 4), ops.argsort(inputs), ops.sort(inputs)])
    model.export(tmp_path / "m.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx", providers=["CPUExecutionProvider"])
    x = np.random.default_rng(0).integers(0, 3, (20, 9)).astype("float32")  # of equal numbers the first
    for one, other in zip(session.run(None, {"input_layer": x}), model.predict(x, verbose=0), strict=True):
        np.testing.assert_array_equal(one, other)
    wrong = lamella.Model(inputs, ops.erfinv(inputs), name="wrong")
    with pytest.raises(ExportError, match=r"'wrong' cannot be exported as 'onnx': .*erf_?inv.*format='torch'"):
        wrong.export(tmp_path / "w.onnx")
    assert not (tmp_path / "w.onnx").exists()
    wrong.export(tmp_path / "w.pt2", format="torch")

    class Turns(lamella.Model):
        def call(self, x):
            return x if x.sum() > 0 else -x

    turns = Turns(name="turns")
    turns.predict(x, verbose=0)
    with pytest.raises(ExportError, match=r"'turns' cannot be exported as 'torch': .*data-dependent"):
        turns.export(tmp_path / "t.pt2", format="torch")


@pytest.mark.filterwarnings("ignore")  # torch's own, while it exports loops
@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_onnx_of_masked_sequences(kind, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    recurrent = getattr(lamella.layers, kind)(3, return_sequences=True)
    model = lamella.Sequential(
        [
            lamella.Input((7,), dtype="int32"),
            lamella.layers.Embedding(9, 4, mask_zero=True),
            lamella.layers.Bidirectional(recurrent),
        ]
    )
    x = np.array([[1, 2, 3, 0, 0, 0, 0], [0, 0, 4, 0, 5, 6, 0], [0] * 7, [1, 2, 3, 4, 5, 6, 7]], "int32")
    model.export(tmp_path / "m.onnx", verbose=False)
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx")
    for batch in (x, x[:1]):
        (found,) = session.run(None, {session.get_inputs()[0].name: batch})
        np.testing.assert_allclose(found, model.predict(batch, verbose=0), atol=1e-6)
