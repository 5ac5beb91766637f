"""Sounds from files: every width of PCM, channels, rates, and all that can be wrong; and data sets of them."""

import wave

import numpy as np
import pytest
import torch
from scipy.signal import resample_poly

from lamella.errors import ArgumentError, DataError
from lamella.sequences import AudioAugmentation, AudioDataset, read_audio, resample


def write(path, samples, rate=8000, width=2):
    """Floats (time,) or (time, channels) as PCM."""
    samples = np.asarray(samples)
    samples = samples[:, None] if samples.ndim == 1 else samples
    whole = np.clip(np.round(samples * 2.0 ** (8 * width - 1)), -(2.0 ** (8 * width - 1)), 2.0 ** (8 * width - 1) - 1)
    if width == 1:
        raw = (whole + 128).astype("u1").tobytes()
    else:
        raw = whole.astype("<i8")[..., None].view("u1").reshape(*whole.shape, 8)[..., :width].tobytes()
    with wave.open(str(path), "wb") as file:
        file.setparams((samples.shape[1], width, rate, 0, "NONE", ""))
        file.writeframes(raw)
    return path


def tone(hertz=440, seconds=0.2, rate=8000):
    return (0.5 * np.sin(2 * np.pi * hertz * np.arange(int(seconds * rate)) / rate)).astype("float32")


@pytest.mark.parametrize("width", [1, 2, 3, 4])
def test_every_width_of_pcm(tmp_path, width):
    sound = read_audio(write(tmp_path / "a.wav", tone(), width=width))
    assert sound.dtype == np.float32
    np.testing.assert_allclose(sound, tone(), atol=0.51 / 2 ** (8 * width - 1) + 1e-7)


@pytest.mark.parametrize("width", [1, 2, 3, 4])
def test_soundfile_reads_the_same(tmp_path, width):
    soundfile = pytest.importorskip("soundfile")
    path = write(tmp_path / "a.wav", np.stack([tone(), tone(700)], 1), width=width)
    expected, _ = soundfile.read(str(path), dtype="float32")
    np.testing.assert_allclose(read_audio(path), expected.mean(1), atol=1e-6)


def test_other_encodings_and_formats_go_through_soundfile(tmp_path):
    soundfile = pytest.importorskip("soundfile")
    soundfile.write(str(tmp_path / "float.wav"), tone(), 8000, subtype="FLOAT")
    soundfile.write(str(tmp_path / "a.flac"), tone(), 8000)
    np.testing.assert_array_equal(read_audio(tmp_path / "float.wav"), tone())
    np.testing.assert_allclose(read_audio(tmp_path / "a.flac", 8000), tone(), atol=1e-4)


def test_without_soundfile_other_formats_say_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "soundfile", None)
    (tmp_path / "a.flac").write_bytes(b"fLaC")
    with pytest.raises(DataError, match=r"a\.flac.*lamella\[audio\]"):
        read_audio(tmp_path / "a.flac")


def test_other_rates_are_resampled_or_refused(tmp_path):
    path = write(tmp_path / "a.wav", tone(rate=22050), rate=22050)
    inner = slice(100, -100)
    found = read_audio(path, 8000)
    assert len(found) == 1600
    np.testing.assert_allclose(found[inner], tone()[inner], atol=1e-3)
    with pytest.raises(DataError, match=r"a\.wav.*22050 samples a second, but 8000"):
        read_audio(path, 8000, on_mismatch="refuse")
    with pytest.raises(ArgumentError, match="on_mismatch"):
        read_audio(path, 8000, on_mismatch="perhaps")
    with pytest.raises(ArgumentError, match="sample_rate"):
        read_audio(path, 0)


@pytest.mark.parametrize(("rate", "new_rate"), [(44100, 16000), (8000, 44100), (48000, 8000), (93, 100), (22254, 8000)])
def test_resampling_keeps_what_both_rates_can_hold(rate, new_rate):
    seconds, hertz = 0.5, 0.13 * min(rate, new_rate)
    length = round(rate * seconds)
    sound = np.sin(2 * np.pi * hertz * np.arange(length) / rate).astype("float32")
    found = resample(sound, rate, new_rate)
    assert len(found) == int(np.ceil(length * new_rate / rate))
    expected = np.sin(2 * np.pi * hertz * np.arange(len(found)) / new_rate)
    edge = len(found) // 4
    np.testing.assert_allclose(found[edge:-edge], expected[edge:-edge], atol=4e-3)


def test_resampling_removes_what_the_lower_rate_cannot_hold_as_scipy_does():
    noise = np.random.default_rng(0).standard_normal(16000).astype("float32")
    found, expected = resample(noise, 16000, 8000), resample_poly(noise, 1, 2)
    assert np.std(found) == pytest.approx(np.std(expected), rel=0.05)
    high = np.sin(2 * np.pi * 5500 * np.arange(16000) / 16000).astype("float32")
    assert np.abs(resample(high, 16000, 8000)[200:-200]).max() < 3e-3


def test_what_is_wrong_with_a_file_is_told_with_its_name(tmp_path):
    whole = write(tmp_path / "whole.wav", tone()).read_bytes()
    wrong = {
        "empty.wav": (b"", "cut off within its header"),
        "header.wav": (whole[:30], "cut off"),
        "half.wav": (whole[:1000], "should have 1600 samples, but has 478"),
        "text.wav": (b"this is no sound, but it is long enough for a header", "cannot be read"),
        "nothing.wav": (write(tmp_path / "nothing.wav", np.zeros((0, 1))).read_bytes(), "no samples"),
    }
    for name, (content, message) in wrong.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError, match=f"{name}.*{message}"):
            read_audio(tmp_path / name)
    with pytest.raises(DataError, match=r"none\.wav.*no such file"):
        read_audio(tmp_path / "none.wav")


# -- data sets ----------------------------------------------------------------------------------------------


def some(count=7):
    random = np.random.default_rng(0)
    sounds = [tone(300 + 50 * i, float(random.uniform(0.1, 0.6))) for i in range(count)]
    return sounds, ["a" * (1 + i % 3) + "b" for i in range(count)]


def test_batches_hold_every_sound_once_padded_and_with_its_text():
    sounds, texts = some()
    data = AudioDataset(sounds, texts, batch_size=3, shuffle=True)
    for _ in range(2):
        data.on_epoch_begin()
        seen = []
        for inputs, labels in data:
            for row, length, text in zip(inputs["audio"], inputs["lengths"], labels, strict=True):
                i = next(i for i, sound in enumerate(sounds) if np.array_equal(sound, row[:length]))
                assert not row[length:].any()
                assert "".join(data.alphabet[n - 1] for n in text if n) == texts[i]
                seen.append(i)
            assert inputs["audio"].shape[1] == inputs["lengths"].max()
        assert sorted(seen) == list(range(7))


def test_sounds_of_like_lengths_go_together():
    random = np.random.default_rng(1)
    sounds = [tone(seconds=s) for s in random.uniform(0.05, 1.0, 64)]
    data = AudioDataset(sounds, ["a"] * 64, batch_size=8, shuffle=True)
    padding = sum(inputs["audio"].size - inputs["lengths"].sum() for inputs, _ in data)
    assert padding < 0.3 * sum(map(len, sounds))
    first = [inputs["lengths"].tolist() for inputs, _ in data]
    data.on_epoch_begin()
    assert first != [inputs["lengths"].tolist() for inputs, _ in data]


def test_manifests_and_folders(tmp_path):
    write(tmp_path / "x.wav", tone())
    (tmp_path / "deep").mkdir()
    write(tmp_path / "deep" / "y.wav", tone(rate=16000), rate=16000)
    (tmp_path / "list.csv").write_text('path,text\nx.wav,"a, b"\ndeep/y.wav,b\n', encoding="utf-8")
    (tmp_path / "list.tsv").write_text("client\tfile\tsentence\n1\tx.wav\ta, b\n1\tdeep/y.wav\tb\n", encoding="utf-8")
    comma = AudioDataset.from_manifest(tmp_path / "list.csv")
    tab = AudioDataset.from_manifest(tmp_path / "list.tsv", path_column="file", text_column="sentence")
    assert comma.texts == tab.texts == ["a, b", "b"]
    assert comma.alphabet == " ,ab"
    assert [len(comma.sound(i)) for i in range(2)] == [1600, 1600]
    assert "1 files of 16000 samples a second are resampled to 8000" in comma.report()
    with pytest.warns(UserWarning, match=r"y\.wav: it has 16000 samples a second, but 8000"):
        assert AudioDataset.from_manifest(tmp_path / "list.csv", on_mismatch="refuse").texts == ["a, b"]
    with pytest.raises(DataError, match=r"list\.tsv.*no column 'path'.*'sentence'"):
        AudioDataset.from_manifest(tmp_path / "list.tsv")

    (tmp_path / "x.txt").write_text("hello\n", encoding="utf-8")
    folder = AudioDataset.from_directory(tmp_path)
    assert folder.texts == ["hello"]
    assert "y.wav" in folder.skipped[0][0]
    with pytest.raises(DataError, match=r"y\.wav.*no text"):
        AudioDataset.from_directory(tmp_path, strict=True)
    with pytest.raises(DataError, match="no such folder"):
        AudioDataset.from_directory(tmp_path / "nowhere")


def test_what_cannot_be_used_is_left_out_by_name_or_refused(tmp_path):
    good = write(tmp_path / "good.wav", tone())
    (tmp_path / "cut.wav").write_bytes(good.read_bytes()[:500])
    silent = write(tmp_path / "silent.wav", np.zeros(1000))
    files = [good, tmp_path / "cut.wav", silent, good, tmp_path / "gone.wav", good]
    texts = ["ab", "a", "a", "ax", "b", "ba"]
    with pytest.warns(UserWarning, match=r"leaves out 4 sounds, the first: .*cut\.wav"):
        data = AudioDataset(files, texts, alphabet="ab")
    assert data.texts == ["ab", "ba"]
    reasons = [reason for _, reason in data.skipped]
    for reason, expected in zip(reasons, ["cut off", "silent", "alphabet: 'x'", "no such file"], strict=True):
        assert expected in reason
    assert "cut.wav" in data.report() and "2 sounds" in data.report()
    with pytest.raises(DataError, match=r"cut\.wav"):
        AudioDataset(files, texts, alphabet="ab", strict=True)
    with pytest.raises(DataError, match=r"there are no sounds. 1 were left out.*gone\.wav"):
        AudioDataset([tmp_path / "gone.wav"], ["a"])
    with pytest.raises(DataError, match="2 sounds and 1 texts"):
        AudioDataset([good, good], ["a"])
    with pytest.raises(DataError, match="sound 0: a sound is an array"):
        AudioDataset([np.zeros((5, 2), "float32")], ["a"], strict=True)


def test_silence_may_say_nothing():
    data = AudioDataset([np.zeros(800, "float32"), tone()], ["", "a"])
    _, labels = data[0]
    assert labels.tolist() == [[0], [1]]


def test_sounds_too_short_for_their_texts_are_left_out():
    data = AudioDataset([tone(seconds=0.1), tone(seconds=1.0)], ["aa", "aa"])
    with pytest.warns(UserWarning, match="sound 0: too short for its text 'aa'.* 2 time steps.*needs 3"):
        data.leave_out_short(lambda samples: samples // 400)
    assert data.names == ["sound 1"] and len(data) == 1
    with pytest.raises(DataError, match="no sounds"):
        data.leave_out_short(lambda samples: samples * 0)
    strict = AudioDataset([tone(seconds=0.1)], ["aa"], strict=True)
    with pytest.raises(DataError, match="too short"):
        strict.leave_out_short(lambda samples: samples // 400)


def test_augmentation_follows_the_seed_and_changes_with_the_epoch():
    sounds, texts = some()
    data = AudioDataset(sounds, texts, augment=AudioAugmentation(), batch_size=7)

    def epoch():
        data.on_epoch_begin()
        return data[0][0]["audio"]

    torch.manual_seed(3)
    first, second = epoch(), epoch()
    torch.manual_seed(3)
    np.testing.assert_array_equal(first, epoch())
    assert first.shape != second.shape or not np.array_equal(first, second)


def test_augmentation_changes_speed_loudness_and_noise_as_told():
    random = np.random.default_rng(0)
    faster = AudioAugmentation(speed=(1.25, 1.25), gain=0.0, noise=None, shift=0.0)(tone(400), random)
    assert len(faster) == 1280
    spectrum = np.abs(np.fft.rfft(faster))
    assert np.argmax(spectrum) * 8000 / len(faster) == pytest.approx(500, abs=8000 / len(faster))
    plain = AudioAugmentation(speed=(1.0, 1.0), gain=0.0, noise=(20.0, 20.0), shift=0.0)(tone(), random)
    assert 20 * np.log10(np.std(tone()) / np.std(plain - tone())) == pytest.approx(20, abs=0.7)
    longer = AudioAugmentation(speed=(1.0, 1.0), gain=0.0, noise=None, shift=0.1)(tone(), random)
    assert 1600 <= len(longer) <= 3200
    with pytest.raises(ArgumentError, match="speed"):
        AudioAugmentation(speed=(0.0, 1.0))
