"""The recommender of a Boltzmann machine: against sums by hand, and against means on ratings of low rank."""

import sys

import fresh
import numpy as np
import pytest
import torch

import lamella
from lamella.energy.recommender import RBMRecommender, _drawn
from lamella.errors import ArgumentError, DataError, NotBuiltError
from lamella.models import load_model
from lamella.optimizers import SGD


def low_rank(users=120, items=40, seed=0):
    """Ratings from 1 to 5 of two tastes, some quirk and means; 60 % are known, the rest is to be told."""
    rng = np.random.default_rng(seed)
    taste, kind = rng.choice([-1, 1], (users, 2)), rng.choice([-1, 1], (items, 2))
    values = 3 + 0.9 * taste @ kind.T + rng.normal(0, 0.3, (items,)) + rng.normal(0, 0.3, (users, items))
    ratings = values.round().clip(1, 5)
    rows, columns = np.indices((users, items)).reshape(2, -1)
    known = rng.random(users * items) < 0.6
    everything = rows + 1000, columns + 7, ratings.ravel()
    return [column[known] for column in everything], [column[~known] for column in everything]


def trained(data, epochs=40, **arguments):
    lamella.utils.set_random_seed(0)
    model = RBMRecommender(12, **arguments)
    model.compile(SGD(0.1, momentum=0.9))
    model.fit(*data, epochs=epochs, batch_size=20, verbose=0)
    return model


@pytest.fixture(scope="module")
def learnt():
    train, test = low_rank()
    return trained(train), train, test


def error(found, ratings):
    return float(np.sqrt(np.mean((found - ratings) ** 2)))


def means(train, test):
    """The mean, and what a user and an item add to it."""
    users, items, ratings = train
    mean = ratings.mean()
    item = {i: (ratings[items == i] - mean).mean() for i in np.unique(items)}
    rest = ratings - mean - np.array([item[i] for i in items])
    user = {u: rest[users == u].mean() for u in np.unique(users)}
    return mean + np.array([user[u] + item[i] for u, i in zip(*test[:2], strict=True)])


def test_it_tells_more_than_means(learnt):
    model, train, test = learnt
    found = model.predict(*test[:2])
    assert found.shape == (len(test[0]),)
    assert error(found, test[2]) < 0.6 * error(means(train, test), test[2])


def test_predictions_are_those_of_the_formulas(learnt):
    """One pair at a time, with loops over the items that a user rated."""
    model, train, test = learnt
    kernel = model.kernel.detach().double().numpy().reshape(40, 5, 12)
    bias = model.visible_bias.detach().double().numpy().reshape(40, 5)
    shares = model.shares.double().numpy().reshape(40, 5)
    for row in range(0, len(test[0]), 211):
        user, item = test[0][row], test[1][row]
        hidden = model.hidden_bias.detach().double().numpy().copy()
        for u, i, rating in zip(*train, strict=True):
            if u == user:
                hidden += kernel[i - 7, int(rating) - 1] - shares[i - 7] @ kernel[i - 7]
        h = 1 / (1 + np.exp(-hidden))
        totals = np.exp(bias[item - 7] + kernel[item - 7] @ (h - 0.5))
        expected = (totals * [1, 2, 3, 4, 5]).sum() / totals.sum()
        assert model.predict([user], [item])[0] == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("conditional", [False, True])
def test_the_update_is_contrastive_divergence(conditional, monkeypatch):
    """With draws replaced by rounded probabilities, each gradient is a sum over users, items and ratings by hand."""
    train, _ = low_rank(users=6, items=5)
    train[2][:5] = [1, 2, 3, 4, 5]  # each rating is there
    lamella.utils.set_random_seed(1)
    model = RBMRecommender(
        3, k=2, conditional=conditional, kernel_initializer=lamella.initializers.RandomNormal(0, 1.0)
    )
    model.compile(SGD(1.0))
    monkeypatch.setattr(torch, "bernoulli", torch.round)
    one_hot = lambda p: torch.nn.functional.one_hot(p.argmax(-1), p.shape[-1]).to(p.dtype)  # noqa: E731
    monkeypatch.setattr(sys.modules[RBMRecommender.__module__], "_drawn", one_hot)
    model.fit(*train, epochs=1, batch_size=6, verbose=0)  # makes the weights
    table = model.table.clone().numpy()
    names = ["kernel", "visible_bias", "hidden_bias"] + ["seen_kernel"] * conditional
    before = {name: getattr(model, name).detach().clone().double().numpy() for name in names}
    model.train_step(model.table.clone())
    W, b, c = before["kernel"].reshape(5, 5, 3), before["visible_bias"].reshape(5, 5), before["hidden_bias"]
    mean = model.shares.double().numpy().reshape(5, 5)
    change = {name: np.zeros_like(before[name]) for name in names}
    for codes in table:
        rated = np.flatnonzero(codes)

        def hidden(ratings, rated=rated):
            total = c + sum(W[i, r] - mean[i] @ W[i] for i, r in zip(rated, ratings, strict=True))
            if conditional:
                total = total + before["seen_kernel"][rated].sum(0)
            return 1 / (1 + np.exp(-total))

        data = codes[rated].astype(int) - 1
        h = hidden(data)
        made, made_h = data, h
        for _ in range(2):
            made = np.array([(b[i] + W[i] @ (made_h.round() - 0.5)).argmax() for i in rated], int)
            made_h = hidden(made)
        for sign, ratings, share in ((1, data, h), (-1, made, made_h)):
            for i, r in zip(rated, ratings, strict=True):
                change["kernel"][5 * i : 5 * i + 5] += sign * np.outer(np.eye(5)[r] - mean[i], share - 0.5) / 6
                change["visible_bias"][5 * i + r] += sign / 6
                if conditional:
                    change["seen_kernel"][i] += sign * share / 6
            change["hidden_bias"] += sign * share / 6
    for name in names:
        found = getattr(model, name).detach().double().numpy() - before[name]
        np.testing.assert_allclose(found, change[name], atol=2e-5)
        assert abs(change[name]).max() > 0.01


def test_draws_follow_their_probabilities():
    chances = torch.tensor([0.1, 0.0, 0.6, 0.3]).expand(20000, 2, 4)
    drawn = _drawn(chances)
    assert (drawn.sum(-1) == 1).all()
    np.testing.assert_allclose(drawn.mean((0, 1)), [0.1, 0, 0.6, 0.3], atol=0.015)


def test_steps_rise_when_they_are_said_to():
    train, _ = low_rank(20, 8)
    model = RBMRecommender(3, k=[(0, 1), (2, 3), (3, 5)])
    model.compile("sgd")
    seen = []
    spy = lamella.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(model.steps))
    model.fit(*train, epochs=5, verbose=0, callbacks=[spy])
    assert seen == [1, 1, 3, 5, 5]


def test_what_was_seen_tells_more():
    """Users see what they like, at times without a rating: only the conditional machine can know."""
    rng = np.random.default_rng(0)
    likes = rng.integers(0, 2, 300)
    users, items = np.indices((300, 10)).reshape(2, -1)
    ratings = np.where(items < 8, 3, 1 + 4 * (likes[users] == items % 2))
    rated = (items < 2) | ((items >= 8) & (users < 200))
    seen = (items >= 2) & (items < 8) & (likes[users] == items % 2)
    asked = (items >= 8) & (users >= 200)
    errors = {}
    for conditional in (False, True):
        lamella.utils.set_random_seed(0)
        model = RBMRecommender(4, conditional=conditional)
        model.compile(SGD(0.1, momentum=0.9))
        more = {"seen": (users[seen], items[seen])} if conditional else {}
        first = [
            np.append(column[rated], [column[items == i][0] for i in range(2, 8)]) for column in (users, items, ratings)
        ]
        model.fit(*first, epochs=40, verbose=0, **more)
        errors[conditional] = error(model.predict(users[asked], items[asked]), ratings[asked])
    assert errors[True] < 0.5
    assert errors[False] > 1.5


def test_validation_is_what_predict_gives(learnt):
    train, test = low_rank()
    lamella.utils.set_random_seed(0)
    model = RBMRecommender(4)
    model.compile(SGD(0.05))
    history = model.fit(*train, epochs=2, verbose=0, validation_data=test).history
    assert set(history) >= {"rmse", "val_rmse"}
    expected = error(model.predict(*test[:2]), test[2])
    assert history["val_rmse"][-1] == pytest.approx(expected, abs=1e-4)
    assert model.evaluate(*test, verbose=0, return_dict=True)["rmse"] == pytest.approx(expected, abs=1e-4)


def test_recommendations_are_the_best_of_the_rest(learnt):
    model, train, _ = learnt
    user = 1003
    rated = set(train[1][train[0] == user])
    rest = np.array([item for item in range(7, 47) if item not in rated])
    expected = model.predict(np.full(len(rest), user), rest)
    found = model.recommend(user, 5)
    assert [item for item, _ in found] == rest[np.argsort(-expected)[:5]].tolist()
    np.testing.assert_allclose([rating for _, rating in found], np.sort(expected)[::-1][:5], rtol=1e-5)
    assert len(model.recommend(user, 1000)) == len(rest)


def test_names_and_half_stars():
    users, items = ["ann", "ann", "bob", "bob", "cid"], ["x", "y", "x", "z", "y"]
    model = RBMRecommender(2)
    model.compile("sgd")
    model.fit(users, items, [0.5, 4.5, 1.0, 2.5, 0.5], epochs=1, verbose=0)
    assert model.scores.tolist() == [0.5, 1.0, 2.5, 4.5]
    assert {name for name, _ in model.recommend("cid")} == {"x", "z"}
    assert 0.5 <= model.predict(["cid"], ["z"])[0] <= 4.5


def test_the_same_seed_gives_the_same_weights():
    train, _ = low_rank(30, 10)
    first, second = (trained(train, epochs=2).kernel.detach() for _ in range(2))
    assert torch.equal(first, second)


def test_saved_and_loaded_in_another_process(learnt, tmp_path):
    model, train, test = learnt
    model.save(tmp_path / "m.keras")
    again = load_model(tmp_path / "m.keras")
    np.testing.assert_array_equal(again.predict(*test[:2]), model.predict(*test[:2]))
    again.fit(*train, epochs=1, verbose=0)
    code = f"import lamella; print(lamella.models.load_model({str(tmp_path / 'm.keras')!r}).recommend(1003, 1)[0][0])"
    done = fresh.run(["-c", code])
    assert done.stdout.split()[-1] == str(model.recommend(1003, 1)[0][0]), done.stderr


@pytest.mark.parametrize(
    ("act", "kind", "message"),
    [
        (lambda m: m.predict([1003, 5], [7, 7]), DataError, r"no user 5 \(row 1\) was trained on; the 120 known"),
        (lambda m: m.predict([1003, 1003], [7, 99]), DataError, r"no item 99 \(row 1\)"),
        (lambda m: m.predict(["1003"], [7]), DataError, r"no user '1003' \(row 0\)"),
        (lambda m: m.predict([1003, 1004], [7]), DataError, r"one length.*\(2,\).*\(1,\)"),
        (lambda m: m.predict([], []), DataError, "1 or more"),
        (lambda m: m.recommend(1), DataError, "no user 1 "),
        (lambda m: m.evaluate([1003], [7], [9]), DataError, "no rating 9.0"),
        (lambda m: m.fit([1003, 1003], [7, 7], [1, 2]), DataError, "user 1003 rated item 7 twice, in rows 0 and 1"),
        (lambda m: m.fit([1, 2], [1, 2], [1, 2]), DataError, "no user 1 "),
        (lambda m: m.fit([1003], [7], [np.nan]), DataError, "rating in row 0 is nan"),
        (lambda m: m.fit([1003], [7], ["good"]), DataError, "must be numbers"),
        (lambda m: m.fit([1003], [7], [1], seen=([1003], [8])), ArgumentError, "conditional=True"),
        (lambda m: m.compile("sgd", "mse"), ArgumentError, "its own loss"),
        (
            lambda m: RBMRecommender().fit([1, 2], [1, 2], [3, 3]),
            DataError,
            "from 2 to 254 different ratings; there are 1",
        ),
        (lambda m: RBMRecommender().predict([1], [2]), NotBuiltError, "fit it first"),
        (lambda m: RBMRecommender(0), ArgumentError, "`hidden_units`.*got 0"),
        (lambda m: RBMRecommender(k=0), ArgumentError, "`k` is a number.*got 0"),
        (lambda m: RBMRecommender(k=[(3, 1)]), ArgumentError, "from epoch 0 on"),
    ],
)
def test_mistakes_are_told(learnt, act, kind, message):
    with pytest.raises(kind, match=message):
        act(learnt[0])
