"""The server and the client."""
