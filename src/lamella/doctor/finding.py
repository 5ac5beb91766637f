"""`Finding`: one thing that is wrong with a training, and how it is told."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from lamella.doctor import catalogue

KINDS = (
    "non_finite",
    "output_does_not_fit_loss",
    "unscaled_inputs",
    "exploding_activations",
    "exploding_gradients",
    "rate_too_large",
    "dead_units",
    "saturated_units",
    "vanishing_gradients",
    "rate_too_small",
    "attention_collapse",
    "leaked_rows",
    "under_fitting",
    "over_fitting",
    "label_imbalance",
    "constant_features",
    "loss_spike",
)
"""What a doctor finds, worst first; of two that often come together, the cause stands before what follows from it."""


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong.

    Attributes:
        kind: What it is: one of `KINDS`.
        figures: What was seen, by name.
        layer: The name of the layer concerned; None where it is no layer's matter.
        epoch: After how many epochs it was seen; 0 before training.
        case: Which of the kind's descriptions fits, where it has several.

    Example:
        >>> finding = Finding("dead_units", {"share": 0.75}, layer="hidden", epoch=2)
        >>> finding.seen("en")
        "75% of the units of layer 'hidden' gave 0 for every sample looked at (after epoch 2)."
    """

    kind: str
    figures: dict[str, Any] = field(default_factory=dict)
    layer: str | None = None
    epoch: int = 0
    case: str | None = None

    def seen(self, language: str | None = None) -> str:
        """What was seen."""
        return self._told("seen", language)

    def meaning(self, language: str | None = None) -> str:
        """What it means."""
        return self._told("meaning", language)

    def advice(self, language: str | None = None) -> str:
        """What to try."""
        return self._told("advice", language)

    def page(self, language: str | None = None) -> str:
        """Where the documentation explains it."""
        page = "docs/doctor.md" if catalogue.chosen(language) == "en" else "docs/doctor.zh-CN.md"
        return f"{page}#{self.kind}"

    def text(self, language: str | None = None) -> str:
        """All of it, in a few lines.

        Args:
            language: `"en"` or `"zh"`; by default `LAMELLA_LANG`, else the system's.
        """
        labels = catalogue.texts(language)["labels"]
        return "\n".join(
            (
                f"{catalogue.texts(language)[self.kind]['name']} [{self.kind}]",
                f"  {labels['seen']}{self.seen(language)}",
                f"  {labels['meaning']}{self.meaning(language)}",
                f"  {labels['advice']}{self.advice(language)}",
                f"  {labels['page']}{self.page(language)}",
            )
        )

    def _told(self, part: str, language: str | None) -> str:
        texts = catalogue.texts(language)[self.kind]
        template = texts.get(f"{part}.{self.case}") or texts[part]
        return template.format(layer=self.layer, epoch=self.epoch, **self.figures)


def worst_first(findings: list[Finding]) -> list[Finding]:
    """The findings in the order of `KINDS`."""
    return sorted(findings, key=lambda finding: KINDS.index(finding.kind))
