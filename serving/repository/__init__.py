"""Which models exist, in which version and state."""
