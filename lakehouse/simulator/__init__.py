"""A simulator of the Carbon Intensity API's regional routes, over real sockets.

In a test or a program with an event loop::

    async with Simulator(now=datetime(2024, 1, 5, tzinfo=UTC)) as simulator:
        ...  # ask simulator.url

Without one: ``with run_in_thread(Simulator(...)) as simulator``. As a process: :func:`serve_forever`.
"""

from lakehouse.simulator.answers import Answer, CarbonIntensityApi
from lakehouse.simulator.hosting import ThreadedSimulator, run_in_thread, serve_forever
from lakehouse.simulator.script import Fault, Match, Rule, fault, load_script, parse_script
from lakehouse.simulator.server import NOW_HEADER, SEED_HEADER, ReceivedRequest, Simulator

__all__ = [
    "NOW_HEADER",
    "SEED_HEADER",
    "Answer",
    "CarbonIntensityApi",
    "Fault",
    "Match",
    "ReceivedRequest",
    "Rule",
    "Simulator",
    "ThreadedSimulator",
    "fault",
    "load_script",
    "parse_script",
    "run_in_thread",
    "serve_forever",
]
