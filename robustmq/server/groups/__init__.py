"""Consumer groups: who reads which partitions, and how far they are (the classic rebalance protocol)."""
