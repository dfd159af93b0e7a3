"""Training in several processes, which share the rows of each batch."""

from anynet.distributed.all_sum import all_sum
from anynet.distributed.group import Group, open_group
from anynet.distributed.share import Share, share_of

__all__ = [
    "Group",
    "Share",
    "all_sum",
    "open_group",
    "share_of",
]
