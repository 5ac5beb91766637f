"""The doctor: sicknesses that are planted are found, healthy trainings are left in peace, nothing is disturbed."""

import math
import string
import sys
from pathlib import Path

import numpy as np
import pytest
import sklearn.datasets
import torch

import lamella
from lamella import layers
from lamella.doctor import KINDS, Doctor, Finding
from lamella.doctor.catalogue import CATALOGUE, chosen
from lamella.doctor.data_checks import constant_features, label_imbalance, leaked_rows
from lamella.doctor.judgement import Course, course_findings
from lamella.doctor.outputs import constant_loss
from lamella.doctor.probe import Trial
from lamella.errors import ArgumentError, NonFiniteError
from lamella.initializers import RandomNormal

ROOT = Path(__file__).parent.parent.parent
sys.path.insert(0, str(ROOT / "benchmarks"))
import doctor as planted  # noqa: E402  (the benchmark's file)

sys.path.pop(0)


def small(optimizer="adam", loss="mse", last=None):
    model = lamella.Sequential(
        [
            lamella.Input((4,)),
            layers.Dense(8, "relu", name="hidden"),
            layers.BatchNormalization(),
            layers.Dropout(0.2, seed=3),
            layers.Dense(1, last, name="out"),
        ]
    )
    model.compile(optimizer, loss)
    return model


def table(samples=200):
    x = np.random.normal(size=(samples, 4)).astype("float32")
    return x, (x[:, :1] - x[:, 1:2] ** 2).astype("float32")


# -- whole trainings ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", planted.ILL, ids=lambda make: make.__name__)
def test_a_planted_sickness_is_found_in_its_layer(make):
    case = next(planted.drawn(make, 7))
    findings = case.findings()
    assert case.is_found(findings), [(each.kind, each.layer) for each in findings]


def test_healthy_trainings_raise_nothing():
    for number, case in enumerate(planted.drawn(planted.well, 7)):
        if number in (0, 3, 4):
            assert [each.text("en") for each in case.findings()] == []


def test_a_doctor_changes_nothing():
    x, y = table()
    ends = []
    for callbacks in ([], [Doctor(shown=0)]):
        lamella.utils.set_random_seed(5)
        model = small()
        history = model.fit(x, y, epochs=3, verbose=0, callbacks=callbacks, validation_split=0.2).history
        ends.append((history, [weight.clone() for weight in (*model.parameters(), *model.buffers())], model.optimizer))
    (history, weights, optimizer), (own_history, own_weights, own_optimizer) = ends
    assert own_history == history
    assert all(torch.equal(a, b) for a, b in zip(weights, own_weights, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(optimizer.variables, own_optimizer.variables, strict=True))
    assert not any(module._forward_hooks for module in model.modules())


def test_it_is_silent_when_all_is_well_and_tells_when_not(capsys, monkeypatch):
    monkeypatch.setenv("LAMELLA_LANG", "en")
    x, y = table()
    small().fit(x, y, epochs=2, verbose=0, callbacks=[Doctor()])
    assert capsys.readouterr().out == ""
    doctor = Doctor(shown=1)
    small().fit(x * 300, y, epochs=2, verbose=0, callbacks=[doctor])
    printed = capsys.readouterr().out
    assert printed.strip() == doctor.findings[0].text("en")
    assert "docs/doctor.md#unscaled_inputs" in printed
    assert doctor.text("zh").startswith("输入没有缩放 [unscaled_inputs]")


def test_what_ends_a_training_is_told_before_the_error(capsys):
    hidden, ill = layers.Dense(6, "relu"), layers.Lambda(lambda h: torch.log(h), name="logarithm")
    model = lamella.Sequential([lamella.Input((4,)), hidden, ill, layers.Dense(1)])
    model.compile("adam", "mse")
    doctor = Doctor(language="en")
    with pytest.raises(NonFiniteError):
        model.fit(*table(), epochs=2, verbose=0, callbacks=[doctor])
    assert (doctor.findings[0].kind, doctor.findings[0].layer) == ("non_finite", "logarithm")
    assert "'logarithm' is the first layer" in capsys.readouterr().out


def test_nan_that_a_gradient_made_is_found_in_the_weights():
    def root(h):
        return torch.sqrt(h * 0)  # 0, but with an infinite slope: its gradient is 0 * infinity

    model = lamella.Sequential(
        [lamella.Input((4,)), layers.Dense(6, name="before"), layers.Lambda(root), layers.Dense(1, name="after")]
    )
    model.compile("sgd", "mse")
    doctor = Doctor(shown=0)
    with pytest.raises(NonFiniteError):
        model.fit(*table(), epochs=2, verbose=0, callbacks=[doctor])
    assert (doctor.findings[0].layer, doctor.findings[0].case) == ("before", "weights")


def test_a_quiet_end_at_nan_is_explained_too():
    x, y = table()
    model = small(lamella.optimizers.SGD(1e25))
    doctor = Doctor(shown=0)
    model.fit(x, y, epochs=4, verbose=0, callbacks=[lamella.callbacks.TerminateOnNaN(), doctor])
    assert {"non_finite", "rate_too_large"} <= {each.kind for each in doctor.findings}


def test_no_learning_is_told_early(capsys):
    x, y = table(400)

    class Heard(lamella.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.heard = [*getattr(self, "heard", []), capsys.readouterr().out]

    heard = Heard()
    model = lamella.Sequential([lamella.Input((4,)), layers.Dense(16, "tanh"), layers.Dense(1)])
    model.compile(lamella.optimizers.SGD(1e-7), "mse")
    model.fit(x, y, epochs=12, verbose=0, callbacks=[Doctor(language="en"), heard])
    assert [number for number, text in enumerate(heard.heard) if "[rate_too_small]" in text] == [2]
    assert "[rate_too_small]" not in capsys.readouterr().out  # once is enough


@pytest.mark.parametrize("rate", [1e-7, 1e-10])
@pytest.mark.parametrize("kind", ["dense", "pictures"])
def test_steps_that_float32_rounds_away_are_too_short(kind, rate):
    rng = np.random.default_rng(0)
    x, y = planted.blobs(rng) if kind == "dense" else planted.pictures(rng)
    model = planted.mlp(12, 4, [32, 32]) if kind == "dense" else planted.cnn()
    model.compile(lamella.optimizers.SGD(rate), "sparse_categorical_crossentropy")
    before = [weight.copy() for weight in model.get_weights()]
    doctor = Doctor(shown=0)
    model.fit(x, y, epochs=5, verbose=0, callbacks=[doctor])
    (found,) = doctor.findings
    assert found.kind == "rate_too_small"
    assert 0.01 / rate <= found.figures["times"] <= 10 / rate  # one step with a rate of 0.01 to 10
    for weight, old in zip(model.get_weights(), before, strict=True):
        np.testing.assert_allclose(weight, old, atol=1e-4)


def test_a_loss_that_rose_is_told_so():
    before, after = Trial(1.0, 1.0, 1.0, 1.0, 1e-8, "h"), Trial(1.03, 1.03, 1e6, 0.5, 1e-8, "h")
    (found,) = course_findings(Course([1.0, 1.0, 1.0], [], [], [before, after], steps=60), [])
    assert "the loss rose by 3.00%" in found.seen("en") and "升了 3.00%" in found.seen("zh")
    after = Trial(0.97, 0.97, 1e6, 0.5, 1e-8, "h")
    (found,) = course_findings(Course([1.0, 1.0, 1.0], [], [], [before, after], steps=60), [])
    assert "the loss fell by 3.00%" in found.seen("en") and "只下降了 3.00%" in found.seen("zh")


def test_whether_the_loss_stays_is_seen_on_the_same_samples():
    # The samples looked at are harder than the rest: their loss is no measure for that of all.
    before, after = Trial(9.0, 8.9, 1.0, 8.9, 0.01, "h"), Trial(8.9, 8.8, 1e4, 2.0, 0.01, "h")
    course = Course([4.0, 4.0, 4.0], [], [], [before], steps=30)
    assert course.stuck == pytest.approx(0.85 * 9.0) and course_findings(course, []) == []
    course.trials.append(after)
    assert [each.kind for each in course_findings(course, [])] == ["rate_too_small"]
    assert Course().stuck == math.inf


@pytest.mark.parametrize("scale", [24.0, 200.0])  # the weights of other places are small; they are 0
def test_attention_that_looks_at_one_place(scale):
    inputs = lamella.Input((6, 8))
    large = RandomNormal(stddev=scale)
    h = layers.MultiHeadAttention(2, 8, kernel_initializer=large, name="narrow")(inputs, inputs)
    model = lamella.Model(inputs, layers.Dense(1)(layers.GlobalAveragePooling1D()(h)))
    model.compile(lamella.optimizers.SGD(1e-12), "mse")
    x = np.random.normal(size=(64, 6, 8)).astype("float32")
    doctor = Doctor(shown=0)
    model.fit(x, x.mean((1, 2))[:, None], epochs=1, verbose=0, callbacks=[doctor])
    assert "narrow" in [each.layer for each in doctor.findings if each.kind == "attention_collapse"]


def test_streams_several_outputs_and_own_steps_are_watched_as_far_as_can_be():
    x, y = table(64)
    doctor = Doctor(shown=0)
    pairs = torch.utils.data.TensorDataset(torch.from_numpy(x), torch.from_numpy(y))
    small().fit(torch.utils.data.DataLoader(pairs, 32), epochs=2, verbose=0, callbacks=[doctor])
    assert len(doctor.readings) >= 2
    inputs = lamella.Input((4,))
    h = layers.Dense(8, "relu")(inputs)
    model = lamella.Model(inputs, [layers.Dense(1, name="a")(h), layers.Dense(1, name="b")(h)])
    model.compile("adam", ["mse", "mae"])
    model.fit(x, [y, y], epochs=2, verbose=0, callbacks=[doctor])
    assert {"a", "b"} <= {layer.layer for layer in doctor.readings[-1].layers}

    class Own(lamella.Sequential):
        def train_step(self, data):
            return super().train_step(data)

    own = Own([lamella.Input((4,)), layers.Dense(1)])
    own.compile("adam", "mse")
    own.fit(x, y, epochs=2, verbose=0, callbacks=[doctor])
    assert doctor.readings == []


def test_readings_are_what_autograd_says():
    x, y = table(90)
    model = lamella.Sequential([lamella.Input((4,)), layers.Dense(8, "relu", name="a"), layers.Dense(1, name="b")])
    model.compile("sgd", "mse")
    before = [weight.detach().clone() for weight in model.trainable_weights]
    doctor = Doctor(shown=0)
    model.fit(x, y, epochs=1, verbose=0, callbacks=[doctor])
    kernel, bias, kernel_b, bias_b = (weight.requires_grad_() for weight in before)
    hidden = torch.relu(torch.from_numpy(x) @ kernel + bias)
    loss = ((hidden @ kernel_b + bias_b - torch.from_numpy(y)) ** 2).mean()
    gradients = torch.autograd.grad(loss, [kernel, kernel_b])
    first = doctor.readings[0]
    assert first.loss == pytest.approx(loss.item(), rel=1e-5)
    for layer, gradient in zip(first.layers, gradients, strict=True):
        assert layer.gradient == pytest.approx(gradient.square().mean().sqrt().item(), rel=1e-4)
    assert first.layers[0].activation == pytest.approx(hidden.square().mean().sqrt().item(), rel=1e-4)
    assert first.layers[0].dead == (hidden == 0).all(0).float().mean().item()


# -- single rules ---------------------------------------------------------------------------------------------


class Held:
    def __init__(self, x):
        self.x = torch.as_tensor(x)


def test_leaked_rows_are_counted_as_by_hand(rng):
    for features in (3, 200):
        x = rng.normal(size=(500, features)).astype("float32")
        held = rng.normal(size=(100, features)).astype("float32")
        held[40:60] = x[100:120]
        held[60:70, : features // 2] = x[:10, : features // 2]  # alike in part: no leak
        (found,) = leaked_rows(Held(x), Held(held))
        assert found.figures == {"count": 20, "share": 0.2, "row": 40, "training_row": 100}
    assert leaked_rows(Held(x), Held(rng.normal(size=(50, 200)).astype("float32"))) == []
    few = rng.integers(0, 2, (300, 4)).astype("float32")
    assert leaked_rows(Held(few), Held(few[:50])) == []  # of 16 possible rows


@pytest.mark.parametrize("name", ["iris", "wine", "breast_cancer", "diabetes"])
def test_ordinary_trainings_on_real_tables_raise_nothing(name):
    x, y = getattr(sklearn.datasets, f"load_{name}")(return_X_y=True)
    order = np.random.permutation(len(x))
    x, y = ((x - x.mean(0)) / x.std(0))[order], y[order]
    y, outputs = ((y - y.mean()) / y.std(), 1) if name == "diabetes" else (y, y.max() + 1)
    hidden = layers.Dense(16, "relu")
    last = layers.Dense(outputs) if name == "diabetes" else layers.Dense(outputs, "softmax")
    model = lamella.Sequential([lamella.Input((x.shape[1],)), hidden, last])
    loss = "mse" if name == "diabetes" else "sparse_categorical_crossentropy"
    model.compile(lamella.optimizers.Adam(0.01), loss)
    doctor = Doctor(shown=0)
    model.fit(x, y, epochs=15, validation_split=0.25, verbose=0, callbacks=[doctor])
    assert doctor.findings == []


def test_constant_columns_and_blank_corners(rng):
    x = rng.normal(size=(5000, 6)).astype("float32")
    x[:, [1, 4]] = 0
    x[:4999, 2] = 7  # but for one row
    (found,) = constant_features(torch.from_numpy(x))
    assert found.figures == {"columns": "1, 4", "count": 2, "of": 6}
    assert constant_features(torch.from_numpy(abs(x))) == []


def test_a_class_of_inputs_that_does_not_occur(rng):
    numbers = rng.normal(size=(400, 2))
    one_hot = np.eye(5)[rng.choice([0, 1, 2, 4], 400)]
    table = torch.from_numpy(np.concatenate([numbers, one_hot], 1).astype("float32"))
    assert constant_features(table) == []
    table[:, 6] = 1
    assert constant_features(table)[0].figures["columns"] == "6"


def test_rare_letters_are_no_imbalance(rng):
    loss = lamella.losses.as_loss("sparse_categorical_crossentropy")
    letters = torch.from_numpy(rng.choice(27, 2000, p=np.r_[0.5, np.full(25, 0.495 / 25), 0.005]))
    before = letters.unfold(0, 4, 1)[:-1]
    assert label_imbalance(letters[4:], loss, 27, False, before) == []
    assert label_imbalance(letters[4:], loss, 27, False, before.float())
    assert label_imbalance(letters[4:], loss, 27, False, before + 27)  # words of one kind, classes of another
    assert label_imbalance((letters[4:] == 26).long(), loss, 2, False, before)


def test_imbalance_of_numbers_and_one_hot_classes(rng):
    sparse = torch.tensor([0] * 90 + [1] * 9 + [2] * 50)
    loss = lamella.losses.as_loss("sparse_categorical_crossentropy")
    (found,) = label_imbalance(sparse, loss, 3, False)
    assert found.figures == {"common": 0, "most": 90, "rare": 1, "least": 9}
    hot = torch.nn.functional.one_hot(sparse).float()
    assert label_imbalance(hot, lamella.losses.as_loss("categorical_crossentropy"), 3, False) == [found]
    assert label_imbalance(sparse, loss, 3, True) == []  # weights were given
    assert label_imbalance(sparse.float(), lamella.losses.as_loss("mse"), 1, False) == []


@pytest.mark.parametrize("name", ["mse", "mae", "binary_crossentropy", "sparse_categorical_crossentropy"])
def test_no_constant_answer_is_better_than_the_constant_loss(name, rng):
    loss = lamella.losses.as_loss(name)
    y = rng.integers(0, 2, (60, 1)) if "crossentropy" in name else rng.normal(size=(60, 1))
    outputs = 2 if "sparse" in name else 1
    best = constant_loss(torch.as_tensor(y), loss, outputs)
    answers = np.linspace(0.005, 0.995, 199) if "crossentropy" in name else np.linspace(-2, 2, 401)
    tried = []
    for answer in answers:
        constant = [[1 - answer, answer]] if outputs == 2 else [[answer]]
        tried.append(float(loss(torch.as_tensor(y), torch.tensor(constant * 60, dtype=torch.float32))))
    assert best <= min(tried) + 1e-6
    assert best == pytest.approx(min(tried), abs=2e-3)


def kinds(losses, held=(), trial=None, steps=50, **own):
    trial = trial or Trial(1.0, 0.9, 1.0, 0.9, 0.01, "h")
    course = Course(list(losses), list(held), [], [trial], steps=steps, **own)
    return [each.kind for each in course_findings(course, [])]


def test_curves():
    assert kinds([1.0, 0.5, 0.3, 0.2], [1.0, 0.6, 0.4, 0.35], constant=1.0) == []
    assert kinds([1.0, 0.5, 0.1, 0.05, 0.01], [1.0, 0.6, 0.7, 0.9, 1.2], constant=1.0) == ["over_fitting"]
    assert kinds([1.0, 0.5, 2.0, 0.3, 0.2], constant=1.0) == ["loss_spike"]
    assert kinds([0.97, 0.96, 0.96, 0.96, 0.96], constant=1.0) == ["under_fitting"]
    assert kinds([3.0, 5.0, 9.0], trial=Trial(1.0, 4.0, 1.0, 4.0, 2.0, "h"), constant=1.0) == ["rate_too_large"]
    assert (
        kinds([0.5, 0.2, 0.1], trial=Trial(1.0, 4.0, 1.0, 4.0, 2.0, "h"), constant=1.0) == []
    )  # it learns all the same


def test_a_bad_start_is_no_rate_that_is_too_large():
    bad = Trial(1.0, 4.0, 1.0, 4.0, 2.0, "h")
    assert kinds([3.0], trial=bad, constant=1.0) == ["rate_too_large"]
    assert kinds([3.0], trial=bad, constant=1.0, steps=8) == []  # too few steps to tell
    assert kinds([math.inf], trial=bad, constant=1.0, steps=8) == ["rate_too_large"]
    course = Course([3.0], [], [], [bad, Trial(0.4, 0.39, 1.0, 0.39, 0.01, "h")], constant=1.0, steps=50)
    assert course_findings(course, []) == []  # the epoch's mean is high for its first steps


def test_a_few_steps_on_small_batches_raise_nothing():
    x, y = sklearn.datasets.load_digits(return_X_y=True)
    rows = np.random.default_rng(0).permutation(len(x))[:64]
    x, y = x[rows].reshape(-1, 8, 8, 1) / 16, y[rows]
    for optimizer in (lamella.optimizers.Adam(1e-2), lamella.optimizers.SGD(0.2)):
        lamella.utils.set_random_seed(0)
        normalized = [layers.Conv2D(64, 3), layers.BatchNormalization(), layers.ReLU(), layers.Flatten()]
        model = lamella.Sequential([lamella.Input((8, 8, 1)), *normalized, layers.Dense(10, "softmax")])
        model.compile(optimizer, "sparse_categorical_crossentropy")
        doctor = Doctor(shown=0)
        losses = model.fit(x, y, batch_size=8, verbose=0, callbacks=[doctor]).history["loss"]
        assert losses[0] > doctor.readings[0].loss > doctor.readings[-1].loss  # it went up, and then down
        assert doctor.findings == []


# -- words ----------------------------------------------------------------------------------------------------


def fields(text):
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def test_every_kind_has_every_text_in_every_language():
    english = CATALOGUE["en"]
    assert set(english) == {*KINDS, "labels"}
    for language, texts in CATALOGUE.items():
        assert set(texts) == set(english), language
        for kind, own in texts.items():
            assert set(own) == set(english[kind]), (language, kind)
            assert kind == "labels" or {"name", "seen", "meaning", "advice"} <= set(own), (language, kind)
            for part, text in own.items():
                assert text.strip(), (language, kind, part)
                assert fields(text) == fields(english[kind][part]), (language, kind, part)


def test_the_chinese_texts_are_chinese():
    for kind, own in CATALOGUE["zh"].items():
        for part, text in own.items():
            assert any("\u4e00" <= letter <= "\u9fff" for letter in text), (kind, part)


@pytest.mark.parametrize("page", ["docs/doctor.md", "docs/doctor.zh-CN.md"])
def test_every_kind_has_its_section(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    for kind in KINDS:
        assert f'<a id="{kind}"></a>' in text, kind


def test_the_language(monkeypatch):
    for name in ("LAMELLA_LANG", "LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LANG", "zh_CN.UTF-8")
    assert chosen() == "zh"
    monkeypatch.setenv("LAMELLA_LANG", "en")
    assert chosen() == "en"
    assert Finding("loss_spike", {"before": 1.0, "loss": 2.0}, epoch=3).page() == "docs/doctor.md#loss_spike"
    monkeypatch.setenv("LAMELLA_LANG", "fr")
    with pytest.raises(ArgumentError, match="en and zh"):
        chosen()
    with pytest.raises(ArgumentError, match="'de'"):
        Doctor(language="de")
