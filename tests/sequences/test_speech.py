"""The speech recognizer: lengths, masks, the loss, learning, texts and files."""

import wave

import fresh
import numpy as np
import pytest
import torch
from torch.nn.functional import ctc_loss

import lamella
from lamella.errors import ArgumentError, DataError
from lamella.sequences import (
    AudioDataset,
    CharacterErrorRate,
    LogMelSpectrogram,
    SpecAugment,
    SpeechRecognizer,
    WordErrorRate,
)

RATE = 8000


def small(**options):
    lamella.utils.set_random_seed(0)
    options = {"alphabet": "abc", "num_mels": 16, "filters": 8, "hidden": 12, "layers": 1, **options}
    return SpeechRecognizer(**options)


def noises(*lengths, seed=0):
    random = np.random.default_rng(seed)
    return [random.standard_normal(n).astype("float32") * 0.1 for n in lengths]


def batch(*sounds):
    lengths = torch.tensor([len(sound) for sound in sounds])
    audio = torch.zeros(len(sounds), int(lengths.max()))
    for row, sound in zip(audio, sounds, strict=True):
        row[: len(sound)] = torch.from_numpy(sound)
    return {"audio": audio, "lengths": lengths}


# -- the ear ------------------------------------------------------------------------------------------------


def test_features_are_the_logarithms_of_mel_power_normalized():
    (sound,) = noises(4000)
    ear = LogMelSpectrogram(RATE, 20)
    features, lengths = ear(torch.from_numpy(sound)[None], torch.tensor([4000]))
    assert features.shape == (1, 51, 20) and lengths.tolist() == [51]
    window = np.zeros(256)
    window[28:228] = np.hanning(201)[:200]
    framed = np.pad(sound, (128, 300), mode="constant")
    framed[:128] = sound[128:0:-1]
    frames = np.stack([framed[80 * i : 80 * i + 256] for i in range(51)]) * window
    power = np.abs(np.fft.rfft(frames)) ** 2
    mel = lambda f: 1127 * np.log(1 + f / 700)  # noqa: E731
    hertz = 700 * (np.exp(np.linspace(mel(20), mel(4000), 22) / 1127) - 1)
    bins = mel(np.arange(129) * 31.25)
    edges = mel(hertz)
    up, down = (bins[:, None] - edges[:-2]) / np.diff(edges)[:-1], (edges[2:] - bins[:, None]) / np.diff(edges)[1:]
    logs = np.log(power @ np.clip(np.minimum(up, down), 0, None))
    trust = 51 / (51 + 50)
    centred = logs - trust * logs.mean(0) - (1 - trust) * logs.mean()
    expected = centred / (np.sqrt((centred**2).mean()) + 0.01)
    np.testing.assert_allclose(features[0].numpy(), expected, atol=2e-3)


def test_features_know_neither_loudness_nor_padding():
    first, second = noises(3001, 1200)
    ear = LogMelSpectrogram(RATE, 20)
    together, lengths = ear(**{"sounds": batch(first, second)["audio"], "lengths": torch.tensor([3001, 1200])})
    alone, _ = ear(torch.from_numpy(second)[None] * 0.01, torch.tensor([1200]))
    torch.testing.assert_close(together[1:, : lengths[1]], alone, atol=2e-4, rtol=1e-3)
    assert not together[1, lengths[1] :].any()
    garbage = batch(first, second)["audio"]
    garbage[1, 1200:] = 9.0
    torch.testing.assert_close(ear(garbage, torch.tensor([3001, 1200]))[0], together)


def test_silence_gives_zeros():
    features, _ = LogMelSpectrogram(RATE, 20)(torch.zeros(2, 800), torch.tensor([800, 400]))
    assert not features.any()


def test_spec_augment_hides_no_more_than_it_may_and_only_in_training():
    torch.manual_seed(0)
    layer = SpecAugment(warp=0.0, frequency_masks=1, frequency_share=0.25, time_masks=2, time_share=0.1)
    x, lengths = torch.ones(200, 50, 40), torch.randint(20, 51, (200,))
    assert layer(x, lengths, training=False) is x
    y = layer(x, lengths, training=True)
    hidden_bands, hidden_times = (y == 0).all(1), (y == 0).all(2)
    assert 3 < hidden_bands.sum(1).float().mean() < 7 and hidden_bands.sum(1).max() <= 11
    assert (hidden_times.sum(1) <= 2 * (0.1 * lengths + 1)).all() and hidden_times.any(1).float().mean() > 0.8
    past = torch.arange(50) >= lengths[:, None]
    assert not (hidden_times & past).any()
    torch.testing.assert_close(y, 1 - (hidden_bands[:, None] | hidden_times[..., None]).float())


def test_spec_augment_warps_bands_by_interpolation():
    torch.manual_seed(0)
    layer = SpecAugment(warp=0.2, frequency_masks=0, time_masks=0)
    ramp = torch.arange(40.0).expand(300, 3, 40)
    y = layer(ramp, torch.full((300,), 3), training=True)
    factors = y[:, :, 10] / 10
    assert factors.min() < 0.82 and factors.max() > 1.18 and factors.min() >= 0.8 and factors.max() <= 1.2
    torch.testing.assert_close(y, (ramp * factors[:, :1, None]).clamp(max=39))


# -- the network --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lengths", [(4000, 1234, 2777), (1999, 2000, 2001), (200, 801, 3999)])
def test_a_sound_gives_the_same_alone_and_in_a_padded_batch(lengths):
    model, sounds = small(layers=2), noises(*lengths)
    together = model(batch(*sounds))
    for i, sound in enumerate(sounds):
        alone = model(torch.from_numpy(sound)[None])
        steps = int(alone["lengths"])
        assert steps == int(together["lengths"][i]) == alone["logits"].shape[1] == model.steps(len(sound))
        torch.testing.assert_close(together["logits"][i, :steps], alone["logits"][0], atol=1e-4, rtol=1e-3)


def test_the_loss_is_ctc_per_character():
    model, inputs = small(), batch(*noises(3000, 2000))
    with torch.no_grad():
        outputs = model(inputs)
    y = torch.tensor([[1, 2, 2, 3], [3, 1, 0, 0]])
    log_p = outputs["logits"].log_softmax(-1)
    each = [
        float(ctc_loss(log_p[i, : outputs["lengths"][i]][:, None], y[i : i + 1, :n], [int(outputs["lengths"][i])], [n]))
        for i, n in enumerate((4, 2))  # torch's mean divides by the length
    ]
    assert float(model.compute_loss(inputs, y, outputs)) == pytest.approx(np.mean(each), rel=1e-5)


def test_a_text_that_does_not_fit_teaches_nothing_and_is_told_of():
    model, inputs = small(), batch(*noises(4000, 400))
    y = torch.tensor([[1, 2, 0, 0], [1, 1, 2, 2]])  # the second has 3 steps, and needs 6
    with pytest.warns(UserWarning, match="sound 1 of a batch has 3 time steps, but its text 'aabb' needs 6"):
        loss = model.compute_loss(inputs, y, model(inputs))
    gradients = torch.autograd.grad(loss, model.trainable_weights)
    assert all(gradient.isfinite().all() for gradient in gradients)
    first = model({name: value[:1] for name, value in inputs.items()})
    alone = torch.autograd.grad(model.compute_loss(None, y[:1], first), model.trainable_weights)
    for one, other in zip(gradients, alone, strict=True):
        torch.testing.assert_close(2 * one, other, atol=1e-5, rtol=1e-3)


def test_fit_leaves_out_sounds_that_are_too_short_by_name():
    model = small()
    model.compile()
    data = AudioDataset(noises(4000, 300, 4000), ["ab", "abcab", "c"], alphabet="abc")
    with pytest.warns(UserWarning, match="sound 1: too short for its text 'abcab'"):
        model.fit(data, epochs=1, verbose=0)
    assert data.num_sounds == 2
    strict = AudioDataset(noises(300), ["abcab"], alphabet="abc", strict=True)
    with pytest.raises(DataError, match="sound 0: too short"):
        model.evaluate(strict, verbose=0)


def test_wrong_arguments_and_labels_are_refused():
    for wrong, message in (
        ({"alphabet": "aab"}, "alphabet"),
        ({"alphabet": ""}, "alphabet"),
        ({"hidden": 0}, "hidden"),
        ({"sample_rate": 0}, "sample_rate"),
        ({"step_ms": 0}, "step_ms"),
        ({"warp": 2.0}, "warp"),
    ):
        with pytest.raises(ArgumentError, match=message):
            small(**wrong)
    model, inputs = small(), batch(*noises(3000))
    with pytest.raises(ArgumentError, match="its own loss"):
        model.compile(loss="mse")
    with pytest.raises(ArgumentError, match="metrics are objects"):
        model.compile(metrics=["accuracy"])
    with pytest.raises(DataError, match=r"from 1 to 3.*got some from 1 to 4"):
        model.compute_loss(inputs, torch.tensor([[1, 4]]), model(inputs))
    with pytest.raises(DataError, match=r"whole numbers \(batch, most\).*\(2,\)"):
        model.compute_loss(inputs, torch.tensor([1, 2]), model(inputs))
    model.compile()
    with pytest.raises(ArgumentError, match=r"alphabet 'ab' .* model 'abc'"):
        model.fit(AudioDataset(noises(4000), ["ab"]))
    with pytest.raises(DataError, match=r"'abd' has characters .*'d'"):
        model.labels("abd")
    assert model.texts([model.labels("cab")]) == ["cab"]


# -- learning -----------------------------------------------------------------------------------------------

TONES = {"a": 400, "b": 1000, "c": 2200}


def melody(random):
    """One to three tones of some lengths, and their letters."""
    letters = [str(random.choice(list(TONES))) for _ in range(random.integers(1, 4))]
    parts = []
    for letter in letters:
        time = np.arange(int(RATE * random.uniform(0.08, 0.16))) / RATE
        parts += [np.sin(2 * np.pi * TONES[letter] * time), np.zeros(int(RATE * random.uniform(0.03, 0.06)))]
    sound = np.concatenate(parts) + 0.01 * random.standard_normal(sum(map(len, parts)))
    return sound.astype("float32"), "".join(letters)


@pytest.fixture(scope="module")
def learned():
    """A model that has learned three letters from tones, and melodies that it has not heard."""
    random = np.random.default_rng(0)
    sounds, texts = zip(*(melody(random) for _ in range(120)), strict=True)
    model = small(dropout=0.0, time_masks=0, warp=0.0, frequency_masks=0)
    model.compile(lamella.optimizers.Adam(0.02), metrics=[CharacterErrorRate(), WordErrorRate()])
    data = AudioDataset(sounds[:96], texts[:96], batch_size=12, shuffle=True)
    history = model.fit(data, epochs=25, verbose=0)
    return model, history, sounds[96:], texts[96:]


def test_it_learns_three_tones(learned):
    model, history, sounds, texts = learned
    assert list(history.history) == ["loss"]
    assert history.history["loss"][-1] < 0.1 * history.history["loss"][0]
    results = model.evaluate(AudioDataset(sounds, texts, alphabet="abc"), verbose=0, return_dict=True)
    assert results["character_error_rate"] < 0.06
    assert set(results) == {"loss", "character_error_rate", "word_error_rate"}
    rate = CharacterErrorRate()
    rate.update_state(texts, model.transcribe(sounds, num_beams=4))
    assert float(rate.result()) < 0.06


def test_texts_come_in_the_order_of_the_sounds_from_arrays_files_and_data_sets(learned, tmp_path):
    model, _, sounds, texts = learned
    found = model.transcribe(sounds, batch_size=5)
    assert found == [model.transcribe(sound)[0] for sound in sounds] == model.predict(list(sounds))
    assert found == model.transcribe(AudioDataset(sounds, texts))
    paths = []
    for i, sound in enumerate(sounds[:6]):
        paths.append(tmp_path / f"{i}.wav")
        with wave.open(str(paths[-1]), "wb") as file:
            file.setparams((1, 2, RATE, 0, "NONE", ""))
            file.writeframes((sound * 16000).astype("<i2").tobytes())
    assert model.transcribe(paths) == found[:6]
    assert model.transcribe(str(paths[0])) == found[:1]


def test_what_cannot_be_heard_is_told_by_name(learned, tmp_path):
    model = learned[0]
    assert model.transcribe([np.zeros(4000, "float32")]) == [""]
    with pytest.raises(DataError, match=r"sound 1: it has 50 samples, too few .*needs 200"):
        model.transcribe(noises(4000, 50))
    with pytest.raises(DataError, match=r"sound 0: .* not finite"):
        model.transcribe([np.full(4000, np.nan, "float32")])
    with pytest.raises(DataError, match=r"sound 0: a sound is an array .* int16 of shape \(4000,\)"):
        model.transcribe([np.zeros(4000, "int16")])
    with pytest.raises(DataError, match="there are no sounds"):
        model.transcribe([])
    with pytest.raises(DataError, match=r"gone\.wav"):
        model.transcribe(tmp_path / "gone.wav")


def test_a_saved_model_transcribes_the_same_in_another_process(learned, tmp_path):
    model, _, sounds, _ = learned
    model.save(tmp_path / "m.keras")
    np.savez(tmp_path / "sounds.npz", *sounds[:5])
    code = (
        "import sys, numpy as np, lamella\n"
        "model = lamella.models.load_model(sys.argv[1] + '/m.keras')\n"
        "sounds = np.load(sys.argv[1] + '/sounds.npz')\n"
        "print(model.transcribe([sounds[name] for name in sounds.files]), model.compiled)"
    )
    ran = fresh.run(["-c", code, tmp_path])
    assert ran.stdout.strip() == f"{model.transcribe(sounds[:5])} True", ran.stderr


def test_a_configuration_makes_the_same_network():
    model = small(step_ms=5.0, layers=2, warp=0.0, dropout=0.3)
    again = SpeechRecognizer.from_config(model.get_config())
    assert again.get_config() == model.get_config()
    again.set_weights(model.get_weights())
    sound = torch.from_numpy(noises(2000)[0])[None]
    torch.testing.assert_close(model(sound)["logits"], again(sound)["logits"])
