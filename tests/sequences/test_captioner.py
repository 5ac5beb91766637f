"""`Captioner`: what it computes, what it learns, how it writes, files, and what it refuses."""

import fresh
import numpy as np
import pytest
import torch

import lamella
from lamella.errors import ArgumentError, DataError, ShapeError
from lamella.language import Tokenizer, pad_tokens
from lamella.sequences import CaptionDataset, Captioner

CAPTIONS = ["a red dot", "a blue dot", "no dot", "a red dot and a blue dot"]
SIZE = (16, 16)


def picture(caption, rng, size=SIZE):
    image = np.full((*size, 3), 128.0) + rng.normal(0, 4, (*size, 3))
    for colour, channel in (("red", 0), ("blue", 2)):
        if colour in caption:
            y, x = rng.integers(1, size[0] - 4, 2)
            image[y : y + 3, x : x + 3] = 20
            image[y : y + 3, x : x + 3, channel] = 240
    return image.clip(0, 255).astype("uint8")


def made(**options):
    lamella.utils.set_random_seed(0)
    tokenizer = Tokenizer.train(CAPTIONS, "word")
    return Captioner(tokenizer, **{"image_size": SIZE, "units": 16, "embedding_size": 8, "max_length": 10, **options})


def encoder(pooling=None):
    images = lamella.Input((*SIZE, 3))
    x = lamella.layers.Conv2D(6, 3, 4, padding="same", activation="relu")(images / 255)
    if pooling:
        x = lamella.layers.GlobalAveragePooling2D()(x)
    return lamella.Model(images, x)


@pytest.mark.parametrize("attention", [True, False])
@pytest.mark.parametrize("pooling", [None, "avg"])
def test_frames_that_are_padding_change_nothing(rng, attention, pooling):
    model = made(encoder=encoder(pooling), attention=attention)
    videos = [rng.integers(0, 256, (length, *SIZE, 3), dtype="uint8") for length in (3, 1, 5)]
    captions = [CAPTIONS[i] for i in (0, 2, 3)]
    inputs, tokens, weights = CaptionDataset(videos, captions, model.tokenizer, SIZE, shuffle=False)[0]
    assert inputs["frames"].sum(1).tolist() == [3, 1, 5]
    together = model(inputs)
    assert together.shape == (*tokens.shape, model.tokenizer.vocabulary_size)
    for i, (video, caption) in enumerate(zip(videos, captions, strict=True)):
        own, own_tokens, _ = CaptionDataset([video], [caption], model.tokenizer, SIZE)[0]
        assert "frames" not in own
        length = own_tokens.shape[1]
        assert weights[i].sum() == length
        assert torch.equal(tokens[i, :length], own_tokens[0])
        torch.testing.assert_close(together[i, :length], model(own)[0], atol=1e-5, rtol=1e-4)


def test_a_picture_is_a_video_of_one_frame(rng):
    model = made()
    image = torch.from_numpy(rng.integers(0, 256, (2, *SIZE, 3), dtype="uint8"))
    captions = torch.randint(5, 9, (2, 4))
    one = model({"images": image, "captions": captions})
    torch.testing.assert_close(one, model({"images": image.unsqueeze(1), "captions": captions}))


def test_padding_frames_do_not_move_the_averages_of_the_encoder(rng):
    videos = [rng.integers(0, 256, (length, *SIZE, 3), dtype="uint8") for length in (2, 6)]
    averages = []
    for frames in (True, False):
        model = made()
        if frames:
            inputs = CaptionDataset(videos, CAPTIONS[:2], model.tokenizer, SIZE, shuffle=False)[0][0]
            model(inputs, training=True)
        else:
            model.encoder(torch.from_numpy(np.concatenate(videos)).float(), training=True)
        averages.append(model.encoder.get_layer("norm_1").moving_mean.detach().clone())
    torch.testing.assert_close(*averages)


@pytest.mark.parametrize("attention", [True, False])
def test_the_order_of_frames_and_the_place_of_things_matter(attention):
    model = made(attention=attention)
    video = torch.zeros(1, 4, *SIZE, 3)
    video[0, 0, 2:6, 2:6] = 255.0
    captions = torch.tensor([[5, 6]])
    first = model({"images": video, "captions": captions})
    assert (first - model({"images": video.flip(1), "captions": captions})).abs().max() > 1e-4
    assert (first - model({"images": video.flip(3), "captions": captions})).abs().max() > 1e-4


def test_a_word_does_not_depend_on_those_after_it(rng):
    model = made()
    images = torch.from_numpy(rng.integers(0, 256, (1, *SIZE, 3), dtype="uint8"))
    one, other = torch.tensor([[2, 5, 6, 7]]), torch.tensor([[2, 5, 6, 8]])
    difference = (
        (model({"images": images, "captions": one}) - model({"images": images, "captions": other})).abs().amax(-1)
    )
    assert (difference[0] > 0).tolist() == [False, False, False, True]


@pytest.mark.parametrize("attention", [True, False])
def test_writing_step_by_step_computes_what_training_does(rng, attention):
    model = made(attention=attention)
    images = torch.from_numpy(rng.integers(0, 256, (3, 2, *SIZE, 3), dtype="uint8"))
    frames = torch.tensor([[True, True], [True, False], [True, True]])
    tokens = torch.randint(5, 9, (3, 5))
    whole = model({"images": images, "captions": tokens, "frames": frames})
    state = model.encode(images, frames)
    for t in range(5):
        logits, state = model.step(tokens[:, t : t + 1], state)
        torch.testing.assert_close(logits, whole[:, t], atol=1e-5, rtol=1e-4)
    order = torch.tensor([2, 0, 0, 1])
    state.reorder(order)
    more = torch.randint(5, 9, (4, 1))
    again = model({"images": images[order], "captions": torch.cat([tokens[order], more], 1), "frames": frames[order]})
    torch.testing.assert_close(model.step(more, state)[0], again[:, -1], atol=1e-5, rtol=1e-4)


def test_greedy_and_beam_search_by_hand(rng):
    model = made(max_length=4)
    images = rng.integers(0, 256, (2, *SIZE, 3), dtype="uint8")
    tokenizer = model.tokenizer
    for row, image in enumerate(images):
        tokens = [tokenizer.start_id]
        while len(tokens) < model.max_length and tokenizer.end_id not in tokens:
            batch = {"images": torch.from_numpy(image[None]), "captions": torch.tensor([tokens])}
            tokens.append(int(model(batch)[0, -1].argmax()))
        assert model.predict(images, num_beams=1)[row] == tokenizer.decode(tokens)

    size, end = tokenizer.vocabulary_size, tokenizer.end_id
    others = [token for token in range(size) if token != end]
    # All captions there are: up to two tokens and the end, or three tokens.
    every = [[end], *([a, end] for a in others), *([a, b, c] for a in others for b in others for c in range(size))]
    tokens, mask = pad_tokens([[tokenizer.start_id, *each] for each in every])
    with torch.no_grad():
        batch = {"images": torch.from_numpy(images[:1]).expand(len(every), -1, -1, -1), "captions": tokens[:, :-1]}
        scores = model(batch).log_softmax(-1).gather(2, tokens[:, 1:, None]).squeeze(2)
    best = every[int((scores * mask[:, 1:]).sum(1).argmax())]
    found = model.predict(images[:1], num_beams=size * size, length_penalty=0.0)
    assert found == [tokenizer.decode(best)]


def test_loss_and_accuracy_are_those_of_real_tokens(rng):
    model = made(dropout=0.0)
    model.compile("sgd")
    images = rng.integers(0, 256, (4, *SIZE, 3), dtype="uint8")
    found = model.evaluate(images, CAPTIONS, verbose=0, return_dict=True)
    losses, right = [], []
    for image, caption in zip(images, CAPTIONS, strict=True):
        (tokens,) = model.tokenizer.encode_lists([caption], start=True, end=True)
        scores = model({"images": torch.from_numpy(image[None]), "captions": torch.tensor([tokens[:-1]])})[0]
        target = torch.tensor(tokens[1:])
        losses += torch.nn.functional.cross_entropy(scores, target, reduction="none").tolist()
        right += (scores.argmax(-1) == target).tolist()
    assert found["loss"] == pytest.approx(np.mean(losses), rel=1e-4)
    assert found["accuracy"] == pytest.approx(np.mean(right), rel=1e-5)


@pytest.mark.parametrize(("attention", "epochs"), [(True, 14), (False, 20)])
def test_learns_what_pictures_show(rng, attention, epochs):
    captions = [CAPTIONS[i] for i in rng.integers(0, len(CAPTIONS), 256)]
    images = np.stack([picture(caption, rng) for caption in captions])
    model = made(attention=attention, units=32, dropout=0.0)
    model.compile(lamella.optimizers.Adam(1e-2))
    history = model.fit(
        images, captions, epochs=epochs, verbose=0, validation_data=(images[:32], captions[:32])
    ).history
    assert history["loss"][-1] < history["loss"][0] / 4
    assert "val_accuracy" in history
    wanted = [CAPTIONS[i] for i in rng.integers(0, len(CAPTIONS), 64)]
    tests = np.stack([picture(caption, rng) for caption in wanted])
    found = model.predict(tests, batch_size=20)
    assert np.mean([a == b for a, b in zip(found, wanted, strict=True)]) > 0.8


def test_a_frozen_encoder_stays(rng):
    own = encoder()
    own.trainable = False
    model = made(encoder=own)
    before = [weight.clone() for weight in own.weights]
    model.compile("adam")
    model.fit(rng.integers(0, 256, (4, *SIZE, 3), dtype="uint8"), CAPTIONS, verbose=0)
    assert all(torch.equal(a, b) for a, b in zip(before, own.weights, strict=True))
    assert not type(model).from_config(model.get_config()).encoder.trainable


def test_a_network_of_applications_is_an_encoder(rng):
    network = lamella.applications.ResNet20(include_top=False, input_shape=(32, 32, 3))
    scaled = lamella.Sequential([lamella.Input((32, 32, 3)), lamella.layers.Rescaling(1 / 64, -2), network])
    model = made(encoder=scaled, image_size=(32, 32))
    images = rng.integers(0, 256, (2, 3, 24, 40, 3), dtype="uint8")  # of another size
    assert len(model.predict(images, num_beams=2)) == 2
    assert model.attention_maps(images, CAPTIONS[:2]).shape == (2, 4, 3, 8, 8)


def test_attention_maps_are_what_the_decoder_mixes(rng):
    model = made()
    videos = [rng.integers(0, 256, (length, *SIZE, 3), dtype="uint8") for length in (3, 1)]
    maps = model.attention_maps(videos, ["no dot", "a red dot and"])
    assert maps.shape == (2, 5, 3, 2, 2)
    torch.testing.assert_close(maps.sum((2, 3, 4)), torch.ones(2, 5))
    assert maps[1, :, 1:].abs().max() == 0
    contexts = []
    combine = model.attention.combine
    handle = combine.register_forward_pre_hook(lambda _, inputs: contexts.append(inputs[0][..., : model.units]))
    inputs = CaptionDataset(videos, ["no dot", "a red dot and"], model.tokenizer, SIZE, shuffle=False)[0][0]
    model(inputs)
    handle.remove()
    memory = model.encode(inputs["images"], inputs["frames"]).memory
    torch.testing.assert_close(maps.flatten(2) @ memory, contexts[0], atol=1e-5, rtol=1e-4)
    with pytest.raises(ArgumentError, match="attention=False"):
        made(attention=False).attention_maps(videos, CAPTIONS[:2])


def test_a_saved_captioner_works_in_a_new_process(tmp_path, rng):
    model = made(encoder=encoder())
    model.compile("adam")
    images = rng.integers(0, 256, (4, *SIZE, 3), dtype="uint8")
    model.fit(images, CAPTIONS, epochs=3, verbose=0)
    model.save(tmp_path / "model.keras")
    np.save(tmp_path / "images.npy", images)
    code = (
        "import lamella, numpy\n"
        f"model = lamella.models.load_model({str(tmp_path / 'model.keras')!r})\n"
        f"images = numpy.load({str(tmp_path / 'images.npy')!r})\n"
        "print(model.predict(images))\n"
        f"print(model.evaluate(images, {CAPTIONS}, verbose=0)[0])"
    )
    ran = fresh.run(["-c", code])
    assert ran.returncode == 0, ran.stderr
    captions, loss = ran.stdout.splitlines()
    assert captions == str(model.predict(images))
    assert float(loss) == pytest.approx(model.evaluate(images, CAPTIONS, verbose=0)[0], rel=1e-5)


def test_files_and_several_captions_for_a_picture(tmp_path, rng):
    pytest.importorskip("PIL")
    images = [picture(caption, rng, (16, 20)) for caption in CAPTIONS[:2]]
    paths = []
    for i, image in enumerate(images):
        paths.append(tmp_path / f"{i}.png")
        lamella.utils.save_img(paths[-1], image, scale=False)
    tokenizer = Tokenizer.train(CAPTIONS, "word")
    data = CaptionDataset(paths, [CAPTIONS[:2], CAPTIONS[2:]], tokenizer, (16, 20), batch_size=3, shuffle=False)
    assert len(data) == 2
    inputs, tokens, _ = data[0]
    assert torch.equal(inputs["images"], torch.from_numpy(np.stack([images[0], images[0], images[1]])))
    assert [tokenizer.decode(row) for row in (*tokens, *data[1][1])] == CAPTIONS
    resized = CaptionDataset(paths, CAPTIONS[:2], tokenizer, SIZE)[0][0]["images"]
    assert resized.shape == (2, *SIZE, 3)


def test_shuffling_keeps_pictures_and_captions_together(rng):
    images = np.zeros((20, *SIZE, 3), "uint8") + np.arange(20, dtype="uint8")[:, None, None, None]
    captions = [str(i) for i in range(20)]
    tokenizer = Tokenizer.train(captions, "word")
    data = CaptionDataset(images, captions, tokenizer, SIZE, batch_size=6)
    orders = []
    for _ in range(2):
        data.on_epoch_begin()
        seen = []
        for inputs, tokens, _ in data:
            values = inputs["images"][:, 0, 0, 0].tolist()
            assert [tokenizer.decode(row) for row in tokens] == [str(value) for value in values]
            seen += values
        assert sorted(seen) == list(range(20))
        orders.append(seen)
    assert orders[0] != orders[1]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"units": 0}, "`units`"),
        ({"max_length": 2}, "`max_length`"),
        ({"dropout": 1}, "`dropout`"),
        ({"image_size": (16,)}, "`image_size`"),
    ],
)
def test_arguments_that_cannot_be(options, words):
    with pytest.raises(ArgumentError, match=words):
        made(**options)


def test_an_encoder_must_give_maps_or_vectors():
    images = lamella.Input((*SIZE, 3))
    with pytest.raises(ShapeError, match="maps"):
        made(encoder=lamella.Model(images, lamella.layers.Reshape((-1, 3))(images)))


@pytest.mark.parametrize(
    ("images", "captions", "error", "words"),
    [
        (np.zeros((2, 16, 16, 3)), ["one"], DataError, "2 pictures.*got 1"),
        (np.zeros((2, 16, 16, 3)), "two", DataError, "a string"),
        (np.zeros((2, 16, 16, 4)), ["a", "b"], DataError, r"\(2, 16, 16, 4\)"),
        ([np.zeros((16, 16, 3)), np.zeros((16, 16))], ["a", "b"], ShapeError, r"Number 1 .*\(16, 16\)"),
        ([np.zeros((0, 16, 16, 3))], ["a"], ShapeError, "Number 0"),
        (np.zeros((2, 16, 16, 3)), ["a", 3], DataError, "3"),
        (np.zeros((2, 16, 16, 3)), None, DataError, "captions"),
        (7, ["a"], DataError, "int"),
        (np.zeros((2, 16, 16, 3)), [[], []], DataError, "no captions"),
    ],
)
def test_data_that_do_not_fit(images, captions, error, words):
    model = made()
    model.compile()
    with pytest.raises(error, match=words):
        model.fit(images, captions, verbose=0)
