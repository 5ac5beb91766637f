"""What measures models of language: perplexity, and BLEU for translations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F

from lamella.errors import ArgumentError, DataError, ShapeError
from lamella.language.text_data import checked_texts
from lamella.metrics import Metric
from lamella.metrics.base import divide_no_nan, tensors
from lamella.saving import register_keras_serializable


@register_keras_serializable(package="lamella")
class Perplexity(Metric):
    """exp(the mean cross-entropy of a token, in nats): among how many tokens, all as likely, the model chooses.

    The mean is over all tokens of all batches, so long texts count for more than short ones. Infinite above a mean of
    709 nats; 1 before the first token.

    Args:
        from_logits: Whether predictions are logits; otherwise they are probabilities.
        mask_token_id: A token of the targets that does not count, as padding.
        dtype: The data type of the result.
        name: A name.

    Shapes: targets (batch, length), whole numbers; predictions (batch, length, vocabulary); `sample_weight`, or a mask,
    (batch, length) or (batch,).

    Raises:
        ShapeError: Shapes that do not fit.

    Source: Jelinek et al., 1977.

    Example:
        >>> import torch
        >>> metric = Perplexity(from_logits=True, mask_token_id=0)
        >>> round(float(metric(torch.tensor([[1, 2, 0]]), torch.zeros(1, 3, 50))), 3)
        50.0
    """

    def __init__(
        self,
        from_logits: bool = False,
        mask_token_id: int | None = None,
        dtype: Any = None,
        name: str = "perplexity",
    ) -> None:
        super().__init__(dtype, name)
        self.from_logits = from_logits
        self.mask_token_id = mask_token_id
        self.nats = self.add_variable(())
        self.tokens = self.add_variable(())

    @torch.no_grad()
    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        y_true, y_pred, weight = tensors(y_true, y_pred, sample_weight)
        if y_pred.ndim != y_true.ndim + 1 or y_pred.shape[:-1] != y_true.shape:
            raise ShapeError(
                f"{self.name}: expected tokens (batch, length) and predictions (batch, length, vocabulary); got "
                f"{tuple(y_true.shape)} and {tuple(y_pred.shape)}."
            )
        self._follow(y_pred)
        targets = y_true.to(torch.int64)
        if weight is None:
            weight = torch.ones((), device=y_pred.device)
        while weight.ndim < targets.ndim:
            weight = weight.unsqueeze(-1)
        try:
            weight = weight.to(self.nats.dtype).expand(targets.shape)
        except RuntimeError:
            raise ShapeError(
                f"{self.name}: a sample_weight (or mask) of shape {tuple(weight.shape)} does not fit tokens of shape "
                f"{tuple(targets.shape)}."
            ) from None
        if self.mask_token_id is not None:
            weight = weight * (targets != self.mask_token_id)
        scores = y_pred if self.from_logits else y_pred.clamp(min=torch.finfo(y_pred.dtype).tiny).log()
        loss = F.cross_entropy if self.from_logits else F.nll_loss
        nats = loss(scores.flatten(0, -2), targets.flatten(), reduction="none").view(targets.shape)
        # Where nothing counts nothing may come in, not even an infinity.
        self.nats.add_(torch.where(weight != 0, nats * weight, 0.0).sum())
        self.tokens.add_(weight.sum())

    def result(self) -> torch.Tensor:
        return self._result(divide_no_nan(self.nats, self.tokens).exp())

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "from_logits": self.from_logits, "mask_token_id": self.mask_token_id}


@register_keras_serializable(package="lamella")
class Bleu(Metric):
    """BLEU from 0 to 100 of all translations together, as the package `sacrebleu` computes it.

    Texts are whole sentences as people write them; `sacrebleu` cuts them into tokens itself.

    Args:
        tokenize: How: `"13a"` (its usual way), `"intl"`, `"char"`, `"zh"`, ...
        lowercase: Whether case does not count.
        name: A name.

    Attributes:
        signature: What sacrebleu calls this way of counting; state it beside a figure.

    Raises:
        DataError: As many references as translations are not there, or texts that are no strings.
        ImportError: `sacrebleu` is not installed.

    Source: Papineni et al., 2002; Post, 2018.

    Example:
        >>> metric = Bleu()
        >>> metric.update_state(["the cat sits on the mat"], ["the cat sits on the mat"])
        >>> metric.num_texts
        1
    """

    def __init__(self, tokenize: str = "13a", lowercase: bool = False, name: str = "bleu") -> None:
        super().__init__(name=name)
        self.tokenize = tokenize
        self.lowercase = lowercase
        self._translations: list[str] = []
        self._references: list[list[str]] = []

    def update_state(self, y_true: Sequence[Any], y_pred: Sequence[str], sample_weight: Any = None) -> None:
        """Adds translations.

        Args:
            y_true: For each the reference, or a list of several.
            y_pred: The translations.
            sample_weight: None: BLEU knows no weights.
        """
        if sample_weight is not None:
            raise ArgumentError(f"{self.name}: BLEU has no weights of samples.")
        translations = checked_texts(y_pred, "y_pred")
        if isinstance(y_true, str) or len(y_true) != len(translations):
            raise DataError(
                f"{self.name}: {len(translations)} translations need as many references; got {y_true!r:.80}."
            )
        several = [[each] if isinstance(each, str) else each for each in y_true]
        references = [checked_texts(each, f"y_true[{i}]") for i, each in enumerate(several)]
        self._translations += translations
        self._references += references

    @property
    def num_texts(self) -> int:
        """How many translations there are so far."""
        return len(self._translations)

    def _bleu(self) -> Any:
        try:
            from sacrebleu.metrics import BLEU
        except ImportError as error:
            raise ImportError("Bleu needs the package sacrebleu: pip install 'lamella[language]'.") from error
        return BLEU(tokenize=self.tokenize, lowercase=self.lowercase)

    def _score(self) -> tuple[Any, Any]:
        bleu = self._bleu()
        most = max(map(len, self._references))
        streams = [[each[i] if i < len(each) else None for each in self._references] for i in range(most)]
        return bleu, bleu.corpus_score(self._translations, streams)

    def result(self) -> float:
        """The score so far; 0 before the first text."""
        return self._score()[1].score if self._translations else 0.0

    @property
    def signature(self) -> str:
        """What sacrebleu calls this way of counting, for the texts so far."""
        if not self._translations:
            raise DataError(f"{self.name}: there is no signature before the first text.")
        return str(self._score()[0].get_signature())

    def reset_state(self) -> None:
        self._translations, self._references = [], []

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name, "tokenize": self.tokenize, "lowercase": self.lowercase}
