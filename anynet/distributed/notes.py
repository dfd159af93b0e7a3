"""Notes that ranks leave for each other when a group does not go on."""

import json
from typing import NamedTuple, Self

#: A rank waits for the others, has left the group by an error, or has come to its end.
WAITS = "waits"
FAILED = "failed"
LEFT = "left"


class Note(NamedTuple):
    """What a rank says of itself.

    Args:
        kind: one of the words above.
        text: why.
        messages: how many messages it has begun.
        length: the length of the last one.

    """

    kind: str
    text: str
    messages: int
    length: int

    @property
    def place(self) -> str:
        """Where the rank is."""
        return f"message {self.messages} of {self.length} numbers"

    def dumped(self) -> str:
        """Return the note as a text."""
        return json.dumps(self)

    @classmethod
    def loaded(cls, text: str) -> Self:
        """Return the note of a text."""
        return cls(*json.loads(text))
