"""The Python client, for threads and for asyncio, and the `signet` command."""

from serving.client.answers import (
    Answer,
    ClassScore,
    Decision,
    Failure,
    Feature,
    FeaturePreprocessing,
    GoldenResult,
    ImagePreprocessing,
    ModelDetails,
    ModelStatus,
    RowPrediction,
    TensorSpec,
    Traffic,
)
from serving.client.async_client import AsyncClient
from serving.client.client import Client
from serving.client.connection import Tls
from serving.client.encoding import Request

__all__ = [
    "Answer",
    "AsyncClient",
    "ClassScore",
    "Client",
    "Decision",
    "Failure",
    "Feature",
    "FeaturePreprocessing",
    "GoldenResult",
    "ImagePreprocessing",
    "ModelDetails",
    "ModelStatus",
    "Request",
    "RowPrediction",
    "TensorSpec",
    "Tls",
    "Traffic",
]
