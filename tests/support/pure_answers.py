"""What the simulated API would say, asked without a socket."""

import json
from datetime import UTC, datetime
from typing import Any

from lakehouse.simulator.answers import CarbonIntensityApi

NOW = datetime(2025, 6, 1, 12, 10, tzinfo=UTC)


def body_of(api: CarbonIntensityApi, path: str, now: datetime = NOW) -> str:
    answer = api.answer(path, now=now)
    assert answer.status == 200
    return "".join(answer.pieces)


def data_of(api: CarbonIntensityApi, path: str, now: datetime = NOW) -> Any:
    return json.loads(body_of(api, path, now))["data"]


def starts(api: CarbonIntensityApi, path: str, now: datetime = NOW) -> list[str]:
    return [period["from"] for period in data_of(api, path, now)]
