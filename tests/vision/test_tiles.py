"""Prediction in tiles: every pixel is covered, and what a network says of it is kept."""

from itertools import pairwise

import numpy as np
import pytest
import torch

import lamella
from lamella.errors import ArgumentError, ShapeError
from lamella.vision.tiles import _starts, predict_tiled

RNG = np.random.default_rng(0)


class PerPixel(lamella.Model):
    """Looks at each pixel alone: tiles must not change what it gives. Counts the tiles."""

    tiles = 0

    def call(self, x):
        assert x.shape[1:3] in ((20, 24), (7, 24), (20, 9), (7, 9))
        self.tiles += len(x)
        return torch.stack([x.sum(-1), x.square().mean(-1)], -1)


@pytest.mark.parametrize("size", [(20, 24), (40, 48), (53, 90), (21, 25), (7, 60), (61, 9), (7, 9)])
@pytest.mark.parametrize("overlap", [0, 5, 19])
def test_a_model_of_single_pixels(size, overlap):
    image = RNG.normal(size=(*size, 3)).astype("float32")
    found = predict_tiled(PerPixel(), image, tile=(20, 24), overlap=overlap, batch_size=3)
    assert found.shape == (*size, 2)
    assert found == pytest.approx(np.stack([image.sum(-1), (image**2).mean(-1)], -1), abs=1e-5)


@pytest.mark.parametrize(("side", "tile", "overlap"), [(100, 32, 8), (33, 32, 0), (32, 32, 8), (500, 64, 63)])
def test_there_are_as_few_tiles_as_cover_the_picture(side, tile, overlap):
    starts = _starts(side, tile, overlap)
    assert starts[0] == 0 and starts[-1] + tile == side
    assert all(b - a <= tile - overlap for a, b in pairwise(starts))
    assert len(starts) == 1 or (len(starts) - 2) * (tile - overlap) + tile < side


class Corner(lamella.Model):
    """Says where in its tile a pixel is: a seam would be a jump."""

    def call(self, x):
        return torch.arange(x.shape[2], dtype=torch.float32).expand(len(x), x.shape[1], -1).unsqueeze(-1)


def test_seams_fade():
    found = predict_tiled(Corner(), np.zeros((40, 112, 1), "float32"), tile=(40, 64), overlap=16)[0, :, 0]
    assert found[:48] == pytest.approx(np.arange(48)) and found[64:] == pytest.approx(np.arange(16, 64))
    jumps = np.diff(found)[47:64]
    assert jumps.max() <= 1 and jumps.min() > -3  # rather than one of -48


def test_a_network_sees_the_middle_of_its_tiles_as_in_the_whole():
    lamella.utils.set_random_seed(0)
    from lamella.vision.unet import UNet

    model = UNet(depth=1, filters=4)
    image = RNG.uniform(0, 255, (72, 72, 3)).astype("float32")
    whole = model.predict(image[None], verbose=0)[0]
    assert predict_tiled(model, image, 48, 24) == pytest.approx(whole, abs=0.15)
    assert np.median(np.abs(predict_tiled(model, image, 48, 24) - whole)) < 1e-4


def test_bad_arguments():
    model = PerPixel()
    with pytest.raises(ShapeError, match=r"\(height, width, channels\); got \(4, 5\)"):
        predict_tiled(model, np.zeros((4, 5)))
    with pytest.raises(ArgumentError, match=r"below the tile, \(20, 24\); got 20"):
        predict_tiled(model, np.zeros((40, 40, 3)), (20, 24), 20)
    shrinking = lamella.Sequential([lamella.layers.MaxPooling2D(2)])
    with pytest.raises(ShapeError, match=r"as large as its picture, \(8, 8\); got \(4, 4\)"):
        predict_tiled(shrinking, np.zeros((8, 8, 3)), 8, 0)
