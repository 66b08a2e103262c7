"""Rankings in the store: their rows, rewards, snapshots, trainer, checks and export."""
