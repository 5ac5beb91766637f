"""`Forecaster`: its loss, its windows, its networks, what it learns and what it refuses."""

import fresh
import numpy as np
import pytest
import torch

import lamella
from lamella.errors import ArgumentError, DataError, NotBuiltError, ShapeError
from lamella.optimizers import Adam
from lamella.sequences import Forecaster, QuantileLoss
from lamella.sequences.forecast_networks import ARCHITECTURES, MovingAverage, Sizes, tcn_blocks, temporal_convolutions
from lamella.sequences.instance_normalization import ReversibleNormalization
from lamella.sequences.windows import Windows

LEVELS = (0.1, 0.5, 0.9)
DAYS = np.datetime64("2024-01-01", "s") + np.arange(200) * np.timedelta64(86_400, "s")


def wave(rows=200):
    return 100 + 10 * np.sin(np.arange(rows) * 2 * np.pi / 12)


def fitted(data, *args, epochs=1, rows=0, **kwargs):
    model = Forecaster(*args, **{"kernel_size": 3, "units": 8, **kwargs})
    model.compile(Adam(1e-2))
    model.fit(data, epochs=epochs, verbose=0, validation_rows=rows)
    return model


# -- the loss -----------------------------------------------------------------------------------------------------


def test_quantile_loss_is_that_of_scikit_learn(rng):
    from sklearn.metrics import mean_pinball_loss

    truth, forecast = rng.normal(size=(40, 5, 2)), rng.normal(size=(40, 5, 2, 3))
    expected = [mean_pinball_loss(truth.ravel(), forecast[..., i].ravel(), alpha=q) for i, q in enumerate(LEVELS)]
    assert float(QuantileLoss(LEVELS)(truth, forecast)) == pytest.approx(np.mean(expected), rel=1e-5)


def test_quantile_loss_gradient():
    loss = QuantileLoss(LEVELS, dtype="float64")
    truth = torch.randn(4, 2, dtype=torch.float64)
    forecast = torch.randn(4, 2, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda f: loss(truth, f), (forecast,))


def test_quantile_loss_refuses():
    with pytest.raises(ShapeError, match=r"need predictions \(4, 3\)"):
        QuantileLoss(LEVELS)(torch.zeros(4), torch.zeros(4, 2))
    for wrong in ((), (0.0, 0.5), (0.5, 0.1), (0.5, 1.0)):
        with pytest.raises(ArgumentError, match="must rise and lie between 0 and 1"):
            QuantileLoss(wrong)
    again = lamella.losses.deserialize(lamella.losses.serialize(QuantileLoss(LEVELS)))
    assert again.quantiles == list(LEVELS)


# -- windows ------------------------------------------------------------------------------------------------------


def test_windows_are_slices(rng):
    rows = torch.from_numpy(rng.normal(size=(30, 4)))
    windows = Windows(rows, torch.arange(20), 6, 3, num_targets=2, num_known=1, batch_size=8)
    assert len(windows) == 3
    for i in range(len(windows)):
        (history, future), targets = windows[i]
        for j, start in enumerate(range(8 * i, min(8 * i + 8, 20))):
            torch.testing.assert_close(history[j], rows[start : start + 6])
            torch.testing.assert_close(future[j], rows[start + 6 : start + 9, 3:])
            torch.testing.assert_close(targets[j], rows[start + 6 : start + 9, :2])


def test_training_windows_never_reach_into_validation_or_another_series(monkeypatch):
    seen = {}

    def spy(self, x, **kwargs):
        seen.update(training=x, validation=kwargs["validation_data"])

    model = Forecaster(4, 2, scaling=None)
    model.compile()
    monkeypatch.setattr(lamella.Model, "fit", spy)
    model.fit([np.arange(20.0), 100 + np.arange(15.0)], validation_rows=5)
    starts = seen["training"].starts.tolist()
    assert starts == [*range(10), *range(20, 25)]  # the last forecasts rows 13, 14 and 28, 29
    assert seen["validation"].starts.tolist() == [*range(11, 15), *range(26, 30)]
    model.fit([np.arange(20.0), 100 + np.arange(15.0)], validation_split=0.25, shuffle=False)
    assert seen["validation"].starts.tolist() == [*range(11, 15), *range(28, 30)]


def test_values_after_the_training_part_do_not_change_the_scale(rng):
    series = rng.normal(size=100)
    changed = series.copy()
    changed[80:] = 1e6
    scalers = [fitted(each, 6, 2, rows=20).features.scalers["series"] for each in (series, changed)]
    assert scalers[0].get_config() == scalers[1].get_config()
    assert scalers[0].mean[0] == pytest.approx(series[:80].mean())
    assert scalers[0].deviation[0] == pytest.approx(series[:80].std())


def test_each_series_has_its_own_scale_and_units():
    model = fitted({"small": wave()[:, None], "large": 1000 * wave()[:, None]}, 12, 3, epochs=30)
    found = model.predict({"large": 1000 * wave()[:, None], "small": wave()[:, None]})
    assert found.shape == (2, 3, 1)
    np.testing.assert_allclose(found[0], 1000 * found[1], rtol=1e-4)
    with pytest.raises(DataError, match=r"not trained on a series 'series'.*it knows"):
        model.predict(wave())


# -- networks -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_architecture_fits_saves_and_loads(architecture, tmp_path, rng):
    data = {"day": DAYS, "v": wave(), "helps": rng.normal(size=200), "price": rng.normal(size=200)}
    model = fitted(
        data, 24, 5, architecture, ["v"], ["helps"], ["price"], LEVELS, calendar=["day_of_week"], time_column="day",
        instance_normalization=True, dropout=0.1,
    )  # fmt: skip
    before = model.network.get_weights()
    model.fit(data, epochs=1, verbose=0)
    changed = [not np.array_equal(a, b) for a, b in zip(before, model.network.get_weights(), strict=True)]
    assert all(changed), "a weight is not trained"
    ahead = {"price": rng.normal(size=5)}
    found = model.predict(data, ahead)
    assert found.shape == (5, 1, 3) and (np.diff(found, axis=-1) >= 0).all()
    model.save(tmp_path / "m.keras")
    loaded = lamella.models.load_model(tmp_path / "m.keras")
    np.testing.assert_allclose(loaded.predict(data, ahead), found, rtol=1e-6)
    assert loaded.evaluate(data) == pytest.approx(model.evaluate(data))
    other = model.predict(data, {"price": rng.normal(size=5)})
    assert not np.allclose(other, found), "what is known of the future is not used"


def test_loads_in_a_fresh_process(tmp_path):
    model = fitted(wave(), 12, 4, quantiles=LEVELS)
    model.save(tmp_path / "m.keras")
    np.save(tmp_path / "history.npy", wave())
    script = (
        "import lamella, numpy as np; m = lamella.models.load_model('m.keras'); "
        "np.save('found.npy', m.predict(np.load('history.npy')))"
    )
    fresh.check(["-c", script], cwd=tmp_path)
    np.testing.assert_allclose(np.load(tmp_path / "found.npy"), model.predict(wave()), rtol=1e-6)


def test_a_tcn_is_causal_and_sees_the_whole_history():
    sizes = Sizes(40, 1, 1, 2, 0, 1, units=8, depth=1, dropout=0.0, kernel_size=3, num_heads=1, patch_length=1)
    inputs = lamella.Input((40, 2))
    body = lamella.Model(inputs, temporal_convolutions(inputs, sizes))
    x = torch.randn(1, 40, 2, requires_grad=True)
    base = body(x)
    changed = x.detach().clone()
    changed[:, 25:] += 1.0
    after = body(changed)
    torch.testing.assert_close(after[:, :25], base[:, :25])
    assert not torch.allclose(after[:, 25:], base[:, 25:])
    (gradient,) = torch.autograd.grad(base[:, -1].square().sum(), x)
    assert bool((gradient[0].abs().sum(-1) > 0).all())
    assert tcn_blocks(sizes) == 4  # 1 + 4 * (2^4 - 1) = 61 rows; three blocks see 29


def test_moving_average_by_definition(rng):
    x = rng.normal(size=(2, 9, 3))
    padded = np.concatenate([x[:, :1], x[:, :1], x, x[:, -1:], x[:, -1:]], 1)
    expected = np.stack([padded[:, i : i + 5].mean(1) for i in range(9)], 1)
    np.testing.assert_allclose(MovingAverage(5, dtype="float64")(torch.from_numpy(x)), expected, rtol=1e-6)


@pytest.mark.parametrize("by", ["mean", "last"])
def test_instance_normalization_undoes_itself(by):
    layer = ReversibleNormalization(by)
    x = torch.randn(3, 7, 2) * 5 + 100
    normal, level, spread = layer(x)
    with torch.no_grad():
        layer.gamma.mul_(2.0)
        layer.beta.add_(0.5)
    normal, level, spread = layer(x)
    torch.testing.assert_close(layer.restore(normal, level, spread), x, rtol=1e-4, atol=1e-3)
    many = layer.restore(normal.unsqueeze(-1).expand(-1, -1, -1, 4), level, spread)
    torch.testing.assert_close(many, x.unsqueeze(-1).expand(-1, -1, -1, 4), rtol=1e-4, atol=1e-3)


def test_with_instance_normalization_a_level_shifts_the_forecast():
    model = fitted(wave(), 12, 4, "gru", instance_normalization=True, epochs=2)
    np.testing.assert_allclose(model.predict(wave() + 500), model.predict(wave()) + 500, rtol=1e-4)


# -- learning -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("architecture", "epochs"), [("linear", 10), ("gru", 12), ("tcn", 12), ("transformer", 12)])
def test_learns_a_sine(architecture, epochs):
    lamella.utils.set_random_seed(0)
    model = Forecaster(24, 12, architecture, units=16, depth=1, kernel_size=3)
    model.compile(Adam(1e-2))
    model.fit(wave(400)[:360], epochs=epochs, verbose=0)
    error = np.abs(model.predict(wave(400)[:360])[:, 0] - wave(400)[360:372]).mean()
    assert error < 1.0, error  # of waves 10 high; the mean is 6.4 off


def test_quantiles_cover_their_share(rng):
    noise = rng.normal(size=3000)
    model = Forecaster(4, 1, quantiles=LEVELS, kernel_size=3)
    model.compile(Adam(5e-2))
    model.fit(noise[:2500], epochs=6, batch_size=64, verbose=0, callbacks=[lamella.callbacks.Pace(5e-2)])
    found = model.predict_at(noise, np.arange(2500, 3000))[:, 0, 0]
    np.testing.assert_allclose((noise[2500:, None] <= found).mean(0), LEVELS, atol=0.06)


def test_a_known_future_is_made_use_of(rng):
    price = rng.normal(size=400)
    data = {"sold": 50 - 8 * price, "price": price}
    model = Forecaster(6, 3, targets="sold", known_future=["price"], kernel_size=3)
    model.compile(Adam(3e-2))
    model.fit(data, epochs=15, verbose=0)
    ahead = np.array([2.0, -1.0, 0.5])
    np.testing.assert_allclose(model.predict(data, {"price": ahead})[:, 0], 50 - 8 * ahead, atol=1.5)


def test_evaluate_is_the_error_in_scaled_units():
    model = fitted(wave(), 12, 4, rows=50)
    loss = model.evaluate(wave(), rows=50)
    scale = model.features.scalers["series"].deviation[0]
    found = model.predict_at(wave(), np.arange(150, 197))[..., 0]
    truth = np.stack([wave()[o : o + 4] for o in range(150, 197)])
    assert loss == pytest.approx(np.square((found - truth) / scale).mean(), rel=1e-4)


# -- refusals -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"architecture": "arima"}, "`architecture` must be one of"),
        ({"horizon": 0}, "`horizon` must be a whole number"),
        ({"dropout": 1.0}, "`dropout`"),
        ({"scaling": "minmax"}, "`scaling` must be one of"),
        ({"quantiles": (0.9, 0.1)}, "must rise"),
        ({"calendar": ["season"]}, "`calendar` is a list"),
        ({"fill": "mean"}, "`fill` must be one of"),
        ({"targets": ["a"], "past": ["a"]}, r"different columns.*\['a'\] twice"),
        ({"instance_normalization": "first"}, "`instance_normalization` must be one of"),
        ({"architecture": "transformer", "targets": "a", "patch_length": 50}, "`patch_length` 50"),
        ({"architecture": "transformer", "targets": "a", "units": 30}, "`num_heads`"),
    ],
)
def test_arguments_that_cannot_be(arguments, message):
    with pytest.raises(ArgumentError, match=message):
        Forecaster(**{"input_length": 8, "horizon": 2, **arguments})


def test_series_that_cannot_be():
    model = Forecaster(12, 4)
    model.compile()
    with pytest.raises(NotBuiltError, match="fit"):
        model.predict(wave())
    with pytest.raises(DataError, match="has 15 rows to train on; expected 16 or more"):
        model.fit(wave(15))
    with pytest.raises(DataError, match=r"target '0' is always 3 in its 50 training rows"):
        model.fit({"flat": np.full((50, 1), 3.0)})
    with pytest.raises(DataError, match="3 rows of validation are fewer than the horizon"):
        model.fit(wave(), validation_rows=3)
    with pytest.raises(ArgumentError, match="either `validation_split`"):
        model.fit(wave(), validation_split=0.1, validation_rows=20)


def test_predict_refuses():
    data = {"v": wave(), "price": wave() / 7}
    model = fitted(data, 12, 4, targets="v", known_future=["price"])
    with pytest.raises(DataError, match="has 11 rows of history; expected 12"):
        model.predict({"v": wave(11), "price": wave(11)}, {"price": wave(4)})
    with pytest.raises(DataError, match="no column 'v'"):
        model.predict({"w": wave(), "price": wave()}, {"price": wave(4)})
    with pytest.raises(ArgumentError, match=r"needs \['price'\] of the 4 rows ahead"):
        model.predict(data)
    with pytest.raises(DataError, match="has 3 rows; expected 4"):
        model.predict(data, {"price": wave(3)})
    gap = {"v": np.where(np.arange(200) == 195, np.nan, wave()), "price": wave()}
    with pytest.raises(DataError, match="no value in row 195"):
        model.predict(gap, {"price": wave(4)})
    with pytest.raises(DataError, match="start at rows 12 to 196"):
        model.predict_at(data, [197])


def test_times_of_predict_must_fit():
    model = fitted({"day": DAYS, "v": wave()}, 12, 4, targets="v", calendar=["day_of_week"], time_column="day")
    assert model.predict({"day": DAYS, "v": wave()}).shape == (4, 1)
    hours = DAYS[0] + np.arange(50) * np.timedelta64(3600, "s")
    with pytest.raises(DataError, match="rows 1 hour apart; this forecaster learns from rows 1 day apart"):
        model.predict({"day": hours, "v": wave(50)})
    model = fitted({"day": DAYS, "v": wave(), "p": wave()}, 12, 4, targets="v", known_future=["p"], time_column="day")
    later = DAYS[-1] + np.arange(2, 6) * np.timedelta64(86_400, "s")
    with pytest.raises(DataError, match="row 0: its time is 2024-07-20T00:00:00; after the history comes 2024-07-19"):
        model.predict({"day": DAYS, "v": wave(), "p": wave()}, {"day": later, "p": wave(4)})
    without = Forecaster(12, 4, calendar=["day_of_week"])
    without.compile()
    with pytest.raises(DataError, match="has no times, which `calendar` needs"):
        without.fit(wave())
