"""An executor that a test drives, so that a run lasts exactly as long as the test wants."""

from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any


class StepExecutor(Executor):
    """Does what was submitted when the test says so, or loses it, as a thread that dies would."""

    def __init__(self) -> None:
        self._work: list[tuple[Future[Any], Callable[..., Any], tuple[Any, ...]]] = []
        self._dead = False

    def submit(self, fn: Callable[..., Any], /, *args: Any, **_kwargs: Any) -> "Future[Any]":
        if self._dead:
            raise RuntimeError("cannot schedule new futures after shutdown")
        future: Future[Any] = Future()
        self._work.append((future, fn, args))
        return future

    def kill(self) -> None:
        self._dead = True

    def step(self) -> None:
        for future, fn, args in self._taken():
            future.set_result(fn(*args))

    def crash(self) -> None:
        for future, _, _ in self._taken():
            future.set_exception(MemoryError("no memory for a run"))

    def lose(self) -> None:
        for future, _, _ in self._taken():
            future.cancel()

    def _taken(self) -> list[tuple["Future[Any]", Callable[..., Any], tuple[Any, ...]]]:
        work, self._work = self._work, []
        return work
