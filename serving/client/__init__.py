"""The Python client, with threads and with asyncio; `signet` is its command line."""

from serving.client.answers import Answer, ClassScore, ModelDetails, ModelStatus, RowPrediction
from serving.client.async_client import AsyncClient
from serving.client.client import Client
from serving.client.encoding import Request

__all__ = [
    "Answer",
    "AsyncClient",
    "ClassScore",
    "Client",
    "ModelDetails",
    "ModelStatus",
    "Request",
    "RowPrediction",
]
