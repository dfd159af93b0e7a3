"""Notes that ranks leave for each other when a group does not go on."""

import json
from typing import NamedTuple, Self

#: A rank waits for the others, or has left the group by an error.
WAITS = "waits"
FAILED = "failed"


class Note(NamedTuple):
    """What a rank says of itself.

    Args:
        kind: one of the words above.
        text: why.
        message: the number of its last message.
        content: what that message sums.

    """

    kind: str
    text: str
    message: int
    content: str

    @property
    def place(self) -> str:
        """Where the rank is."""
        return f"{self.content} in message {self.message}"

    def dumped(self) -> str:
        """Return the note as a text."""
        return json.dumps(self)

    @classmethod
    def loaded(cls, text: str) -> Self:
        """Return the note of a text."""
        return cls(*json.loads(text))
