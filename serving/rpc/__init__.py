"""The wire: the only part of the server that sees gRPC and protos."""
