"""The tasks by name; each task's file begins with its command, its time, and its expected result."""

from training.task import Task
from training.tasks.fashion_mnist import FASHION_MNIST
from training.tasks.pima import PIMA
from training.tasks.shapes import SHAPES

TASKS: dict[str, Task] = {task.name: task for task in (PIMA, SHAPES, FASHION_MNIST)}
