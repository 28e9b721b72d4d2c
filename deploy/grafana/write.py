"""`make dashboards`: the dashboards as Grafana reads them, dashboards/*.json.

Owns their text. Does not know what is on them.
"""

import json
from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from deploy.grafana.machine import machine
from deploy.grafana.model import model
from deploy.grafana.overview import overview

FOLDER = Path(__file__).parent / "dashboards"


def texts() -> dict[str, str]:
    """JSON by the name of its file."""
    boards = {"overview.json": overview(), "model.json": model(), "machine.json": machine()}
    return {
        name: json.dumps(board, cls=JSONEncoder, indent=1, ensure_ascii=False) + "\n" for name, board in boards.items()
    }


if __name__ == "__main__":
    for name, text in texts().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
