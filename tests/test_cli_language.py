"""`lamella train --task ...` on texts, tables and sounds, and what the trained models then do from the command line."""

import csv
import json
import wave

import numpy as np
import pytest

from lamella import cli

WORDS = {"good": ["fine", "lovely", "great"], "bad": ["poor", "dull", "awful"]}


def train(task, folder, data, *more):
    pytest.importorskip("tokenizers")
    options = ["train", "--task", task, "--data", str(data), "--epochs", "2", "--verbose", "0", "--out", str(folder)]
    assert cli.main([*options, *more]) == 0
    assert {"model.keras", "history.csv", "run.json"} <= {file.name for file in folder.iterdir()}
    return folder / "model.keras", json.loads((folder / "run.json").read_text())["test"]


def write_table(file, *rows):
    with file.open("w", newline="", encoding="utf-8") as opened:
        csv.writer(opened).writerows(rows)
    return file


def reviews(rng, count=60):
    labels = rng.choice(list(WORDS), count).tolist()
    return [(label, f"a {rng.choice(WORDS[label])} film {i}") for i, label in enumerate(labels)]


def test_texts_are_classified(tmp_path, capsys):
    rng = np.random.default_rng(0)
    data = write_table(tmp_path / "reviews.csv", ("label", "text"), *reviews(rng))
    model, scores = train(
        "text-classify",
        tmp_path / "run",
        data,
        "--model",
        "dnn",
        *"--learning-rate 0.02 --epochs 10 --batch-size 8".split(),
    )
    assert scores["accuracy"] >= 0.8
    assert "precision" in capsys.readouterr().out
    assert cli.main(["classify", str(model), "a lovely film", "an awful film"]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in printed] == ["good", "bad"] and printed[0].endswith("a lovely film")


def test_text_is_written(tmp_path, capsys):
    text = tmp_path / "text.txt"
    text.write_text("the cat sat on the mat. " * 200)
    model, scores = train("generate", tmp_path / "run", text, "--context", "16", "--batch-size", "16")
    assert 1 < scores["perplexity"] < 10
    capsys.readouterr()
    for more in (["--seed", "1"], ["--seed", "1"], ["--temperature", "0"], ["--beams", "2"]):
        assert cli.main(["generate", str(model), "the cat", "--tokens", "12", *more]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == 4 and printed[0] == printed[1]
    assert all(line.startswith("the cat") and len(line) == len("the cat") + 12 for line in printed)


def test_sentences_are_translated(tmp_path, capsys):
    pytest.importorskip("sacrebleu")
    rng = np.random.default_rng(0)
    pairs = [("one two three".split()[i], "eins zwei drei".split()[i]) for i in rng.integers(0, 3, 60)]
    data = write_table(tmp_path / "pairs.tsv")
    data.write_text("\n".join("\t".join(pair) for pair in pairs))
    model, scores = train("translate", tmp_path / "run", data, "--model", "gru", "--vocabulary", "300")
    assert 0 <= scores["bleu"] <= 100
    lines = tmp_path / "lines.txt"
    lines.write_text("one\ntwo\n")
    capsys.readouterr()
    assert cli.main(["translate", str(model), "three", "--file", str(lines), "--beams", "1"]) == 0
    assert capsys.readouterr().out.count("\n") == 3
    assert cli.main(["translate", str(model)]) == 2
    assert "nothing to translate" in capsys.readouterr().err


def test_a_folder_of_two_languages_is_read(tmp_path, capsys):
    for part, count in (("train", 30), ("test", 4)):
        (tmp_path / f"{part}.en").write_text("one two\n" * count)
        (tmp_path / f"{part}.de").write_text("eins zwei\n" * count)
    options = ["--columns", "en,de", "--vocabulary", "300", "--model", "lstm"]
    train("translate", tmp_path / "run", tmp_path, *options)
    assert "30 pairs to train on, 4 to test on" in capsys.readouterr().out
    (tmp_path / "train.de").write_text("eins\n")
    again = ["train", "--task", "translate", "--data", str(tmp_path), "--columns", "en,de"]
    assert cli.main(again) == 2
    assert "train.de has 1" in capsys.readouterr().err


def test_a_series_is_forecast(tmp_path, capsys):
    months = np.arange("2010-01", "2020-01", dtype="datetime64[M]")
    values = 100 + 10 * np.sin(np.arange(120) * np.pi / 6)
    data = write_table(tmp_path / "sold.csv", ("month", "sold"), *zip(months.astype(str), values, strict=True))
    options = ["--time-column", "month", "--columns", "sold", "--horizon", "6", "--period", "12"]
    model, scores = train("forecast", tmp_path / "run", data, *options)
    assert set(scores) >= {"linear MASE", "seasonal naive MASE", "naive MAE"}
    capsys.readouterr()
    assert cli.main(["forecast", str(model), str(data)]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].split() == ["step", "sold", "0.1", "sold", "0.5", "sold", "0.9"] and len(printed) == 7
    assert cli.main(["forecast", str(model), str(data), "--out", str(tmp_path / "next.csv")]) == 0
    rows = list(csv.reader((tmp_path / "next.csv").read_text(encoding="utf-8").splitlines()))
    assert rows[1] == printed[1].split()


def test_sounds_are_transcribed(tmp_path, capsys):
    sounds = tmp_path / "sounds"
    sounds.mkdir()
    rng = np.random.default_rng(0)
    for i in range(12):
        letter = "ab"[i % 2]
        wave_form = np.sin(np.arange(2400) * (300, 1200)[i % 2] * 2 * np.pi / 8000) + rng.normal(0, 0.05, 2400)
        with wave.open(str(sounds / f"{i}.wav"), "wb") as file:
            file.setparams((1, 2, 8000, 0, "NONE", ""))
            file.writeframes((wave_form * 8000).astype("<i2").tobytes())
        (sounds / f"{i}.txt").write_text(letter)
    model, scores = train("speech", tmp_path / "run", sounds)
    assert "character_error_rate" in scores
    capsys.readouterr()
    assert cli.main(["transcribe", str(model), str(sounds / "0.wav"), "--beams", "1"]) == 0
    assert capsys.readouterr().out.startswith(f"{sounds / '0.wav'}: ")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["train", "--task", "forecast"], "needs --data, a table"),
        (
            ["train", "--task", "generate", "--data", "x", "--horizon", "3"],
            "--horizon does not go with --task generate",
        ),
        (["train", "--task", "speech", "--data", "x", "--model", "gru"], "choose from lstm"),
        (["train", "--task", "text-classify", "--data", "missing.csv"], "there is no such file"),
        (["generate", "missing.keras", "a"], "missing.keras"),
    ],
)
def test_mistakes_are_told_in_a_line(arguments, words, capsys):
    assert cli.main(arguments) == 2
    told = capsys.readouterr().err
    assert words in told and told.count("\n") == 1


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "the table is empty"),
        ("text,kind\na,b\n", "no column 'label'"),
        ("text,label\na\n", "row 1: 1 columns, but 2 are needed"),
        ("text,label\na,x\nb,x\n", "all 2 labels are 'x'"),
    ],
)
def test_tables_that_cannot_be_are_refused(tmp_path, content, words, capsys):
    table = tmp_path / "table.csv"
    table.write_text(content)
    assert cli.main(["train", "--task", "text-classify", "--data", str(table), "--out", str(tmp_path / "run")]) == 2
    assert words in capsys.readouterr().err


def test_a_model_of_another_kind_is_refused(tmp_path, capsys):
    import lamella

    model = lamella.Sequential([lamella.Input((2,)), lamella.layers.Dense(1)])
    model.save(tmp_path / "m.keras")
    for command in ("classify", "generate", "translate", "transcribe", "forecast"):
        assert cli.main([command, str(tmp_path / "m.keras"), "a"]) == 2
        assert "is a Sequential, not a" in capsys.readouterr().err
