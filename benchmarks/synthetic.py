"""Data that can be learned, so that the losses of the peers can be compared, from nothing but a seed."""

import numpy as np


def labelled(samples: int, shape: tuple[int, ...], classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Noise around one prototype per class: inputs (samples, *shape) float32 and labels (samples,) int64.

    One label in ten is wrong, or the loss and its gradients would vanish: tiny numbers have speeds of their own.
    """
    rng = np.random.default_rng(0)
    prototypes = rng.standard_normal((classes, *shape), dtype=np.float32)
    labels = rng.integers(0, classes, samples)
    inputs = rng.standard_normal((samples, *shape), dtype=np.float32)
    inputs += 0.5 * prototypes[labels]
    wrong = rng.random(samples) < 0.1
    return inputs, np.where(wrong, rng.integers(0, classes, samples), labels)


def text(samples: int, length: int, vocabulary: int) -> tuple[np.ndarray, np.ndarray]:
    """A language in which one token follows another three times in four: tokens and next tokens, int64."""
    rng = np.random.default_rng(0)
    follower = rng.permutation(vocabulary)
    tokens = rng.integers(0, vocabulary, (samples, length + 1))
    lawful = rng.random((samples, length)) < 0.75
    for position in range(length):
        lawful_next = follower[tokens[:, position]]
        tokens[:, position + 1] = np.where(lawful[:, position], lawful_next, tokens[:, position + 1])
    return tokens[:, :-1].copy(), tokens[:, 1:].copy()
