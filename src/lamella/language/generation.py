"""Writing token by token: sampling, the most likely token, and beam search, for any model that has a `step`.

`step(tokens, state)` takes the tokens that the model has not seen yet, (rows, t), and returns the logits of the token
after them, (rows, vocabulary), and the state to go on from. The state may be anything; for beam search it has
`reorder(indices)`, after which row i goes on from what row `indices[i]` was.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from lamella.errors import ArgumentError, ShapeError

Step = Callable[[torch.Tensor, Any], tuple[torch.Tensor, Any]]


@torch.no_grad()
def sample(
    step: Step,
    state: Any,
    prompt: torch.Tensor,
    max_new_tokens: int,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    end_token: int | None = None,
    generator: torch.Generator | None = None,
    stream: Callable[[torch.Tensor], Any] | None = None,
) -> torch.Tensor:
    """Prompts, each followed by tokens drawn from what the model says.

    Args:
        step: The model: see above.
        state: What `step` gets at first.
        prompt: (rows, t), int64, t at least 1.
        max_new_tokens: How many tokens to write at most; it is over earlier when every row has had the end token.
        temperature: Logits are divided by it; 0 takes the most likely token.
        top_k: Only so many of the likeliest tokens may be drawn.
        top_p: Only the fewest of the likeliest tokens may be drawn that have this probability together.
        end_token: After it a row is over, and is filled up with it.
        generator: Where the random numbers are from.
        stream: Called with each new column of tokens, (rows,).

    Returns:
        (rows, t + new), int64.

    Raises:
        ArgumentError: Arguments out of range.
        ShapeError: A prompt that is not (rows, t), or has no tokens.

    Source: top-k, Fan et al., 2018; top-p, Holtzman et al., 2020.

    Example:
        >>> def step(tokens, state):  # a model that always counts on
        ...     return torch.nn.functional.one_hot((tokens[:, -1] + 1) % 5, 5).float(), state
        >>> sample(step, None, torch.tensor([[0, 1], [3, 3]]), max_new_tokens=3, temperature=0).tolist()
        [[0, 1, 2, 3, 4], [3, 3, 4, 0, 1]]
    """
    _check(prompt, max_new_tokens)
    if temperature < 0 or (top_k is not None and top_k < 1) or (top_p is not None and not 0 < top_p <= 1):
        raise ArgumentError(
            f"`temperature` is 0 or more, `top_k` 1 or more, `top_p` above 0 and up to 1; got {temperature!r}, "
            f"{top_k!r} and {top_p!r}."
        )
    columns, new = [prompt], prompt
    over = torch.zeros(len(prompt), dtype=torch.bool, device=prompt.device)
    for _ in range(max_new_tokens):
        logits, state = step(new, state)
        if temperature == 0:
            chosen = logits.argmax(-1)
        else:
            probabilities = torch.softmax(likeliest(logits / temperature, top_k, top_p), -1)
            chosen = torch.multinomial(probabilities, 1, generator=generator).squeeze(1)
        if end_token is not None:
            chosen = torch.where(over, end_token, chosen)
            over |= chosen == end_token
        new = chosen.unsqueeze(1)
        columns.append(new)
        if stream is not None:
            stream(chosen)
        if end_token is not None and bool(over.all()):  # this waits for the device
            break
    return torch.cat(columns, 1)


def likeliest(logits: torch.Tensor, top_k: int | None = None, top_p: float | None = None) -> torch.Tensor:
    """The logits, with -inf for tokens that are not to be drawn; of equal ones at the edge of `top_k` all stay.

    Args:
        logits: (rows, vocabulary).
        top_k: How many tokens stay.
        top_p: The probability that stays, at least; always the likeliest token.

    Example:
        >>> likeliest(torch.tensor([[3.0, 1.0, 2.0]]), top_k=2)
        tensor([[3., -inf, 2.]])
    """
    if top_k is not None and top_k < logits.shape[-1]:
        least = logits.topk(top_k).values[:, -1:]
        logits = logits.masked_fill(logits < least, -torch.inf)
    if top_p is not None and top_p < 1:
        ordered, places = logits.sort(descending=True)
        probabilities = ordered.softmax(-1)
        enough = probabilities.cumsum(-1) - probabilities >= top_p  # those before it already have the share
        logits = logits.masked_fill(torch.zeros_like(enough).scatter(1, places, enough), -torch.inf)
    return logits


@torch.no_grad()
def beam_search(
    step: Step,
    state: Any,
    prompt: torch.Tensor,
    max_new_tokens: int,
    num_beams: int = 4,
    length_penalty: float = 1.0,
    end_token: int | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """The likeliest continuation of each prompt that is found by following `num_beams` of them at a time.

    A continuation's score is the sum of the logarithms of its tokens' probabilities, over its length (the end token
    counts) to the power of `length_penalty`. A row is over when it has `num_beams` ended continuations and the best
    of those still followed, at its length, scores no better than the worst of them: as in `transformers`.

    Args:
        step: The model: see above.
        state: What `step` gets at first; it has `reorder`.
        prompt: (rows, t), int64, t at least 1.
        max_new_tokens: How many tokens to write at most.
        num_beams: How many continuations are followed.
        length_penalty: 0 prefers short ones, 1 compares by the mean, more prefers long ones.
        end_token: What ends a continuation; what comes after is filled up with it.

    Returns:
        The best continuation of each prompt after it, (rows, t + new), and the scores, (rows,).

    Raises:
        ArgumentError: Arguments out of range.
        ShapeError: A prompt that is not (rows, t), or has no tokens.

    Source: Graves, 2012; the power of the length: Wu et al., 2016, in simpler form.

    Example:
        >>> class State:
        ...     def reorder(self, indices):
        ...         pass
        >>> def step(tokens, state):
        ...     return torch.tensor([[0.5, 0.4, 0.1]]).log().expand(len(tokens), 3), state
        >>> tokens, scores = beam_search(step, State(), torch.tensor([[2]]), max_new_tokens=2, num_beams=2)
        >>> tokens.tolist(), round(float(scores.exp()), 3)
        ([[2, 0, 0]], 0.5)
    """
    _check(prompt, max_new_tokens)
    if num_beams < 1:
        raise ArgumentError(f"`num_beams` must be 1 or more; got {num_beams!r}.")
    count, beams = len(prompt), num_beams
    if max_new_tokens == 0:
        return prompt, torch.zeros(count, device=prompt.device)
    first = torch.arange(count, device=prompt.device).unsqueeze(1) * beams  # the row of each prompt's first beam
    logits, state = step(prompt, state)
    logits = logits.repeat_interleave(beams, 0)
    state.reorder(torch.arange(count, device=prompt.device).repeat_interleave(beams))
    sums = logits.new_zeros(count, beams)
    sums[:, 1:] = -torch.inf  # the beams of a prompt are one, until they part
    followed = prompt.new_empty(count, beams, 0)
    ended = prompt.new_full((count, beams, max_new_tokens), 0 if end_token is None else end_token)
    scores = torch.full_like(sums, -torch.inf)
    open_rows = torch.ones(count, 1, dtype=torch.bool, device=prompt.device)

    for length in range(1, max_new_tokens + 1):
        vocabulary = logits.shape[-1]
        totals = (torch.log_softmax(logits, -1).view(count, beams, vocabulary) + sums.unsqueeze(-1)).flatten(1)
        # Twice as many candidates as beams: with one end token, enough of them go on.
        best, places = totals.topk(min(2 * beams, beams * vocabulary))
        parents, tokens = places // vocabulary, places % vocabulary
        candidates = torch.cat([_chosen(followed, parents), tokens.unsqueeze(-1)], -1)
        ends = torch.zeros_like(tokens, dtype=torch.bool) if end_token is None else tokens == end_token

        # Those of the best that end here, among those that ended before.
        counted = open_rows if length == max_new_tokens else ends & open_rows
        fresh = torch.where(counted, best / length**length_penalty, -torch.inf)[:, :beams]
        width = fresh.shape[1]
        scores, kept = torch.cat([scores, fresh], 1).topk(beams)
        late = ended[:, :width].clone()
        late[..., :length] = candidates[:, :width]
        ended = _chosen(torch.cat([ended, late], 1), kept)
        if length == max_new_tokens:
            break

        # The best of those that do not end are followed.
        sums, kept = torch.where(ends, -torch.inf, best).topk(beams)
        followed, parents = _chosen(candidates, kept), parents.gather(1, kept)
        open_rows &= (sums[:, :1] / length**length_penalty) > scores[:, -1:]
        if end_token is not None and not bool(open_rows.any()):  # this waits for the device
            break
        state.reorder((first + parents).flatten())
        logits, state = step(followed[..., -1:].flatten(0, 1), state)

    return torch.cat([prompt, ended[:, 0, :length]], 1), scores[:, 0]


def _chosen(sequences: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    """Of (rows, n, length), those at `places` (rows, k) of each row."""
    return sequences.gather(1, places.unsqueeze(-1).expand(-1, -1, sequences.shape[-1]))


def _check(prompt: torch.Tensor, max_new_tokens: int) -> None:
    if prompt.ndim != 2 or prompt.shape[1] == 0 or prompt.dtype is not torch.int64:
        raise ShapeError(
            f"A prompt is int64 of shape (rows, tokens) with one token or more; got {prompt.dtype} of shape "
            f"{tuple(prompt.shape)}. Where there is nothing to go on from, begin with a start token."
        )
    if isinstance(max_new_tokens, bool) or not isinstance(max_new_tokens, int) or max_new_tokens < 0:
        raise ArgumentError(f"`max_new_tokens` must be a whole number, 0 or more; got {max_new_tokens!r}.")
