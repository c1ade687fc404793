"""States of a message that comes back without an answer of its own; they are counted apart and not scored."""

WARMING_UP = "warming_up"  # the network has seen too few messages
HELD = "held"  # the message came sooner than the network's period: the answer of the message before is repeated
