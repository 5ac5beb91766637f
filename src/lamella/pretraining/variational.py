"""`VariationalAutoencoder`: codes that are distributions, so that new data can be drawn."""

from __future__ import annotations

import math
from typing import Any, Self

import torch
import torch.nn.functional as F

from lamella import layers
from lamella.engine.device import device_of
from lamella.engine.image_data_format import channels_last_inside
from lamella.errors import ArgumentError, DataError
from lamella.metrics import Mean, Metric
from lamella.models import Model
from lamella.pretraining.networks import (
    convolutional_decoder,
    convolutional_encoder,
    dense_decoder,
    dense_encoder,
    positive,
    shape_of,
)
from lamella.saving import deserialize_keras_object, register_keras_serializable
from lamella.utils import unpack_x_y_sample_weight

_LOG_2_PI = math.log(2 * math.pi)
_AT_ONCE = 2**14  # codes that are decoded together


@register_keras_serializable(package="lamella")
class VariationalAutoencoder(Model):
    """A model of how data come about: a code z is drawn from a standard normal, the data x from p(x | z).

    The decoder is p(x | z). The encoder is q(z | x), a normal with a mean and a variance for each number of the code.
    Trained is the bound, in nats, that lies below log p(x) by as much as q(z | x) is not p(z | x):

        log p(x) >= E_q[log p(x | z)] - KL(q(z | x) || p(z))

    `fit(x)` takes the inputs alone and reports `bound`, `kl` and `loss` = -(E_q[log p(x | z)] - beta KL), means over
    the data. `vae(x)` decodes the mean code; `vae.sample(n)` draws new data.

    Args:
        encoder: A model from inputs to [mean, log of the variance], both (batch, latent).
        decoder: A model from codes (batch, latent) to what p(x | z) is made of, in the shape of the inputs: the logits
            of probabilities ("bernoulli"), or means ("gaussian").
        likelihood: `"bernoulli"` for data from 0 to 1; `"gaussian"` for numbers, with one standard deviation for all
            of them, which is learnt, too.
        beta: The weight of the divergence while training (Higgins et al., 2017); 1 is the bound.
        **kwargs: As for every model.

    Raises:
        ArgumentError: Models that do not fit one another, another likelihood, a negative beta.
        DataError: For `"bernoulli"`, data that are not from 0 to 1.

    Source: Kingma and Welling, Auto-encoding variational Bayes, 2014; Rezende, Mohamed and Wierstra, 2014.

    Example:
        >>> import torch
        >>> vae = VariationalAutoencoder.dense(6, units=16, latent_dim=2)
        >>> vae.compile("adam")
        >>> _ = vae.fit(torch.rand(32, 6).round(), verbose=0)
        >>> vae.sample(5).shape, vae.encoder(torch.rand(3, 6))[0].shape
        (torch.Size([5, 6]), torch.Size([3, 2]))
    """

    def __init__(
        self, encoder: Model, decoder: Model, likelihood: str = "bernoulli", beta: float = 1.0, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if likelihood not in ("bernoulli", "gaussian") or not beta >= 0:
            raise ArgumentError(
                f"VariationalAutoencoder: `likelihood` is 'bernoulli' or 'gaussian', and `beta` 0 or more; got "
                f"{likelihood!r} and {beta!r}."
            )
        _check_fit(encoder, decoder)
        self.encoder, self.decoder = encoder, decoder
        self.likelihood, self.beta = likelihood, beta
        if likelihood == "gaussian":
            self.log_deviation = self.add_weight((), "zeros", name="log_deviation")
        self._trackers = (Mean(name="loss"), Mean(name="bound"), Mean(name="kl"))
        self.build(encoder.input_shape)

    @classmethod
    def dense(
        cls, input_shape: Any, units: Any = (500,), latent_dim: int = 2, activation: Any = "relu", **options: Any
    ) -> Self:
        """One of dense layers.

        Args:
            input_shape: The shape of one sample, such as 784 or (28, 28).
            units: The sizes of the encoder's hidden layers; the decoder has them in reverse order.
            latent_dim: The numbers of a code.
            activation: Of the hidden layers.
            **options: Further arguments of the class.
        """
        owner = cls.__name__
        shape, sizes = shape_of(owner, input_shape), positive(owner, "units", units)
        (latent,) = positive(owner, "latent_dim", latent_dim)
        encoder = _with_two_heads(dense_encoder(shape, sizes, activation, activation), latent)
        return cls(encoder, dense_decoder(shape, (*sizes, latent), activation, "linear"), **options)

    @classmethod
    def convolutional(
        cls, input_shape: Any, filters: Any = (32, 64), latent_dim: int = 2, activation: Any = "relu", **options: Any
    ) -> Self:
        """One of convolutions, for pictures (height, width, channels); arguments as for `dense`, and

        Args:
            input_shape: (height, width, channels).
            filters: The channels after each convolution, which halves the picture.
            latent_dim: The numbers of a code.
            activation: Of the convolutions.
            **options: Further arguments of the class.
        """
        owner = cls.__name__
        shape, counts = shape_of(owner, input_shape), positive(owner, "filters", filters)
        (latent,) = positive(owner, "latent_dim", latent_dim)
        encoder = _with_two_heads(convolutional_encoder(owner, shape, counts, None, activation), latent)
        return cls(encoder, convolutional_decoder(shape, counts, latent, activation, "linear"), **options)

    def build(self, input_shape: Any = None) -> None:
        """Nothing: the weights exist from the start."""

    def call(self, inputs: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        return self.expected(self.decoder(self.encoder(inputs)[0]))

    # -- the formulas -----------------------------------------------------------------------------------------

    def draw(self, mean: torch.Tensor, log_variance: torch.Tensor) -> torch.Tensor:
        """A code from q(z | x), as mean + deviation * noise: so that gradients reach both."""
        return mean + (0.5 * log_variance).exp() * torch.randn_like(mean)

    def divergence(self, mean: torch.Tensor, log_variance: torch.Tensor) -> torch.Tensor:
        """KL(q(z | x) || p(z)) of each row in nats, (batch,), exact: both are normal."""
        return 0.5 * (mean.square() + log_variance.exp() - log_variance - 1).sum(-1)

    def log_conditional(self, x: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        """log p(x | z) of each row in nats, (batch,)."""
        decoded, x = self.decoder(z).flatten(1), x.flatten(1)
        x = x.to(decoded.dtype)
        if self.likelihood == "bernoulli":
            return -F.binary_cross_entropy_with_logits(decoded, x, reduction="none").sum(1)
        standard = (x - decoded) * (-self.log_deviation).exp()
        return -0.5 * (standard.square() + _LOG_2_PI).sum(1) - x.shape[1] * self.log_deviation

    def expected(self, decoded: torch.Tensor) -> torch.Tensor:
        """E[x | z] from what the decoder gave: probabilities, or means."""
        return decoded.sigmoid() if self.likelihood == "bernoulli" else decoded

    # -- what a trained one can do ------------------------------------------------------------------------------

    @torch.no_grad()
    def sample(self, n: int) -> torch.Tensor:
        """New data, (n, ...): E[x | z] of codes z that are drawn from a standard normal."""
        latent = self.decoder.input_shape[-1]
        return self.expected(self.decoder(torch.randn(n, latent, device=device_of(self))))

    @torch.no_grad()
    def bound(self, x: Any) -> torch.Tensor:
        """The bound of each row in nats, (batch,), with one code drawn for each."""
        x = self._checked(x)
        mean, log_variance = self.encoder(x)
        return self.log_conditional(x, self.draw(mean, log_variance)) - self.divergence(mean, log_variance)

    @torch.no_grad()
    def log_likelihood(self, x: Any, samples: int = 100) -> torch.Tensor:
        """log p(x) of each row in nats, (batch,), by importance sampling.

        It is the log of the mean of p(x | z) p(z) / q(z | x) over codes drawn from q(z | x): on average too low, and
        the less so the more codes there are.

        Args:
            x: Data (batch, ...).
            samples: How many codes are drawn for each row.

        Source: Rezende, Mohamed and Wierstra, 2014, appendix E; Burda, Grosse and Salakhutdinov, 2016.
        """
        (samples,) = positive("log_likelihood", "samples", samples)
        found = []
        for rows in self._checked(x).split(max(_AT_ONCE // samples, 1)):
            mean, log_variance = (each.repeat_interleave(samples, 0) for each in self.encoder(rows))
            z = self.draw(mean, log_variance)
            log_prior = -0.5 * (z.square() + _LOG_2_PI).sum(1)
            standard = (z - mean).square() / log_variance.exp()
            log_posterior = -0.5 * (standard + log_variance + _LOG_2_PI).sum(1)
            weights = self.log_conditional(rows.repeat_interleave(samples, 0), z) + log_prior - log_posterior
            found.append(weights.view(-1, samples).logsumexp(1) - math.log(samples))
        return torch.cat(found)

    @property
    def feature_model(self) -> Model:
        """The model that gives the mean codes, as features for another one. It shares the encoder's weights."""
        return Model(self.encoder.input, self.encoder.output[0])

    # -- training -----------------------------------------------------------------------------------------------

    def compile(self, optimizer: Any = "adam", loss: Any = None, **kwargs: Any) -> None:  # type: ignore[override]
        """Says how to train: with which optimizer. Loss and metrics are the model's own.

        Raises:
            ArgumentError: A loss or metrics.
        """
        if loss is not None or kwargs.get("metrics"):
            raise ArgumentError("VariationalAutoencoder has its own loss and metrics: compile(optimizer) is all.")
        super().compile(optimizer, **kwargs)

    def fit(self, x: Any = None, y: Any = None, **kwargs: Any) -> Any:  # type: ignore[override]
        """Trains on inputs alone; arguments as for every model."""
        if hasattr(x, "__array__"):
            self._checked(x)
        return super().fit(x, y, **kwargs)

    @property
    def metrics(self) -> list[Metric]:
        """The loss, the bound and the divergence."""
        return list(self._trackers)

    def train_step(self, data: Any) -> None:
        """One step on one batch of inputs."""
        self.minimize(self._loss(data))

    def test_step(self, data: Any) -> None:
        """Evaluates one batch of inputs."""
        self._loss(data)

    def _loss(self, data: Any) -> torch.Tensor:
        x = unpack_x_y_sample_weight(data)[0]
        mean, log_variance = self.encoder(x)
        told = self.log_conditional(x, self.draw(mean, log_variance)).mean()
        kl = self.divergence(mean, log_variance).mean()
        loss = self.beta * kl - told
        for tracker, value in zip(self._trackers, (loss, told - kl, kl), strict=True):
            tracker.update_state(value.detach(), sample_weight=len(x))
        return loss

    def _checked(self, x: Any) -> torch.Tensor:
        x = torch.as_tensor(x, device=device_of(self))
        if self.likelihood == "bernoulli" and x.numel() and not (x.min() >= 0 and x.max() <= 1):
            raise DataError(
                f"VariationalAutoencoder: likelihood='bernoulli' is for data from 0 to 1; found {float(x.min()):g} to "
                f"{float(x.max()):g}. Divide pictures by 255, or take likelihood='gaussian'."
            )
        return x

    # -- configuration ------------------------------------------------------------------------------------------

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> VariationalAutoencoder:
        return cls(**{name: deserialize_keras_object(value, custom_objects) for name, value in config.items()})


@channels_last_inside
def _with_two_heads(body: Model, latent: int) -> Model:
    """The model from the inputs of `body` to a mean and a log-variance, each of its own dense layer."""
    features = body.output if len(body.output_shape) == 2 else layers.Flatten()(body.output)
    heads = [layers.Dense(latent, name=name)(features) for name in ("mean", "log_variance")]
    return Model(body.input, heads)


def _check_fit(encoder: Any, decoder: Any) -> None:
    for name, model in (("encoder", encoder), ("decoder", decoder)):
        if not isinstance(model, Model) or not model.built:
            raise ArgumentError(
                f"VariationalAutoencoder: `{name}` must be a model that has its weights (begin it with an "
                f"Input(shape)); got {model!r}."
            )
    codes, back = encoder.output_shape, decoder.input_shape
    if not isinstance(codes, list) or len(codes) != 2 or codes[0] != codes[1] or codes[0] != back:
        raise ArgumentError(
            f"VariationalAutoencoder: the encoder must give [mean, log of the variance], each of the decoder's input "
            f"shape {back}; it gives {codes}."
        )
    if decoder.output_shape[1:] != encoder.input_shape[1:]:
        raise ArgumentError(
            f"VariationalAutoencoder: the decoder must give what the encoder takes, {encoder.input_shape}; it gives "
            f"{decoder.output_shape}."
        )
