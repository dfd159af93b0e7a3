"""HTML from Python values. Text is escaped, so nothing that a user names becomes markup."""

import html
import re

#: Characters that HTML does not have, and halves of surrogate pairs, as in names of files.
_FORBIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")

_EMPTY = frozenset({"br", "col", "hr", "img", "link", "meta"})


class Html(str):
    """A text that is HTML."""

    __slots__ = ()


#: What an element contains. None is nothing.
Child = str | Html | None


def escape(text: str) -> Html:
    """Return a text as HTML.

    >>> from anynet.report.html import escape
    >>> escape("a < b")
    'a &lt; b'

    """
    return Html(html.escape(_FORBIDDEN.sub("\ufffd", text)))


def join(*children: Child) -> Html:
    """Return texts, which are escaped, and HTML one after the other."""
    parts = [child if isinstance(child, Html) else escape(child) for child in children if child]
    return Html("".join(parts))


def element(name: str, /, *children: Child, **attributes: str | int | float | bool | None) -> Html:
    """Return an element.

    Args:
        name: of the element, such as "p".
        children: texts, which are escaped, and HTML.
        attributes: an underscore stands for a hyphen, and one at the end is left out, as in
            ``class_``. None and False leave the attribute out. True is an attribute without a
            value.

    >>> from anynet.report.html import element
    >>> element("p", "a < b", class_="note")
    '<p class="note">a &lt; b</p>'

    """
    texts = [_attribute(key.rstrip("_"), value) for key, value in attributes.items()]
    start = "".join([f"<{name}", *texts, ">"])
    return Html(start) if name in _EMPTY else Html(f"{start}{join(*children)}</{name}>")


def _attribute(name: str, value: str | int | float | bool | None) -> str:
    if value is None or value is False:
        return ""
    name = name.replace("_", "-")
    if value is True:
        return f" {name}"
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return f' {name}="{escape(text)}"'
