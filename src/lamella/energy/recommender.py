"""`RBMRecommender`: a restricted Boltzmann machine whose visible units are ratings, most of which are missing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from lamella import initializers
from lamella.callbacks import Callback
from lamella.energy.rating_table import SEEN, coded, columns, places
from lamella.errors import ArgumentError, DataError, NotBuiltError
from lamella.initializers import RandomNormal
from lamella.metrics import Metric, RootMeanSquaredError
from lamella.models import Model
from lamella.saving import register_keras_serializable

_USERS_AT_ONCE = 256


@register_keras_serializable(package="lamella")
class RBMRecommender(Model):
    """Tells how users would rate what they have not rated, from what they and others have.

    Each user is one case of a restricted Boltzmann machine: each item is a softmax unit over the possible ratings, and
    the items that a user did not rate are left out, for that user. Hidden bits h are what users have in common:

        p(rating of i = r | h) = softmax over r of (visible_bias[i, r] + sum over j of kernel[i, r, j] (h[j] - 1/2))
        p(h[j] = 1 | ratings)  = sigmoid(hidden_bias[j] + sum over seen i of seen_kernel[i, j]
                                         + sum over rated i and all r of (v[i, r] - shares[i, r]) kernel[i, r, j])

    with v[i, r] = 1 for the rating r that i has. Both sides are centred (Montavon and Müller, 2012), by 1/2 and by how
    often each item got each rating: else all hidden bits first learn the same, how many items a user has rated.
    A prediction is the expected rating, with the probabilities of h in place of bits. Training is contrastive
    divergence, for all users of a batch at once, as a dense (batch, items, ratings) computation with masks.

        model = RBMRecommender(100, decay=0.03)
        model.compile(SGD(CosineDecay(0.1, steps), momentum=0.9))
        model.fit(users, items, ratings, epochs=30, batch_size=20)
        model.predict(users, items)

    Args:
        hidden_units: The number of hidden bits.
        k: Gibbs steps for each update: a number, or pairs (epoch, number) that say from which epoch on there are how
            many, as in `((0, 1), (20, 3), (30, 5))`.
        conditional: Whether there is a `seen_kernel`. Who rated what is known of the rated items anyway (for these
            alone, it says no more than the kernel can); it tells more where further items are known to have been
            seen, as `fit(..., seen=(users, items))` gives them.
        kernel_initializer: Where the kernels start; normal with deviation 0.01 by default.
        decay: How strongly the kernel of each item is drawn towards the mean of all items': what is common to all, as
            that a user is severe, costs nothing.
        users: The users' identifiers (numbers or strings), items: the items', scores: the possible ratings. `fit` finds
            them.
        items: See there.
        scores: See there.
        **kwargs: As for every model.

    Weights: `kernel` (items * ratings, hidden), `visible_bias`, `hidden_bias`, `seen_kernel` (items, hidden), `shares`
    (items * ratings), and `table` (users, items), what is known of each user: 0 for nothing, else the number of the
    rating, from 1 on. Visible biases start at the logarithms of the shares.

    `fit` and `evaluate` report `rmse`, the root of the mean squared error of expected ratings: while training, of the
    ratings trained on, by one Gibbs step; of `validation_data`, as `predict` gives them.

    Raises:
        ArgumentError: Arguments out of range.

    Source: Salakhutdinov, Mnih and Hinton, 2007.

    Example:
        >>> import lamella
        >>> lamella.utils.set_random_seed(0)
        >>> users, items = np.indices((40, 6)).reshape(2, -1)
        >>> ratings = np.where((users + items) % 2, 5, 1)  # two kinds of users, two kinds of items
        >>> known = np.random.rand(240) < 0.7
        >>> model = RBMRecommender(4)
        >>> model.compile(lamella.optimizers.SGD(0.3, momentum=0.9))
        >>> _ = model.fit(users[known], items[known], ratings[known], epochs=40, batch_size=10, verbose=0)
        >>> bool(abs(model.predict(users[~known], items[~known]) - ratings[~known]).mean() < 0.5)
        True
    """

    kernel: torch.Tensor
    visible_bias: torch.Tensor
    hidden_bias: torch.Tensor
    shares: torch.Tensor
    table: torch.Tensor

    def __init__(
        self,
        hidden_units: int = 100,
        k: int | Sequence[Sequence[int]] = 1,
        conditional: bool = False,
        kernel_initializer: Any = None,
        decay: float = 0.0,
        users: Sequence[Any] | None = None,
        items: Sequence[Any] | None = None,
        scores: Sequence[float] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        stages: list[tuple[int, ...]] = [(0, k)] if isinstance(k, int) else [tuple(stage) for stage in k]
        wrong = not stages or any(len(stage) != 2 or stage[0] < 0 or stage[1] < 1 for stage in stages)
        if wrong or stages != sorted(stages) or stages[0][0] != 0:
            raise ArgumentError(
                f"RBMRecommender: `k` is a number, 1 or more, or pairs (epoch, number) from epoch 0 on; got {k!r}."
            )
        if isinstance(hidden_units, bool) or not isinstance(hidden_units, int) or hidden_units < 1:
            raise ArgumentError(
                f"RBMRecommender: `hidden_units` must be a whole number, 1 or more; got {hidden_units!r}."
            )
        self.hidden_units = hidden_units
        self.k = k
        self.conditional = conditional
        self.kernel_initializer = initializers.get(kernel_initializer or RandomNormal(stddev=0.01))
        self.decay = decay
        self.steps: int = stages[0][1]
        self._stages = stages
        self._rmse = RootMeanSquaredError(name="rmse")
        self.users: np.ndarray | None = None
        if users is not None and items is not None and scores is not None:
            self._set_up(np.asarray(users), np.asarray(items), np.asarray(scores, np.float64))

    def _set_up(self, users: np.ndarray, items: np.ndarray, scores: np.ndarray) -> None:
        if not 2 <= len(scores) < SEEN:
            raise DataError(f"RBMRecommender: there must be from 2 to 254 different ratings; there are {len(scores)}.")
        self.users, self.items, self.scores = users, items, scores
        units = len(items) * len(scores)
        self.kernel = self.add_weight((units, self.hidden_units), self.kernel_initializer, name="kernel")
        self.visible_bias = self.add_weight((units,), "zeros", name="visible_bias")
        self.hidden_bias = self.add_weight((self.hidden_units,), "zeros", name="hidden_bias")
        if self.conditional:
            self.seen_kernel = self.add_weight((len(items), self.hidden_units), "zeros", name="seen_kernel")
        self.shares = self.add_weight((units,), "zeros", trainable=False, name="shares")
        self.table = self.add_weight((len(users), len(items)), "zeros", dtype="uint8", trainable=False, name="table")
        self.built = True

    def build(self, input_shape: Any = None) -> None:
        """Nothing: weights are made where users and items become known, by `fit`."""

    def call(self, inputs: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        """The expected rating of every item, (batch, items), of coded ratings (batch, items) as in `table`."""
        v, _, seen = self._visible(inputs)
        return self._expected(self._ratings(self._hidden(v, seen)))

    # -- data -----------------------------------------------------------------------------------------------

    def fit(  # type: ignore[override]
        self,
        users: Any,
        items: Any,
        ratings: Any,
        validation_data: Any = None,
        seen: tuple[Any, Any] | None = None,
        batch_size: int = 20,
        callbacks: Sequence[Callback] | None = None,
        **kwargs: Any,
    ) -> Any:
        """Trains on ratings. A further `fit` goes on, with other ratings of the same users and items if wanted.

        Args:
            users: (n,): who rated, by identifiers: numbers or strings.
            items: (n,): what.
            ratings: (n,): how.
            validation_data: (users, items, ratings) that are not trained on.
            seen: (users, items), pairs that are known to have been rated, but not how; with `conditional`.
            batch_size: Users in one step.
            callbacks: As for every model.
            **kwargs: As for every model: `epochs`, `verbose`, ...

        Raises:
            DataError: Columns of different lengths, ratings that are no numbers, an item rated twice by a user (with
                the rows); unknown users, items or ratings in the validation data or a further `fit`.
        """
        if seen is not None and not self.conditional:
            raise ArgumentError("RBMRecommender: `seen` is only looked at with conditional=True.")
        users, items, ratings = columns(users=users, items=items, ratings=ratings)
        first = self.users is None
        if first:  # nothing is set before all is known to be right
            known = np.unique(users), np.unique(items), np.unique(ratings.astype(np.float64))
            table = coded(*known, users, items, ratings)
            self._set_up(*known)
            self._start_at_frequencies(table)
        else:
            table = self._coded(users, items, ratings)
        if seen is not None:
            rows, across = self._numbers(*columns(users=seen[0], items=seen[1]))
            table[rows, across] = torch.where(table[rows, across] == 0, SEEN, table[rows, across])
        with torch.no_grad():
            self.table.copy_(table)
        validation = None if validation_data is None else self._held_out(*validation_data)
        return super().fit(
            table,
            batch_size=batch_size,
            validation_data=validation,
            callbacks=[_Stages(self._stages), *(callbacks or [])],
            **kwargs,
        )

    def evaluate(self, users: Any, items: Any, ratings: Any, **kwargs: Any) -> Any:  # type: ignore[override]
        """The `rmse` of predictions for ratings that were not trained on; arguments as for `fit`."""
        self._need_weights()
        return super().evaluate(*self._held_out(users, items, ratings), **kwargs)

    def _held_out(self, users: Any, items: Any, ratings: Any) -> tuple[torch.Tensor, torch.Tensor]:
        """What is known of the users named, and what is to be predicted, both coded (users, items)."""
        target = self._coded(*columns(users=users, items=items, ratings=ratings))
        rows = (target != 0).any(1)
        return self.table.detach().to(target.device)[rows], target[rows]

    def _coded(self, users: np.ndarray, items: np.ndarray, ratings: np.ndarray) -> torch.Tensor:
        assert self.users is not None
        return coded(self.users, self.items, self.scores, users, items, ratings)

    def _numbers(self, users: np.ndarray, items: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        assert self.users is not None
        return places(self.users, users, "user"), places(self.items, items, "item")

    @torch.no_grad()
    def _start_at_frequencies(self, table: torch.Tensor) -> None:
        """Starts where it would be right if nobody had a taste. Items with few ratings lean on all others."""
        counts = torch.stack([(table == number + 1).sum(0) for number in range(len(self.scores))], 1).double()
        prior = counts.sum(0) / counts.sum()
        shares = (counts + 5 * prior) / (counts.sum(1, keepdim=True) + 5)
        self.shares.copy_(shares.flatten())
        self.visible_bias.copy_(self.shares.log())

    # -- prediction -----------------------------------------------------------------------------------------

    @torch.no_grad()
    def predict(self, users: Any, items: Any, **kwargs: Any) -> np.ndarray:  # type: ignore[override]
        """The expected ratings of pairs of users and items, (n,) float32.

        Args:
            users: (n,) identifiers.
            items: (n,) identifiers.
            **kwargs: For Keras's signature.

        Raises:
            DataError: A user or an item that no rating was trained on, with the row.
        """
        self._need_weights()
        rows, across = (torch.from_numpy(each) for each in self._numbers(*columns(users=users, items=items)))
        asked, place = torch.unique(rows, return_inverse=True)
        found = torch.empty(len(rows))
        for start in range(0, len(asked), _USERS_AT_ONCE):
            here = (place >= start) & (place < start + _USERS_AT_ONCE)
            expected = self(self.table[asked[start : start + _USERS_AT_ONCE].to(self.table.device)]).cpu()
            found[here] = expected[place[here] - start, across[here]]
        return found.numpy()

    @torch.no_grad()
    def recommend(self, user: Any, n: int = 10) -> list[tuple[Any, float]]:
        """The n items that a user has not rated with the highest expected ratings, best first, with these ratings.

        Args:
            user: The identifier.
            n: How many; fewer if the user has rated nearly all.

        Raises:
            DataError: A user that no rating was trained on.
        """
        self._need_weights()
        assert self.users is not None
        known = self.table[places(self.users, np.asarray([user]), "user")]
        expected = self(known)[0].masked_fill(known[0] != 0, float("-inf"))
        best = expected.topk(min(n, int((known == 0).sum())))
        names = self.items[best.indices.cpu().numpy()].tolist()
        return list(zip(names, best.values.tolist(), strict=True))

    # -- training -------------------------------------------------------------------------------------------

    def compile(self, optimizer: Any = "sgd", loss: Any = None, **kwargs: Any) -> None:  # type: ignore[override]
        """Says how to train: with which optimizer. What is made small and what is reported are the model's own.

        Raises:
            ArgumentError: A loss or metrics.
        """
        if loss is not None or kwargs.get("metrics"):
            raise ArgumentError("RBMRecommender has its own loss and metric: compile(optimizer) is all.")
        super().compile(optimizer, **kwargs)

    @property
    def metrics(self) -> list[Metric]:
        """The root of the mean squared error of the expected ratings."""
        return [self._rmse]

    @torch.no_grad()
    def train_step(self, data: Any) -> None:
        """One update of contrastive divergence, from the coded ratings of a batch of users."""
        v, rated, seen = self._visible(data)
        rated = rated.unsqueeze(-1)
        made_h = h = self._hidden(v, seen)
        for step in range(self.steps):
            chances = self._ratings(torch.bernoulli(made_h))
            if step == 0:
                self._track(data, self._expected(chances), rated)
            made_v = self._centred(_drawn(chances), rated)
            made_h = self._hidden(made_v, seen)
        share = 1 / len(v)
        gradients = [
            torch.mm(made_v.T, made_h - 0.5).addmm_(v.T, h - 0.5, alpha=-1).mul_(share),
            made_v.mean(0) - v.mean(0),
            made_h.mean(0) - h.mean(0),
        ]
        weights = [self.kernel, self.visible_bias, self.hidden_bias]
        if seen is not None:
            gradients.append(torch.mm(seen.T, made_h - h).mul_(share))
            weights.append(self.seen_kernel)
        if self.decay:
            items = self.kernel.view(len(self.items), -1)
            gradients[0].view_as(items).add_(items - items.mean(0), alpha=self.decay)
        self.optimizer.apply(gradients, weights)

    def test_step(self, data: Any) -> dict[str, torch.Tensor]:
        """The error of a batch: what is known of users, and what they are to be asked."""
        known, target = data
        self._track(target, self(known), (target != 0).unsqueeze(-1))
        return {"rmse": self._rmse.result()}

    def _track(self, codes: torch.Tensor, expected: torch.Tensor, rated: torch.Tensor) -> None:
        values = torch.as_tensor(self.scores, dtype=expected.dtype, device=expected.device)
        true = values[(codes.long() - 1).clamp(0, len(values) - 1)]
        self._rmse.update_state(true.unsqueeze(-1), expected.unsqueeze(-1), sample_weight=rated.squeeze(-1))

    # -- the machine ----------------------------------------------------------------------------------------

    def _visible(self, codes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
        """Centred ratings (batch, items * ratings), where there is one, and (if conditional) which items were seen."""
        numbers = torch.arange(1, len(self.scores) + 1, dtype=codes.dtype, device=codes.device)
        rated = ((codes != 0) & (codes != SEEN)).to(self.kernel.dtype)
        v = self._centred((codes.unsqueeze(-1) == numbers).to(rated.dtype), rated.unsqueeze(-1))
        return v, rated, (codes != 0).to(v.dtype) if self.conditional else None

    def _centred(self, one_hot: torch.Tensor, rated: torch.Tensor) -> torch.Tensor:
        """v - shares where there is a rating, 0 elsewhere, as rows for the kernel."""
        return one_hot.sub_(self.shares.view(-1, len(self.scores))).mul_(rated).flatten(1)

    def _hidden(self, v: torch.Tensor, seen: torch.Tensor | None) -> torch.Tensor:
        """The probability of each hidden bit, (batch, hidden)."""
        inputs = torch.addmm(self.hidden_bias, v, self.kernel)
        return (inputs if seen is None else inputs.addmm(seen, self.seen_kernel)).sigmoid()

    def _ratings(self, h: torch.Tensor) -> torch.Tensor:
        """The probability of each rating of each item, (batch, items, ratings)."""
        totals = torch.addmm(self.visible_bias, h - 0.5, self.kernel.T)
        return totals.view(len(h), -1, len(self.scores)).softmax(-1)

    def _expected(self, chances: torch.Tensor) -> torch.Tensor:
        return chances @ torch.as_tensor(self.scores, dtype=chances.dtype, device=chances.device)

    def _need_weights(self) -> None:
        if self.users is None:
            raise NotBuiltError("RBMRecommender knows no users and items yet: fit it first.")

    # -- configuration --------------------------------------------------------------------------------------

    def get_config(self) -> dict[str, Any]:
        config: dict[str, Any] = {
            name: getattr(self, name) for name in ("name", "hidden_units", "k", "conditional", "decay")
        }
        config["kernel_initializer"] = initializers.serialize(self.kernel_initializer)
        if self.users is not None:
            config |= {name: getattr(self, name).tolist() for name in ("users", "items", "scores")}
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> RBMRecommender:
        return cls(**config)


class _Stages(Callback):
    """Raises the number of Gibbs steps at the epochs where it is said to rise."""

    def __init__(self, stages: Sequence[tuple[int, ...]]) -> None:
        super().__init__()
        self.stages = stages

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.model.steps = [steps for start, steps in self.stages if start <= epoch][-1]


def _drawn(chances: torch.Tensor) -> torch.Tensor:
    """One-hot draws from probabilities (..., classes), by one random number each."""
    edges = chances.cumsum(-1)[..., :-1]
    numbers = (torch.rand_like(chances[..., :1]) > edges).sum(-1, keepdim=True)
    return torch.zeros_like(chances).scatter_(-1, numbers, 1.0)
