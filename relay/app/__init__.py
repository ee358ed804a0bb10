"""The fifth floor: the nursery tree. What starts first ends last."""
