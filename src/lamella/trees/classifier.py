"""`TreeClassifier`: a class for each node of a tree, such as the sentiment of each phrase of a sentence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from lamella import layers
from lamella.errors import ArgumentError, DataError
from lamella.losses import SparseCategoricalCrossentropy
from lamella.models import Model
from lamella.saving import deserialize_keras_object, register_keras_serializable, serialize_keras_object
from lamella.trees.batch import FIRST_WORD, NO_WORD, checked_trees
from lamella.trees.layer import TreeLayer
from lamella.trees.tree import Tree
from lamella.trees.tree_data import TreeBatches
from lamella.trees.tree_lstm import TreeLSTM


@register_keras_serializable(package="lamella")
class TreeClassifier(Model):
    """Words become vectors, a layer goes up the trees, and each node is put in a class.

    It learns from all nodes that have a label: the loss is their mean cross-entropy. Metrics look at the roots.

    Args:
        vocabulary: The words that are known. `from_trees` collects them, and the classes.
        classes: The labels, in the order in which `predict` gives their probabilities.
        layer: A layer over trees; `TreeLSTM(128, arity=2)` by default.
        embedding_size: The size of a word's vector. It must suit the layer: `units` for `RecursiveNetwork` and
            `RecursiveTensorNetwork`, `units + units**2` for `MatrixVectorNetwork`.
        dropout: The share of numbers of words' vectors, and of nodes' states, that is dropped while training.
        **kwargs: As for every model.

    `fit`, `evaluate` and `predict` take lists of `Tree`s. In tensors, the model maps a dict of `"tokens"` and
    `"parents"`, (nodes,) in level order, as `TreeBatch` has them, to scores (logits) of the classes, (nodes, classes).

    Raises:
        ArgumentError: Words or classes given twice, fewer than two classes, or arguments out of range.

    Source: Socher et al., 2013; Tai et al., 2015.

    Example:
        >>> import lamella
        >>> trees = [Tree.from_string("(+ (0 so) (+ good))"), Tree.from_string("(- (0 so) (- bad))")]
        >>> model = TreeClassifier.from_trees(trees, layer=TreeLSTM(8, arity=2), embedding_size=8, dropout=0)
        >>> model.compile(lamella.optimizers.Adam(0.05))
        >>> _ = model.fit(trees, epochs=60, verbose=0)
        >>> model.predict_classes(trees)
        ['+', '-']
    """

    def __init__(
        self,
        vocabulary: Sequence[str],
        classes: Sequence[Any],
        layer: TreeLayer | None = None,
        embedding_size: int = 128,
        dropout: float = 0.5,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.vocabulary = _different("vocabulary", vocabulary)
        self.classes = _different("classes", classes)
        if len(self.classes) < 2:
            raise ArgumentError(f"TreeClassifier: `classes` must be two or more; got {self.classes!r}.")
        if layer is not None and (not isinstance(layer, TreeLayer) or not layer.return_nodes):
            raise ArgumentError(
                f"TreeClassifier: `layer` is a layer over trees, such as TreeLSTM, that gives all nodes "
                f"(return_nodes=True); got {layer!r}."
            )
        self.embedding_size = embedding_size
        self.dropout = dropout
        self._word_numbers = {word: i for i, word in enumerate(self.vocabulary, FIRST_WORD)}
        self._class_numbers = {label: i for i, label in enumerate(self.classes)}
        self.embedding = layers.Embedding(len(self.vocabulary) + FIRST_WORD, embedding_size)
        self.drop = layers.Dropout(dropout)
        self.layer = TreeLSTM(128, arity=2) if layer is None else layer
        self.classifier = layers.Dense(len(self.classes))
        with torch.no_grad():
            self({"tokens": torch.tensor([NO_WORD]), "parents": torch.tensor([-1])})  # makes the weights

    @classmethod
    def from_trees(cls, trees: Sequence[Tree], min_count: int = 1, **options: Any) -> TreeClassifier:
        """A classifier, not trained yet, with the words and the labels of some trees.

        Args:
            trees: The trees.
            min_count: How often a word must occur to be known. With 2 or more, the vector of unknown words is trained
                on the rarest ones.
            **options: As for the class.
        """
        trees = checked_trees(trees)
        counts = Counter(word for tree in trees for word in tree.words if word is not None)
        found = {label for tree in trees for label in tree.labels if label is not None}
        labels = sorted(found, key=lambda label: (isinstance(label, str), label))
        return cls(sorted(word for word, count in counts.items() if count >= min_count), labels, **options)

    def call(self, inputs: dict[str, torch.Tensor], training: bool | None = None) -> torch.Tensor:  # type: ignore[override]
        tokens = inputs["tokens"]
        x = self.drop(self.embedding(tokens))
        states = self.layer([x, inputs["parents"]], mask=[tokens != NO_WORD, None])
        return self.classifier(self.drop(states))

    # -- training -------------------------------------------------------------------------------------------

    def compile(  # type: ignore[override]
        self,
        optimizer: Any = "adam",
        loss: Any = None,
        loss_weights: Any = None,
        metrics: Any = None,
        weighted_metrics: Any = None,
        **kwargs: Any,
    ) -> None:
        """Says how to train. By default the loss is the cross-entropy of labelled nodes, and the metric, of labelled
        roots as all metrics, the accuracy.
        """
        if loss is None:
            loss = SparseCategoricalCrossentropy(from_logits=True, reduction="mean_with_sample_weight")
        # All are weighted metrics: compute_metrics has the weights that leave the roots alone.
        chosen = ["accuracy"] if metrics is None and weighted_metrics is None else []
        chosen += [*(metrics or []), *(weighted_metrics or [])]
        super().compile(optimizer, loss, loss_weights, weighted_metrics=chosen, **kwargs)

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> dict[str, Any]:
        """Adds the roots of a batch to the metrics; their values so far."""
        roots = (x["parents"] < 0).to(y_pred.dtype)
        return super().compute_metrics(x, y, y_pred, roots if sample_weight is None else roots * sample_weight)

    def fit(  # type: ignore[override]
        self,
        x: Any,
        y: None = None,
        batch_size: int | None = None,
        epochs: int = 1,
        validation_data: Any = None,
        **kwargs: Any,
    ) -> Any:
        """Trains on trees and the labels of their nodes.

        Args:
            x: The trees, or a `TreeBatches`.
            y: None: the labels are in the trees.
            batch_size: Trees in one step, of similar depth; 32 by default.
            epochs: The epoch to train up to.
            validation_data: Trees, or a `TreeBatches`.
            **kwargs: As for every model.

        Raises:
            DataError: No trees, or labels that are not among the classes.
        """
        _no_targets(y)
        if validation_data is not None:
            validation_data = self._batches(validation_data, batch_size, shuffle=False)
        data = self._batches(x, batch_size, shuffle=True)
        return super().fit(data, epochs=epochs, validation_data=validation_data, **kwargs)

    def evaluate(self, x: Any, y: None = None, batch_size: int | None = None, **kwargs: Any) -> Any:  # type: ignore[override]
        """The loss of all labelled nodes and the metrics of the roots; arguments as for `fit` and every model."""
        _no_targets(y)
        return super().evaluate(self._batches(x, batch_size, shuffle=False), **kwargs)

    def _batches(self, x: Any, batch_size: int | None, shuffle: bool) -> TreeBatches:
        if isinstance(x, TreeBatches):
            return x
        return TreeBatches(x, self._word_numbers, self._class_numbers, batch_size or 32, shuffle)

    # -- prediction -----------------------------------------------------------------------------------------

    def predict(self, x: Sequence[Tree], batch_size: int | None = None, **kwargs: Any) -> np.ndarray:  # type: ignore[override]
        """The probabilities of the classes at the root of each tree, (trees, classes).

        Args:
            x: The trees; their labels are not looked at.
            batch_size: Trees in one batch; 32 by default.
            **kwargs: As for every model.
        """
        return np.stack([nodes[0] for nodes in self.predict_nodes(x, batch_size, **kwargs)])

    def predict_nodes(self, x: Sequence[Tree], batch_size: int | None = None, **kwargs: Any) -> list[np.ndarray]:
        """The probabilities at all nodes: for each tree (its nodes, classes), in the order of its nodes."""
        data = TreeBatches(x, self._word_numbers, batch_size=batch_size or 32, shuffle=False)
        logits = super().predict(data, **{"verbose": 0, **kwargs})
        return data.split(torch.from_numpy(logits).softmax(-1).numpy())

    def predict_classes(self, x: Sequence[Tree], batch_size: int | None = None) -> list[Any]:
        """The likeliest label of each tree's root."""
        return [self.classes[i] for i in self.predict(x, batch_size).argmax(-1)]

    # -- configuration --------------------------------------------------------------------------------------

    def get_config(self) -> dict[str, Any]:
        names = ("name", "vocabulary", "classes", "embedding_size", "dropout")
        return {name: getattr(self, name) for name in names} | {"layer": serialize_keras_object(self.layer)}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Mapping[str, Any] | None = None) -> TreeClassifier:
        layer = deserialize_keras_object(config["layer"], custom_objects=custom_objects)
        return cls(**{**config, "layer": layer})


def _different(what: str, names: Sequence[Any]) -> list[Any]:
    found = [] if isinstance(names, str) else list(names)
    if not found or len(set(found)) != len(found):
        raise ArgumentError(f"TreeClassifier: `{what}` must be a list of different names; got {names!r:.80}.")
    return found


def _no_targets(y: Any) -> None:
    if y is not None:
        raise DataError("TreeClassifier: labels are in the trees, at each node; give no `y`.")
