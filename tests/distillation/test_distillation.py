"""A student learns from a teacher with the numbers of real Keras; distillers and students are saved and loaded."""

import numpy as np
import pytest
import torch

import lamella
from lamella.distillation import DistillationLoss, Distiller, FeatureDistillation, LogitsDistillation

keras = pytest.importorskip("keras")

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:keras")
X = np.random.default_rng(0).random((24, 8), dtype="float32")
Y = np.random.default_rng(1).integers(0, 3, 24)


def network(library, units=6):
    layers = library.layers
    hidden = layers.Dense(units, "relu", name="hidden")
    return library.Sequential([library.Input((8,)), hidden, layers.Dense(3, name="logits")])


def distiller(library, losses, loss_weights=None, share=0.3, loss=None):
    library.utils.set_random_seed(3)
    teacher, student = network(library), network(library)
    made = library.distillation.Distiller(teacher, student, losses(library), loss_weights, share)
    loss = loss or library.losses.SparseCategoricalCrossentropy(from_logits=True)
    made.compile(library.optimizers.SGD(0.1), loss, metrics=["accuracy"])
    return made


def pair(losses, *args, **kwargs):
    ours, theirs = (distiller(library, losses, *args, **kwargs) for library in (lamella, keras))
    theirs.teacher.set_weights(ours.teacher.get_weights())
    theirs.student.set_weights(ours.student.get_weights())
    return ours, theirs


LOSSES = {
    "divergence": lambda k: k.distillation.LogitsDistillation(2.0, k.losses.KLDivergence()),
    "crossentropy": lambda k: k.distillation.LogitsDistillation(4.0, k.losses.CategoricalCrossentropy(True)),
    "squares": lambda k: k.distillation.LogitsDistillation(loss="mse"),
    "final outputs": lambda k: k.distillation.FeatureDistillation("cosine_similarity"),
    "features": lambda k: k.distillation.FeatureDistillation("mae", "hidden", "hidden"),
    "both": lambda k: [
        k.distillation.LogitsDistillation(3.0, k.losses.KLDivergence()),
        k.distillation.FeatureDistillation(k.losses.Huber(), "hidden", "hidden"),
    ],
}


@pytest.mark.parametrize("losses", LOSSES.values(), ids=LOSSES)
def test_training_is_that_of_keras(losses):
    weights = [1.0, 0.5] if isinstance(losses(lamella), list) else None
    ours, theirs = pair(losses, weights)
    options = {"batch_size": 8, "epochs": 3, "shuffle": False, "verbose": 0}
    found, wanted = ours.fit(X, Y, **options).history, theirs.fit(X, Y, **options).history
    assert set(found) == set(wanted)
    for name in wanted:
        np.testing.assert_allclose(found[name], wanted[name], rtol=2e-4, err_msg=name)
    for a, b in zip(ours.student.get_weights(), theirs.student.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)
    found, wanted = (each.evaluate(X, Y, verbose=0, return_dict=True) for each in (ours, theirs))
    assert found == pytest.approx(wanted, rel=2e-4)


def test_the_name_of_the_divergence_stands_for_the_divergence_of_probabilities():
    """Keras on every backend takes the logits themselves for probabilities here, though it documents otherwise."""
    logits = torch.from_numpy(X[:, :3]), torch.from_numpy(X[:, 3:6])
    named, made = LogitsDistillation(2.0), LogitsDistillation(2.0, lamella.losses.KLDivergence())
    assert named.compute_loss(*logits) == made.compute_loss(*logits)
    assert LogitsDistillation().compute_loss(logits[0], logits[0]) == 0


def several(library):
    inputs = library.Input((8,))
    h = library.layers.Dense(4, name="hidden")(inputs)
    return library.Model(inputs, [library.layers.Dense(2, name="a")(h), library.layers.Dense(3, name="b")(h)])


def test_several_outputs_and_one_that_is_left_out():
    """Keras's compile() cannot take several losses where it walks nests by torch."""
    teacher, student = several(lamella), several(lamella)
    made = Distiller(teacher, student, LogitsDistillation(2.0, ["mse", None]), student_loss_weight=0.25)
    made.compile("sgd", ["mse", "mae"])
    y = [np.ones((24, 2), "float32"), np.ones((24, 3), "float32")]
    (a, b), (wanted, _) = student.predict(X, verbose=0), teacher.predict(X, verbose=0)
    labels = ((a - 1) ** 2).mean() + np.abs(b - 1).mean()
    distance = ((a - wanted) ** 2).mean() / 4
    found = made.test_on_batch(X, y, return_dict=True)
    assert found["loss"] == pytest.approx(0.25 * labels + 0.75 * distance, rel=1e-5)
    assert found["student_loss"] == pytest.approx(labels, rel=1e-5)
    assert found["distillation_loss"] == pytest.approx(distance, rel=1e-5)


def test_the_student_of_digits_learns_from_the_teacher_without_labels():
    lamella.utils.set_random_seed(0)
    (x, y), (x_test, y_test) = lamella.datasets.digits.load_data()
    x, x_test = x.reshape(-1, 64) / 16, x_test.reshape(-1, 64) / 16
    loss = lamella.losses.SparseCategoricalCrossentropy(from_logits=True)
    dense = lamella.layers.Dense
    teacher = lamella.Sequential([lamella.Input((64,)), dense(64, "relu"), dense(10)])
    teacher.compile(lamella.optimizers.Adam(0.005), loss, metrics=["accuracy"])
    teacher.fit(x, y, epochs=8, verbose=0)
    student = lamella.Sequential([lamella.Input((64,)), dense(16, "relu"), dense(10)])
    made = Distiller(teacher, student, LogitsDistillation(3.0), student_loss_weight=0.0)
    made.compile(lamella.optimizers.Adam(0.003), loss, metrics=["accuracy"])
    before = [weight.copy() for weight in teacher.get_weights()]
    history = made.fit(x, epochs=12, verbose=0).history["distillation_loss"]
    assert history[-1] < 0.1 * history[0]
    assert made.evaluate(x_test, y_test, verbose=0, return_dict=True)["accuracy"] > 0.9
    for a, b in zip(before, teacher.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_teacher_infers_while_the_student_trains():
    seen = []

    class Look(lamella.layers.Layer):
        def call(self, x, training=None):
            seen.append((self.name, training))
            return x

    made = [lamella.Sequential([lamella.Input((8,)), Look(name=role), network(lamella)]) for role in ("t", "s")]
    model = Distiller(*made, LogitsDistillation())
    model.compile("sgd", lamella.losses.SparseCategoricalCrossentropy(from_logits=True))
    seen.clear()
    model.fit(X, Y, batch_size=24, verbose=0)
    assert ("s", True) in seen and ("t", False) in seen and ("t", True) not in seen


def test_the_student_computes_once_a_step():
    count = []

    class Count(lamella.layers.Layer):
        def call(self, x):
            count.append(self.name)
            return x * 1

    made = [lamella.Sequential([lamella.Input((8,)), Count(name=role), network(lamella)]) for role in ("t", "s")]
    model = Distiller(*made, FeatureDistillation("mse", "t", "s"))
    model.compile("sgd", lamella.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(X, Y, batch_size=24, verbose=0)
    count.clear()
    model.fit(X, Y, batch_size=8, verbose=0)
    assert count.count("s") <= 3 + 1  # and one look at whether the data fit


def test_sample_weights_count_for_the_labels():
    made = distiller(lamella, LOSSES["squares"], share=1.0)
    assert made.test_on_batch(X, Y, sample_weight=np.zeros(24), return_dict=True)["loss"] == 0


@pytest.mark.parametrize("name", ["divergence", "both"])
def test_a_distiller_is_saved_and_goes_on(name, tmp_path):
    made = distiller(lamella, LOSSES[name])
    options = {"batch_size": 8, "shuffle": False, "verbose": 0}
    made.fit(X, Y, **options)
    made.save(tmp_path / "d.keras")
    again = lamella.models.load_model(tmp_path / "d.keras")
    assert again.get_config() == made.get_config()
    np.testing.assert_array_equal(again.predict(X, verbose=0), made.predict(X, verbose=0))
    assert again.fit(X, Y, **options).history == made.fit(X, Y, **options).history
    made.student.save(tmp_path / "s.keras")
    student = lamella.models.load_model(tmp_path / "s.keras")
    np.testing.assert_array_equal(student.predict(X, verbose=0), made.predict(X, verbose=0))


@pytest.mark.parametrize("name", ["divergence", "both"])
def test_files_go_both_ways_with_keras(name, tmp_path):
    ours, theirs = pair(LOSSES[name])
    for each in (ours, theirs):
        each.fit(X, Y, batch_size=8, verbose=0)
    ours.save(tmp_path / "ours.keras")
    theirs.save(tmp_path / "theirs.keras")
    found = keras.models.load_model(tmp_path / "ours.keras")
    np.testing.assert_allclose(found.predict(X, verbose=0), ours.predict(X, verbose=0), atol=1e-5)
    assert [type(each).__name__ for each in found.distillation_losses] == [
        type(each).__name__ for each in ours.distillation_losses
    ]
    found = lamella.models.load_model(tmp_path / "theirs.keras")
    np.testing.assert_allclose(found.predict(X, verbose=0), theirs.predict(X, verbose=0), atol=1e-5)
    assert not found.compiled  # Keras leaves the loss out
    found.compile("sgd", "sparse_categorical_crossentropy")


def test_a_loss_of_ones_own():
    class Largest(DistillationLoss):
        def compute_loss(self, teacher_outputs, student_outputs, **kwargs):
            return (teacher_outputs - student_outputs).abs().amax()

    made = distiller(lamella, lambda k: Largest())
    made.fit(X, Y, verbose=0)

    class PerSample(DistillationLoss):
        def compute_loss(self, teacher_outputs, student_outputs, **kwargs):
            return (teacher_outputs - student_outputs).abs().mean(-1)

    with pytest.raises(ValueError, match=r"one number for the batch; it gave the shape \(24,\)"):
        distiller(lamella, lambda k: PerSample()).fit(X, Y, batch_size=24, verbose=0)


def test_what_is_refused():
    teacher, student = network(lamella), network(lamella)
    with pytest.raises(ValueError, match="teacher must be a Model"):
        Distiller("teacher", student, LogitsDistillation())
    other = lamella.Sequential([lamella.Input((8,)), lamella.layers.Dense(5)])
    with pytest.raises(ValueError, match="output has shape"):
        Distiller(teacher, other, LogitsDistillation())
    with pytest.raises(ValueError, match=r"in the teacher: .*'hiden'.*hidden"):
        Distiller(teacher, student, FeatureDistillation("mse", "hiden", "hidden"))
    with pytest.raises(ValueError, match="one for each"):
        Distiller(teacher, student, [LogitsDistillation()], [1.0, 2.0])
    with pytest.raises(ValueError, match="from 0 to 1"):
        Distiller(teacher, student, LogitsDistillation(), student_loss_weight=1.5)
    with pytest.raises(ValueError, match="positive"):
        LogitsDistillation(0.0)
    with pytest.raises(ValueError, match="no loss at all"):
        FeatureDistillation([None, None])
    with pytest.raises(ValueError, match="give one"):
        Distiller(teacher, student, LogitsDistillation()).compile("adam")
    made = Distiller(teacher, student, LogitsDistillation())
    made.compile("adam", "sparse_categorical_crossentropy")
    with pytest.raises(ValueError, match="y"):
        made.fit(X, verbose=0)
