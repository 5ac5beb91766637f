"""Numbers as people read them."""

from __future__ import annotations

import math

_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def number(value: float, digits: int = 4) -> str:
    """A number to so many digits.

    Example:
        >>> number(0.12345), number(1234567), number(0.0000123), number(float("inf"))
        ('0.1235', '1,234,567', '1.23×10⁻⁵', '∞')
    """
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if value == int(value) and abs(value) < 1e9:
        return f"{int(value):,}".replace("-", "−")
    if not 1e-3 <= abs(value) < 1e6:
        mantissa, exponent = f"{value:.{min(digits, 3) - 1}e}".split("e")
        mantissa = mantissa.rstrip("0").rstrip(".") if "." in mantissa else mantissa
        return f"{mantissa}×10{str(int(exponent)).translate(_RAISED)}".replace("-", "−")
    return f"{value:,.0f}".replace("-", "−") if abs(value) >= 1000 else f"{value:.{digits}g}".replace("-", "−")


def power(exponent: int) -> str:
    """A power of ten as an axis shows it.

    Example:
        >>> power(-3), power(0)
        ('10⁻³', '1')
    """
    return {-1: "0.1", 0: "1", 1: "10", 2: "100"}.get(exponent, f"10{str(exponent).translate(_RAISED)}")


def share(value: float, digits: int = 1) -> str:
    """A share in percent; a dash for what is not there.

    Example:
        >>> share(0.975), share(1), share(float("nan"))
        ('97.5\\xa0%', '100\\xa0%', '–')
    """
    if math.isnan(value):
        return "–"
    return f"{100 * value:.{digits}f}".removesuffix("." + "0" * digits) + "\N{NO-BREAK SPACE}%"


def size(value: float) -> str:
    """A figure that a layer may not have: then a dash.

    Example:
        >>> size(0.03125), size(float("nan"))
        ('0.0312', '–')
    """
    return "–" if math.isnan(value) else number(value, 3)


def score(metric: str, value: float) -> str:
    """A metric's value: shares in percent.

    Example:
        >>> score("val_accuracy", 0.9731), score("loss", 0.09134)
        ('97.3\\xa0%', '0.0913')
    """
    shares = ("accuracy", "precision", "recall", "acc")
    return share(value) if metric.endswith(shares) and 0 <= value <= 1 else number(value, 3)
