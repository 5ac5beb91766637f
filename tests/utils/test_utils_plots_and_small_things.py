"""Drawings of models, progress bars, settings, scopes of names."""

import re
import xml.etree.ElementTree as xml

import pytest
from PIL import Image

import lamella
from lamella import utils
from lamella.errors import ArgumentError, NotBuiltError

keras = pytest.importorskip("keras")


def branches(k=lamella):
    a, b = k.Input((4,), name="a"), k.Input((4,), name="b")
    left = k.layers.Dense(3, activation="relu", name="left")(a)
    right = k.layers.Dense(3, name="right", trainable=False)(b)
    inner = k.Sequential(
        [k.Input((6,)), k.layers.Dense(5, name="deep"), k.layers.Dense(2, name="deeper")], name="inner"
    )
    return k.Model([a, b], inner(k.layers.Concatenate(name="join")([left, right])))


class TestDrawing:
    def test_boxes_and_lines(self):
        dot = utils.model_to_dot(branches())
        assert set(dot.get_nodes()) == {"a", "b", "left", "right", "join", "inner"}
        wanted = {("a", "left"), ("b", "right"), ("left", "join"), ("right", "join"), ("join", "inner")}
        assert set(dot.get_edges()) == wanted
        text = dot.to_string()
        assert text.count("->") == 5 and text.startswith("digraph")

    def test_nested_models_are_opened(self):
        dot = utils.model_to_dot(branches(), expand_nested=True)
        assert ("join", "inner/deep") in dot.get_edges() and ("inner/deep", "inner/deeper") in dot.get_edges()

    def test_what_stands_in_a_box(self):
        text = utils.model_to_dot(
            branches(), show_shapes=True, show_dtype=True, show_layer_activations=True, show_trainable=True
        ).to_string()
        left = next(line for line in text.splitlines() if "left (Dense)" in line)
        for part in ("activation: relu", "dtype: float32", "input: (None, 4)", "output: (None, 3)", "trainable"):
            assert part in left
        assert "not trainable" in next(line for line in text.splitlines() if "right (Dense)" in line)
        assert (
            "left" not in utils.model_to_dot(branches(), show_layer_names=False).to_string().split("rankdir")[1][4:60]
        )

    @pytest.mark.parametrize("rankdir", ["TB", "LR"])
    def test_svg_boxes_do_not_overlap_and_arrows_go_forwards(self, tmp_path, rankdir):
        utils.plot_model(branches(), tmp_path / "m.svg", show_shapes=True, show_layer_names=True, rankdir=rankdir)
        root = xml.parse(tmp_path / "m.svg").getroot()
        name = "{http://www.w3.org/2000/svg}"
        width, height = float(root.get("width")), float(root.get("height"))
        boxes = [
            [float(r.get(key)) for key in ("x", "y", "width", "height")] for r in root.iter(f"{name}rect") if r.get("x")
        ]
        assert len(boxes) == 6
        for i, (x, y, w, h) in enumerate(boxes):
            assert x >= 0 and y >= 0 and x + w <= width and y + h <= height
            for x2, y2, w2, h2 in boxes[:i]:
                assert x + w <= x2 or x2 + w2 <= x or y + h <= y2 or y2 + h2 <= y
        start, end = ("x1", "x2") if rankdir == "LR" else ("y1", "y2")
        lines = list(root.iter(f"{name}line"))
        assert len(lines) == 5 and all(float(line.get(start)) < float(line.get(end)) for line in lines)

    @pytest.mark.parametrize("ending", ["png", "jpg", "pdf"])
    def test_pixels(self, tmp_path, ending):
        file = tmp_path / f"m.{ending}"
        utils.plot_model(branches(), file, dpi=100)
        if ending != "pdf":
            with Image.open(file) as opened:
                image = opened.convert("L")
            assert min(image.size) > 100 and image.getextrema()[1] == 255 and image.getextrema()[0] < 9
        assert file.stat().st_size > 1000

    def test_refusals(self, tmp_path):
        with pytest.raises(NotBuiltError, match="no graph to draw"):
            utils.plot_model(lamella.Sequential([lamella.layers.Dense(2)]), tmp_path / "m.svg")
        with pytest.raises(ArgumentError, match=r"\.svg"):
            utils.plot_model(branches(), tmp_path / "m.docx")
        with pytest.raises(ArgumentError, match="rankdir"):
            utils.model_to_dot(branches(), rankdir="UP")


class TestProgbar:
    @pytest.mark.parametrize("arguments", [{}, {"stateful_metrics": ["b"]}, {"stateless_metrics": ["a"]}])
    @pytest.mark.parametrize("last", [None, False])
    def test_numbers_as_in_keras(self, capsys, arguments, last):
        shown = []
        for k in (lamella, keras):
            bar = k.utils.Progbar(6, verbose=1, interval=0, **arguments)
            for step, (a, b) in enumerate([(1.0, 4.0), (3.0, 5.0), (2.0, 9.0)]):
                bar.update(2 * (step + 1), [("a", a), ("b", b)], finalize=last)
            text = re.sub(r"\x1b\[\d+m|[\b]", "", capsys.readouterr().out)
            shown.append(re.findall(r"- (\w): ([\d.e+-]+)", text))
        assert shown[0] == shown[1] and len(shown[0]) == 6

    def test_one_line_and_unknown_ends(self, capsys):
        bar = utils.Progbar(None, verbose=1, interval=0)
        bar.add(3)
        bar.add(4, [("loss", 1e-5)])
        out = capsys.readouterr().out
        assert "3/Unknown" in out and "7/Unknown" in out and "loss: 1.0000e-05" in out
        utils.Progbar(2, verbose=0).update(2)
        assert capsys.readouterr().out == ""
        with pytest.raises(ArgumentError, match="not both"):
            utils.Progbar(2, stateful_metrics=["a"], stateless_metrics=["b"])

    def test_quiet_logging(self, capsys):
        utils.disable_interactive_logging()
        try:
            assert not utils.is_interactive_logging_enabled()
            utils.Progbar(1).update(1)
            assert capsys.readouterr().out == ""
        finally:
            utils.enable_interactive_logging()
        utils.Progbar(1).update(1)
        assert "1/1" in capsys.readouterr().out


class TestConfig:
    def test_as_in_keras(self):
        for k in (lamella, keras):
            config = k.utils.Config(a=1, b="x")
            config.c = [1]
            config["d"] = None
            config.update({"a": 2})
            assert config.a == config["a"] == config.get("a") == 2 and config.pop("b") == "x"
            assert config.as_dict() == {"a": 2, "c": [1], "d": None} and list(config) == ["a", "c", "d"]
            assert len(config) == 3 and "c" in config and config.get("z", 5) == 5
            assert config.to_json() == '{"a": 2, "c": [1], "d": null}'
            config.freeze()
            for change in (
                lambda config=config: setattr(config, "a", 3),
                lambda config=config: config.pop("a"),
                lambda config=config: config.__delitem__("a"),
            ):
                with pytest.raises(ValueError, match="frozen"):
                    change()
            config.unfreeze()
            del config["a"]
            with pytest.raises(AttributeError):
                config.a  # noqa: B018

    def test_the_nearest_name(self):
        with pytest.raises(AttributeError, match="Nearest: units"):
            utils.Config(units=3).unit  # noqa: B018


def test_custom_object_scope_ends():
    class Own(lamella.layers.Layer):
        def call(self, x):
            return x

    config = {"class_name": "Own", "config": {}}
    with utils.CustomObjectScope({"Own": Own}), utils.custom_object_scope({"Other": Own}):
        assert isinstance(utils.deserialize_keras_object(config), Own)
        assert utils.get_registered_object("Other") is Own
    with pytest.raises(ValueError, match="Own"):
        utils.deserialize_keras_object(config)


def test_source_inputs():
    model = branches()
    assert utils.get_source_inputs(model.output) == model.inputs


def test_every_name_of_keras_utils():
    missing = {name for name in dir(keras.utils) if not name.startswith("_")} - set(utils.__all__)
    assert missing == set()
