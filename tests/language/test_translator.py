import random

import fresh
import numpy as np
import pytest
import torch
from torch import nn

import lamella
from lamella.callbacks import LambdaCallback
from lamella.errors import ArgumentError, DataError, DTypeError, ShapeError
from lamella.language import (
    LuongAttention,
    PositionEncoding,
    RecurrentTranslator,
    Tokenizer,
    Translator,
    pad_tokens,
)
from lamella.language.generation import beam_search
from lamella.optimizers import AdamW

DIGITS = "0 1 2 3 4 5 6 7 8 9"
LETTERS = "a b c d e f g h i j k l"
PAD, START, END = 0, 2, 3


def tokenizer(words=DIGITS):
    return Tokenizer.train([words], kind="word")


def transformer(*tokenizers, **options):
    options = {"num_layers": 2, "num_heads": 2, "width": 16, "max_length": 16} | options
    return Translator(*(tokenizers or (tokenizer(),)), **options)


def recurrent(*tokenizers, **options):
    options = {"num_layers": 2, "width": 16, "max_length": 16} | options
    return RecurrentTranslator(*(tokenizers or (tokenizer(),)), **options)


MODELS = {
    "transformer": transformer,
    "post_norm": lambda *t, **o: transformer(*t, norm_first=False, positions="learned", **o),
    "lstm": recurrent,
    "gru": lambda *t, **o: recurrent(*t, cell="gru", **o),
}


@pytest.fixture(params=MODELS)
def make(request):
    return MODELS[request.param]


def some_tokens(rows, length, words=10):
    return torch.randint(5, 5 + words, (rows, length))


def ended(lists):
    """Sources: padded, each with an end token."""
    return pad_tokens([[*each, END] for each in lists], PAD)[0]


# -- the parts ----------------------------------------------------------------------------------------------


def test_positions_are_the_waves_of_the_paper():
    x = torch.randn(2, 7, 10)
    added = (PositionEncoding(max_length=9)(x) - x)[1].numpy()
    for place in range(7):
        for i in range(5):
            angle = place / 10000 ** (2 * i / 10)
            assert added[place, 2 * i] == pytest.approx(np.sin(angle), abs=1e-5)
            assert added[place, 2 * i + 1] == pytest.approx(np.cos(angle), abs=1e-5)


@pytest.mark.parametrize("kind", ["sinusoidal", "learned"])
def test_positions_go_on_from_a_start(kind):
    layer = PositionEncoding(max_length=9, kind=kind)
    x = torch.randn(2, 9, 6)
    whole = layer(x)
    torch.testing.assert_close(layer(x[:, 4:6], 4), whole[:, 4:6])
    assert layer.count_params() == (9 * 6 if kind == "learned" else 0)
    with pytest.raises(ShapeError, match=r"11 tokens.*max_length=9"):
        layer(x[:, :3], 8)


def test_positions_of_an_unknown_kind():
    with pytest.raises(ArgumentError, match="'sinusoidal' or 'learned'"):
        PositionEncoding(4, kind="rotary")


def test_luong_attention_equals_its_formula():
    layer = LuongAttention(5)
    states, memory = torch.randn(2, 3, 4), torch.randn(2, 6, 7)
    mask = torch.tensor([[True] * 6, [True] * 2 + [False] * 4])
    found = layer(states, memory, mask=mask).detach().numpy()
    score, combine = layer.score.kernel.detach().numpy(), layer.combine.kernel.detach().numpy()
    for b in range(2):
        places = memory[b][mask[b]].numpy()
        for t in range(3):
            state = states[b, t].numpy()
            weights = np.exp([state @ score @ place for place in places])
            context = weights @ places / weights.sum()
            expected = np.tanh(np.concatenate([context, state]) @ combine)
            np.testing.assert_allclose(found[b, t], expected, atol=1e-5)


# -- the networks -------------------------------------------------------------------------------------------


def test_scores_have_a_column_for_each_token_of_the_target(make):
    model = make(tokenizer(), tokenizer(LETTERS))
    scores = model((some_tokens(3, 6), some_tokens(3, 4)))
    assert scores.shape == (3, 4, 17)


def test_more_padding_changes_nothing(make):
    model = make()
    source, target = ended([[5, 6, 7], [8]]), torch.tensor([[START, 9, 10], [START, 11, END]])
    scores = model((source, target))
    more = (nn.functional.pad(source, (0, 3)), nn.functional.pad(target, (0, 2)))
    torch.testing.assert_close(model(more)[:, :3], scores, atol=1e-5, rtol=1e-5)
    alone = model((source[1:, :2], target[1:]))
    torch.testing.assert_close(alone, scores[1:], atol=1e-5, rtol=1e-5)


def test_a_token_does_not_see_later_ones(make):
    model, source, target = make(), some_tokens(2, 5), some_tokens(2, 6)
    other = target.clone()
    other[:, 3:] = some_tokens(2, 3)
    scores, others = model((source, target)), model((source, other))
    torch.testing.assert_close(others[:, :3], scores[:, :3])
    assert not torch.allclose(others[:, 3:], scores[:, 3:])


def test_every_token_of_the_source_counts(make):
    model, source, target = make(), torch.tensor([[5, 6, 7, END]]), torch.tensor([[START, 8]])
    scores = model((source, target))
    for place in range(3):
        other = source.clone()
        other[0, place] = 14
        assert (model((other, target)) - scores).abs().max() > 1e-4


def test_the_order_of_the_source_counts(make):
    model, target = make(), torch.tensor([[START]])
    scores = [model((torch.tensor([order]), target)) for order in ([5, 6, 7, END], [7, 6, 5, END])]
    assert (scores[0] - scores[1]).abs().max() > 1e-4


@pytest.mark.parametrize("norm_first", [True, False])
def test_the_transformer_equals_torchs(norm_first):
    model = transformer(norm_first=norm_first, feedforward_units=24)
    for weight in model.weights:  # biases and norms that do something
        weight.data += 0.1 * torch.randn_like(weight)
    kind = {"batch_first": True, "norm_first": norm_first, "dropout": 0.0, "dim_feedforward": 24}
    norms = [nn.LayerNorm(16) if norm_first else None for _ in range(2)]
    encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(16, 2, **kind), 2, norms[0], enable_nested_tensor=False)
    decoder = nn.TransformerDecoder(nn.TransformerDecoderLayer(16, 2, **kind), 2, norms[1])
    with torch.no_grad():
        blocks = [*model.encoder, *model.decoder]
        for ours, theirs in zip(blocks, [*encoder.layers, *decoder.layers], strict=True):
            _copy_block(ours, theirs)
        if norm_first:
            _copy_norm(model.encoder_norm, encoder.norm)
            _copy_norm(model.decoder_norm, decoder.norm)
    source, target = ended([[5, 6, 7, 8], [9]]), torch.tensor([[START, 9, 10], [START, 11, 12]])
    x, y = (
        positions(table(tokens) * 4.0)
        for positions, table, tokens in (
            (model.source_positions, model.source_embedding, source),
            (model.target_positions, model.target_embedding, target),
        )
    )
    hidden = source == PAD
    causal = torch.ones(3, 3, dtype=torch.bool).triu(1)
    memory = encoder(x, src_key_padding_mask=hidden)
    expected = decoder(y, memory, tgt_mask=causal, memory_key_padding_mask=hidden, tgt_is_causal=True)
    found = model.decode(target, model.encode(source))
    torch.testing.assert_close(found, expected, atol=2e-5, rtol=1e-4)
    logits = expected @ model.target_embedding.embeddings.T + model.output_bias
    torch.testing.assert_close(model((source, target)), logits, atol=1e-4, rtol=1e-4)


def _copy_norm(ours, theirs):
    theirs.weight.copy_(ours.gamma)
    theirs.bias.copy_(ours.beta)


def _copy_dense(ours, theirs):
    theirs.weight.copy_(ours.kernel.T)
    theirs.bias.copy_(ours.bias)


def _copy_block(ours, theirs):
    theirs.self_attn.in_proj_weight.copy_(ours.attention.query_key_value.kernel.T)
    theirs.self_attn.in_proj_bias.copy_(ours.attention.query_key_value.bias)
    _copy_dense(ours.attention.merge, theirs.self_attn.out_proj)
    norms = [ours.attention_norm, ours.feedforward_norm]
    if ours.cross_attention is not None:
        cross = ours.cross_attention
        theirs.multihead_attn.in_proj_weight.copy_(torch.cat([cross.query.kernel, cross.key_value.kernel], 1).T)
        theirs.multihead_attn.in_proj_bias.copy_(torch.cat([cross.query.bias, cross.key_value.bias]))
        _copy_dense(cross.merge, theirs.multihead_attn.out_proj)
        norms.insert(1, ours.cross_norm)
    for i, norm in enumerate(norms):
        _copy_norm(norm, getattr(theirs, f"norm{i + 1}"))
    _copy_dense(ours.feedforward_in, theirs.linear1)
    _copy_dense(ours.feedforward_out, theirs.linear2)


def test_one_table_for_one_vocabulary(make):
    shared, apart = make(), make(tokenizer(), tokenizer())
    assert shared.source_embedding is shared.target_embedding
    assert apart.count_params() - shared.count_params() == 15 * 16


# -- writing ------------------------------------------------------------------------------------------------


def test_step_by_step_equals_all_at_once(make):
    model, source, target = make(), ended([[5, 6, 7], [8], [9, 10]]), some_tokens(3, 6)
    whole = model((source, target))
    with torch.no_grad():
        state = model.decoding_state(source)
        scores, state = model.step(target[:, :2], state)
        torch.testing.assert_close(scores, whole[:, 1], atol=1e-5, rtol=1e-4)
        order = torch.tensor([2, 0, 0, 1])
        state.reorder(order)
        for t in range(2, 6):
            scores, state = model.step(target[order, t : t + 1], state)
            torch.testing.assert_close(scores, whole[order, t], atol=1e-5, rtol=1e-4)


def by_hand(model, source, longest):
    """The likeliest token each time, without a cache."""
    target = torch.tensor([[START]])
    while target.shape[1] < longest and target[0, -1] != END:
        best = model((source, target))[:, -1].argmax(-1)
        target = torch.cat([target, best.unsqueeze(1)], 1)
    return target[0].tolist()


def log_probability(model, source, target):
    """Of each row up to its end token, by teacher forcing."""
    logs = model((source, target[:, :-1])).log_softmax(-1).gather(2, target[:, 1:, None]).squeeze(2)
    told = target[:, 1:]
    after_end = (told == END).cumsum(1) - (told == END).to(torch.int64)
    return (logs * (after_end == 0)).sum(1)


def test_greedy_translations_take_the_likeliest_token_each_time(make):
    model, source = make(), ended([[5, 6, 7], [8], [9, 10]])
    model.output_bias.data[END] = 2.0  # some end early, some late
    written = model.translate_tokens(source, num_beams=1)
    for i, row in enumerate(written.tolist()):
        expected = by_hand(model, source[i : i + 1, : int((source[i] != PAD).sum())], 16)
        assert row[: len(expected)] == expected


def test_beams_find_translations_at_least_as_likely_as_the_greedy_ones(make):
    model, source = make(), nn.functional.pad(some_tokens(12, 5), (0, 1), value=END)
    model.output_bias.data[END] = -2.0  # an end is not the likeliest at once
    greedy = model.translate_tokens(source, num_beams=1, max_length=6)
    beam = model.translate_tokens(source, num_beams=12, max_length=6, length_penalty=0.0)
    likely, likelier = log_probability(model, source, greedy), log_probability(model, source, beam)
    assert (likelier >= likely - 1e-4).all()
    assert (likelier > likely + 1e-3).any()
    with torch.no_grad():
        prompt, state = torch.full((12, 1), START), model.decoding_state(source)
        _, scores = beam_search(model.step, state, prompt, 5, num_beams=12, length_penalty=0.0, end_token=END)
    torch.testing.assert_close(scores, likelier, atol=1e-4, rtol=1e-4)


def test_translations_come_in_the_order_of_the_texts(make):
    model = make()
    texts = ["1 2 3 4", "5", "", "9 8", "7 7 7 7 7 7"]
    together = model.translate(texts, num_beams=2, batch_size=2)
    assert together == [model.translate([text], num_beams=2)[0] for text in texts]
    assert all(set(text.split()) <= set(DIGITS.split()) | {"[UNK]"} for text in together)
    assert model.translate([]) == []


def test_translating_within_fit_drops_nothing_and_trains_on():
    model, seen = transformer(dropout=0.5), []

    def translate(batch, logs):
        seen.append([model.translate(["1 2 3"], num_beams=1) for _ in range(3)])
        assert model.training

    model.compile("adam")
    model.fit(
        model.batches(["1", "2"], ["1", "2"]), verbose=0, callbacks=[LambdaCallback(on_train_batch_end=translate)]
    )
    assert all(each == seen[0][0] for each in seen[0])


def test_the_longest_translation(make):
    model = make()
    model.output_bias.data[:5] = -50.0  # it never ends
    assert len(model.translate(["1 2"], num_beams=2, max_length=5)[0].split()) == 4
    assert len(model.translate(["1 2"], num_beams=1)[0].split()) == 15


# -- learning -----------------------------------------------------------------------------------------------


def pairs_of(batches):
    return [batches[i] for i in range(len(batches))]


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_loss_is_the_smoothed_cross_entropy_of_real_tokens(smoothing):
    keras = pytest.importorskip("keras")
    model = recurrent(label_smoothing=smoothing)
    y = torch.tensor([[5, 6, END, PAD], [7, END, PAD, PAD], [8, 9, 10, END]])
    logits = torch.randn(3, 4, 15, requires_grad=True)
    loss = model.compute_loss(None, y, logits)
    real = y != PAD
    told, scores = y[real].numpy(), logits.detach()[real].numpy()
    reference = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=smoothing)
    assert loss.item() == pytest.approx(float(reference(np.eye(15, dtype="float32")[told], scores)), rel=1e-5)
    logs = scores - np.log(np.exp(scores).sum(-1, keepdims=True))
    results = {metric.name: float(metric.result()) for metric in model.metrics[1:]}
    assert results["perplexity"] == pytest.approx(np.exp(-logs[np.arange(9), told].mean()), rel=1e-5)
    assert results["accuracy"] == pytest.approx((scores.argmax(-1) == told).mean(), rel=1e-6)
    (gradient,) = torch.autograd.grad(loss, logits)
    assert (gradient[~real] == 0).all() and (gradient[real] != 0).all()


def test_evaluate_is_the_mean_over_tokens_however_they_are_batched(make):
    model = make()
    model.compile("adam")
    sources = ["1 2 3", "4", "5 6 7 8 9", "1 1"]
    targets = ["3", "2 1 4 4 4 4", "7 7", "0"]
    whole = model.evaluate(model.batches(sources, targets), verbose=0, return_dict=True)
    split = model.evaluate(model.batches(sources, targets, tokens_per_batch=10), verbose=0, return_dict=True)
    assert list(whole) == ["accuracy", "loss", "perplexity"]
    assert split == pytest.approx(whole, rel=1e-4)


def some_numbers(count, longest, seed):
    draw = random.Random(seed)
    return [" ".join(draw.choice(DIGITS.split()) for _ in range(draw.randint(1, longest))) for _ in range(count)]


def turned(texts):
    return [" ".join(reversed(text.split())) for text in texts]


@pytest.mark.parametrize(
    ("make", "options", "epochs", "count", "length"),
    [
        (transformer, {"num_heads": 4, "feedforward_units": 64}, 12, 1500, 4),
        (recurrent, {"cell": "lstm"}, 7, 1200, 3),
        (recurrent, {"cell": "gru"}, 7, 1200, 3),
    ],
)
def test_learns_to_turn_numbers_around(make, options, epochs, count, length):
    lamella.utils.set_random_seed(0)
    model = make(dropout=0.0, width=32, num_layers=1, **options)
    sources, tests = some_numbers(count, length, seed=0), some_numbers(100, length, seed=1)
    model.compile(AdamW(5e-3 if make is transformer else 1e-2))
    model.fit(model.batches(sources, turned(sources), tokens_per_batch=500), epochs=epochs, verbose=0)
    found = model.translate(tests, num_beams=2)
    assert np.mean([a == b for a, b in zip(found, turned(tests), strict=True)]) > 0.8


def test_two_runs_from_one_seed_are_equal(make):
    def run():
        lamella.utils.set_random_seed(3)
        model = make(dropout=0.3)
        model.compile("adam")
        model.fit(model.batches(["1 2", "3", "4 4 4"], ["2 1", "3", "4"]), epochs=2, verbose=0)
        return model.get_weights()

    for a, b in zip(run(), run(), strict=True):
        np.testing.assert_array_equal(a, b)


# -- files --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("apart", [False, True])
def test_a_loaded_model_translates_the_same(make, apart, tmp_path):
    model = make(tokenizer(), tokenizer(LETTERS)) if apart else make()
    model.compile("adam")
    model.fit(model.batches(["1 2", "3"], ["a b", "c"]), epochs=1, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = lamella.models.load_model(tmp_path / "model.keras")
    texts = ["1 2 3", "4 5"]
    assert loaded.translate(texts) == model.translate(texts)
    assert (loaded.source_embedding is loaded.target_embedding) == (not apart)
    data = loaded.batches(["1 2", "3"], ["a b", "c"])
    assert loaded.evaluate(data, verbose=0) == pytest.approx(model.evaluate(data, verbose=0))
    loaded.fit(data, epochs=1, verbose=0)


def test_a_fresh_process_needs_nothing_but_the_file(tmp_path):
    model = transformer()
    model.save(tmp_path / "model.keras")
    code = (
        f"import lamella; model = lamella.models.load_model({str(tmp_path / 'model.keras')!r}); "
        f"print(model.translate(['1 2 3'], num_beams=2)[0])"
    )
    ran = fresh.run(["-c", code])
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.strip() == model.translate(["1 2 3"], num_beams=2)[0]


# -- bad input ----------------------------------------------------------------------------------------------


def test_texts_too_long_are_cut_with_a_warning(make):
    model = make()
    with pytest.warns(UserWarning, match="longer than the 15 tokens"):
        found = model.translate([" ".join(["1"] * 40), "2"])
    assert len(found) == 2
    assert model.source_tokenizer.num_truncated == 1
    assert max(map(len, model.target_tokens([" ".join(["1"] * 40)]))) == 16


def test_tokens_too_long_are_refused():
    model = transformer()
    with pytest.raises(ShapeError, match=r"17 tokens.*max_length=16"):
        model((some_tokens(1, 17), some_tokens(1, 2)))


@pytest.mark.parametrize("texts", ["one text", [1, 2], [None]])
def test_what_is_no_list_of_texts_cannot_be_translated(texts):
    with pytest.raises(DataError, match="sources"):
        recurrent().translate(texts)


def test_tokens_of_a_wrong_kind_cannot_be_trained_on(make):
    model = make()
    model.compile("adam")
    good = some_tokens(2, 4)
    for wrong in (good.float(), good.bool()):
        with pytest.raises(DTypeError, match="whole numbers"):
            model.train_on_batch(good, wrong)
        with pytest.raises(DTypeError, match="whole numbers"):
            model.train_on_batch(wrong, good)
    with pytest.raises(DataError, match=r"\(batch, length\)"):
        model.train_on_batch(good, good[:, :1])
    with pytest.raises(DataError, match="from 0 to 14"):
        model.train_on_batch(good, good + 10)
    with pytest.raises(DataError, match="batches"):
        model.train_on_batch(good)
    model.train_on_batch(good.to(torch.int32), good.to(torch.int32))


def test_batches_need_as_many_targets_as_sources():
    with pytest.raises(DataError, match=r"2 sequences.* 1 targets"):
        recurrent().batches(["1", "2"], ["1"])


def test_arguments_out_of_range():
    with pytest.raises(ArgumentError, match="own loss"):
        recurrent().compile("adam", "mse")
    with pytest.raises(ArgumentError, match="'lstm', 'gru'"):
        recurrent(cell="elman")
    with pytest.raises(ArgumentError, match="even"):
        recurrent(width=15)
    with pytest.raises(ArgumentError, match="num_heads"):
        transformer(num_heads=3)
    with pytest.raises(ArgumentError, match="label_smoothing"):
        transformer(label_smoothing=1.0)
    with pytest.raises(ArgumentError, match="max_length"):
        transformer(max_length=1)
    with pytest.raises(ArgumentError, match=r"source_tokenizer.*Tokenizer"):
        Translator("bert-base-uncased")
    with pytest.raises(ArgumentError, match="num_beams"):
        transformer().translate(["1"], num_beams=0)
    with pytest.raises(ArgumentError, match="batch_size"):
        transformer().translate(["1"], batch_size=0)


def test_a_vocabulary_without_marks_is_refused():
    marks = {"pad": "[PAD]", "unknown": "[UNK]"}
    bare = Tokenizer(tokenizer().get_config()["vocabulary"], marks)
    with pytest.raises(ArgumentError, match="end_id"):
        Translator(bare)
    with pytest.raises(ArgumentError, match="target_tokenizer has no start_id, end_id"):
        RecurrentTranslator(tokenizer(), bare)
