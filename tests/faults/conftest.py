"""Each promise is kept on each transport."""

from tests.contract.conftest import transport

__all__ = ["transport"]
