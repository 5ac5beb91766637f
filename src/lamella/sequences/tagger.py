"""`SequenceTagger`: a tag for each token of a sentence, or of any other sequence of names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from lamella import layers
from lamella.engine.device import device_of
from lamella.engine.image_data_format import channels_last_inside
from lamella.errors import ArgumentError, DataError, nearest
from lamella.language.attention import without_need
from lamella.language.positions import sinusoids
from lamella.language.text_data import LengthBuckets, pad_tokens
from lamella.language.transformer import TransformerBlock
from lamella.losses import SparseCategoricalCrossentropy
from lamella.models import Model
from lamella.saving import register_keras_serializable
from lamella.sequences.spans import SpanF1, marks_spans
from lamella.utils import PyDataset

Sentences = Sequence[Sequence[str]]

ARCHITECTURES = ("lstm", "gru", "transformer")
_PADDING, _UNKNOWN, _FIRST = 0, 1, 2  # the numbers of words and of characters
_SPELLED = 24  # characters of a word that are looked at: those at its two ends
_CHARACTER_SIZE, _CHARACTER_FILTERS = 32, 64


@register_keras_serializable(package="lamella")
class SequenceTagger(Model):
    """Reads a sentence and says the tag of each of its tokens: parts of speech, names, dates, ...

    Tokens become vectors, of a table for the words that are known and, with `characters`, of their spelling, so that
    unknown words have an ending and capitals, too. Then the sentence is read, both ways unless `bidirectional` is
    False, and a dense layer scores the tags of each token.

    Args:
        tags: The names of the tags.
        vocabulary: The words that are known. `from_data` collects both.
        architecture: `"lstm"`, `"gru"` or `"transformer"`.
        bidirectional: Whether a token's tag may depend on what comes after it.
        characters: Whether the spelling of words is looked at (a convolution over three characters, and the maximum).
        embedding_size: The size of a word's vector.
        units: Of the recurrent layers, in each direction; the width of the Transformer.
        num_layers: How many recurrent layers or Transformer blocks there are.
        num_heads: Attention heads of the Transformer.
        dropout: The share of values dropped before each layer while training.
        unknown_rate: The share of words that is taken for unknown while training, so that the vector for them is
            trained, too.
        **kwargs: As for every model.

    Sentences are lists of strings; `fit`, `evaluate` and `predict` take lists of them. In tensors, the model maps a
    dict of `"words"` (batch, length), int64, 0 for padding, and with `characters` `"characters"`
    (batch, length, 24), to the scores (logits) of the tags (batch, length, tags).

    Raises:
        ArgumentError: Names given twice, or arguments out of range.

    Source: Huang et al., Bidirectional LSTM-CRF models for sequence tagging, 2015 (here without the CRF); characters:
        Ma and Hovy, 2016.

    Example:
        >>> tagger = SequenceTagger(["noun", "verb"], ["dogs", "bark"], units=8)
        >>> tagger.compile("adam")
        >>> _ = tagger.fit([["dogs", "bark"], ["bark"]], [["noun", "verb"], ["verb"]], epochs=100, verbose=0)
        >>> tagger.predict([["dogs", "bark"], ["bark"]])
        [['noun', 'verb'], ['verb']]
    """

    @channels_last_inside
    def __init__(
        self,
        tags: Sequence[str],
        vocabulary: Sequence[str],
        architecture: str = "lstm",
        bidirectional: bool = True,
        characters: bool = False,
        embedding_size: int = 100,
        units: int = 128,
        num_layers: int = 1,
        num_heads: int = 4,
        dropout: float = 0.25,
        unknown_rate: float = 0.05,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.tags = _names("tags", tags)
        self.vocabulary = _names("vocabulary", vocabulary)
        if len(self.tags) < 2:
            raise ArgumentError(f"SequenceTagger: `tags` must be two or more; got {self.tags}.")
        if architecture not in ARCHITECTURES:
            raise ArgumentError(f"SequenceTagger: `architecture` must be one of {ARCHITECTURES}; got {architecture!r}.")
        for name, value in (("units", units), ("num_layers", num_layers), ("embedding_size", embedding_size)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ArgumentError(f"SequenceTagger: `{name}` must be a whole number, 1 or more; got {value!r}.")
        if not (0 <= dropout < 1 and 0 <= unknown_rate < 1):
            raise ArgumentError(
                f"SequenceTagger: `dropout` and `unknown_rate` are shares from 0 to below 1; "
                f"got {dropout!r} and {unknown_rate!r}."
            )
        self.architecture = architecture
        self.bidirectional = bidirectional
        self.characters = characters
        self.embedding_size = embedding_size
        self.units = units
        self.num_layers = num_layers
        self.num_heads = num_heads
        self.dropout = dropout
        self.unknown_rate = unknown_rate
        self._tag_numbers = {tag: i for i, tag in enumerate(self.tags)}
        self._word_numbers = {word: i for i, word in enumerate(self.vocabulary, _FIRST)}
        alphabet = sorted({character for word in self.vocabulary for character in word})
        self._character_numbers = {character: i for i, character in enumerate(alphabet, _FIRST)}

        self.word_embedding = layers.Embedding(len(self.vocabulary) + _FIRST, embedding_size)
        if characters:
            self.character_embedding = layers.Embedding(len(alphabet) + _FIRST, _CHARACTER_SIZE)
            self.spelling = layers.Conv1D(_CHARACTER_FILTERS, 3, padding="same", activation="relu")
        self.drop = layers.Dropout(dropout)
        if architecture == "transformer":
            self.project = layers.Dense(units)
        self.readers = [self._reader() for _ in range(num_layers)]
        self.last_norm = layers.LayerNormalization() if architecture == "transformer" else None
        self.classifier = layers.Dense(len(self.tags))
        example = {"words": torch.zeros(1, 1, dtype=torch.int64)}
        if characters:
            example["characters"] = torch.zeros(1, 1, _SPELLED, dtype=torch.int64)
        with torch.no_grad():
            self(example)  # makes the weights

    @classmethod
    def from_data(cls, sentences: Sentences, tags: Sentences, min_count: int = 1, **options: Any) -> SequenceTagger:
        """A tagger, not trained yet, with the tags and the words of some sentences.

        Args:
            sentences: Lists of words.
            tags: Lists of tags.
            min_count: How often a word must occur to be known.
            **options: As for the class.

        Example:
            >>> tagger = SequenceTagger.from_data([["a", "dog"], ["a", "cat"]], [["x", "y"], ["x", "y"]], min_count=2)
            >>> tagger.vocabulary, tagger.tags
            (['a'], ['x', 'y'])
        """
        _check_sentences("sentences", sentences)
        _check_sentences("tags", tags)
        counts = Counter(word for sentence in sentences for word in sentence)
        names = sorted({tag for row in tags for tag in row})
        return cls(names, sorted(word for word, count in counts.items() if count >= min_count), **options)

    def _reader(self) -> layers.Layer:
        if self.architecture == "transformer":
            causal = not self.bidirectional
            return TransformerBlock(self.num_heads, 4 * self.units, causal=causal, dropout=self.dropout)
        recurrent: type = layers.LSTM if self.architecture == "lstm" else layers.GRU
        layer = recurrent(self.units, return_sequences=True)
        return layers.Bidirectional(layer) if self.bidirectional else layer

    def call(self, inputs: dict[str, torch.Tensor], training: bool | None = None) -> torch.Tensor:  # type: ignore[override]
        words = inputs["words"]
        real = words != _PADDING
        if training and self.unknown_rate:
            hidden = (torch.rand(words.shape, device=words.device) < self.unknown_rate) & real
            words = words.masked_fill(hidden, _UNKNOWN)
        x = self.word_embedding(words)
        if self.characters:
            x = torch.cat([x, self._spelled(inputs["characters"])], -1)
        if self.architecture == "transformer":
            x = self.project(x)
            x = x + sinusoids(x.shape[1], x.shape[2]).to(x)
        mask = without_need(real)
        for reader in self.readers:
            x = reader(self.drop(x), mask=mask)
        if self.last_norm is not None:
            x = self.last_norm(x)
        return self.classifier(self.drop(x))

    def _spelled(self, characters: torch.Tensor) -> torch.Tensor:
        """The vectors (batch, length, filters) of spellings (batch, length, 24)."""
        real = (characters != _PADDING).flatten(0, 1).unsqueeze(-1)
        seen = self.spelling(self.character_embedding(characters).flatten(0, 1) * real)
        return (seen * real).amax(1).unflatten(0, characters.shape[:2])  # after a ReLU, 0 is nothing

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
        """Says how to train. By default the loss is the cross-entropy of real tokens, and the metrics (of real tokens,
        too) are the accuracy and, if the tags mark spans (`O`, `B-...`, `I-...`), `SpanF1`.
        """
        if loss is None:
            loss = SparseCategoricalCrossentropy(from_logits=True, reduction="mean_with_sample_weight")
        if weighted_metrics is None:
            weighted_metrics = ["accuracy", *([SpanF1(self.tags)] if marks_spans(self.tags) else [])]
        super().compile(optimizer, loss, loss_weights, metrics, weighted_metrics, **kwargs)

    def fit(  # type: ignore[override]
        self,
        x: Any,
        y: Sentences | None = None,
        batch_size: int | None = None,
        epochs: int = 1,
        validation_data: Any = None,
        **kwargs: Any,
    ) -> Any:
        """Trains on sentences and their tags.

        Args:
            x: Lists of words; or a `TaggedSentences`.
            y: Lists of tags.
            batch_size: Sentences in one step, of similar length; 32 by default.
            epochs: The epoch to train up to.
            validation_data: (sentences, tags), or a `TaggedSentences`.
            **kwargs: As for every model.

        Raises:
            DataError: Lists that do not fit one another, empty sentences, or tags that do not exist.
        """
        if isinstance(validation_data, (tuple, list)):
            sentences, tags = validation_data
            validation_data = self._batches(sentences, tags, batch_size, shuffle=False)
        x = self._batches(x, y, batch_size, shuffle=True)
        return super().fit(x, epochs=epochs, validation_data=validation_data, **kwargs)

    def evaluate(self, x: Any, y: Sentences | None = None, batch_size: int | None = None, **kwargs: Any) -> Any:  # type: ignore[override]
        """The loss and the metrics on sentences and their tags; arguments as for `fit`, others as for every model."""
        return super().evaluate(self._batches(x, y, batch_size, shuffle=False), **kwargs)

    def _batches(self, x: Any, y: Sentences | None, batch_size: int | None, shuffle: bool) -> PyDataset:
        if isinstance(x, PyDataset):
            return x
        if y is None:
            raise DataError("SequenceTagger: give the tags of the sentences as `y`.")
        return TaggedSentences(self, x, y, batch_size=batch_size or 32, shuffle=shuffle)

    # -- prediction -----------------------------------------------------------------------------------------

    def predict(self, x: Sentences, batch_size: int | None = None, **kwargs: Any) -> list[list[str]]:  # type: ignore[override]
        """The most likely tag of each token.

        Args:
            x: Lists of words.
            batch_size: Sentences in one batch; 32 by default.
            **kwargs: For Keras's signature.
        """
        _check_sentences("sentences", x)
        found: list[list[str]] = [[] for _ in x]
        kept = [i for i, sentence in enumerate(x) if len(sentence)]
        if not kept:
            return found
        data = TaggedSentences(self, [x[i] for i in kept], batch_size=batch_size or 32, shuffle=False)
        rows = []
        with torch.no_grad():
            for i in range(len(data)):
                inputs = {name: value.to(device_of(self)) for name, value in data[i].items()}
                rows += self(inputs, training=False).argmax(-1).tolist()
        for place, row in zip(data.order.tolist(), rows, strict=True):
            length = len(x[kept[place]])
            found[kept[place]] = [self.tags[tag] for tag in row[:length]]
        return found

    # -- configuration --------------------------------------------------------------------------------------

    def get_config(self) -> dict[str, Any]:
        names = (
            "name",
            "tags",
            "vocabulary",
            "architecture",
            "bidirectional",
            "characters",
            "embedding_size",
            "units",
            "num_layers",
            "num_heads",
            "dropout",
            "unknown_rate",
        )
        return {name: getattr(self, name) for name in names}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> SequenceTagger:
        return cls(**config)


class TaggedSentences(PyDataset):
    """Batches of sentences of similar length for a `SequenceTagger`.

    Batch i is (inputs, tags (batch, length), weights (batch, length)): weights are 1 for tokens and 0 for padding.
    Without tags it is the inputs alone.

    Args:
        tagger: The tagger, which knows words, characters and tags.
        sentences: Lists of words.
        tags: Lists of tags.
        batch_size: Sentences in one batch.
        shuffle: Whether each epoch has other batches; without it they go from short to long.

    Raises:
        DataError: Lists that do not fit one another, empty sentences, or tags that do not exist.
    """

    def __init__(
        self,
        tagger: SequenceTagger,
        sentences: Sentences,
        tags: Sentences | None = None,
        batch_size: int = 32,
        shuffle: bool = True,
    ) -> None:
        super().__init__()
        _check_sentences("sentences", sentences)
        spellings: dict[str, int] = {}  # the different words of these sentences, from 1 on
        rows = [[spellings.setdefault(word, len(spellings) + 1) for word in sentence] for sentence in sentences]
        targets = None if tags is None else _tag_rows(tagger, sentences, tags)
        self._buckets = LengthBuckets(rows, targets, batch_size=batch_size, shuffle=shuffle)
        known = tagger._word_numbers
        self._words = torch.tensor([_PADDING, *(known.get(word, _UNKNOWN) for word in spellings)])
        self._characters: torch.Tensor | None = None
        if tagger.characters:
            self._characters = _spellings(tagger._character_numbers, ["", *spellings])

    @property
    def order(self) -> torch.Tensor:
        """The numbers of the sentences, in the order in which the batches have them."""
        return self._buckets.order

    def on_epoch_begin(self) -> None:
        self._buckets.on_epoch_begin()

    def __len__(self) -> int:
        return len(self._buckets)

    def __getitem__(self, index: int) -> Any:
        batch = self._buckets[index]
        rows, tags = batch if isinstance(batch, tuple) else (batch, None)
        inputs = {"words": self._words[rows]}
        if self._characters is not None:
            inputs["characters"] = self._characters[rows]
        return inputs if tags is None else (inputs, tags, (rows != _PADDING).float())


def _spellings(numbers: dict[str, int], words: Sequence[str]) -> torch.Tensor:
    half = _SPELLED // 2
    ends = [word if len(word) <= _SPELLED else word[:half] + word[-half:] for word in words]
    ids, _ = pad_tokens([[numbers.get(character, _UNKNOWN) for character in word] for word in ends], _PADDING)
    return torch.nn.functional.pad(ids, (0, _SPELLED - ids.shape[1]))


def _tag_rows(tagger: SequenceTagger, sentences: Sentences, tags: Sentences) -> list[list[int]]:
    _check_sentences("tags", tags)
    if len(sentences) != len(tags):
        raise DataError(f"SequenceTagger: there are {len(sentences)} sentences, but {len(tags)} lists of tags.")
    numbers, rows = tagger._tag_numbers, []
    for i, (sentence, names) in enumerate(zip(sentences, tags, strict=True)):
        if len(sentence) != len(names):
            raise DataError(f"SequenceTagger: sentence {i} has {len(sentence)} tokens, but {len(names)} tags.")
        try:
            rows.append([numbers[name] for name in names])
        except KeyError as error:
            (name,) = error.args
            close = nearest(str(name), tagger.tags) or tagger.tags
            raise DataError(f"SequenceTagger: sentence {i} has the tag {name!r}; known: {', '.join(close)}.") from None
    return rows


def _check_sentences(what: str, sentences: Any) -> None:
    wrong = None
    if isinstance(sentences, str) or not isinstance(sentences, (list, tuple, np.ndarray)):
        wrong = f"got {type(sentences).__name__}"
    else:
        for i, sentence in enumerate(sentences):
            if isinstance(sentence, str) or not all(isinstance(token, str) for token in sentence):
                wrong = f"number {i} is {sentence!r:.60}"
                break
    if wrong:
        raise DataError(f"SequenceTagger: `{what}` must be a list of lists of strings; {wrong}. Try text.split().")


def _names(what: str, names: Sequence[str]) -> list[str]:
    found = [str(name) for name in names] if not isinstance(names, str) else []
    if not found or len(set(found)) != len(found):
        raise ArgumentError(f"SequenceTagger: `{what}` must be a list of different names; got {names!r:.80}.")
    return found
