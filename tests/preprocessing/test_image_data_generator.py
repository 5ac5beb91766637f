"""`ImageDataGenerator` gives what Keras gives for the same seed: the same changes, pixels and batches."""

import os
import pickle
import warnings

import numpy as np
import pytest
import torch

import lamella
from lamella.data.adapters import make_source
from lamella.errors import ArgumentError, DataError, DTypeError, ShapeError
from lamella.preprocessing import image as ours

theirs = pytest.importorskip("keras.src.legacy.preprocessing.image", reason="Keras, the reference, is not installed")
pytest.importorskip("PIL", reason="pictures in files need Pillow")

NAMES = """
    ImageDataGenerator Iterator NumpyArrayIterator DirectoryIterator DataFrameIterator apply_affine_transform
    apply_brightness_shift apply_channel_shift random_rotation random_shift random_shear random_zoom
    random_channel_shift random_brightness
""".split()
SIZE = (10, 13)  # rows are not columns
OPTIONS = [
    {},
    {"rotation_range": 40},
    {"width_shift_range": 0.2},
    {"width_shift_range": 2.5},
    {"width_shift_range": 4},
    {"width_shift_range": [-3, 1, 2]},
    {"width_shift_range": [0.1, 0.3]},
    {"height_shift_range": 0.3},
    {"height_shift_range": 3},
    {"height_shift_range": [0.1, -0.2]},
    {"shear_range": 20.0},
    {"zoom_range": 0.4},
    {"zoom_range": [0.5, 0.7]},
    {"zoom_range": (1, 1)},
    {"channel_shift_range": 60.0},
    {"brightness_range": (0.4, 1.6)},
    {"brightness_range": [1.0, 3.0], "rotation_range": 30},
    {"horizontal_flip": True},
    {"vertical_flip": True},
    {"horizontal_flip": True, "vertical_flip": True, "rotation_range": 10},
    {"rescale": 1 / 255},
    {"samplewise_center": True},
    {"samplewise_center": True, "samplewise_std_normalization": True},
    {"preprocessing_function": lambda x: x[::-1] * 2 - 1, "rescale": 0.5},
    {"rotation_range": 90, "interpolation_order": 0},
    {"rotation_range": 90, "interpolation_order": 3, "fill_mode": "reflect"},
    {"zoom_range": [1.2, 2.0], "fill_mode": "constant", "cval": 7.0},
    {"zoom_range": [1.2, 3.0], "fill_mode": "reflect"},
    {"zoom_range": [1.2, 3.0], "fill_mode": "wrap"},
    {"zoom_range": [1.2, 3.0], "fill_mode": "mirror"},
    {"width_shift_range": 4.0, "dtype": "float64"},
    {"rotation_range": 30, "dtype": "float64", "rescale": 1 / 255},
    {
        "rotation_range": 40,
        "width_shift_range": 0.2,
        "height_shift_range": 0.2,
        "shear_range": 15,
        "zoom_range": 0.2,
        "channel_shift_range": 20.0,
        "brightness_range": (0.7, 1.3),
        "horizontal_flip": True,
        "vertical_flip": True,
        "rescale": 1 / 255,
    },
]
PARAMETERS = [
    {},
    {"theta": 30},
    {"theta": 90},
    {"theta": 180},
    {"tx": 3, "ty": -2},
    {"tx": 100.5, "ty": -70.25},
    {"shear": 25},
    {"zx": 2.5, "zy": 0.4},
    {"theta": 77, "tx": 3.3, "ty": -5.7, "shear": -33, "zx": 4, "zy": 3, "flip_horizontal": True},
    {"flip_vertical": True, "channel_shift_intensity": -40.0},
    {"brightness": 1.7, "theta": 12},
]


def option_name(option):
    return "-".join(f"{key}={value}" for key, value in option.items() if not callable(value))[:80] or "none"


def close(one, other, span=255.0):
    one, other = np.asarray(one), np.asarray(other)
    assert one.shape == other.shape
    np.testing.assert_allclose(one, other, atol=1e-5 * span, rtol=1e-5)


def same_batch(one, other):
    """Batches, nested as they may be."""
    assert type(one) is type(other)
    if isinstance(one, (tuple, list)):
        assert len(one) == len(other)
        for part, its in zip(one, other, strict=True):
            same_batch(part, its)
    else:
        assert one.dtype == other.dtype
        close(one, other) if one.dtype.kind == "f" else np.testing.assert_array_equal(one, other)


@pytest.fixture
def pictures(rng):
    return rng.uniform(0, 255, (7, *SIZE, 3)).astype("float32")


@pytest.fixture
def folder(tmp_path, rng):
    """Three classes; one of them has a folder within it, and a file that is no picture."""
    from PIL import Image

    for name, count in (("cat", 4), ("dog", 5), ("eel", 6)):
        (tmp_path / name / "more").mkdir(parents=True)
        for i in range(count):
            array = rng.integers(0, 256, (9 + i, 12, 3), dtype=np.uint8)
            Image.fromarray(array).save(tmp_path / name / ("more" if i == 3 else "") / f"{name}{i}.png")
    (tmp_path / "cat" / "notes.txt").write_text("no picture")
    return tmp_path


def test_names_and_arguments_are_those_of_keras():
    import inspect

    for name in NAMES:
        assert name in ours.__all__
        wanted, found = (inspect.signature(getattr(library, name)).parameters for library in (theirs, ours))
        assert {n: p.default for n, p in wanted.items()} == {n: p.default for n, p in found.items()}, name
    for name in ("flow", "flow_from_directory", "flow_from_dataframe", "fit", "get_random_transform", "standardize"):
        wanted, found = (
            inspect.signature(getattr(library.ImageDataGenerator, name)).parameters for library in (theirs, ours)
        )
        assert {n: p.default for n, p in wanted.items()} == {n: p.default for n, p in found.items()}, name


@pytest.mark.parametrize("option", OPTIONS, ids=option_name)
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_flow_is_that_of_keras(option, data_format, pictures):
    if data_format == "channels_first":
        if "brightness_range" in option:
            pytest.skip("Keras changes the brightness of pictures with channels last only")
        pictures = np.ascontiguousarray(pictures.transpose(0, 3, 1, 2))
    y = np.arange(7)
    results = []
    for library in (theirs, ours):
        np.random.seed(5)
        batches = library.ImageDataGenerator(**option, data_format=data_format).flow(pictures, y, batch_size=3)
        results.append([next(batches) for _ in range(4)] + [np.random.random(3)])
    same_batch(results[1], results[0])


@pytest.mark.parametrize("option", OPTIONS, ids=option_name)
def test_the_numbers_of_a_random_change_are_those_of_keras(option):
    found = [library.ImageDataGenerator(**option).get_random_transform((*SIZE, 3), 3) for library in (theirs, ours)]
    assert found[0] == found[1]


@pytest.mark.parametrize("fill_mode", ["nearest", "constant", "reflect", "wrap"])
@pytest.mark.parametrize("parameters", PARAMETERS, ids=option_name)
def test_given_changes_are_those_of_keras(parameters, fill_mode, pictures):
    changed = [
        library.ImageDataGenerator(fill_mode=fill_mode, cval=9.0).apply_transform(pictures[0], parameters)
        for library in (theirs, ours)
    ]
    assert changed[0].dtype == changed[1].dtype == np.float32
    close(changed[1], changed[0])


@pytest.mark.parametrize("size", [(1, 1), (1, 6), (6, 1), (2, 2)])
@pytest.mark.parametrize("fill_mode", ["nearest", "constant", "reflect", "wrap"])
def test_tiny_pictures_are_changed_as_in_keras(size, fill_mode, rng):
    x = rng.uniform(0, 255, (*size, 3))
    for parameters in ({"tx": 0.3, "ty": -0.6}, {"tx": -4, "ty": 9}, {"theta": 20, "zx": 3.0, "zy": 2.0}):
        changed = [
            library.ImageDataGenerator(fill_mode=fill_mode).apply_transform(x, parameters) for library in (theirs, ours)
        ]
        close(changed[1], changed[0])


@pytest.mark.parametrize("axes", [(1, 2, 0), (2, 1, 0), (0, 1, 2), (1, 0, 2)])
@pytest.mark.parametrize("kind", ["float32", "float64", "uint8", "int32"])
def test_affine_changes_on_any_axes_are_those_of_keras(axes, kind, rng):
    x = rng.uniform(0, 255, (8, 9, 10)).astype(kind)
    named = dict(zip(("row_axis", "col_axis", "channel_axis"), axes, strict=True))
    changed = [
        library.apply_affine_transform(x, 20, 1.5, -2, 10, 1.2, 0.8, **named, fill_mode="reflect")
        for library in (theirs, ours)
    ]
    assert changed[0].dtype == changed[1].dtype
    close(changed[1], changed[0])


def test_pictures_that_are_views_can_be_changed(pictures):
    x = pictures[0]
    expected = ours.apply_affine_transform(x[::-1].copy(), 20, row_axis=0, col_axis=1, channel_axis=2)
    view = x[::-1]
    view.flags.writeable = False
    close(ours.apply_affine_transform(view, 20, row_axis=0, col_axis=1, channel_axis=2), expected)


@pytest.mark.parametrize("scale", [True, False])
@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("brightness", [0.0, 0.3, 0.77, 1.0, 1.31, 9.0])
def test_brightness_is_that_of_keras(scale, channels, brightness, rng):
    steps = np.tile(np.arange(256.0).reshape(16, 16, 1), channels)
    for x in (steps, rng.uniform(-20, 300, (16, 16, channels)), rng.uniform(0, 1, (4, 4, channels)), steps * 0):
        x = x.astype("float32")
        close(ours.apply_brightness_shift(x, brightness, scale), theirs.apply_brightness_shift(x, brightness, scale))


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("random_rotation", (40,)),
        ("random_shift", (0.3, 0.2)),
        ("random_shear", (30,)),
        ("random_zoom", ((0.6, 1.5),)),
        ("random_zoom", ((1, 1),)),
        ("random_channel_shift", (50.0, 2)),
        ("random_brightness", ((0.4, 1.7),)),
    ],
)
def test_random_functions_are_those_of_keras(name, arguments, pictures):
    axes = {} if name in ("random_channel_shift", "random_brightness") else {"row_axis": 0, "col_axis": 1}
    axes = axes and {**axes, "channel_axis": 2}
    results = []
    for library in (theirs, ours):
        np.random.seed(8)
        results.append(getattr(library, name)(pictures[0], *arguments, **axes))
    close(results[1], results[0])


def test_brightness_works_with_channels_first(pictures):
    x = pictures[0]
    last = ours.ImageDataGenerator(brightness_range=(0, 2)).apply_transform(x, {"brightness": 1.4})
    first = ours.ImageDataGenerator(brightness_range=(0, 2), data_format="channels_first")
    close(first.apply_transform(x.transpose(2, 0, 1), {"brightness": 1.4}), last.transpose(2, 0, 1))


def test_white_stays_white_where_it_is_turned():
    x = np.full((12, 12, 3), 255, "float32")
    assert np.unique(ours.apply_affine_transform(x, 33, row_axis=0, col_axis=1, channel_axis=2)).tolist() == [255]


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize(
    "option",
    [
        {"featurewise_center": True},
        {"featurewise_center": True, "featurewise_std_normalization": True, "rescale": 1 / 255},
        {"featurewise_center": True, "zca_whitening": True, "zca_epsilon": 1e-3},
    ],
    ids=option_name,
)
@pytest.mark.parametrize("augment", [False, True])
def test_fit_is_that_of_keras(option, data_format, augment, rng):
    x = rng.uniform(0, 255, (90, 5, 4, 3)).astype("float32")
    if data_format == "channels_first":
        x = x.transpose(0, 3, 1, 2)
    results = []
    for library in (theirs, ours):
        generator = library.ImageDataGenerator(**option, rotation_range=10 * augment, data_format=data_format)
        generator.fit(x, augment=augment, rounds=2, seed=4)
        batch = generator.flow(x, batch_size=8, seed=2)[0]
        found = [
            generator.mean,
            generator.std,
            generator.zca_whitening_matrix,
            generator.standardize(x[0].copy()),
            batch,
        ]
        results.append([each for each in found if each is not None])
    assert len(results[0]) == len(results[1])
    for one, other in zip(*results, strict=True):
        assert other.dtype == np.float32
        np.testing.assert_allclose(other, one, rtol=1e-3, atol=1e-3)


def test_fit_leaves_its_data_alone_and_takes_tensors(pictures):
    before = pictures.copy()
    generator = ours.ImageDataGenerator(featurewise_center=True, rescale=0.1)
    generator.fit(torch.from_numpy(pictures))
    np.testing.assert_array_equal(pictures, before)
    next(generator.flow(pictures))
    np.testing.assert_array_equal(pictures, before)


def test_a_subclass_may_standardize_as_it_likes(pictures):
    class Own(ours.ImageDataGenerator):
        def standardize(self, x):
            return x * 0 + 3

    assert np.unique(next(Own().flow(pictures))).tolist() == [3]


def test_statistics_that_are_not_known_have_no_effect_and_a_warning(pictures):
    for options in (["featurewise_center", "featurewise_std_normalization"], ["featurewise_center", "zca_whitening"]):
        generator = ours.ImageDataGenerator(**dict.fromkeys(options, True))
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            same = generator.standardize(pictures[0].copy())
        np.testing.assert_array_equal(same, pictures[0])
        expected = "`{}` needs the statistics of all data, which are not known: call fit(x) before."
        assert [str(each.message).partition(" Until")[0] for each in told] == list(map(expected.format, options))


@pytest.mark.parametrize(
    ("option", "says"),
    [
        ({"zca_whitening": True}, "`zca_whitening` needs `featurewise_center`"),
        ({"featurewise_std_normalization": True}, "needs `featurewise_center`"),
        ({"samplewise_std_normalization": True}, "needs `samplewise_center`"),
        (
            {"zca_whitening": True, "featurewise_center": True, "featurewise_std_normalization": True},
            "takes the place of `featurewise_std_normalization`",
        ),
    ],
)
def test_ways_to_standardize_that_need_others(option, says):
    with pytest.warns(UserWarning, match=says):
        mine = ours.ImageDataGenerator(**option)
    with pytest.warns(UserWarning, match="overrides"):
        real = theirs.ImageDataGenerator(**option)
    for name in ("featurewise_center", "featurewise_std_normalization", "samplewise_center"):
        assert getattr(mine, name) == getattr(real, name)


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("seed", [None, 3])
def test_iterators_go_on_as_in_keras(shuffle, seed, pictures):
    """next, numbers, the end of an epoch, reset and the counters."""
    results = []
    for library in (theirs, ours):
        np.random.seed(1)
        batches = library.ImageDataGenerator(rotation_range=30).flow(
            pictures, np.arange(7), batch_size=3, shuffle=shuffle, seed=seed
        )
        assert iter(batches) is batches
        assert (len(batches), batches.n, batches.batch_size) == (3, 7, 3)
        assert (batches.shuffle, batches.seed) == (shuffle, seed)
        seen = [batches[2], batches[0]]
        seen += [next(batches) for _ in range(5)]
        counted = [batches.batch_index, batches.total_batches_seen]
        batches.reset()
        seen += [next(batches)]
        batches.on_epoch_end()
        seen += [batches[1], next(batches.index_generator), next(batches)]
        results.append(
            [seen, np.array([*counted, batches.batch_index, batches.total_batches_seen]), batches.index_array]
        )
    same_batch(results[1], results[0])


def test_other_arrays_weights_and_subsets_are_those_of_keras(pictures, rng):
    other, weight, y = rng.normal(size=(7, 2)), np.arange(7.0), np.array([0, 1, 0, 1, 0, 1, 0])
    cases = [
        ((pictures, y), {"sample_weight": weight}),
        (((pictures, other), y), {}),
        (([pictures, [other, y]], y), {"sample_weight": weight}),
        ((pictures, y), {"subset": "training"}),
        ((pictures, y), {"subset": "validation", "sample_weight": weight}),
        (((pictures, other), None), {"subset": "training"}),
        ((pictures, np.arange(7)), {"subset": "validation", "ignore_class_split": True}),
    ]
    for arguments, more in cases:
        same_batch(
            *[
                library.ImageDataGenerator(validation_split=0.4).flow(*arguments, **more, shuffle=False)[0]
                for library in (ours, theirs)
            ]
        )


def test_the_weights_of_a_subset_are_those_of_its_rows(pictures):
    generator = ours.ImageDataGenerator(validation_split=0.3)
    batches = generator.flow(pictures, np.zeros(7), sample_weight=np.arange(7), subset="training", shuffle=False)
    assert batches[0][2].tolist() == [2, 3, 4, 5, 6]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"class_mode": "sparse", "batch_size": 4},
        {"class_mode": "binary", "color_mode": "grayscale"},
        {"class_mode": "input", "color_mode": "rgba"},
        {"class_mode": None, "interpolation": "bilinear"},
        {"classes": ["eel", "cat"], "shuffle": False},
        {"keep_aspect_ratio": True, "interpolation": "lanczos"},
        {"subset": "training", "seed": 5},
        {"subset": "validation", "shuffle": False, "batch_size": 2},
    ],
    ids=option_name,
)
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_flow_from_directory_is_that_of_keras(options, data_format, folder, capsys):
    results, said = [], []
    for library in (theirs, ours):
        np.random.seed(2)
        generator = library.ImageDataGenerator(
            rotation_range=20, horizontal_flip=True, rescale=1 / 255, validation_split=0.4, data_format=data_format
        )
        batches = generator.flow_from_directory(str(folder), target_size=(8, 11), **options)
        said.append(capsys.readouterr().out)
        seen = [next(batches) for _ in range(len(batches) + 1)]
        facts = {
            name: getattr(batches, name)
            for name in """n samples num_classes class_indices filenames filepaths image_shape target_size class_mode
                color_mode split subset data_format directory batch_size""".split()
        }
        results.append((seen, batches.classes, batches.labels))
        facts["length"] = len(batches)
        said.append(facts)
    assert said[0] == said[2]
    assert said[1] == said[3]
    same_batch(results[1], results[0])


def test_the_folder_may_be_a_path(folder):
    assert ours.ImageDataGenerator().flow_from_directory(folder, target_size=(4, 4)).samples == 15


def test_links_are_followed_if_that_is_wanted(folder, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside")
    (folder / "dog" / "dog0.png").rename(outside / "dog9.png")
    os.symlink(outside, folder / "dog" / "linked")
    counts = [
        [
            library.ImageDataGenerator().flow_from_directory(folder, follow_links=follow).samples
            for follow in (False, True)
        ]
        for library in (theirs, ours)
    ]
    assert counts[0] == counts[1] == [14, 15]


@pytest.mark.parametrize("kind", ["array", "folder"])
def test_changed_pictures_are_written_as_in_keras(kind, folder, pictures, tmp_path_factory):
    names = []
    for library in (theirs, ours):
        target = tmp_path_factory.mktemp("written")
        np.random.seed(3)
        options = {"save_to_dir": str(target), "save_prefix": "new", "save_format": "png", "batch_size": 4}
        generator = library.ImageDataGenerator(horizontal_flip=True)
        if kind == "array":
            batches = generator.flow(pictures, **options)
        else:
            batches = generator.flow_from_directory(folder, target_size=(6, 6), **options)
        next(batches)
        names.append({each.name: ours.img_to_array(ours.load_img(each)) for each in target.iterdir()})
    assert sorted(names[0]) == sorted(names[1]) and len(names[0]) == 4
    for name, written in names[0].items():
        close(names[1][name], written)


@pytest.fixture
def table(folder):
    pandas = pytest.importorskip("pandas", reason="data frames need pandas")
    files = [f"{name}/{name}{i}.png" for i in range(3) for name in ("cat", "dog", "eel")]
    return pandas.DataFrame(
        {
            "filename": files,
            "class": [file[:3] for file in files],
            "two": ["x" if i % 2 else "y" for i in range(9)],
            "several": [["red", "blue"][: 1 + i % 2] for i in range(9)],
            "number": np.arange(9) * 0.5,
            "other": np.arange(9),
        }
    )


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"class_mode": "sparse", "weight_col": "number"},
        {"class_mode": "binary", "y_col": "two"},
        {"class_mode": "binary", "classes": ["eel", "cat"]},
        {"classes": ["eel", "dog"], "batch_size": 2},
        {"y_col": "several"},
        {"y_col": "several", "classes": ["blue"]},
        {"class_mode": "raw", "y_col": "number"},
        {"class_mode": "raw", "y_col": ["number", "other"]},
        {"class_mode": "multi_output", "y_col": ["number", "other"]},
        {"class_mode": "input", "y_col": None},
        {"class_mode": None, "y_col": None, "seed": 4},
        {"subset": "training", "class_mode": "sparse", "color_mode": "grayscale"},
        {"subset": "validation", "class_mode": "raw", "y_col": "number", "weight_col": "other"},
        {"validate_filenames": False, "shuffle": False},
    ],
    ids=option_name,
)
def test_flow_from_dataframe_is_that_of_keras(options, table, folder, capsys):
    results, facts = [], []
    for library in (theirs, ours):
        np.random.seed(2)
        generator = library.ImageDataGenerator(zoom_range=0.3, vertical_flip=True, validation_split=0.35)
        batches = generator.flow_from_dataframe(table, str(folder), target_size=(7, 7), **options)
        results.append([next(batches) for _ in range(len(batches) + 1)])
        names = "n samples filenames filepaths image_shape class_mode class_indices classes".split()
        facts.append({name: getattr(batches, name, None) for name in names} | {"said": capsys.readouterr().out})
    assert facts[0] == facts[1]
    same_batch(results[1], results[0])


def test_rows_without_a_file_are_left_out(table, folder):
    table.loc[1, "filename"] = "dog/lost.png"
    table.loc[4, "filename"] = "cat/notes.txt"
    generator = ours.ImageDataGenerator()
    with pytest.warns(UserWarning, match=r"2 of 9 image filename\(s\) in the column 'filename' .*lost\.png"):
        batches = generator.flow_from_dataframe(table, folder)
    with pytest.warns(UserWarning, match="2 invalid"):
        real = theirs.ImageDataGenerator().flow_from_dataframe(table, str(folder))
    assert batches.filenames == real.filenames and batches.classes == real.classes


def test_older_arguments_of_data_frames(table, folder):
    generator = ours.ImageDataGenerator()
    for name in ("has_ext", "sort", "drop_duplicates"):
        with pytest.warns(DeprecationWarning, match=f"`{name}` has no effect"):
            generator.flow_from_dataframe(table, folder, **{name: True})
    with pytest.warns(DeprecationWarning, match="'raw'"):
        batches = generator.flow_from_dataframe(table, folder, y_col="number", class_mode="other")
    assert batches.class_mode == "raw"
    with pytest.warns(UserWarning, match="no argument `verbose`"):
        generator.flow_from_dataframe(table, folder, verbose=1)
    kept = generator.flow_from_dataframe(table, folder, keep_aspect_ratio=True)
    assert kept.keep_aspect_ratio


def small_model(shape, classes):
    model = lamella.Sequential(
        [
            lamella.layers.Input(shape),
            lamella.layers.Conv2D(4, 3, activation="relu"),
            lamella.layers.GlobalAveragePooling2D(),
            lamella.layers.Dense(classes, activation="softmax"),
        ]
    )
    model.compile("adam", "categorical_crossentropy", metrics=["accuracy"])
    return model


def test_a_model_trains_on_arrays(rng):
    labels = np.arange(40) % 2
    x = (labels[:, None, None, None] * 128 + rng.uniform(0, 100, (40, 8, 8, 3))).astype("float32")
    y = np.eye(2)[labels]
    generator = ours.ImageDataGenerator(rescale=1 / 255, horizontal_flip=True, rotation_range=10, validation_split=0.2)
    train = generator.flow(x, y, batch_size=8, subset="training", seed=1)
    held_back = generator.flow(x, y, batch_size=8, subset="validation", shuffle=False)
    model = small_model((8, 8, 3), 2)
    model.compile(lamella.optimizers.Adam(0.05), "categorical_crossentropy", metrics=["accuracy"])
    history = model.fit(train, validation_data=held_back, epochs=8, verbose=0).history
    assert len(history["loss"]) == 8 and history["val_accuracy"][-1] == 1.0
    assert model.evaluate(held_back, verbose=0)[1] == 1.0
    assert model.predict(held_back, verbose=0).shape == (8, 2)
    model.fit(train, steps_per_epoch=2, epochs=2, validation_data=held_back, validation_steps=1, verbose=0)


def test_a_model_trains_on_folders(folder):
    generator = ours.ImageDataGenerator(rescale=1 / 255, shear_range=5, zoom_range=0.1)
    batches = generator.flow_from_directory(folder, target_size=(10, 10), batch_size=4, seed=1)
    model = small_model((10, 10, 3), 3)
    history = model.fit(batches, epochs=2, validation_data=batches, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    unshuffled = generator.flow_from_directory(folder, target_size=(10, 10), class_mode=None, shuffle=False)
    assert model.predict(unshuffled, verbose=0).shape == (15, 3)


def test_several_workers_make_the_batches_of_one_order(pictures):
    batches = ours.ImageDataGenerator(rotation_range=90).flow(pictures, np.arange(7), batch_size=1, seed=3)
    batches.workers = 2
    source = make_source(batches)
    source.peek()
    seen = [[(int(y), float(x.sum())) for x, y, _ in source.batches()] for _ in range(2)]
    source.close()
    assert [sorted(y for y, _ in epoch) for epoch in seen] == [list(range(7))] * 2
    assert [y for y, _ in seen[0]] != [y for y, _ in seen[1]]
    assert not set(seen[0]) & set(seen[1])  # the pictures are turned by other angles


def test_an_iterator_goes_on_from_its_state_and_can_be_pickled(pictures):
    def new():
        return ours.ImageDataGenerator(rotation_range=30).flow(pictures, np.arange(7), batch_size=3, seed=2)

    first = new()
    for _ in range(4):
        next(first)
    copy, second = pickle.loads(pickle.dumps(first)), new()
    second.load_state_dict(first.state_dict())
    expected = next(first)
    same_batch(next(copy), expected)
    same_batch(next(second), expected)


def test_whole_numbers_as_type_and_batches_without_a_generator(folder, pictures):
    batches = ours.DirectoryIterator(folder, None, target_size=(4, 4), dtype="uint8", shuffle=False)
    x, y = batches[0]
    assert x.dtype == y.dtype == np.uint8 and x.max() > 200
    assert ours.NumpyArrayIterator(pictures.astype("uint8"), None, None)[0].dtype == np.float32
    scaled = ours.ImageDataGenerator(rescale=2.0).standardize(np.ones((2, 2, 1), "uint8"))
    assert scaled.dtype == np.float32 and scaled.max() == 2


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"rotation_range": "10"}, "`rotation_range` must be a number; got '10'"),
        ({"rotation_range": [0, 10]}, "`rotation_range` must be a number"),
        ({"shear_range": float("nan")}, "`shear_range`"),
        ({"width_shift_range": "a"}, "`width_shift_range` must be a number .* or a list"),
        ({"height_shift_range": [[1, 2]]}, "`height_shift_range`"),
        ({"zoom_range": (0.5, 1, 2)}, "`zoom_range` must be two numbers, .* or a single one"),
        ({"brightness_range": 0.5}, "`brightness_range` must be two numbers"),
        ({"fill_mode": "mirrored"}, "`fill_mode` must be one of nearest, constant, reflect, wrap; got 'mirrored'"),
        ({"interpolation_order": 6}, "from 0 .* to 5; got 6"),
        ({"cval": None}, "`cval`"),
        ({"rescale": "1/255"}, "`rescale` must be a number"),
        ({"preprocessing_function": 3}, "`preprocessing_function` must be a function"),
        ({"data_format": "channels"}, "`data_format` must be"),
        ({"validation_split": 1.5}, "`validation_split` must lie between 0 and 1; got 1.5"),
    ],
)
def test_options_out_of_range(options, says):
    with pytest.raises(ArgumentError, match=says):
        ours.ImageDataGenerator(**options)


def test_data_that_cannot_be_used(pictures):
    generator = ours.ImageDataGenerator(validation_split=0.3)
    cases = [
        (ShapeError, "four axes .* got shape \\(10, 13, 3\\).*x\\[None\\]", lambda: generator.flow(pictures[0])),
        (DTypeError, "as numbers; got values of type <U1", lambda: generator.flow(np.full((2, 2, 2, 1), "a"))),
        (DataError, "the same size", lambda: generator.flow(([pictures[0], pictures[1, 1:]], pictures))),
        (ArgumentError, "pair .* list of 7.*numpy.stack", lambda: generator.flow(list(pictures))),
        (DataError, "7 pictures in `x`, but 3 rows in `y`", lambda: generator.flow(pictures, np.zeros(3))),
        (
            DataError,
            "2 rows in `sample_weight`",
            lambda: generator.flow(pictures, np.zeros(7), sample_weight=np.zeros(2)),
        ),
        (DataError, r"2 rows in `x\[1\]`", lambda: generator.flow((pictures, np.zeros(2)))),
        (DataError, "no pictures", lambda: generator.flow(pictures[:0])),
        (ArgumentError, "`subset` must be", lambda: generator.flow(pictures, subset="test")),
        (DataError, "lacks classes", lambda: generator.flow(pictures, np.arange(7), subset="training")),
        (
            DataError,
            r"subset='validation' has none of the 7 pictures.*validation_split=0\.2",
            lambda: ours.ImageDataGenerator().flow(pictures, subset="validation"),
        ),
        (ArgumentError, "`batch_size` must be a whole number", lambda: generator.flow(pictures, batch_size=0)),
        (ArgumentError, "3 batches, numbers 0 to 2; got 3", lambda: generator.flow(pictures, batch_size=3)[3]),
        (ShapeError, "four axes", lambda: generator.fit(pictures[0])),
        (DataError, "no pictures", lambda: generator.fit(pictures[:0])),
        (ShapeError, "three axes", lambda: generator.apply_transform(pictures, {"theta": 3})),
        (ArgumentError, "0, 1 and 2 in some order", lambda: ours.apply_affine_transform(pictures[0], 3, row_axis=0)),
        (ArgumentError, "`zoom_range` must be two numbers", lambda: ours.random_zoom(pictures[0], 0.5)),
        (ShapeError, "has 2", lambda: ours.apply_brightness_shift(pictures[0][..., :2], 1.0)),
        (
            ShapeError,
            "came out of `preprocessing_function` with shape",
            lambda: next(ours.ImageDataGenerator(preprocessing_function=lambda x: x[1:]).flow(pictures)),
        ),
    ]
    for error, says, call in cases:
        with pytest.raises(error, match=says):
            call()
    with pytest.warns(UserWarning, match="have 13"):
        ours.ImageDataGenerator(data_format="channels_first").flow(pictures.transpose(0, 2, 1, 3))


def test_folders_that_cannot_be_used(folder, tmp_path_factory):
    generator = ours.ImageDataGenerator(validation_split=0.1)
    empty = tmp_path_factory.mktemp("empty")
    (empty / "cat").mkdir()
    flow = generator.flow_from_directory
    cases = [
        (DataError, "There is no folder", lambda: flow(folder / "nowhere")),
        (DataError, "no pictures in the 1 folders.*png, jpg", lambda: flow(empty)),
        (ArgumentError, "no 'cats'; there are 'cat'", lambda: flow(folder, classes=["cats"])),
        (ArgumentError, "`class_mode` must be one of 'categorical'.*got 'int'", lambda: flow(folder, class_mode="int")),
        (ArgumentError, "`color_mode` must be one of grayscale", lambda: flow(folder, color_mode="grey")),
        (ArgumentError, r"`target_size` must be \(height, width\); got 32", lambda: flow(folder, target_size=32)),
        (ArgumentError, "`interpolation` must be", lambda: next(flow(folder, interpolation="cubic"))),
        (ArgumentError, "`subset` must be", lambda: flow(folder, subset="train")),
        (DataError, "has none of the 15 pictures.*0.1; use a larger", lambda: flow(folder, subset="validation")),
    ]
    for error, says, call in cases:
        with pytest.raises(error, match=says):
            call()
    (folder / "cat" / "cat0.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"cat0\.png cannot be read.*mend it or take it out"):
        next(flow(folder, shuffle=False))


def test_tables_that_cannot_be_used(table, folder):
    generator = ours.ImageDataGenerator(validation_split=0.01)

    def flow(frame=table, **options):
        return generator.flow_from_dataframe(frame, folder, **options)

    cases = [
        (ArgumentError, "must be a pandas data frame; got a dict", lambda: flow({})),
        (DataError, "no column 'file'; pass `x_col`. It has 'filename', 'class'", lambda: flow(x_col="file")),
        (DataError, "no column 'label'; pass `y_col`", lambda: flow(y_col="label")),
        (DataError, "no column 'w'; pass `weight_col`", lambda: flow(weight_col="w")),
        (DTypeError, "'number' must be paths of files.*row 0 has 0.0", lambda: flow(x_col="number")),
        (
            DTypeError,
            "'other' must be strings for class_mode='sparse'",
            lambda: flow(y_col="other", class_mode="sparse"),
        ),
        (DTypeError, r"strings, or lists of them.*astype\(str\)", lambda: flow(y_col="other")),
        (DTypeError, "needs a list of columns", lambda: flow(class_mode="multi_output")),
        (DTypeError, "must be numbers", lambda: flow(weight_col="two")),
        (ArgumentError, "needs two classes; there are 3", lambda: flow(class_mode="binary")),
        (ArgumentError, "`class_mode` must be one of 'binary'", lambda: flow(class_mode="int")),
        (DataError, "None of the 9 rows names a picture.*of a class", lambda: flow(classes=["ant"])),
        (DataError, "none of the 9 rows.*use a larger", lambda: flow(subset="validation")),
    ]
    for error, says, call in cases:
        with pytest.raises(error, match=says):
            call()
    with pytest.warns(UserWarning, match="`classes` is not used"):
        flow(class_mode="raw", classes=["cat"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(DataError, match=r"None of the 9 rows.*as 'cat/cat0\.png'"):
            generator.flow_from_dataframe(table, folder / "cat")
    lost = flow(table.assign(filename="cat/lost.png"), validate_filenames=False)
    with pytest.raises(DataError, match=r"lost\.png cannot be read"):
        next(lost)
