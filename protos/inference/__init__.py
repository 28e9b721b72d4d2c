"""Generated code beside its .proto."""
