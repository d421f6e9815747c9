"""A small SVG writer: shapes in the order in which they are drawn, text escaped, nothing else.

    >>> picture = Svg(40, 20)
    >>> picture.rect(0, 0, 40, 20, fill="#ffffff")
    >>> picture.text(4, 14, "a < b")
    >>> print(picture.document("example").splitlines()[-2])
    <text x="4" y="14" font-size="12" fill="#1d2430">a &lt; b</text>
"""

from __future__ import annotations

from xml.sax.saxutils import escape, quoteattr

MONO = "'DejaVu Sans Mono', Menlo, Consolas, 'Liberation Mono', monospace"
ADVANCE = 0.602  # width of a character of such a font, in its size


def text_width(text: str, size: float = 12) -> float:
    """How wide a text will be, as all characters are equally wide."""
    return len(text) * size * ADVANCE


def fit(text: str, width: float, size: float = 12) -> str:
    """As much of a text as fits."""
    room = int(width / (size * ADVANCE))
    return text if len(text) <= room else text[: max(0, room - 1)] + "…"


class Svg:
    """A picture on white; its height may be set when everything is drawn."""

    def __init__(self, width: float, height: float) -> None:
        self.width = width
        self.height = height
        self._body: list[str] = []

    def rect(self, x: float, y: float, width: float, height: float, **style: object) -> None:
        self._add("rect", {"x": x, "y": y, "width": width, "height": height} | style)

    def line(self, x1: float, y1: float, x2: float, y2: float, **style: object) -> None:
        self._add("line", {"x1": x1, "y1": y1, "x2": x2, "y2": y2} | style)

    def path(self, d: str, **style: object) -> None:
        self._add("path", {"d": d} | style)

    def text(
        self,
        x: float,
        y: float,
        text: str,
        size: float = 12,
        fill: str = "#1d2430",
        **style: object,
    ) -> None:
        """Text whose baseline begins at (x, y), spaces kept."""
        where = {"x": x, "y": y, "font_size": size, "fill": fill} | style
        self._body.append(f"<text{_attributes(where)}>{escape(text)}</text>")

    def title(self, text: str) -> None:
        """What a browser shows over the shape that was drawn last."""
        shape = self._body.pop()
        if shape.endswith("/>"):
            name = shape[1:].split(" ", 1)[0]
            self._body.append(f"{shape[:-2]}><title>{escape(text)}</title></{name}>")
        else:
            self._body.append(shape)

    def document(self, title: str) -> str:
        """The whole file."""
        size = f"{_number(self.width)} {_number(self.height)}"
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" width={quoteattr(_number(self.width))} '
            f'height={quoteattr(_number(self.height))} viewBox="0 0 {size}" role="img" '
            f'font-family={quoteattr(MONO)} xml:space="preserve">'
        )
        paper = '<rect width="100%" height="100%" fill="#ffffff"/>'
        named = f"<title>{escape(title)}</title>"
        return "\n".join([head, named, paper, *self._body, "</svg>"]) + "\n"

    def _add(self, name: str, attributes: dict[str, object]) -> None:
        self._body.append(f"<{name}{_attributes(attributes)}/>")


def _attributes(values: dict[str, object]) -> str:
    return "".join(
        f" {name.replace('_', '-')}={quoteattr(_number(value))}" for name, value in values.items()
    )


def _number(value: object) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
