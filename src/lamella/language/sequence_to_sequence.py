"""`SequenceToSequence`: what translators have in common; a family says how it reads and how it writes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F

from lamella.engine.device import device_of
from lamella.engine.kernels import best_matmul
from lamella.errors import ArgumentError, DataError, DTypeError
from lamella.initializers import RandomNormal
from lamella.language.generation import beam_search, sample
from lamella.language.metrics import Perplexity
from lamella.language.text_data import LengthBuckets, checked_texts, pad_tokens
from lamella.language.tokenization import Tokenizer
from lamella.layers import Dropout, ReversibleEmbedding
from lamella.metrics import Mean, Metric
from lamella.models import Model


class SequenceToSequence(Model):
    """A model from texts to texts: an encoder reads the source, a decoder writes the target token by token.

    It is trained by teacher forcing: each token of the target is told from those before it. `fit` and `evaluate` take
    batches `(source, target)` of tokens, (batch, length) int64, padded at the right, as `model.batches(...)` makes
    them: a source ends with the end token, a target begins with the start token and ends with the end token. Called
    on such a pair, the model gives the scores (logits) of each next token, (batch, length of the target, vocabulary).
    Padding (tokens that are the tokenizer's `pad_id`) is neither looked at nor learned.

    A family writes `encode`, `decode`, `decoding_state` and `step`.

    Args:
        source_tokenizer: The tokenizer of what is read.
        target_tokenizer: That of what is written. By default the same, with one table of embeddings for both.
        width: The size of the vectors.
        dropout: The share of numbers that is dropped while training.
        max_length: The most tokens of a text, with its marks. `batches` and `translate` cut longer ones, and warn.
        label_smoothing: The share of each target's probability that is spread over the vocabulary (Szegedy et al.,
            2016).
        **kwargs: As for every model.

    The output layer is the table of the target's embeddings (Press and Wolf, 2017), and a bias.

    Raises:
        ArgumentError: Arguments out of range; a tokenizer without padding, start or end token.
    """

    def __init__(
        self,
        source_tokenizer: Tokenizer,
        target_tokenizer: Tokenizer | None,
        width: int,
        dropout: float,
        max_length: int,
        label_smoothing: float,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not 0 <= label_smoothing < 1:
            raise ArgumentError(f"{type(self).__name__}: `label_smoothing` is from 0 to 1; got {label_smoothing!r}.")
        if isinstance(max_length, bool) or not isinstance(max_length, int) or max_length < 2:
            raise ArgumentError(
                f"{type(self).__name__}: `max_length` is a whole number of 2 or more; got {max_length!r}."
            )
        shared = target_tokenizer is None
        self.source_tokenizer = _checked(self, "source_tokenizer", source_tokenizer, ("pad_id", "end_id"))
        self.target_tokenizer = _checked(
            self, "target_tokenizer", target_tokenizer or source_tokenizer, ("pad_id", "start_id", "end_id")
        )
        self.shared_vocabulary = shared
        self.width = width
        self.dropout = dropout
        self.max_length = max_length
        self.label_smoothing = label_smoothing
        self.target_embedding = self._embedding(self.target_tokenizer)
        self.source_embedding = self.target_embedding if shared else self._embedding(self.source_tokenizer)
        self.output_bias = self.add_weight((self.target_tokenizer.vocabulary_size,), "zeros", name="output_bias")
        self._drop = Dropout(dropout)
        self._perplexity = Perplexity()
        self._accuracy = Mean(name="accuracy")

    def _embedding(self, tokenizer: Tokenizer) -> ReversibleEmbedding:
        start = RandomNormal(stddev=self.width**-0.5)
        return ReversibleEmbedding(tokenizer.vocabulary_size, self.width, embeddings_initializer=start)

    def build(self, input_shape: Any = None) -> None:
        """Nothing: the weights exist from the start."""

    def _make_weights(self) -> None:
        """Makes the weights of all layers, by a run on the smallest texts there are."""
        one = torch.zeros((1, 1), dtype=torch.int64, device=device_of(self))
        with torch.no_grad():
            self((one, one))

    # -- what a family writes -------------------------------------------------------------------------------

    def encode(self, source: torch.Tensor) -> Any:
        """What the decoder looks at, of source tokens (batch, length)."""
        raise NotImplementedError(f"{type(self).__name__} has no encode().")

    def decode(self, target: torch.Tensor, memory: Any) -> torch.Tensor:
        """A vector for each next token, (batch, length, width), of target tokens and what `encode` gave."""
        raise NotImplementedError(f"{type(self).__name__} has no decode().")

    def decoding_state(self, source: torch.Tensor) -> Any:
        """What `step` starts from, for source tokens (batch, length); it has `reorder(indices)`."""
        raise NotImplementedError(f"{type(self).__name__} has no decoding_state().")

    def step(self, tokens: torch.Tensor, state: Any) -> tuple[torch.Tensor, Any]:
        """The scores (batch, vocabulary) of the token after `tokens` (batch, t), which go on from the state.

        Returns:
            The scores, and the state after these tokens.
        """
        raise NotImplementedError(f"{type(self).__name__} has no step().")

    # -- training -------------------------------------------------------------------------------------------

    def call(self, inputs: Any, training: bool | None = None) -> torch.Tensor:  # type: ignore[override]
        source, target = inputs
        return self.scores(self.decode(target, self.encode(source)))

    def scores(self, vectors: torch.Tensor) -> torch.Tensor:
        """The score of each token of the target's vocabulary, for vectors (..., width)."""
        flat = vectors.reshape(-1, self.width)
        table, bias = (weight.to(flat.dtype) for weight in (self.target_embedding.embeddings, self.output_bias))
        logits = torch.addmm(bias, flat, table.T)
        return logits.view(*vectors.shape[:-1], -1).to(self.output_bias.dtype)

    def _embedded(self, tokens: torch.Tensor, table: ReversibleEmbedding) -> torch.Tensor:
        return table(tokens) * self.width**0.5

    def compile(  # type: ignore[override]
        self, optimizer: Any = "adamw", loss: Any = None, metrics: Any = None, **kwargs: Any
    ) -> None:
        """Says how to train. Loss and metrics (the perplexity and the accuracy of tokens) are the model's own.

        Raises:
            ArgumentError: A loss or metrics.
        """
        if loss is not None or metrics:
            raise ArgumentError(
                f"{type(self).__name__} has its own loss and metrics: compile it without them. For BLEU compare what "
                f"translate() gives with lamella.language.Bleu."
            )
        super().compile(optimizer, **kwargs)

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> torch.Tensor:
        """The mean cross-entropy of the tokens that are not padding, smoothed; perplexity and accuracy are not.

        Args:
            x: The source tokens; not looked at.
            y: The tokens to tell, (batch, length).
            y_pred: Their scores, (batch, length, vocabulary).
            sample_weight: Not looked at.
            training: Not looked at.
        """
        y, logs = y.reshape(-1), F.log_softmax(y_pred.flatten(0, 1), -1)
        real = (y != self.target_tokenizer.pad_id).to(logs.dtype)
        tokens = real.sum()
        hard = -(logs.gather(1, y.unsqueeze(1)).squeeze(1) * real).sum() / tokens
        with torch.no_grad():
            self._perplexity.nats.add_(hard * tokens)  # its own update would compute the cross-entropy once more
            self._perplexity.tokens.add_(tokens)
            self._accuracy.update_state(((logs.argmax(-1) == y) * real).sum() / tokens, sample_weight=tokens)
        if not self.label_smoothing:
            return hard
        spread = -(logs.mean(-1) * real).sum() / tokens
        return (1 - self.label_smoothing) * hard + self.label_smoothing * spread

    def train_step(self, data: Any) -> None:
        """Trains on one batch (source, target)."""
        self.minimize(self._loss_of(data, training=True))

    def test_step(self, data: Any) -> None:
        """Evaluates one batch (source, target)."""
        self._loss_of(data, training=False)

    def _loss_of(self, data: Any, training: bool) -> torch.Tensor:
        source, target = self._pair(data)
        told = target[:, 1:]
        loss = self.compute_loss(source, told, self((source, target[:, :-1]), training=training), training=training)
        self._loss_tracker.update_state(loss.detach(), sample_weight=(told != self.target_tokenizer.pad_id).sum())
        return loss

    def _pair(self, data: Any) -> tuple[torch.Tensor, torch.Tensor]:
        if not isinstance(data, (tuple, list)) or len(data) != 2:
            raise DataError(
                f"{type(self).__name__} is trained on batches (source, target) of tokens, without weights; "
                f"model.batches(sources, targets) makes them of texts."
            )
        for name, tokens in zip(("source", "target"), data, strict=True):
            if not isinstance(tokens, torch.Tensor) or tokens.is_floating_point() or tokens.dtype is torch.bool:
                raise DTypeError(
                    f"{type(self).__name__}: the {name} must be tokens, whole numbers (batch, length); got "
                    f"{getattr(tokens, 'dtype', type(tokens).__name__)}. Make batches by model.batches(...)."
                )
        source, target = (tokens.to(torch.int64) for tokens in data)
        if source.ndim != 2 or target.ndim != 2 or len(source) != len(target) or target.shape[1] < 2:
            raise DataError(
                f"{type(self).__name__}: source and target are (batch, length) tokens, and a target has two tokens "
                f"or more, the start and the end; got {tuple(source.shape)} and {tuple(target.shape)}."
            )
        size = len(self.output_bias)
        if target.device.type == "cpu" and target.numel() and not 0 <= target.min() <= target.max() < size:
            raise DataError(
                f"{type(self).__name__}: target tokens are from 0 to {size - 1}, the vocabulary; got some from "
                f"{target.min()} to {target.max()}. Were they made by another tokenizer?"
            )
        return source, target

    @property
    def metrics(self) -> list[Metric]:
        """The loss, the perplexity and the accuracy, each by token."""
        return [self._loss_tracker, self._perplexity, self._accuracy]

    # -- texts ----------------------------------------------------------------------------------------------

    def batches(
        self, sources: Sequence[str], targets: Sequence[str], tokens_per_batch: int = 4096, shuffle: bool = True
    ) -> LengthBuckets:
        """Pairs of texts as a data set for `fit` and `evaluate`: batches of similar length.

        Args:
            sources: The texts to translate.
            targets: Their translations, in the same order.
            tokens_per_batch: The most tokens of a batch, source, target and padding together.
            shuffle: Whether each epoch has other batches.

        Raises:
            DataError: Another number of targets than of sources; something that is no text.
        """
        return LengthBuckets(
            self.source_tokens(sources),
            self.target_tokens(targets),
            tokens_per_batch=tokens_per_batch,
            pad_id=self.source_tokenizer.pad_id,
            target_pad_id=self.target_tokenizer.pad_id,
            shuffle=shuffle,
        )

    def source_tokens(self, texts: Sequence[str]) -> list[list[int]]:
        """The tokens of each text, and the end token."""
        return self.source_tokenizer.encode_lists(checked_texts(texts, "sources"), self.max_length, end=True)

    def target_tokens(self, texts: Sequence[str]) -> list[list[int]]:
        """The start token, the tokens of each text, and the end token."""
        texts = checked_texts(texts, "targets")
        return self.target_tokenizer.encode_lists(texts, self.max_length, start=True, end=True)

    def translate(
        self,
        texts: Sequence[str],
        num_beams: int = 4,
        max_length: int | None = None,
        batch_size: int = 64,
        length_penalty: float = 1.0,
    ) -> list[str]:
        """The translations of texts.

        Args:
            texts: The texts, a list of strings.
            num_beams: How many translations of each are followed at once; 1 takes the likeliest token each time.
            max_length: The most tokens of a translation; the model's by default.
            batch_size: How many texts are translated together. They are sorted by length first.
            length_penalty: A translation's log-probability is divided by its length to this power.

        Raises:
            DataError: One string in place of a list, or something that is no string.
            ArgumentError: Numbers out of range.
        """
        if batch_size < 1 or (max_length is not None and max_length < 2):
            raise ArgumentError(
                f"translate: `batch_size` is 1 or more and `max_length` 2 or more; got {batch_size!r}, {max_length!r}."
            )
        sources = self.source_tokens(texts)
        found = [""] * len(sources)
        order = sorted(range(len(sources)), key=lambda i: len(sources[i]))
        for first in range(0, len(order), batch_size):
            rows = order[first : first + batch_size]
            tokens, _ = pad_tokens([sources[i] for i in rows], self.source_tokenizer.pad_id)
            written = self.translate_tokens(tokens, num_beams, max_length, length_penalty)
            for i, text in zip(rows, self.target_tokenizer.decode_batch(self._without_marks(written)), strict=True):
                found[i] = text
        return found

    def translate_tokens(
        self,
        source: torch.Tensor,
        num_beams: int = 4,
        max_length: int | None = None,
        length_penalty: float = 1.0,
    ) -> torch.Tensor:
        """The translations of source tokens (batch, length), as tokens (batch, t) that begin with the start token.

        What follows a first end token is without meaning.
        """
        marks, longest = self.target_tokenizer, min(max_length or self.max_length, self.max_length)
        source = source.to(device_of(self), torch.int64)
        prompt = torch.full((len(source), 1), marks.start_id, dtype=torch.int64, device=source.device)
        trained = self.training
        self.eval()  # translating is no training, even in a callback of `fit`
        try:
            with torch.no_grad(), best_matmul(source.device):
                state = self.decoding_state(source)
                if num_beams == 1:
                    return sample(self.step, state, prompt, longest - 1, temperature=0, end_token=marks.end_id)
                return beam_search(
                    self.step,
                    state,
                    prompt,
                    longest - 1,
                    num_beams=num_beams,
                    length_penalty=length_penalty,
                    end_token=marks.end_id,
                )[0]
        finally:
            self.train(trained)

    def _without_marks(self, tokens: torch.Tensor) -> list[list[int]]:
        end = self.target_tokenizer.end_id
        rows = (row[1:] for row in tokens.tolist())
        return [row[: row.index(end)] if end in row else row for row in rows]

    # -- configuration --------------------------------------------------------------------------------------

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this model again, the vocabularies among them."""
        config = super().get_config()
        target = None if self.shared_vocabulary else self.target_tokenizer.get_config()
        return {**config, "source_tokenizer": self.source_tokenizer.get_config(), "target_tokenizer": target}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> SequenceToSequence:
        tokenizers = {
            name: config[name] and Tokenizer.from_config(config[name])
            for name in ("source_tokenizer", "target_tokenizer")
        }
        return cls(**{**config, **tokenizers})


def _checked(model: Model, name: str, tokenizer: Any, marks: Sequence[str]) -> Any:
    if not isinstance(tokenizer, Tokenizer):
        raise ArgumentError(
            f"{type(model).__name__}: `{name}` must be a lamella.language.Tokenizer; got {tokenizer!r}."
        )
    missing = [mark for mark in marks if getattr(tokenizer, mark) is None]
    if missing:
        raise ArgumentError(
            f"{type(model).__name__}: the {name} has no {', '.join(missing)}, which mark padding, the start or the end "
            f"of a text. Tokenizer.train(...) makes one that has them."
        )
    return tokenizer
