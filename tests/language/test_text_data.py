"""Texts from files, padding, batches of similar length and windows of one text."""

import gzip

import numpy as np
import pytest
import torch

import lamella
from lamella.errors import ArgumentError, DataError
from lamella.language import LengthBuckets, TokenBlocks, packed, pad_tokens, read_texts


def some_lists(count, longest=40, seed=0):
    random = np.random.default_rng(seed)
    return [(random.integers(1, 1000, random.integers(1, longest + 1))).tolist() for _ in range(count)]


# -- files --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("last", ["", "\n"])
def test_lines_are_read_whatever_their_ends(bom, last, tmp_path):
    lines = ["naïve", "", "漢字\u2028with a separator", "plain\x0cfeed"]
    for end in ("\n", "\r\n"):
        (tmp_path / "a.txt").write_bytes(bom + (end.join(lines) + last).encode())
        assert read_texts(tmp_path / "a.txt") == lines
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress("\n".join(lines).encode()))
    assert read_texts(str(tmp_path / "a.txt.gz")) == lines


def test_an_empty_file_has_no_lines(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"")
    assert read_texts(tmp_path / "a.txt") == []


def test_lines_in_another_encoding_are_refused_by_name_or_read_by_choice(tmp_path):
    file = tmp_path / "mixed.txt"
    file.write_bytes("première\n".encode() + "deuxième\n".encode("cp1252"))
    with pytest.raises(DataError, match=r"mixed\.txt, line 2: byte 6 of the line, 0xe8, is not utf-8"):
        read_texts(file)
    assert read_texts(file, fallback="cp1252") == ["première", "deuxième"]
    file.write_bytes(b"one\n\x81\n")
    with pytest.raises(DataError, match=r"line 2: byte 1 .*0x81, is not (cp1252|charmap)"):
        read_texts(file, fallback="cp1252")
    file.write_bytes("eins\nzwei".encode("utf-16"))
    assert read_texts(file) == ["eins", "zwei"]


# -- padding ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_is_what_a_loop_would_do(side):
    lists = [*some_lists(9), []]
    longest = max(map(len, lists))
    tokens, mask = pad_tokens(lists, 7, side)
    for row, real, each in zip(tokens.tolist(), mask.tolist(), lists, strict=True):
        fill = longest - len(each)
        assert row == ([7] * fill + each if side == "left" else each + [7] * fill)
        assert real == ([False] * fill + [True] * len(each))[:: 1 if side == "left" else -1]
    assert pad_tokens([])[0].shape == (0, 0)


# -- batches of similar length --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "limits", [{"tokens_per_batch": 300}, {"batch_size": 16}, {"tokens_per_batch": 300, "batch_size": 9}]
)
@pytest.mark.parametrize("shuffle", [True, False])
def test_each_sample_comes_once_an_epoch_with_its_target_and_within_the_limits(limits, shuffle):
    sources, targets = some_lists(500, 90), some_lists(500, 20, seed=1)
    data = LengthBuckets(sources, targets, pad_id=0, target_pad_id=-1, shuffle=shuffle, **limits)
    count = len(data)
    for _ in range(3):
        seen = []
        for source, target in data:
            assert source.dtype is target.dtype is torch.int64
            assert (source != 0).any(0).all() and (target != -1).any(0).all()  # no column of padding alone
            cost = source.numel() + target.numel()
            assert cost <= limits.get("tokens_per_batch", 10**9) or len(source) == 1
            assert len(source) <= limits.get("batch_size", 10**9)
            for s, t in zip(source.tolist(), target.tolist(), strict=True):
                seen.append(([i for i in s if i != 0], [i for i in t if i != -1]))
        assert seen == [(sources[i], targets[i]) for i in data.order.tolist()]
        assert sorted(data.order.tolist()) == list(range(500))
        assert len(data) == count
        data.on_epoch_begin()


def test_little_is_padding():
    sources = some_lists(4000, 60)
    pairs = [each + [1] * (len(each) % 5) for each in sources]  # targets about as long, as of translations
    plain = sum(map(len, sources)) + sum(map(len, pairs))
    for shuffle in (True, False):
        data = LengthBuckets(sources, pairs, tokens_per_batch=2000, shuffle=shuffle)
        assert plain / sum(x.numel() + y.numel() for x, y in data) > 0.85


def test_epochs_differ_with_the_seed_and_not_without_shuffling():
    def epochs(seed, shuffle):
        lamella.utils.set_random_seed(seed)
        data = LengthBuckets(some_lists(300), batch_size=8, shuffle=shuffle)
        first = data.order.tolist()
        data.on_epoch_begin()
        return first, data.order.tolist()

    assert epochs(1, True) == epochs(1, True)
    assert len({tuple(order) for seed in (1, 2) for order in epochs(seed, True)}) == 4
    assert len({tuple(order) for seed in (1, 2) for order in epochs(seed, False)}) == 1


def test_neighbours_change_from_epoch_to_epoch():
    lamella.utils.set_random_seed(0)
    data = LengthBuckets(some_lists(2000), batch_size=10)
    first = {frozenset(rows.tolist()) for rows in data.order.split(10)}
    data.on_epoch_begin()
    assert len(first & {frozenset(rows.tolist()) for rows in data.order.split(10)}) < 20


def test_targets_may_be_numbers_or_missing():
    lists = some_lists(50)
    classes = np.arange(50) % 3
    data = LengthBuckets(lists, classes, batch_size=8)
    assert torch.cat([y for _, y in data]).tolist() == classes[data.order].tolist()
    data = LengthBuckets(lists, [0.5] * 50)
    assert data[0][1].shape == (len(data[0][0]),)
    assert isinstance(LengthBuckets(lists)[0], torch.Tensor)


def test_a_sample_longer_than_a_batch_is_one_alone():
    data = LengthBuckets([[1] * 50, [2], [3, 4]], tokens_per_batch=10, shuffle=False)
    assert [tuple(x.shape) for x in data] == [(2, 2), (1, 50)]


def test_a_model_trains_and_predicts_on_buckets():
    lists = some_lists(64, 12)
    classes = [len(each) % 2 for each in lists]
    model = lamella.Sequential(
        [
            lamella.Input((None,)),
            lamella.layers.Embedding(1000, 4),
            lamella.layers.GlobalAveragePooling1D(),
            lamella.layers.Dense(2),
        ]
    )
    model.compile("adam", lamella.losses.SparseCategoricalCrossentropy(from_logits=True))
    history = model.fit(LengthBuckets(lists, classes, batch_size=8), epochs=3, verbose=0)
    assert history.history["loss"][-1] < history.history["loss"][0]
    predicted = model.predict(LengthBuckets(lists, batch_size=8, shuffle=False), verbose=0)
    assert predicted.shape == (64, 2)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: LengthBuckets([]), DataError, "0 sequences"),
        (lambda: LengthBuckets([[1], [2]], [[1]]), DataError, "2 sequences and 1 targets"),
        (lambda: LengthBuckets([[1], []]), DataError, r"`sequences`\[1\] has no tokens"),
        (lambda: LengthBuckets([[1], [2]], [[1], []]), DataError, r"`targets`\[1\] has no tokens"),
        (lambda: LengthBuckets([[1]], tokens_per_batch=0), ArgumentError, "tokens_per_batch"),
        (lambda: LengthBuckets([[1]], batch_size=2.5), ArgumentError, "batch_size"),
        (lambda: packed([1, 2], 3), DataError, "2 tokens"),
        (lambda: packed([1, 2], 0), ArgumentError, "length"),
        (lambda: TokenBlocks([1, 2, 3, 4], 2), DataError, "4 tokens; it needs 5"),
        (lambda: TokenBlocks([1], 2, shuffle=False), DataError, "1 tokens; it needs 2"),
        (lambda: TokenBlocks([1, 2], 2, batch_size=0), ArgumentError, "batch_size"),
    ],
)
def test_what_cannot_be_is_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()


# -- windows of one text ----------------------------------------------------------------------------------------


def test_packed_windows_follow_each_other():
    windows = packed(torch.arange(23), 5)
    assert windows.flatten().tolist() == list(range(20))
    assert windows.shape == (4, 5)


@pytest.mark.parametrize("size", [21, 22, 24, 25, 2, 4])
def test_without_shuffling_every_token_is_predicted_once_in_order(size):
    found = [
        pair
        for x, y in TokenBlocks(range(size), 4, 2, shuffle=False)
        for pair in zip(x.flatten(), y.flatten(), strict=True)
    ]
    assert [(int(a), int(b)) for a, b in found] == [(i, i + 1) for i in range(size - 1)]


def test_shuffled_windows_are_disjoint_and_begin_anywhere():
    lamella.utils.set_random_seed(0)
    data = TokenBlocks(range(103), 10, batch_size=4)
    firsts = set()
    for _ in range(200):
        batches = list(data)
        assert [x.shape for x, _ in batches] == [(4, 10), (4, 10), (1, 10)]
        assert all((y == x + 1).all() for x, y in batches)
        tokens = torch.cat([x.flatten() for x, _ in batches])
        assert len(tokens.unique()) == 90
        firsts.add(int(tokens.min()))
        data.on_epoch_begin()
    assert firsts == set(range(13))  # all places from which nine windows and the last next token fit
