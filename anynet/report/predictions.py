"""The part of a page on the predictions of a network: confusions and wrong ones, or errors."""

from collections import Counter

from anynet.report.charts import scatter_chart, show
from anynet.report.contents import Contents
from anynet.report.html import Html, element, join
from anynet.report.pictures import Picture
from anynet.report.results import NO_ANSWER, Classification, Errors, Sample
from anynet.report.tables import framed, heading, paragraphs, table

#: Classes of a whole confusion matrix. With more, the page shows the most frequent confusions.
MOST_CLASSES = 20

#: Rows of the tables for many classes.
_MOST_ROWS = 20


def predictions(contents: Contents) -> Html:
    """Return the part of the page."""
    results = contents.results
    if results is None:
        reason = contents.missing.get("results", "No network and data were given.")
        return element("p", reason, class_="absent")
    if isinstance(results, Classification):
        return _classification(contents, results)
    return _errors(contents, results)


def _classification(contents: Contents, results: Classification) -> Html:
    rows, right = results.rows, results.right
    share = f"{right / rows:.4f}" if rows else "NaN"
    texts = [f"On the {contents.data}, {right:,} of {rows:,} predictions are correct ({share})."]
    if results.left_out:
        texts.append(f"{results.left_out:,} examples have no label that counts.")
    names = [_name(contents, i) for i in range(results.classes)]
    few = results.classes <= MOST_CLASSES
    return join(
        paragraphs(*texts),
        element("h3", "Confusion matrix" if few else "Most frequent confusions"),
        _matrix(results, names) if few else _frequent(results, names),
        element("h3", "Misclassified samples"),
        _samples(contents, results),
    )


def _name(contents: Contents, index: int) -> str:
    if index == NO_ANSWER:
        return "none (NaN)"
    names = contents.class_names
    return names[index] if index < len(names) else str(index)


def _matrix(results: Classification, names: list[str]) -> Html:
    """Return the confusion matrix, whose cells are colored by their share of the row."""
    columns = [*range(results.classes)]
    if any(answer == NO_ANSWER for _, answer in results.counts):
        columns.append(NO_ANSWER)
        names = [*names, "none (NaN)"]
    head = [element("th", name, scope="col", class_="number") for name in names]
    extra = element("th", "correct", scope="col", class_="number")
    lines = [_line(results, label, columns, names[label]) for label in range(results.classes)]
    corner = element("th", "label ↓ prediction →", scope="col")
    caption = "Examples by label and prediction, and the share of correct predictions."
    whole = element(
        "table",
        heading(caption),
        element("thead", element("tr", corner, *head, extra)),
        element("tbody", *lines),
        class_="matrix",
    )
    return framed(whole, "Confusion matrix")


def _line(
    results: Classification,
    label: int,
    columns: list[int],
    name: str,
) -> Html:
    counts = [results.counts[label, answer] for answer in columns]
    total = sum(counts)
    cells = [
        element(
            "td",
            f"{count:,}",
            class_=_style(count, answer == label),
            style=f"--share:{count / total:.3f}" if count else None,
        )
        for answer, count in zip(columns, counts, strict=True)
    ]
    share = f"{counts[label] / total:.1%}" if total else "–"
    return element(
        "tr",
        element("th", name, scope="row"),
        *cells,
        element("td", share, class_="number total"),
    )


def _style(count: int, is_right: bool) -> str | None:
    if not count:
        return "zero"
    return None if is_right else "wrong"


def _frequent(results: Classification, names: list[str]) -> Html:
    """Return the most frequent confusions of many classes, and the classes with the most."""
    wrong = Counter({pair: n for pair, n in results.counts.items() if pair[0] != pair[1]})
    if not wrong:
        return element("p", "There are none.")
    named = {NO_ANSWER: "none (NaN)", **dict(enumerate(names))}
    pairs = [
        [named[label], named[answer], f"{count:,}"]
        for (label, answer), count in sorted(wrong.items(), key=lambda item: (-item[1], item[0]))
    ]
    caption = f"The {min(len(pairs), _MOST_ROWS)} most frequent of {len(pairs):,} confusions"
    return join(
        table(caption, ("label", "prediction", "count"), pairs[:_MOST_ROWS], ("count",)),
        _hardest(results, named),
    )


def _hardest(results: Classification, named: dict[int, str]) -> Html:
    totals: Counter[int] = Counter()
    right: Counter[int] = Counter()
    for (label, answer), count in results.counts.items():
        totals[label] += count
        right[label] += count if label == answer else 0
    shares = sorted(totals, key=lambda label: (right[label] / totals[label], label))
    rows = [
        [
            named[label],
            f"{right[label]:,}",
            f"{totals[label]:,}",
            f"{right[label] / totals[label]:.1%}",
        ]
        for label in shares[:_MOST_ROWS]
    ]
    headings = ("class", "correct", "examples", "share")
    caption = (
        f"The {len(rows)} classes with the lowest share of correct predictions, of {len(totals):,}"
    )
    return table(caption, headings, rows, headings[1:])


def _samples(contents: Contents, results: Classification) -> Html:
    if not results.ranking.samples:
        none = results.right == results.rows
        reason = (
            "There are none." if none else "Each row has several predictions, so none is shown."
        )
        return element("p", reason, class_="absent")
    shown, wrong = len(results.ranking.samples), results.rows - results.right
    order = "largest margin of the prediction over the label"
    if shown < wrong:
        note = f"The {shown} of {wrong:,} misclassified rows with the {order}."
    else:
        note = f"All misclassified rows, those with the {order} first."
    items = [
        _sample(
            contents,
            sample,
            _name(contents, int(sample.label)),
            _name(contents, int(sample.answer)),
        )
        for sample in results.ranking.samples
    ]
    return join(paragraphs(f"{note} Rows count from 0."), element("ul", *items, class_="samples"))


def _sample(contents: Contents, sample: Sample, label: str, answer: str) -> Html:
    values = {"row": str(sample.row), "label": label, "prediction": answer}
    lines = [join(element("dt", name), element("dd", value)) for name, value in values.items()]
    return element("li", _input(contents, sample), element("dl", *lines))


def _input(contents: Contents, sample: Sample) -> Html:
    if isinstance(sample.input, Picture):
        return sample.input.html(f"Row {sample.row} of the {contents.data}")
    return element("code", sample.input)


def _errors(contents: Contents, results: Errors) -> Html:
    text = (
        f"On the {contents.data}, the mean absolute error is {show(results.mean_absolute_error)} "
        f"and the root of the mean squared error is {show(results.root_mean_squared_error)}, over "
        f"{results.elements:,} values."
    )
    shown = len(results.targets)
    label = f"Chart: the first {shown} values, the target across and the output upwards."
    rows: list[list[str | Html]] = [
        [str(x.row), show(x.label), show(x.answer), show(x.error), _input(contents, x)]
        for x in results.ranking.samples
    ]
    headings = ("row", "target", "output", "error", "input")
    return join(
        element("p", text),
        element("h3", "Outputs and targets"),
        scatter_chart(label, results.targets, results.outputs, "target", "output"),
        element("h3", "Largest errors"),
        table("The rows with the largest errors, from 0", headings, rows, headings[:-1]),
    )
