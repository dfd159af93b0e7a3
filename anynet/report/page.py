"""The page of a report: one file of HTML that needs no network, no script and no font."""

import math
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from pathlib import Path

from anynet.files import atomic_write
from anynet.report.charts import Curve, aligned, bars, key_of, line_chart, show
from anynet.report.contents import Contents, counted
from anynet.report.html import Html, element, join
from anynet.report.predictions import predictions
from anynet.report.style import CSS
from anynet.report.tables import definitions, folded, paragraphs, table

#: Nothing is loaded, whatever is in the page.
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"

#: Curves of gradient norms, and epochs in their table.
_MOST_NORMS, _MOST_EPOCHS = 5, 6

#: Rows of a table that a reader need not open.
_MOST_SHOWN = 20

_ALL = "all parameters"

#: A part of the page: its heading, and the function that writes it.
Section = tuple[str, Callable[[Contents], Html]]


def page(contents: Contents) -> str:
    """Return the page.

    >>> from anynet.report.contents import Contents, counted
    >>> from anynet.report.page import page
    >>> text = page(Contents("a < b", "The run is complete.", True, anynet.History()))
    >>> "a &lt; b" in text, "://" in text
    (True, False)

    """
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        Html(f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'),
        element("title", contents.title),
        # No icon, which a browser would ask a server for.
        element("link", rel="icon", href="data:,"),
        element("style", Html(CSS)),
    )
    parts = [_section(heading, write(contents)) for heading, write in _SECTIONS]
    body = element(
        "body",
        element("a", "Skip to the content", href="#content", class_="skip"),
        element("header", element("h1", contents.title), _ending(contents), _navigation()),
        element("main", _facts(contents), *parts, id="content", tabindex=-1),
        element("footer", element("p", _written())),
    )
    return f"<!doctype html>\n{element('html', head, body, lang='en')}\n"


def write_page(path: Path, contents: Contents) -> None:
    """Write the page to a file. The file is complete, or as it was before."""
    text = page(contents)
    with atomic_write(path) as file:
        file.write(text.encode())


def _navigation() -> Html:
    links = [
        element("li", element("a", heading, href=f"#{_anchor(heading)}"))
        for heading, _ in _SECTIONS
    ]
    return element("nav", element("ul", *links), aria_label="Parts of this page")


def _section(heading: str, content: Html) -> Html:
    anchor = _anchor(heading)
    title = element("h2", heading, id=anchor)
    return element("section", title, content, aria_labelledby=anchor)


def _anchor(heading: str) -> str:
    return heading.lower().replace(" ", "-")


def _written() -> str:
    from anynet import __version__

    now = datetime.now().astimezone().isoformat(" ", "seconds")
    return f"Written by anynet {__version__} on {now}."


def _ending(contents: Contents) -> Html:
    style = "ending" if contents.is_whole else "ending cut"
    return element("p", contents.ending, class_=style)


def _facts(contents: Contents) -> Html:
    """Return the last loss and scores, and the time."""
    facts = {"epochs": str(len(contents.history.epochs))}
    if contents.history.epochs:
        last = contents.history.epochs[-1]
        facts["loss of the last epoch"] = aligned(last.loss)
        facts |= {name: aligned(score) for name, score in last.scores.items()}
    facts["updates"] = f"{len(contents.history.losses):,}"
    seconds = sum(contents.seconds.values())
    if seconds:
        facts["time"] = _duration(seconds)
    items = [
        element("li", element("span", name), element("strong", value))
        for name, value in facts.items()
    ]
    return element("ul", *items, class_="facts", aria_label="The run in short")


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{seconds:.2f} s"


def _absent(contents: Contents, part: str) -> Html:
    """Return why a part is not there."""
    reason = contents.missing.get(part, "It was not recorded.")
    return element("p", reason, class_="absent")


def _curves(contents: Contents) -> Html:
    history = contents.history
    if not history.losses and not history.epochs:
        return element("p", "No step was made.", class_="absent")
    figures = [_loss_figure(contents)]
    scores: dict[str, None] = dict.fromkeys(s for e in history.epochs for s in e.scores)
    names = dict.fromkeys(name.partition(" ")[2] for name in scores)
    figures += [_score_figure(contents, name) for name in names]
    if not names:
        figures.append(element("p", "No metric was measured.", class_="absent"))
    return join(element("div", *figures, class_="pair"), _epoch_table(contents))


def _loss_figure(contents: Contents) -> Html:
    losses = contents.history.losses
    curve = Curve("loss", [*range(1, len(losses) + 1)], losses)
    thin = curve.thinned()
    caption = "Loss of each step"
    if len(thin.x) < len(losses):
        caption = f"Loss, the mean of every {-(-len(losses) // len(thin.x))} steps"
    missing = len(losses) - len(curve.finite)
    note = f"{counted(missing, 'loss is', 'losses are')} NaN or infinite, and not drawn."
    rows = [[show(x), show(y)] for x, y in zip(thin.x, thin.y, strict=True)]
    return _figure(
        caption,
        line_chart(_label(caption, [curve]), [curve], "step", "loss"),
        paragraphs(note if missing else None),
        folded(f"Values: {caption.lower()}", table(caption, ("step", "loss"), rows, _NUMERIC)),
    )


_NUMERIC = ("step", "loss", "seconds", "epoch")


def _score_figure(contents: Contents, name: str) -> Html:
    epochs = contents.history.epochs
    curves = []
    for part in ("train", "test"):
        key = f"{part} {name}"
        points = [(e.number, e.scores[key]) for e in epochs if key in e.scores]
        if points:
            curves.append(Curve(f"{part} data", [x for x, _ in points], [y for _, y in points]))
    caption = f"{name} after each epoch"
    is_short = len(epochs) <= 30
    chart = line_chart(_label(caption, curves), curves, "epoch", name, points=is_short)
    return _figure(caption, chart)


def _figure(caption: str, *content: Html) -> Html:
    return element("figure", element("figcaption", caption), *content)


def _label(caption: str, curves: Sequence[Curve]) -> str:
    """Return what a chart shows: the first, the last and the extreme values of each curve."""
    parts = []
    for curve in curves:
        values = curve.finite
        if values:
            parts.append(
                f"{curve.name} from {show(values[0])} to {show(values[-1])}, lowest "
                f"{show(min(values))}, highest {show(max(values))}"
            )
    return f"Chart: {caption}. " + "; ".join(parts) + "."


def _epoch_table(contents: Contents) -> Html:
    epochs = contents.history.epochs
    scores = dict.fromkeys(name for epoch in epochs for name in epoch.scores)
    headings = ["epoch", "loss", *scores, "seconds"]
    rows = [
        [
            str(epoch.number),
            aligned(epoch.loss),
            *[aligned(epoch.scores[name]) if name in epoch.scores else "" for name in scores],
            f"{epoch.seconds:.2f}",
        ]
        for epoch in epochs
    ]
    if not rows:
        return element("p", "No epoch ended.", class_="absent")
    caption = "Loss, scores and seconds of training of each epoch"
    whole = table(caption, headings, rows, headings)
    return whole if len(rows) <= _MOST_SHOWN else folded("All epochs as a table", whole)


def _norms(contents: Contents) -> Html:
    norms = contents.norms
    if not any(norms.values()):
        return join(_absent(contents, "norms"), paragraphs(contents.problem))
    epochs = [*norms]
    totals = [_total(norms[epoch].values()) for epoch in epochs]
    curves = [Curve(_ALL, epochs, totals)]
    paths = [*dict.fromkeys(path for by_path in norms.values() for path in by_path)]
    if len(paths) <= _MOST_NORMS:
        curves += [
            Curve(path, epochs, [norms[epoch].get(path, float("nan")) for epoch in epochs])
            for path in paths
        ]
    caption = "Norm of the gradient after each epoch"
    chart = line_chart(_label(caption, curves), curves, "epoch", "norm", points=len(epochs) <= 30)
    note = (
        "The norms √Σ g² are those of the loss on the first 100 rows of the training data, or on "
        "the last batch of an iterable."
    )
    return join(
        element("p", note),
        paragraphs(contents.problem),
        _figure(caption, chart),
        _norm_table(paths, norms, dict(zip(epochs, totals, strict=True))),
    )


def _norm_table(
    paths: Sequence[str],
    norms: dict[int, dict[str, float]],
    totals: dict[int, float],
) -> Html:
    shown = _spread([*norms], _MOST_EPOCHS)
    headings = [f"epoch {epoch}" for epoch in shown]
    rows = [[_ALL, *[show(totals[epoch]) for epoch in shown]]]
    for path in paths:
        values = [norms[epoch].get(path) for epoch in shown]
        rows.append([path, *["" if value is None else show(value) for value in values]])
    caption = "Norm of the gradient of each parameter"
    whole = table(caption, ("parameter", *headings), rows, headings)
    return whole if len(rows) <= _MOST_SHOWN else folded("All parameters as a table", whole)


def _spread(items: Sequence[int], most: int) -> list[int]:
    """Return at most this many of the items, evenly, with the first and the last."""
    if len(items) <= most:
        return [*items]
    return [items[round(i * (len(items) - 1) / (most - 1))] for i in range(most)]


def _total(norms: Iterable[float]) -> float:
    return math.hypot(*norms)


def _time(contents: Contents) -> Html:
    seconds = dict(sorted(contents.seconds.items(), key=lambda item: -item[1]))
    whole = sum(seconds.values())
    if not whole:
        return _absent(contents, "seconds")
    shares = {name: value / whole for name, value in seconds.items()}
    label = "; ".join(f"{name} {share:.1%}" for name, share in shares.items())
    headings = ("part", "seconds", "share")
    rows: list[list[str]] = [
        [join(key_of(i), name), f"{seconds[name]:.3f}", f"{share:.1%}"]
        for i, (name, share) in enumerate(shares.items())
    ]
    return join(
        bars(f"Shares of the time: {label}.", shares),
        table("Time of each part of the run", headings, rows, headings[1:]),
    )


def _network(contents: Contents) -> Html:
    layers = contents.network
    if layers is None:
        return _absent(contents, "network")
    numeric = [name for name, right in zip(layers.headings, layers.right, strict=True) if right]
    return join(
        table("Layers and their parameters", layers.headings, layers.rows, numeric),
        paragraphs(contents.missing.get("network")),
    )


def _configuration(contents: Contents) -> Html:
    if not contents.configuration:
        return _absent(contents, "configuration")
    return definitions("Settings of the run", contents.configuration)


def _environment(contents: Contents) -> Html:
    if not contents.sessions:
        return _absent(contents, "environment")
    *earlier, last = contents.sessions
    parts = [definitions("Environment of the last call of fit", last)]
    for session in earlier:
        caption = f"Environment from epoch {session.get('first epoch', '')}"
        parts.append(folded(f"Earlier call: {caption}", definitions(caption, session)))
    return join(*parts)


#: The parts of the page in order.
_SECTIONS: tuple[Section, ...] = (
    ("Learning curves", _curves),
    ("Predictions", predictions),
    ("Network", _network),
    ("Gradient norms", _norms),
    ("Time spent", _time),
    ("Configuration", _configuration),
    ("Environment", _environment),
)
