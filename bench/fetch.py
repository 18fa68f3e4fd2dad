"""How near the fetch comes to the ideal: three years in one-day windows from an API that takes 200 ms an answer.

``.venv/bin/python bench/fetch.py`` prints the figures and ends with 1 if one of them is over its limit. The API runs
in a process of its own with all of its bodies made beforehand, so that it is no bottleneck; the fetch is the real one,
landing in Delta included, into a lake that is thrown away.
"""

import argparse
import asyncio
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from aiohttp import web

from lakehouse import settings
from lakehouse.ingestion.coverage import Reason
from lakehouse.pipeline import Run
from lakehouse.run_record import RunObserver
from lakehouse.simulator import NOW_HEADER, SEED_HEADER, CarbonIntensityApi
from lakehouse.windows import Span, Window, plan

SEED = 42
WINDOW_HALF_HOURS = 48
CONCURRENCY = 5
LONGEST = 1.15
"""Times the ideal: requests x latency / concurrency."""
LARGEST_MIB = 1024
"""Of Python's own memory; Spark's JVM has its own limit."""


def main() -> int:
    """Fetch, print, judge."""
    options = _options()
    if options.serve:
        asyncio.run(_serve(options.start, options.end, options.latency_ms / 1000))
        return 0
    with tempfile.TemporaryDirectory() as place:
        command = [sys.executable, __file__, "--serve", *sys.argv[1:]]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
            try:
                assert server.stdout is not None
                url = server.stdout.readline().strip()
                return _measured(url, str(Path(place) / "lake"), options)
            finally:
                server.terminate()


class Watch(RunObserver):
    """When the requests began and how many they were."""

    began = 0.0
    requests = 0
    retries = 0

    def windows_planned(self, windows: Sequence[Window], reasons: dict[Reason, list[Span]]) -> None:
        self.began, self.requests = time.perf_counter(), len(windows)

    def retried(self, what: str, error: str, wait: float) -> None:
        self.retries += 1


def _measured(url: str, root: str, options: argparse.Namespace) -> int:
    api = {
        "url": url,
        "requests_per_second": 0,
        "concurrency": CONCURRENCY,
        "window_half_hours": WINDOW_HALF_HOURS,
    }
    watch = Watch()
    run = Run(settings.load({"root": root, "api": api}), "bronze", watch)
    started = time.perf_counter()
    with run.recorded():
        report = run.fetch(options.start, options.end)
        ended = time.perf_counter()
    ideal = watch.requests * options.latency_ms / 1000 / CONCURRENCY
    ratio = (ended - watch.began) / ideal
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"requests             {watch.requests:>10,}   ({watch.retries} retries, {report.counts['inserted']:,} landed)"
    )
    print(f"commits              {report.version or 0:>10,}")
    print(f"start-up             {watch.began - started:>10.1f} s (session, tables, what to fetch)")
    print(f"ideal                {ideal:>10.1f} s (requests x {options.latency_ms} ms / {CONCURRENCY})")
    print(f"fetch with landing   {ended - watch.began:>10.1f} s = {ratio:.3f} x ideal (at most {LONGEST})")
    print(f"Python's memory      {memory:>10.0f} MiB at its peak (at most {LARGEST_MIB})")
    return 0 if ratio <= LONGEST and memory <= LARGEST_MIB else 1


async def _serve(start: datetime, end: datetime, latency: float) -> None:
    now = end.isoformat().replace("+00:00", "Z")
    api, bodies = CarbonIntensityApi(SEED), {}
    for window in plan([Span(start, end)], WINDOW_HALF_HOURS):
        path = f"/regional/intensity/{window.start:%Y-%m-%dT%H:%MZ}/{window.end:%Y-%m-%dT%H:%MZ}"
        bodies[path] = "".join(api.answer(path, now=end).pieces).encode()

    async def answer(request: web.Request) -> web.Response:
        await asyncio.sleep(latency)
        headers = {SEED_HEADER: str(SEED), NOW_HEADER: now}
        return web.Response(body=bodies.get(request.path, b"{}"), content_type="application/json", headers=headers)

    application = web.Application()
    application.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    print(f"http://127.0.0.1:{site.port}", flush=True)
    await asyncio.Event().wait()


def _options() -> argparse.Namespace:
    def day(text: str) -> datetime:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--from", dest="start", type=day, default="2022-01-01")
    parser.add_argument("--to", dest="end", type=day, default="2025-01-01")
    parser.add_argument("--latency-ms", type=float, default=200)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
