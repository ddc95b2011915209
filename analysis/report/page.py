"""HTML that cannot be broken by what it shows: text is escaped unless it is markup already."""

import html
from collections.abc import Collection, Iterable

import pandas as pd


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


def tag(name: str, *children: str, **attributes: str | bool) -> Markup:
    """The element ``name``. Children are escaped unless they are :class:`Markup`.

    An attribute that is True stands alone, one that is False or empty is left out; a trailing
    underscore (``class_``) is dropped, others become hyphens.
    """
    written = "".join(_attribute(key, value) for key, value in attributes.items())
    return Markup(f"<{name}{written}>{join(children)}</{name}>")


def join(parts: Iterable[str]) -> Markup:
    """Pieces one after the other, escaped unless they are :class:`Markup`."""
    return Markup("".join(p if isinstance(p, Markup) else html.escape(p) for p in parts))


def _attribute(key: str, value: str | bool) -> str:
    if value is False or value == "":
        return ""
    name = key.removesuffix("_").replace("_", "-")
    return f" {name}" if value is True else f' {name}="{html.escape(str(value))}"'


def table(frame: pd.DataFrame, caption: str, words: Collection[str] = ()) -> Markup:
    """A table with the first column as the rows' headings, in a box of its own that scrolls.

    Columns named in ``words`` hold sentences, the others numbers or single words.
    """
    classes = ["words" if name in words else "" for name in frame.columns]
    head = tag(
        "tr",
        *(
            tag("th", str(name), scope="col", class_=c)
            for name, c in zip(frame.columns, classes, strict=True)
        ),
    )
    body = [
        tag(
            "tr",
            tag("th", str(first), scope="row"),
            *(tag("td", str(v), class_=c) for v, c in zip(rest, classes[1:], strict=True)),
        )
        for first, *rest in frame.itertuples(index=False, name=None)
    ]
    return scrolling(
        tag("table", tag("caption", caption), tag("thead", head), tag("tbody", *body)), caption
    )


def scrolling(content: Markup, name: str) -> Markup:
    """What may be wider than the page, in a box that also scrolls by keyboard."""
    return tag("div", content, class_="scroll", tabindex="0", role="region", aria_label=name)


def paragraph(text: str, class_: str = "") -> Markup:
    """A paragraph in which `code` stands between backquotes."""
    parts = text.split("`")
    return tag("p", *(tag("code", p) if i % 2 else p for i, p in enumerate(parts)), class_=class_)
