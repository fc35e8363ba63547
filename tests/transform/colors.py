"""Colors as people see them: contrast, and whether color-blind people can distinguish them."""

from __future__ import annotations

from math import cbrt

from playwright.sync_api import Page

Triple = tuple[float, float, float]

WEIGHTS = (0.2126, 0.7152, 0.0722)
"""The shares of red, green and blue in the luminance."""


SIGHT: dict[str, tuple[Triple, Triple, Triple]] = {
    "normal": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "protanopia": (
        (0.152286, 1.052583, -0.204868),
        (0.114503, 0.786281, 0.099216),
        (-0.003882, -0.048116, 1.051998),
    ),
    "deuteranopia": (
        (0.367322, 0.860646, -0.227968),
        (0.280085, 0.672501, 0.047413),
        (-0.011820, 0.042940, 0.968881),
    ),
    "tritanopia": (
        (1.255528, -0.076749, -0.178779),
        (-0.078411, 0.930809, 0.147602),
        (0.004733, 0.691367, 0.303900),
    ),
}
"""Color-blind vision of linear red, green and blue (Machado, Oliveira and Fernandes 2009, severity 1)."""


def dot(one: Triple, other: Triple) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


def linear_part(part: float) -> float:
    return float(part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4)


def linear(color: str) -> Triple:
    red, green, blue = (linear_part(int(color[i : i + 2], 16) / 255) for i in (1, 3, 5))
    return red, green, blue


def seen_as(color: str, matrix: tuple[Triple, Triple, Triple]) -> Triple:
    red, green, blue = (min(max(dot(row, linear(color)), 0.0), 1.0) for row in matrix)
    return red, green, blue


def brightness(color: str) -> float:
    return dot(WEIGHTS, linear(color))


def lab(color: Triple) -> Triple:
    """Convert linear sRGB to CIELAB, in which distances approximate perceived differences."""
    to_xyz = ((0.4124, 0.3576, 0.1805), WEIGHTS, (0.0193, 0.1192, 0.9505))
    white = (0.95047, 1.0, 1.08883)
    x, y, z = (
        cbrt(part) if part > 0.008856 else 7.787 * part + 16 / 116
        for part in (dot(row, color) / most for row, most in zip(to_xyz, white, strict=True))
    )
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


def contrast(page: Page, selector: str) -> float:
    """Return the contrast of a text with its background as WCAG 2 defines it."""
    colors = page.evaluate(
        f"[getComputedStyle(document.querySelector('{selector}')).color,"
        " getComputedStyle(document.body).backgroundColor]"
    )
    light, dark = sorted((luminance(color) for color in colors), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(color: str) -> float:
    parts = [float(each) / 255 for each in color.partition("(")[2].strip(")").split(",")[:3]]
    red, green, blue = map(linear_part, parts)
    return dot(WEIGHTS, (red, green, blue))
