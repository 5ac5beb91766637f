"""Data that stay on the disk: mapped arrays, tables, shards; workers that fail; the time spent waiting."""

import contextlib
import gc
import io
import multiprocessing
import os
import tarfile
import time

import numpy as np
import pytest
import torch

import lamella
from lamella.errors import ArgumentError, DataError
from lamella.training import progress
from lamella.utils import table_dataset_from_files

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(500, 4)), RNG.integers(0, 3, 500)


def a_model(features=4):
    lamella.utils.set_random_seed(1)
    model = lamella.Sequential([lamella.Input((features,)), lamella.layers.Dense(3)])
    model.compile("sgd", lamella.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


class TestMappedArrays:
    @pytest.mark.parametrize("kind", ["float16", "float32", "float64"])
    def test_train_as_arrays_do(self, kind, tmp_path):
        np.save(tmp_path / "x.npy", X.astype(kind))
        mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
        one = a_model()
        expected = one.fit(X.astype(kind), Y, epochs=2, verbose=0).history["loss"]
        other = a_model()
        assert other.fit(mapped, Y, epochs=2, verbose=0).history["loss"] == expected
        np.testing.assert_array_equal(other.predict(mapped, verbose=0), one.predict(X.astype(kind), verbose=0))

    def test_are_not_copied(self, tmp_path):
        np.save(tmp_path / "x.npy", X)
        mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
        source = lamella.data.adapters.make_source(mapped, Y)
        assert source.x.data_ptr() == mapped.ctypes.data and source.x.dtype is torch.float64
        assert source.peek()[0].dtype is torch.float32


@pytest.fixture(scope="module")
def pa():
    return pytest.importorskip("pyarrow")


def write(pa, folder, kind, columns, parts=3):
    """The columns in some files of a kind."""

    table = pa.table(columns)
    size = -(-table.num_rows // parts)
    for i in range(parts):
        part, path = table.slice(i * size, size), str(folder / f"part-{i}.{kind}")
        if kind == "parquet":
            pytest.importorskip("pyarrow.parquet").write_table(part, path, row_group_size=64)
        elif kind == "csv":
            pytest.importorskip("pyarrow.csv").write_csv(part, path)
        else:
            pytest.importorskip("pyarrow.feather").write_feather(part, path)
    return str(folder / f"part-*.{kind}")


COLUMNS = {**{name: X[:, i] for i, name in enumerate("abcd")}, "label": Y}


class TestTables:
    @pytest.mark.parametrize("kind", ["parquet", "csv", "arrow", "feather"])
    def test_in_order(self, kind, pa, tmp_path):
        data = table_dataset_from_files(write(pa, tmp_path, kind, COLUMNS), "label", batch_size=64, shuffle=False)
        batches = list(data)
        assert [len(x) for x, _ in batches] == [64] * 7 + [52]
        np.testing.assert_allclose(torch.cat([x for x, _ in batches]), X.astype("float32"), rtol=1e-6)
        np.testing.assert_array_equal(torch.cat([y for _, y in batches]), Y)
        assert data.cardinality() == (-2 if kind == "csv" else 8)

    @pytest.mark.parametrize("buffer_size", [100, 10_000])
    def test_shuffled(self, buffer_size, pa, tmp_path):
        files = write(pa, tmp_path, "parquet", COLUMNS)

        def rows(data):
            return np.concatenate([np.column_stack([x, y]) for x, y in data])

        data = table_dataset_from_files(files, "label", batch_size=32, buffer_size=buffer_size, seed=1)
        first, second = rows(data), rows(data)
        expected = np.column_stack([X.astype("float32"), Y])
        assert not np.array_equal(first, expected) and not np.array_equal(first, second)
        for found in (first, second):
            np.testing.assert_array_equal(np.sort(found, axis=0), np.sort(expected, axis=0))
            assert {tuple(row) for row in found} == {tuple(row) for row in expected}
        data.set_epoch(1)
        np.testing.assert_array_equal(rows(data), second)

    def test_fit(self, pa, tmp_path):
        data = table_dataset_from_files(write(pa, tmp_path, "parquet", COLUMNS), "label", shuffle=False)
        expected = a_model().fit(X, Y, shuffle=False, verbose=0, epochs=2).history["loss"]
        np.testing.assert_allclose(a_model().fit(data, verbose=0, epochs=2).history["loss"], expected, rtol=1e-5)

    def test_columns_and_texts(self, pa, tmp_path):
        files = write(pa, tmp_path, "csv", {**COLUMNS, "town": ["Ulm", "Bonn"] * 250}, parts=1)
        data = table_dataset_from_files(files, "label", ["town", "a"], shuffle=False, as_dict=True)
        x, _ = next(iter(data))
        assert list(x) == ["town", "a"] and x["town"][:2].tolist() == ["Ulm", "Bonn"] and x["a"].shape == (32,)
        with pytest.raises(DataError, match="'town' holds str values such as 'Ulm'"):
            next(iter(table_dataset_from_files(files, "label")))
        with pytest.raises(ArgumentError, match="no column 'lable'; the columns are"):
            table_dataset_from_files(files, "lable")

    def test_an_empty_cell_is_named(self, pa, tmp_path):
        holes = X[:, 0].copy()
        holes[123] = np.nan
        files = write(pa, tmp_path, "parquet", {**COLUMNS, "a": holes}, parts=1)
        with pytest.raises(DataError, match="Column 'a' is empty in row 123"):
            list(table_dataset_from_files(files, "label", shuffle=False))
        nothing = pa.array([None if i == 7 else i for i in range(500)])
        files = write(pa, tmp_path, "parquet", {**COLUMNS, "b": nothing}, parts=1)
        with pytest.raises(DataError, match="Column 'b' is empty in row 7"):
            list(table_dataset_from_files(files, "label", shuffle=False))

    def test_files_that_cannot_be(self, pa, tmp_path):
        with pytest.raises(ArgumentError, match=r"no file .*rows.csv"):
            table_dataset_from_files(tmp_path / "rows.csv")
        for name in ("a.csv", "b.parquet"):
            (tmp_path / name).write_text("a\n1\n")
        with pytest.raises(ArgumentError, match=r"found \.csv, \.parquet"):
            table_dataset_from_files([tmp_path / "a.csv", tmp_path / "b.parquet"])

    def test_of_hugging_face(self):
        datasets = pytest.importorskip("datasets")
        table = datasets.Dataset.from_dict({name: values.tolist() for name, values in COLUMNS.items()})
        data = table_dataset_from_files(table, "label", batch_size=500, shuffle=False)
        np.testing.assert_allclose(next(iter(data))[0], X.astype("float32"), rtol=1e-6)
        chosen = table_dataset_from_files(table.select([3, 1]), "label", shuffle=False)
        np.testing.assert_allclose(next(iter(chosen))[0], X[[3, 1]].astype("float32"), rtol=1e-6)


@pytest.mark.filterwarnings("ignore")  # webdataset leaves files to the garbage collector
def test_shards_of_webdataset(tmp_path):
    wds = pytest.importorskip("webdataset")
    for shard in range(2):
        with tarfile.open(tmp_path / f"shard-{shard}.tar", "w") as archive:
            for i in range(shard * 250, shard * 250 + 250):
                content = io.BytesIO()
                np.save(content, X[i].astype("float32"))
                for ending, data in (("npy", content.getvalue()), ("cls", str(Y[i]).encode())):
                    info = tarfile.TarInfo(f"{i:04}.{ending}")
                    info.size = len(data)
                    archive.addfile(info, io.BytesIO(data))
    shards = wds.WebDataset(str(tmp_path / "shard-{0..1}.tar"), shardshuffle=False)
    loader = torch.utils.data.DataLoader(shards.decode().to_tuple("npy", "cls"), batch_size=32)
    expected = a_model().fit(X, Y, shuffle=False, verbose=0, epochs=2).history["loss"]
    np.testing.assert_allclose(a_model().fit(loader, verbose=0, epochs=2).history["loss"], expected, rtol=1e-5)


class Batches(lamella.utils.PyDataset):
    def __init__(self, fail, **kwargs):
        super().__init__(**kwargs)
        self.fail = fail

    def __len__(self):
        return 8

    def __getitem__(self, i):
        if i == 5:
            self.fail()
        return X[:16], Y[:16]


def raises():
    raise OSError("picture 81 is half a picture")


def dies():
    os.kill(os.getpid(), 9)


@pytest.mark.parametrize(
    ("fail", "told"), [(raises, "picture 81 is half a picture"), (dies, "exited unexpectedly|killed by signal")]
)
@pytest.mark.filterwarnings("ignore")
def test_a_worker_that_fails_ends_the_training(fail, told):
    begun = time.perf_counter()
    with pytest.raises((OSError, RuntimeError), match=told) as caught:
        a_model().fit(Batches(fail, workers=2, use_multiprocessing=True), verbose=0)
    if fail is raises:
        assert "in raises" in str(caught.value)  # the worker's own traceback
    assert time.perf_counter() - begun < 120


def raises_of_its_own():
    class HalfAPicture(Exception):
        def __init__(self, number, share):
            super().__init__(f"picture {number} is {share} of a picture")

    raise HalfAPicture(81, 0.5)


class Given(torch.utils.data.Dataset):
    def __init__(self, give):
        self.give = give

    def __len__(self):
        return 8

    def __getitem__(self, i):
        return (X[:16], Y[:16]) if i != 5 else (self.give(), Y[:16])


@pytest.mark.parametrize("make", [Given, lambda give: Batches(give, workers=2)], ids=["DataLoader", "PyDataset"])
@pytest.mark.filterwarnings("ignore")
def test_an_error_that_cannot_be_pickled_ends_the_training(make):
    data = make(raises_of_its_own)
    if isinstance(data, Given):
        data = torch.utils.data.DataLoader(data, batch_size=None, num_workers=2)
    with pytest.raises(RuntimeError, match=r"HalfAPicture: picture 81 is 0\.5 of a picture"):
        a_model().fit(data, verbose=0)


@pytest.mark.parametrize("persistent", [False, True])
@pytest.mark.filterwarnings("ignore")
def test_a_batch_that_cannot_be_pickled_ends_the_training(persistent, capfd):
    data = torch.utils.data.DataLoader(
        Given(lambda: lambda: X[:16]),
        batch_size=None,
        num_workers=2,
        persistent_workers=persistent,
        worker_init_fn=lambda number: print(f"worker {number} is the user's", flush=True),
    )
    own = data.worker_init_fn
    with pytest.raises(RuntimeError, match=r"exited unexpectedly|ended with exit code 1"):
        a_model().fit(data, verbose=0)
    assert data.worker_init_fn is own
    shown = capfd.readouterr()
    assert "worker 1 is the user's" in shown.out
    assert "Can't pickle" in shown.err or "Can't get local object" in shown.err  # from Python 3.13 on


def test_a_stream_that_only_says_that_it_has_workers():
    class Stream:
        num_workers = 2

        def __iter__(self):
            return iter([(X[:16], Y[:16])] * 3)

    assert len(a_model().fit(Stream(), verbose=0).history["loss"]) == 1


def test_waiting_for_data_is_told(capsys, monkeypatch, clock):
    monkeypatch.setattr(progress, "time", clock)

    class Computes(lamella.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            clock.sleep(0.02)

    def told(wait):
        def batches():
            for _ in range(4):  # the first is drawn before the epoch begins
                yield X[:16], Y[:16]
                clock.sleep(wait)

        a_model().fit(batches(), verbose=2, callbacks=[Computes()])
        return capsys.readouterr().out

    assert " - 60% of the time waiting for data" in told(0.03)
    assert "waiting" not in told(0.005)  # less than a fifth
    a_model().fit(X, Y, verbose=2)
    assert "waiting" not in capsys.readouterr().out


def test_a_short_pause_is_not_told(capsys, monkeypatch, clock):
    monkeypatch.setattr(progress, "time", clock)

    def paused():
        for _ in range(2):
            yield X[:16], Y[:16]
            clock.sleep(0.01)

    a_model().fit(paused(), verbose=2)
    assert "waiting" not in capsys.readouterr().out


def test_progress_counts_the_waiting(monkeypatch, clock):
    monkeypatch.setattr(progress, "time", clock)
    line = progress.Progress(2, None)
    assert list(line.timed(clock.sleep(0.5) or each for each in (1, 2))) == [1, 2]
    assert line.waited == 1.0


class HasThreads:
    """Garbage that only the process that made it can clear away."""

    def __init__(self):
        self.itself, self.made_in = self, os.getpid()

    def __del__(self):
        if os.getpid() != self.made_in:
            os._exit(7)


class Clearing(torch.utils.data.Dataset):
    def __len__(self):
        return len(X)

    def __getitem__(self, place):
        gc.collect()
        return X[place].astype("float32"), Y[place]


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_worker_leaves_alone_what_it_inherits():
    gc.disable()
    try:
        HasThreads()
        model = a_model()
        model.fit(torch.utils.data.DataLoader(Clearing(), batch_size=250, num_workers=1), verbose=0)
    finally:
        gc.enable()
    assert int(model.optimizer.iterations) == 2


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.parametrize(
    ("die", "told"), [(dies, "killed by signal SIGKILL"), (lambda: os._exit(3), "ended with exit code 3")]
)
def test_a_worker_that_dies_while_its_batch_is_received_is_told(die, told):
    worker = multiprocessing.get_context("fork").Process(target=die)
    worker.start()

    class Broken:
        _workers = (worker,)
        given = 0

        def __iter__(self):
            return self

        def __next__(self):
            self.given += 1
            if self.given == 3:
                raise ConnectionResetError(104, "Connection reset by peer")
            return X[:16], Y[:16]

    with pytest.raises(RuntimeError, match=f"worker process of the data .*{told}"):
        a_model().fit(Broken(), steps_per_epoch=4, verbose=0)


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_workers_end_with_the_training(error):
    class Fail(lamella.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            if batch == 2:
                raise error("the disk is full")

    class Whole(Batches):
        def __getitem__(self, i):
            return X[:16], Y[:16]

    before = {process.pid for process in multiprocessing.active_children()}
    begun = time.perf_counter()
    with pytest.raises(OSError, match="full") if error is OSError else contextlib.nullcontext() as caught:
        a_model().fit(Whole(None, workers=2), verbose=0, callbacks=[Fail()])
    assert caught is None or caught.tb is not None  # which holds all that `fit` had
    assert {process.pid for process in multiprocessing.active_children()} == before
    assert time.perf_counter() - begun < 60
