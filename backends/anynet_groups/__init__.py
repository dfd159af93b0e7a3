"""The libraries that carry messages between the ranks of a group, see `anynet.distributed`."""
