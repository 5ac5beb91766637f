"""`TextClassifier`: strings in, the probabilities of classes out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from lamella.engine.registry import deserialize
from lamella.errors import ArgumentError, DataError
from lamella.language.text_data import LengthBuckets, checked_texts
from lamella.language.text_encoders import ConvolutionalEncoder, NgramEncoder, RecurrentEncoder, TransformerEncoder
from lamella.language.tokenization import Tokenizer
from lamella.layers import Dense, Layer
from lamella.models import Model
from lamella.saving import register_keras_serializable

_ARCHITECTURES: dict[str, Any] = {
    "dnn": lambda rows, length, tokens: NgramEncoder(rows, spellings=tokens),
    "cnn": lambda rows, length, tokens: ConvolutionalEncoder(rows),
    "lstm": lambda rows, length, tokens: RecurrentEncoder(rows, cell="lstm"),
    "gru": lambda rows, length, tokens: RecurrentEncoder(rows, cell="gru"),
    "transformer": lambda rows, length, tokens: TransformerEncoder(rows, length),
}


@register_keras_serializable(package="lamella")
class TextClassifier(Model):
    """Says which class a text is of. `fit`, `evaluate` and `predict` take strings; the vocabulary is saved with it.

    Batches are made of texts of similar length. All of them also take what every model takes: arrays or a
    `PyDataset` of tokens, padded with the tokenizer's `pad_id`.

    Args:
        classes: The names of the classes, or how many there are.
        tokenizer: Cuts and numbers the texts.
        architecture: `"dnn"` (a bag of words, pairs of words and letters), `"cnn"`, `"lstm"`, `"gru"` or
            `"transformer"`; or a layer called as `layer(tokens, mask=mask)`, such as those of
            `lamella.language.text_encoders`, with `TextClassifier.rows(tokenizer)` rows in its embedding.
        max_length: The most tokens of a text; what is longer is cut, counted in `tokenizer.num_truncated`, and warned
            of once.
        **kwargs: As for every model.

    Raises:
        ArgumentError: No classes, two of one name, an unknown architecture.

    Example:
        >>> texts, labels = ["good film", "a bad film", "very good", "so bad"], ["+", "-", "+", "-"]
        >>> model = TextClassifier(["-", "+"], Tokenizer.train(texts, kind="word"), "dnn")
        >>> model.compile("adam")
        >>> _ = model.fit(texts, labels, epochs=2, verbose=0)
        >>> model.predict(["a good one"]).shape
        (1, 2)
    """

    def __init__(
        self,
        classes: int | Sequence[str],
        tokenizer: Tokenizer,
        architecture: str | Layer = "cnn",
        max_length: int = 256,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if isinstance(classes, int) and not isinstance(classes, bool) and classes > 1:
            classes = [f"class_{i}" for i in range(classes)]
        if isinstance(classes, (int, str)) or len(classes) < 2 or len(set(classes)) != len(classes):
            raise ArgumentError(f"`classes` must be a number above 1, or different names; got {classes!r}.")
        if not isinstance(architecture, Layer) and architecture not in _ARCHITECTURES:
            raise ArgumentError(
                f"`architecture` must be a layer or one of {list(_ARCHITECTURES)}; got {architecture!r}."
            )
        self.class_names = [str(name) for name in classes]
        self.tokenizer = tokenizer
        self.architecture = architecture
        self.max_length = max_length
        self._numbers = {name: i for i, name in enumerate(self.class_names)}
        rows = self.rows(tokenizer)
        self.pad_id = rows - 1 if tokenizer.pad_id is None else tokenizer.pad_id
        if isinstance(architecture, Layer):
            self.encoder = architecture
        else:
            self.encoder = _ARCHITECTURES[architecture](rows, max_length, tokenizer.tokens)
        self.head = Dense(len(self.class_names), activation="softmax")

    @staticmethod
    def rows(tokenizer: Tokenizer) -> int:
        """How many rows an embedding needs: one more than tokens where the vocabulary has none for padding."""
        return tokenizer.vocabulary_size + (tokenizer.pad_id is None)

    def call(self, inputs: torch.Tensor, training: bool | None = None, mask: torch.Tensor | None = None) -> Any:
        """Tokens (batch, length), padded with `pad_id`, to probabilities (batch, classes)."""
        real = inputs != self.pad_id if mask is None else mask
        return self.head(self.encoder(inputs, mask=real))

    # -- training -------------------------------------------------------------------------------------------

    def compile(  # type: ignore[override]
        self,
        optimizer: Any = "adamw",
        loss: Any = "sparse_categorical_crossentropy",
        metrics: Any = ("accuracy",),
        **kwargs: Any,
    ) -> None:
        """Says how to train; targets are the numbers of the classes."""
        super().compile(optimizer, loss, metrics=list(metrics) if isinstance(metrics, tuple) else metrics, **kwargs)

    def batches(
        self, texts: Any, labels: Any = None, batch_size: int | None = None, shuffle: bool = False
    ) -> LengthBuckets:
        """Texts, and their labels where there are any, as batches of tokens of similar length.

        Args:
            texts: Strings.
            labels: For each the name or the number of its class.
            batch_size: The most texts in a batch; 32 by default.
            shuffle: Whether each epoch is new.

        Raises:
            DataError: Texts that are no strings, labels that are no class, another number of them.
        """
        texts = checked_texts(texts)
        numbers = None if labels is None else self.class_numbers(labels)
        if numbers is not None and len(numbers) != len(texts):
            raise DataError(f"TextClassifier: there are {len(texts)} texts, but {len(numbers)} labels.")
        tokens = self.tokenizer.encode_lists(texts, self.max_length)
        return LengthBuckets(tokens, numbers, batch_size=batch_size or 32, pad_id=self.pad_id, shuffle=shuffle)

    def class_numbers(self, labels: Any) -> np.ndarray:
        """The number of each label's class: labels are names of classes, or numbers.

        Raises:
            DataError: A label that is neither, named by its index.
        """
        labels = labels.tolist() if hasattr(labels, "tolist") else list(labels)
        count = len(self.class_names)
        numbers = []
        for i, label in enumerate(labels):
            number = self._numbers.get(label, -1) if isinstance(label, str) else label
            if not isinstance(number, (int, np.integer)) or not 0 <= number < count:
                raise DataError(
                    f"TextClassifier: labels[{i}] is {label!r}, but the classes are {self.class_names}: give a name of "
                    f"these, or a number from 0 to {count - 1}."
                )
            numbers.append(int(number))
        return np.array(numbers, "int64")

    def fit(self, x: Any = None, y: Any = None, batch_size: int | None = None, **kwargs: Any) -> Any:  # type: ignore[override]
        """Trains on texts and their labels (names or numbers of classes), or as every model on tokens.

        `validation_data` may be a pair of texts and labels, and `validation_split` the share of the last texts;
        `class_weight` may have names for keys. All else is as for every model.

        Raises:
            DataError: What `batches` raises.
        """
        validation = kwargs.pop("validation_data", None)
        validation_size = kwargs.get("validation_batch_size") or batch_size
        weights = kwargs.pop("class_weight", None)
        if weights is not None:
            names = list(weights)
            weights = dict(zip(self.class_numbers(names).tolist(), (weights[name] for name in names), strict=True))
        if _are_texts(x):
            if kwargs.get("sample_weight") is not None:
                raise ArgumentError("TextClassifier: texts have no `sample_weight`; give class_weight, or tokens.")
            if y is None:
                raise DataError("TextClassifier: fit(texts, labels) needs labels.")
            x, y = checked_texts(x), self.class_numbers(y)
            share = kwargs.pop("validation_split", 0.0)
            if share and validation is None:
                cut = int(len(x) * (1 - share))
                if not 0 < cut < len(x):
                    raise ArgumentError(f"`validation_split` of {share} leaves {cut} of {len(x)} texts for training.")
                (x, y), validation = (x[:cut], y[:cut]), (x[cut:], y[cut:])
            x, y, batch_size = self.batches(x, y, batch_size, kwargs.get("shuffle", True)), None, None
        if isinstance(validation, (tuple, list)) and len(validation) == 2 and _are_texts(validation[0]):
            validation = self.batches(validation[0], validation[1], validation_size)
        return super().fit(x, y, batch_size, validation_data=validation, class_weight=weights, **kwargs)

    def evaluate(self, x: Any = None, y: Any = None, batch_size: int | None = None, **kwargs: Any) -> Any:  # type: ignore[override]
        """The loss and the metrics on texts and labels, or as every model on tokens."""
        if _are_texts(x):
            x, y, batch_size = self.batches(x, y, batch_size), None, None
        return super().evaluate(x, y, batch_size, **kwargs)

    # -- prediction -----------------------------------------------------------------------------------------

    def predict(self, x: Any, batch_size: int | None = None, verbose: str | int = 0, **kwargs: Any) -> np.ndarray:  # type: ignore[override]
        """The probabilities of the classes, (texts, classes), in the order of `class_names`; also of tokens."""
        if not _are_texts(x):
            return super().predict(x, batch_size, verbose, **kwargs)
        data = self.batches(x, batch_size=batch_size)
        found = super().predict(data, verbose=verbose, **kwargs)
        in_order = np.empty_like(found)
        in_order[data.order.numpy()] = found
        return in_order

    def predict_classes(self, x: Any, batch_size: int | None = None) -> list[str]:
        """The name of each text's likeliest class."""
        return [self.class_names[i] for i in self.predict(x, batch_size).argmax(-1)]

    # -- configuration --------------------------------------------------------------------------------------

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "classes": self.class_names}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Mapping[str, Any] | None = None) -> TextClassifier:
        parts = {key: deserialize(config[key], custom_objects) for key in ("tokenizer", "architecture")}
        return cls(**{**config, **parts})


def _are_texts(x: Any) -> bool:
    if isinstance(x, (list, tuple)):
        return any(isinstance(each, str) for each in x)
    return isinstance(x, str) or getattr(getattr(x, "dtype", None), "kind", None) in ("O", "U", "T")
