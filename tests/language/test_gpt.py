"""GPT against transformers' GPT-2, cached against uncached writing, and what people do with it."""

import fresh
import numpy as np
import pytest
import torch

import lamella
from lamella.errors import ArgumentError, FileError, ShapeError
from lamella.language import GPT, TokenBlocks, Tokenizer

SIZES = {"vocabulary_size": 23, "context_length": 12, "num_layers": 2, "num_heads": 4, "width": 16}


@pytest.fixture(autouse=True)
def _seed():
    lamella.utils.set_random_seed(0)


def gpt(**options):
    """A model whose weights are large enough that it has opinions."""
    model = GPT(**(SIZES | options))
    with torch.no_grad():
        for weight in model.trainable_weights:
            weight.normal_(0, 0.4)
    return model


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("activation", ["gelu_new", "relu"])
def test_logits_are_those_of_transformers_both_ways(tmp_path, tied, activation):
    transformers = pytest.importorskip("transformers")
    config = transformers.GPT2Config(
        vocab_size=23,
        n_positions=12,
        n_embd=16,
        n_layer=2,
        n_head=4,
        n_inner=40,
        activation_function=activation,
        tie_word_embeddings=tied,
        initializer_range=0.3,
    )
    theirs = transformers.GPT2LMHeadModel(config).eval()
    tokens = torch.randint(0, 23, (3, 12))
    theirs.save_pretrained(tmp_path / "theirs")
    ours = GPT.from_pretrained(tmp_path / "theirs")
    wanted = theirs(tokens).logits
    torch.testing.assert_close(ours(tokens), wanted, atol=1e-4, rtol=1e-4)
    with torch.no_grad():
        for weight in ours.trainable_weights:
            weight.add_(0.1 * torch.randn_like(weight))
    ours.save_pretrained(tmp_path / "ours")
    again = transformers.GPT2LMHeadModel.from_pretrained(tmp_path / "ours").eval()
    torch.testing.assert_close(again(tokens).logits, ours(tokens), atol=1e-4, rtol=1e-4)
    assert not torch.allclose(ours(tokens), wanted, atol=1e-2)


def test_weights_without_the_head_are_read_too(tmp_path):
    transformers = pytest.importorskip("transformers")
    config = transformers.GPT2Config(vocab_size=23, n_positions=12, n_embd=16, n_layer=1, n_head=2)
    theirs = transformers.GPT2Model(config).eval()
    theirs.save_pretrained(tmp_path)
    tokens = torch.randint(0, 23, (2, 7))
    hidden = theirs(tokens).last_hidden_state
    torch.testing.assert_close(GPT.from_pretrained(tmp_path).hidden(tokens), hidden, atol=1e-4, rtol=1e-4)


def test_a_variant_of_gpt2_is_refused(tmp_path):
    transformers = pytest.importorskip("transformers")
    config = transformers.GPT2Config(vocab_size=23, n_positions=12, n_embd=16, n_layer=1, n_head=2)
    config.scale_attn_by_inverse_layer_idx = True
    transformers.GPT2Model(config).save_pretrained(tmp_path)
    with pytest.raises(FileError, match="scale_attn_by_inverse_layer_idx=True"):
        GPT.from_pretrained(tmp_path)


def test_weights_begin_as_in_gpt2():
    model = GPT(200, context_length=64, num_layers=8, num_heads=2, width=64)
    block = model.blocks[3]
    for weight in (model.token_embedding.embeddings, model.position_embedding.embeddings, block.feedforward_in.kernel):
        assert weight.std().item() == pytest.approx(0.02, rel=0.05)
    for weight in (block.attention.merge.kernel, block.feedforward_out.kernel):
        assert weight.std().item() == pytest.approx(0.02 / 4, rel=0.05)
    logits = model(torch.randint(0, 200, (2, 64)))
    loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), torch.randint(0, 200, (128,)))
    assert loss.item() == pytest.approx(np.log(200), abs=0.1)


def uncached(model, tokens, new):
    """Greedy writing by a whole run for each token."""
    for _ in range(new):
        following = model(tokens[:, -model.context_length :])[:, -1].argmax(-1)
        tokens = torch.cat([tokens, following[:, None]], 1)
    return tokens


def test_cached_writing_is_uncached_writing():
    model, prompt = gpt(), torch.randint(0, 23, (4, 3))
    found = model.generate(prompt, max_new_tokens=9, temperature=0)
    assert found.equal(uncached(model, prompt, 9))
    assert len({tuple(row) for row in found[:, 3:].tolist()}) > 1


@pytest.mark.parametrize("num_beams", [1, 3])
def test_prompts_of_other_lengths_write_what_they_write_alone(num_beams):
    model = gpt()
    prompts = [[1, 2, 3, 4, 5], [7], [9, 8, 7]]
    together = model.generate(prompts, max_new_tokens=6, temperature=0, num_beams=num_beams)
    alone = [model.generate([p], max_new_tokens=6, temperature=0, num_beams=num_beams)[0] for p in prompts]
    assert together == alone
    assert [row[: len(p)] for row, p in zip(together, prompts, strict=True)] == prompts


def test_padding_at_the_left_changes_no_logits():
    model = gpt()
    tokens = torch.randint(0, 23, (1, 5))
    padded = torch.cat([torch.zeros((1, 4), dtype=torch.int64), tokens], 1)
    mask = torch.tensor([[False] * 4 + [True] * 5])
    torch.testing.assert_close(model(padded, mask=mask)[:, 4:], model(tokens), atol=1e-4, rtol=1e-4)


def test_beams_through_the_cache_score_what_the_model_says():
    model, prompt = gpt(), torch.randint(0, 23, (8, 3))
    found = model.generate(prompt, max_new_tokens=5, num_beams=6)
    greedy = model.generate(prompt, max_new_tokens=5, temperature=0)

    def total(tokens):
        logs = torch.log_softmax(model(tokens[:, :-1]), -1).gather(-1, tokens[:, 1:, None])
        return logs[:, 2:].sum((1, 2))

    assert (total(found) >= total(greedy) - 1e-4).all()
    assert not found.equal(greedy)


def test_writing_goes_on_beyond_the_context():
    model, prompt = gpt(), torch.randint(0, 23, (2, 4))
    found = model.generate(prompt, max_new_tokens=30, temperature=0)
    assert found.shape == (2, 34)
    assert found[:, :12].equal(uncached(model, prompt, 8))
    seen = found[:, 6:12]  # place 13 is written from the last half of the context and place 12
    assert found[:, 13].equal(model(torch.cat([seen[:, -5:], found[:, 12:13]], 1))[:, -1].argmax(-1))


def test_a_prompt_longer_than_the_context_goes_on_from_its_end_with_a_warning():
    model, prompt = gpt(), torch.randint(0, 23, (1, 20))
    with pytest.warns(UserWarning, match="20 tokens, but the model sees 12"):
        found = model.generate(prompt, max_new_tokens=1, temperature=0)
    assert found[:, :20].equal(prompt)
    assert found[0, 20] == model(prompt[:, -12:])[0, -1].argmax()


def test_a_seed_repeats_and_another_does_not():
    model = gpt()
    runs = [model.generate([[1, 2]], max_new_tokens=10, seed=seed) for seed in (1, 1, 2)]
    assert runs[0] == runs[1] != runs[2]


def test_writing_in_the_midst_of_training_does_not_drop():
    model, prompt = gpt(dropout=0.5), torch.tensor([[1, 2, 3]])
    calm = model.generate(prompt, max_new_tokens=8, temperature=0)
    model.train()
    assert model.generate(prompt, max_new_tokens=8, temperature=0).equal(calm)
    assert model.training


# -- text --------------------------------------------------------------------------------------------------


TEXT = "the cat sat on the mat and the dog sat on the log " * 8


@pytest.fixture
def speaker():
    tokenizer = Tokenizer.train([TEXT], kind="character")
    model = GPT(context_length=24, num_layers=1, num_heads=2, width=32, tokenizer=tokenizer)
    model.compile(lamella.optimizers.Adam(1e-2))
    model.fit(TokenBlocks(tokenizer.encode(TEXT), 24, batch_size=4), epochs=40, verbose=0)
    return model


def test_texts_are_learned_and_gone_on_with(speaker):
    assert speaker.generate("the cat s", max_new_tokens=10, temperature=0) == "the cat sat on the "
    assert speaker.generate(["the c", "and"], max_new_tokens=2, temperature=0) == ["the cat", "and t"]
    assert isinstance(speaker.generate("", max_new_tokens=3, seed=0), str)
    assert speaker.generate([], max_new_tokens=3) == []


def test_a_stream_tells_the_text_piece_by_piece(speaker):
    pieces = []
    found = speaker.generate("the cat", max_new_tokens=8, temperature=0, stream=pieces.append)
    assert "the cat" + "".join(pieces) == found and len(pieces) == 8


def test_a_stream_of_bytes_gives_whole_characters():
    pytest.importorskip("tokenizers")
    tokenizer = Tokenizer.train(["aé"], kind="byte_bpe", vocabulary_size=262)
    model = GPT(context_length=8, num_layers=1, num_heads=1, width=4, tokenizer=tokenizer)
    written = tokenizer.encode("éé")
    assert len(written) == 4
    model.step = lambda tokens, state: (torch.eye(262)[[written.pop(0)]], state)
    pieces = []
    assert model.generate("a", max_new_tokens=4, temperature=0, stream=pieces.append) == "aéé"
    assert pieces == ["é", "é"]


def test_it_is_saved_with_its_tokenizer_and_read_in_a_new_process(speaker, tmp_path):
    speaker.save(tmp_path / "m.keras")
    code = (
        "import sys, lamella, lamella.language; m = lamella.models.load_model(sys.argv[1]);"
        "print(m.generate('the cat s', max_new_tokens=13, temperature=0))"
    )
    run = fresh.run(["-c", code, tmp_path / "m.keras"])
    assert run.stdout.strip() == speaker.generate("the cat s", max_new_tokens=13, temperature=0), run.stderr


def test_a_folder_keeps_the_tokenizer(speaker, tmp_path):
    speaker.save_pretrained(tmp_path)
    again = GPT.from_pretrained(tmp_path)
    assert again.generate("the c", max_new_tokens=9, temperature=0) == speaker.generate(
        "the c", max_new_tokens=9, temperature=0
    )


# -- training ----------------------------------------------------------------------------------------------


def test_padding_is_left_out_of_the_loss():
    model = gpt(padding_token=0)
    model.compile()
    tokens = torch.tensor([[3, 4, 5, 6, 7], [8, 9, 0, 0, 0]])
    logits = model(tokens[:, :-1])
    wanted = torch.nn.functional.cross_entropy(logits.transpose(1, 2), tokens[:, 1:], ignore_index=0)
    found = model.evaluate(tokens[:, :-1].numpy(), tokens[:, 1:].numpy(), verbose=0, batch_size=2)
    assert found == pytest.approx(wanted.item(), rel=1e-5)


def test_one_step_moves_the_weights_as_in_torch():
    model = gpt(tied_embeddings=True)
    tokens = torch.randint(0, 23, (4, 9))
    before = [weight.detach().clone() for weight in model.trainable_weights]
    loss = torch.nn.functional.cross_entropy(model(tokens[:, :-1]).flatten(0, 1), tokens[:, 1:].flatten())
    gradients = torch.autograd.grad(loss, model.trainable_weights)
    model.compile(lamella.optimizers.SGD(0.1))
    model.fit(tokens[:, :-1].numpy(), tokens[:, 1:].numpy(), batch_size=4, epochs=1, verbose=0)
    for weight, start, gradient in zip(model.trainable_weights, before, gradients, strict=True):
        torch.testing.assert_close(weight, start - 0.1 * gradient, atol=1e-5, rtol=1e-4)


# -- what cannot be ----------------------------------------------------------------------------------------


def test_errors_name_the_mend():
    with pytest.raises(ArgumentError, match="vocabulary_size=None"):
        GPT()
    with pytest.raises(ArgumentError, match="num_layers=0"):
        GPT(5, num_layers=0)
    with pytest.raises(ArgumentError, match="5 heads for a width of 16"):
        GPT(5, num_heads=5, width=16)
    with pytest.raises(ArgumentError, match="more than the vocabulary_size of 3"):
        GPT(3, tokenizer=Tokenizer.train(["abc"], kind="character"))
    model = gpt()
    with pytest.raises(ShapeError, match="sees 12 tokens at most; got 13"):
        model(torch.zeros((1, 13), dtype=torch.int64))
    with pytest.raises(IndexError, match="must be from 0 to 22; found 5 to 23"):
        model(torch.tensor([[5, 23]]))
    with pytest.raises(ArgumentError, match="text needs a tokenizer"):
        model.generate("hello")
    with pytest.raises(ArgumentError, match="there is no stream"):
        model.generate([[1]], num_beams=2, stream=print)
    with pytest.raises(ArgumentError, match="empty prompt"):
        model.generate([[]])
    with pytest.raises(ArgumentError, match="put a single list into a list"):
        model.generate([1, 2])
