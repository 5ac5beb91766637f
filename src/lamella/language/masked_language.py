"""Hiding tokens for a masked language model to find (Devlin et al., 2019), anew in each epoch (Liu et al., 2019)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch

from lamella.data.py_dataset import PyDataset
from lamella.errors import ArgumentError, DataError
from lamella.language.tokenization import Tokenizer


def mask_tokens(
    tokens: torch.Tensor,
    mask_id: int,
    vocabulary_size: int,
    special_ids: Iterable[int],
    rate: float = 0.15,
    generator: torch.Generator | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Chooses tokens, and hides 80 % of them behind the mask token, 10 % behind another token; 10 % stay to be seen.

    Args:
        tokens: (batch, length) of whole numbers.
        mask_id: The mask token.
        vocabulary_size: The number of tokens.
        special_ids: Tokens that are never chosen and never put in another's place: padding, start, end.
        rate: The share that is chosen.
        generator: Where chance comes from, on the device of the tokens; torch's own by default.

    Returns:
        What the model sees, (batch, length), and the chosen tokens as they were, -1 elsewhere, (batch, length).

    Raises:
        ArgumentError: A rate that is no share, or no ordinary token at all.

    Example:
        >>> tokens = torch.randint(5, 100, (64, 50))
        >>> seen, labels = mask_tokens(tokens, mask_id=4, vocabulary_size=100, special_ids=range(5))
        >>> bool((labels[labels >= 0] == tokens[labels >= 0]).all()), bool((seen == tokens)[labels < 0].all())
        (True, True)
    """
    if not 0 < rate <= 1:
        raise ArgumentError(f"mask_tokens: `rate` must be a share above 0, up to 1; got {rate!r}.")
    ordinary = torch.ones(vocabulary_size, dtype=torch.bool, device=tokens.device)
    ordinary[list({*special_ids, mask_id})] = False
    words = ordinary.nonzero().squeeze(1)
    if len(words) == 0:
        raise ArgumentError("mask_tokens: every token of the vocabulary is special.")
    chance = torch.rand(2, *tokens.shape, generator=generator, device=tokens.device)
    others = words[torch.randint(len(words), tokens.shape, generator=generator, device=tokens.device)]
    chosen = (chance[0] < rate) & ordinary[tokens]
    seen = torch.where(chance[1] < 0.8, mask_id, torch.where(chance[1] < 0.9, others, tokens))
    return torch.where(chosen, seen, tokens), torch.where(chosen, tokens, -1)


class MaskedLanguageData(PyDataset):
    """Batches of tokens with some hidden, for a `BERTMaskedLanguageModel`.

    Batch i is `(x, y, weight)`: x a dict of `"tokens"` (rows, length) and of `"positions"` (rows, most), the places
    that are asked for; y (rows, most) the tokens that were there, -1 where a row has fewer places; weight 1 where it
    has one, for `compile(weighted_metrics=...)`.

    Args:
        data: A `PyDataset` whose batches are tokens (rows, length), as `LengthBuckets`, or (tokens, ...).
        tokenizer: The tokenizer they were made with: it knows the mask token and the special ones.
        rate: The share of the tokens that is asked for.
        dynamic: Whether each epoch hides others; without it each is the same, as for validation (with `data` that is
            not shuffled).
        seed: For the same choices again; drawn by torch's generator by default.

    Raises:
        ArgumentError: A tokenizer without a mask token, or a rate that is no share.
        DataError: Batches that are no tokens (rows, length), or numbers that the tokenizer does not have.

    Example:
        >>> from lamella.language import LengthBuckets
        >>> tokenizer = Tokenizer.train(["to be or not to be"], kind="word")
        >>> lists = tokenizer.encode_lists(["to be or not to be"] * 8, start=True, end=True)
        >>> data = MaskedLanguageData(LengthBuckets(lists, batch_size=8), tokenizer, rate=0.3, seed=1)
        >>> x, y, weight = data[0]
        >>> x["tokens"].shape, x["positions"].shape == y.shape == weight.shape
        (torch.Size([8, 8]), True)
    """

    def __init__(
        self,
        data: PyDataset,
        tokenizer: Tokenizer,
        rate: float = 0.15,
        dynamic: bool = True,
        seed: int | None = None,
    ) -> None:
        super().__init__(data.workers, data.use_multiprocessing, data.max_queue_size)
        if tokenizer.mask_id is None:
            raise ArgumentError(f"MaskedLanguageData: {tokenizer} has no mask token, such as [MASK].")
        if not 0 < rate <= 1:
            raise ArgumentError(f"MaskedLanguageData: `rate` must be a share above 0, up to 1; got {rate!r}.")
        special = (tokenizer.pad_id, tokenizer.unknown_id, tokenizer.start_id, tokenizer.end_id)
        self.data = data
        self.rate = rate
        self.dynamic = dynamic
        self.seed = int(torch.randint(2**31, ())) if seed is None else seed
        self._mask_id = tokenizer.mask_id
        self._special = [i for i in special if i is not None]
        self._vocabulary_size = tokenizer.vocabulary_size
        self._epoch = 0

    def on_epoch_begin(self) -> None:
        self.data.on_epoch_begin()
        self._epoch += self.dynamic

    def on_epoch_end(self) -> None:
        self.data.on_epoch_end()

    def __len__(self) -> int:
        count = self.data.num_batches
        if count is None:
            raise ArgumentError("MaskedLanguageData: the data never end.")
        return count

    def __getitem__(self, index: int) -> tuple[dict[str, torch.Tensor], torch.Tensor, torch.Tensor]:
        batch = self.data[index]
        tokens = torch.as_tensor(batch[0] if isinstance(batch, tuple) else batch)
        self._check(tokens)
        generator = torch.Generator().manual_seed(hash((self.seed, self._epoch, index)) % 2**63)
        seen, labels = mask_tokens(tokens, self._mask_id, self._vocabulary_size, self._special, self.rate, generator)
        chosen = labels >= 0
        most = max(int(chosen.sum(1).max()), 1)
        positions = chosen.to(torch.uint8).argsort(dim=1, descending=True, stable=True)[
            :, :most
        ]  # the chosen ones first
        asked = labels.gather(1, positions)
        return {"tokens": seen, "positions": positions}, asked, (asked >= 0).to(torch.float32)

    def _check(self, tokens: Any) -> None:
        if tokens.ndim != 2 or tokens.is_floating_point():
            raise DataError(
                f"MaskedLanguageData: batches must be whole numbers (rows, length); got {tuple(tokens.shape)} of "
                f"{tokens.dtype}."
            )
        if tokens.numel() and not 0 <= tokens.min() <= tokens.max() < self._vocabulary_size:
            raise DataError(
                f"MaskedLanguageData: tokens are from 0 to {self._vocabulary_size - 1}; got some from {tokens.min()} "
                f"to {tokens.max()}. Were they made with another tokenizer?"
            )
