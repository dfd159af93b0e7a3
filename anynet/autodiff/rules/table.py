"""How a file of rules is written down: named functions, gathered under the standard's names."""

from anynet.autodiff.trace import Rule


class Table(dict[str, Rule]):
    """Rules by the name of their function; as a decorator, it adds the rule it decorates."""

    def __call__(self, rule: Rule) -> Rule:
        """Add a rule; an underscore after the name keeps a Python built-in in sight."""
        self[rule.__name__.removesuffix("_")] = rule
        return rule
