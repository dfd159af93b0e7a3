"""Formulas as MathML, which browsers display and screen readers read without a script."""

from typing import Any

from docutils import nodes
from docutils.utils.math import MathError, latex2mathml
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.writers.html import HTMLTranslator

logger = logging.getLogger(__name__)


def _write(translator: HTMLTranslator, node: nodes.math | nodes.math_block, block: bool) -> None:
    formula = node.astext()
    try:
        translator.body.append(latex2mathml.tex2mathml(formula, as_block=block))
    except MathError as error:
        logger.warning("formula %r: %s", formula, error, location=node, type="mathml")
    raise nodes.SkipNode


def _inline(translator: HTMLTranslator, node: nodes.math) -> None:
    _write(translator, node, block=False)


def _block(translator: HTMLTranslator, node: nodes.math_block) -> None:
    _write(translator, node, block=True)


def setup(app: Sphinx) -> dict[str, Any]:
    """Add the renderer."""
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
