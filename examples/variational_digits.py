"""A variational autoencoder of handwritten digits: the plane of its codes, the bound in nats, and new digits.

    python examples/variational_digits.py --data /path/to/mnist --out variational_digits.png

Pictures become bits by drawing each pixel once with its grey value as probability. One model has codes of two numbers,
which can be drawn as a plane; another has 20, which tell much more.
"""

import argparse
import os
import time
from pathlib import Path

import numpy as np
import torch

import lamella
from lamella.optimizers import Adam
from lamella.pretraining import VariationalAutoencoder


def bits(pictures: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Rows of 784 bits, each 1 with the probability of its grey value."""
    rows = pictures.reshape(len(pictures), -1).astype("float32") / 255
    return (rng.random(rows.shape, "float32") < rows).astype("float32")


def trained(x: np.ndarray, latent_dim: int, units: list[int], epochs: int) -> VariationalAutoencoder:
    lamella.utils.set_random_seed(0)
    vae = VariationalAutoencoder.dense(784, units, latent_dim=latent_dim)
    vae.compile(Adam(1e-3))
    vae.fit(x, batch_size=100, epochs=epochs, verbose=0)
    return vae


def tiles(pictures: torch.Tensor, side: int) -> np.ndarray:
    """side * side pictures as one."""
    return pictures.numpy().reshape(side, side, 28, 28).transpose(0, 2, 1, 3).reshape(side * 28, side * 28)


def draw(plane: VariationalAutoencoder, large: VariationalAutoencoder, x: np.ndarray, y: np.ndarray, out: Path) -> None:
    """The codes of digits, what codes all over the plane stand for, and new digits of the larger model."""
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 3, figsize=(15, 5), layout="constrained")
    codes = plane.feature_model.predict(x, verbose=0)
    points = axes[0].scatter(*codes.T, c=y, cmap="tab10", s=3)
    figure.colorbar(points, ax=axes[0], label="digit", ticks=range(10))
    axes[0].set(title="Codes of test digits", xlabel="first number", ylabel="second number")
    shares = torch.special.ndtri(torch.linspace(0.025, 0.975, 20))  # equal steps of probability under the prior
    across, down = torch.meshgrid(shares, shares.flip(0), indexing="xy")
    with torch.no_grad():
        decoded = plane.expected(plane.decoder(torch.stack([across, down], -1).view(-1, 2)))
    axes[1].imshow(tiles(decoded, 20), cmap="gray_r", extent=[0, 1, 0, 1])
    axes[1].set(title="What codes stand for", xlabel="first number, by share of the prior")
    axes[1].set_ylabel("second number, by share of the prior")
    axes[2].imshow(tiles(large.sample(100), 10), cmap="gray_r")
    axes[2].set(title="New digits, from codes of 20 numbers", xticks=[], yticks=[])
    figure.savefig(out, dpi=80)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", help="the folder with MNIST's files; otherwise it is downloaded")
    parser.add_argument("--epochs", type=int, default=25)
    parser.add_argument("--units", type=int, nargs="+", default=[500], help="the sizes of the encoder's hidden layers")
    parser.add_argument("--latent", type=int, default=20, help="the numbers of a code of the larger model")
    parser.add_argument("--samples", type=int, default=200, help="codes for each picture, for the likelihood")
    parser.add_argument("--out", type=Path, help="a PNG file for the picture (needs matplotlib)")
    options = parser.parse_args()
    if options.data:
        os.environ["LAMELLA_DATA"] = options.data
    started = time.perf_counter()
    (pictures, _), (test_pictures, digits) = lamella.datasets.mnist.load_data()
    rng = np.random.default_rng(0)
    x, x_test = bits(pictures, rng), bits(test_pictures, rng)

    models = []
    print("nats, on the test set          bound      divergence   log-likelihood (the first 1000)")
    for latent_dim in (2, options.latent):
        vae = trained(x, latent_dim, options.units, options.epochs)
        found = vae.evaluate(x_test, batch_size=1000, verbose=0, return_dict=True)
        likelihood = vae.log_likelihood(x_test[:1000], options.samples).mean()
        name = f"codes of {latent_dim} numbers"
        print(f"{name:<27}{found['bound']:>9.1f}{found['kl']:>16.1f}{likelihood:>17.1f}", flush=True)
        models.append(vae)
    print(f"{(time.perf_counter() - started) / 60:.1f} minutes")
    if options.out:
        draw(*models, x_test, digits, options.out)


if __name__ == "__main__":
    main()
