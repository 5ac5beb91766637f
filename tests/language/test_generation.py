"""Sampling against its own definition, beam search against trying everything and against transformers."""

import itertools

import numpy as np
import pytest
import torch

from lamella.errors import ArgumentError, ShapeError
from lamella.language.generation import beam_search, likeliest, sample

VOCABULARY, END = 4, 3


class Prefixes:
    """A language model whose next token depends, at random, on everything before it."""

    def __init__(self, rows, seed=0, spread=1.5):
        self.seed, self.spread = seed, spread
        self.seen = [[] for _ in range(rows)]
        self.calls = []

    def logits(self, prefix):
        source = np.random.default_rng([self.seed, *prefix])
        return torch.from_numpy(source.normal(0, self.spread, VOCABULARY)).float()

    def step(self, tokens, state):
        self.calls.append(tuple(tokens.shape))
        assert len(tokens) == len(self.seen)
        self.seen = [old + new for old, new in zip(self.seen, tokens.tolist(), strict=True)]
        return torch.stack([self.logits(prefix) for prefix in self.seen]), state

    def reorder(self, indices):
        self.seen = [list(self.seen[i]) for i in indices.tolist()]


def score(model, prompt, continuation, penalty):
    total, prefix = 0.0, list(prompt)
    for token in continuation:
        total += torch.log_softmax(model.logits(prefix), -1)[token].item()
        prefix.append(token)
    return total / len(continuation) ** penalty


def continuations(length):
    """All that end with the end token or have the full length."""
    for size in range(1, length + 1):
        for tokens in itertools.product(range(VOCABULARY), repeat=size):
            if END not in tokens[:-1] and (size == length or tokens[-1] == END):
                yield tokens


@pytest.mark.parametrize("penalty", [0.0, 1.0, 2.0])
@pytest.mark.parametrize("seed", range(4))
def test_enough_beams_find_the_best_there_is(penalty, seed):
    prompt, length = torch.tensor([[0, 1], [2, 2], [1, 0]]), 4
    model = Prefixes(3, seed)
    found, scores = beam_search(model.step, model, prompt, length, VOCABULARY**length, penalty, END)
    for row, start in enumerate(prompt.tolist()):
        best = max(continuations(length), key=lambda each: score(model, start, each, penalty))
        wanted = [*start, *best, *[END] * (found.shape[1] - 2 - len(best))]
        assert found[row].tolist() == wanted
        assert scores[row].item() == pytest.approx(score(model, start, best, penalty), abs=1e-5)


def test_one_beam_takes_the_likeliest_token_each_time():
    prompt = torch.tensor([[0, 1], [2, 2]])
    model, other = Prefixes(2, 5), Prefixes(2, 5)
    found, _ = beam_search(model.step, model, prompt, 6, num_beams=1)
    assert found.tolist() == sample(other.step, other, prompt, 6, temperature=0).tolist()


@pytest.mark.parametrize(("beams", "penalty"), [(2, 0.0), (2, 1.0), (4, 0.6), (4, 2.0)])
def test_beams_are_those_of_transformers(penalty, beams):
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    sizes = {"n_embd": 16, "n_layer": 1, "n_head": 2, "n_positions": 32, "vocab_size": 11, "initializer_range": 1.0}
    model = transformers.GPT2LMHeadModel(transformers.GPT2Config(**sizes, bos_token_id=0, eos_token_id=8)).eval()
    prompt = torch.randint(0, 8, (6, 3))
    wanted = model.generate(
        prompt,
        attention_mask=torch.ones_like(prompt),
        num_beams=beams,
        length_penalty=penalty,
        max_new_tokens=9,
        do_sample=False,
        pad_token_id=8,
        return_dict_in_generate=True,
        output_scores=True,
    )

    class Seen:
        tokens = prompt[:, :0]

        def reorder(self, indices):
            self.tokens = self.tokens[indices]

    def step(tokens, state):
        state.tokens = torch.cat([state.tokens, tokens], 1)
        return model(state.tokens).logits[:, -1], state

    found, scores = beam_search(step, Seen(), prompt, 9, beams, penalty, end_token=8)
    shorter = min(found.shape[1], wanted.sequences.shape[1])
    assert found[:, :shorter].equal(wanted.sequences[:, :shorter])
    assert (found[:, shorter:] == 8).all()
    torch.testing.assert_close(scores, wanted.sequences_scores, atol=1e-5, rtol=1e-5)
    assert (found[:, 3:] == 8).any()  # or the end token would not have been tried


def test_a_model_is_asked_for_the_prompts_once_and_then_for_one_token_a_beam():
    model = Prefixes(2)
    beam_search(model.step, model, torch.tensor([[0, 1, 2], [2, 2, 1]]), 3, num_beams=4)
    assert model.calls == [(2, 3), (8, 1), (8, 1)]


def test_draws_follow_the_probabilities():
    logits = torch.tensor([[1.0, 0.0, 2.0, -1.0]])
    prompt = torch.zeros((20_000, 1), dtype=torch.int64)

    def step(tokens, state):
        return logits.expand(len(tokens), 4), state

    source = torch.Generator().manual_seed(0)
    for temperature in (0.5, 1.0, 2.0):
        drawn = sample(step, None, prompt, 1, temperature, generator=source)[:, 1]
        shares = torch.bincount(drawn, minlength=4) / len(drawn)
        torch.testing.assert_close(shares, (logits[0] / temperature).softmax(-1), atol=0.015, rtol=0)


@pytest.mark.parametrize(("top_k", "top_p"), [(1, None), (3, None), (None, 0.5), (None, 0.9), (5, 0.7), (99, 1.0)])
def test_only_the_likeliest_stay_as_in_transformers(top_k, top_p):
    warpers = pytest.importorskip("transformers.generation.logits_process")
    logits = torch.randn(50, 12, generator=torch.Generator().manual_seed(0)) * 2
    wanted = logits
    if top_k is not None:
        wanted = warpers.TopKLogitsWarper(top_k)(None, wanted)
    if top_p is not None:
        wanted = warpers.TopPLogitsWarper(top_p)(None, wanted)
    assert likeliest(logits, top_k, top_p).equal(wanted)


def test_the_same_generator_draws_the_same():
    prompt = torch.tensor([[0], [1]])
    runs = []
    for _ in range(2):
        model = Prefixes(2)
        runs.append(sample(model.step, model, prompt, 8, generator=torch.Generator().manual_seed(3)).tolist())
    assert runs[0] == runs[1]


def test_rows_that_ended_are_filled_up_and_all_ended_is_over():
    def step(tokens, state):  # row 0 ends after one token, row 1 after three
        ends = torch.tensor([state >= 1, state >= 3])
        return torch.where(ends[:, None], torch.eye(VOCABULARY)[END], torch.eye(VOCABULARY)[0]), state + 1

    columns = []
    found = sample(step, 0, torch.tensor([[1], [2]]), 50, temperature=0, end_token=END, stream=columns.append)
    assert found.tolist() == [[1, 0, END, END, END], [2, 0, 0, 0, END]]
    assert torch.stack(columns, 1).equal(found[:, 1:])


def test_nothing_new_is_the_prompt():
    prompt = torch.tensor([[1, 2]])
    model = Prefixes(1)
    assert sample(model.step, model, prompt, 0).equal(prompt)
    assert beam_search(model.step, model, prompt, 0)[0].equal(prompt)


def test_errors_say_what_is_wrong():
    model, prompt = Prefixes(1), torch.tensor([[1]])
    with pytest.raises(ArgumentError, match="`temperature` is 0 or more"):
        sample(model.step, model, prompt, 1, temperature=-1)
    with pytest.raises(ArgumentError, match="`top_p` above 0"):
        sample(model.step, model, prompt, 1, top_p=0.0)
    with pytest.raises(ArgumentError, match="`max_new_tokens`"):
        sample(model.step, model, prompt, -1)
    with pytest.raises(ArgumentError, match="`num_beams` must be 1 or more"):
        beam_search(model.step, model, prompt, 1, num_beams=0)
    with pytest.raises(ShapeError, match="begin with a start token"):
        sample(model.step, model, prompt[:, :0], 1)
    with pytest.raises(ShapeError, match="float32"):
        beam_search(model.step, model, prompt.float(), 1)
