"""What stands at the top of Keras, its settings and its data-type policies."""

import itertools
import subprocess
import sys

import fresh
import numpy as np
import pytest
import torch

import lamella
from lamella import backend, config, dtype_policies, mixed_precision
from lamella.errors import ArgumentError

keras = pytest.importorskip("keras")

ELSEWHERE = {
    "Quantizer",  # quantisation: torch.ao
    "RematScope",  # remat(f) around the function itself
    "StatelessScope",  # torch.func.functional_call
    "SymbolicScope",  # of Keras's inner workings
    "distillation",
    "export",  # torch.export
    "legacy",
    "quantizers",
    "src",
    "visualization",
    "wrappers",
}


def names(module):
    return {name for name in dir(module) if not name.startswith("_")}


def test_every_top_name_of_keras():
    later = {"applications"}  # families come with their own helpers
    assert names(keras) - set(lamella.__all__) - ELSEWHERE - later == set()


@pytest.mark.parametrize(
    "module", ["backend", "config", "mixed_precision", "optimizers", "callbacks", "utils", "distribution"]
)
def test_every_name_of_a_module(module):
    missing = names(getattr(keras, module)) - set(getattr(lamella, module).__all__)
    assert missing <= {"OrbaxCheckpoint"}


def test_dtype_policy_names():
    assert names(keras.dtype_policies) - set(dtype_policies.__all__) == set()


def test_result_type_as_in_keras():
    kinds = ["bool", "uint8", "uint16", "uint32", "int8", "int16", "int32", "int64"]
    kinds += ["float16", "bfloat16", "float32", "float64", int, float, None]
    for pair in itertools.chain([(k,) for k in kinds], itertools.product(kinds, kinds)):
        assert backend.result_type(*pair) == keras.backend.result_type(*pair), pair
    assert backend.result_type() == keras.backend.result_type()


def test_settings_are_kept_and_checked():
    before = backend.epsilon(), backend.image_data_format()
    try:
        config.set_epsilon(1e-3)
        config.set_image_data_format("channels_first")
        assert config.epsilon() == 1e-3 and backend.image_data_format() == "channels_first"
        assert lamella.utils.img_to_array(np.zeros((2, 3, 3))).shape == (3, 2, 3)
    finally:
        config.set_epsilon(before[0])
        config.set_image_data_format(before[1])
    for wrong in (lambda: config.set_epsilon(-1), lambda: config.set_image_data_format("first")):
        with pytest.raises(ArgumentError):
            wrong()
    assert backend.epsilon() == keras.backend.epsilon() == 1e-7


def test_other_settings():
    config.set_backend("torch")
    with pytest.raises(ArgumentError, match="only engine"):
        config.set_backend("jax")
    for enable, disable, enabled in (
        (config.enable_flash_attention, config.disable_flash_attention, config.is_flash_attention_enabled),
        (config.enable_traceback_filtering, config.disable_traceback_filtering, config.is_traceback_filtering_enabled),
        (config.enable_interactive_logging, config.disable_interactive_logging, config.is_interactive_logging_enabled),
    ):
        first = enabled()
        disable()
        assert enabled() is False
        enable()
        assert enabled() is first
    config.set_max_epochs(3)
    assert config.max_epochs() == 3
    config.set_max_epochs(None)
    with pytest.raises(ArgumentError, match="max_steps_per_epoch"):
        config.set_max_steps_per_epoch(0)
    assert config.max_steps_per_epoch() is None and config.is_nnx_enabled() is False


class TestDTypePolicy:
    @pytest.mark.parametrize("name", ["float32", "float16", "bfloat16", "float64", "mixed_float16", "mixed_bfloat16"])
    def test_as_in_keras(self, name):
        ours, theirs = lamella.DTypePolicy(name), keras.DTypePolicy(name)
        for attribute in ("name", "compute_dtype", "variable_dtype", "quantization_mode"):
            assert getattr(ours, attribute) == getattr(theirs, attribute)
        assert dtype_policies.serialize(ours) == keras.dtype_policies.serialize(theirs)
        assert dtype_policies.get(keras.dtype_policies.serialize(theirs)) == ours
        assert dtype_policies.get(name) == ours != lamella.DTypePolicy("int8")
        assert repr(ours) == repr(theirs)

    def test_other_identifiers(self):
        assert dtype_policies.get(torch.float16).name == "float16"
        assert dtype_policies.get(None).name == lamella.floatx()
        assert isinstance(lamella.FloatDTypePolicy("float32"), lamella.DTypePolicy)
        with pytest.raises(ArgumentError, match="float33"):
            lamella.DTypePolicy("float33")
        assert dtype_policies.get("int8_from_float32").quantization_mode == "int8"
        with pytest.raises(TypeError, match="string"):
            lamella.DTypePolicy(3)

    def test_input_is_cast(self):
        policy = lamella.DTypePolicy("bfloat16")
        assert policy.convert_input(np.ones(2, "float32"), True, "bfloat16").dtype is torch.bfloat16
        assert policy.convert_input(torch.ones(2), False, "bfloat16").dtype is torch.float32
        assert policy.convert_input(torch.ones(2, dtype=torch.int32), True, "bfloat16").dtype is torch.int32

    def test_the_global_policy(self):
        try:
            mixed_precision.set_global_policy("mixed_bfloat16")
            assert config.dtype_policy().name == mixed_precision.global_policy().name == "mixed_bfloat16"
        finally:
            config.set_dtype_policy(None)
        assert config.dtype_policy().name == "float32"

    def test_a_map(self):
        policies = dtype_policies.DTypePolicyMap("float32", {"a/.*": lamella.DTypePolicy("float16")})
        policies["b"] = "mixed_bfloat16"
        assert [policies[key].name for key in ("a/x", "b", "c")] == ["float16", "mixed_bfloat16", "float32"]
        assert policies.compute_dtype == "float32" and len(policies) == 2 and "b" in policies
        again = dtype_policies.deserialize(dtype_policies.serialize(policies))
        assert again == policies
        theirs = keras.dtype_policies.deserialize(dtype_policies.serialize(policies))
        assert theirs["a/x"].name == "float16" and theirs.name == policies.name
        with pytest.raises(ArgumentError, match="already"):
            policies["b"] = "float32"


class TestVariable:
    def test_values(self):
        v = lamella.Variable([[1.0, 2.0]], name="v")
        assert isinstance(v, lamella.Variable) and isinstance(v, torch.nn.Parameter) and v.path == "v"
        assert not isinstance(torch.ones(1), lamella.Variable)
        v.assign_sub([[1.0, 1.0]])
        assert v.numpy().tolist() == [[0.0, 1.0]] and v.dtype is torch.float32
        (v * 3).sum().backward()
        assert v.grad.tolist() == [[3.0, 3.0]]
        fixed = lamella.Variable(np.arange(3), trainable=False)
        assert not fixed.requires_grad and fixed.dtype is torch.int64

    def test_initializers(self):
        v = lamella.Variable(lamella.initializers.Ones(), shape=(2, 3), dtype="float16")
        assert v.shape == (2, 3) and v.dtype is torch.float16 and bool((v == 1).all())
        assert lamella.Variable("zeros", shape=(4,)).tolist() == [0.0] * 4
        with pytest.raises(ArgumentError, match="shape"):
            lamella.Variable("zeros")

    def test_a_layer_trains_it(self):
        class Scale(lamella.layers.Layer):
            def __init__(self):
                super().__init__()
                self.factor = lamella.Variable(1.0)

            def call(self, x):
                return x * self.factor

        model = lamella.Sequential([lamella.Input((1,)), Scale()])
        model.compile(lamella.optimizers.SGD(0.2), "mse")
        x = np.linspace(-1, 1, 32, dtype="float32")[:, None]
        model.fit(x, 3 * x, epochs=60, verbose=0)
        assert abs(float(model.get_weights()[0]) - 3) < 0.1


def test_symbolic_tensors():
    x = lamella.KerasTensor((None, 4), "int32", name="x")
    assert (x.shape, x.dtype, x.name) == ((None, 4), torch.int32, "x")
    assert isinstance(x, lamella.KerasTensor) and isinstance(lamella.Input((2,)), lamella.KerasTensor)
    assert not isinstance(torch.ones(1), lamella.KerasTensor)
    with pytest.raises(ArgumentError, match="sparse"):
        lamella.KerasTensor((2,), sparse=True)


def test_operations_and_functions():
    class Add(lamella.Operation):
        def call(self, a, b):
            return a + b

    a, b = lamella.Input((2,)), lamella.Input((2,))
    total = Add(name="plus")(a, b)
    model = lamella.Model([a, b], total * 2)
    assert model.predict([np.ones((1, 2)), np.ones((1, 2))], verbose=0).tolist() == [[4.0, 4.0]]
    function = lamella.Function([a, b], {"sum": total})
    assert function([torch.ones(1, 2), torch.ones(1, 2)])["sum"].tolist() == [[2.0, 2.0]]
    assert [type(each) for each in function.operations] == [Add] and len(function.inputs) == 2
    with pytest.raises(ArgumentError, match="takes 2"):
        function(torch.ones(1, 2))
    assert Add.from_config(Add(name="x").get_config()).name == "x"


def test_remat_gives_the_same_gradients():
    x = torch.randn(5, requires_grad=True)
    calls = []

    def f(x):
        calls.append(1)
        return (x.sin() * x.exp()).sum()

    (plain,) = torch.autograd.grad(f(x), x)
    (again,) = torch.autograd.grad(lamella.remat(f)(x), x)
    assert torch.equal(plain, again) and len(calls) == 3  # once, and twice


def test_scopes_and_version():
    with lamella.name_scope("a") as name:
        assert name == "a"
    with pytest.raises(ArgumentError), lamella.name_scope("a/b"):
        pass
    assert lamella.version() == lamella.__version__


def test_small_trainings_do_not_load_the_compiler():
    """torch's compiler takes one to two seconds to load: nothing that a first script does may need it."""
    script = """
import sys
import numpy as np
import lamella
from lamella import layers

for shape, parts in (
    ((8, 8), [layers.Flatten(), layers.Dense(8, "relu"), layers.Dropout(0.2), layers.Dense(3, "softmax")]),
    ((8, 8, 1), [layers.Conv2D(4, 3, activation="relu"), layers.BatchNormalization(), layers.MaxPooling2D(),
                 layers.Conv2D(4, 1), layers.Flatten(), layers.Dense(3, "softmax")]),
    ((8, 8), [layers.Dense(4, "relu"), layers.LSTM(4), layers.Dense(3, "softmax")]),
):
    model = lamella.Sequential([lamella.Input(shape), *parts])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    x, y = np.zeros((64, *shape), "float32"), np.zeros(64, int)
    model.fit(x, y, epochs=2, verbose=0)
    model.evaluate(x, y, verbose=0)
    model.predict(x, verbose=0)
print([name for name in ("torch._dynamo", "pandas", "matplotlib") if name in sys.modules])
"""
    out = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert out.strip().splitlines()[-1] == "[]"


def test_everything_is_there_without_the_extras():
    """`from lamella import *` opens every room; what FastAPI is needed for is asked for where it is used."""
    code = (
        "import sys; sys.modules['fastapi'] = None\n"
        "from lamella import *\n"
        "try: serving.create_app\n"
        "except ImportError as error: print(error)\n"
    )
    assert "pip install 'lamella[serve]'" in fresh.check(["-c", code])
