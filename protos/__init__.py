"""Everything that two programs must agree on."""
