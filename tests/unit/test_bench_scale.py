"""The tables of the benchmark of growth: what is divided by what, and what a target is held against."""

from dataclasses import replace

from bench.processes import MIB
from bench.scale_document import MISSED, Life, Load, written
from bench.workplaces import CLUSTER, LOCAL

SHORT = Load(
    title="3 years",
    where=LOCAL,
    rows={"silver": 1_000_000, "gold": 20_000},
    seconds=40.0,
    silver_seconds=20.0,
    gold_seconds=10.0,
    python=500 * MIB,
    jvm=1000 * MIB,
    driver=1400 * MIB,
    executors=0,
)
LONG = replace(SHORT, title="30 years", rows={"silver": 10_000_000, "gold": 200_000}, seconds=220.0)


def cells(lines: list[str], begin: str) -> list[str]:
    (line,) = (line for line in lines if line.startswith(f"| {begin} |"))
    return [cell.strip() for cell in line.strip("|").split("|")][1:]


def test_divides_by_rows_of_silver_and_tells_what_a_further_row_takes() -> None:
    lines = written([SHORT, LONG], [])
    assert cells(lines, "3 years")[:6] == ["1,000,000", "40.0", "20.0", "10.0", "40.0", ""]
    assert cells(lines, "30 years")[:6] == ["10,000,000", "220.0", "20.0", "10.0", "22.0", "20.0"]
    assert cells(lines, "30 years")[6:] == ["500", "1,000", "1,400", "", "147"]
    assert not any(MISSED in line for line in lines)


def test_a_row_that_becomes_dearer_misses_the_target() -> None:
    text = " ".join(written([SHORT, replace(LONG, seconds=480.0)], []))
    assert "takes 1.20 times the time of one of 3 years, target <= 1.1: MISSED, and 0.10 times the memory" in text


def test_a_driver_that_grows_with_the_data_misses_the_target_on_a_cluster_alone() -> None:
    large = replace(LONG, driver=1537 * MIB, executors=3000 * MIB)
    assert not any(MISSED in line for line in written([SHORT, large], []))
    lines = written([replace(SHORT, where=CLUSTER), replace(large, where=CLUSTER)], [])
    assert "The driver took 1,537 MiB at most, target <= 1536: MISSED." in lines
    assert cells(lines, "30 years")[-2:] == ["3,000", "476"]


def test_compares_medians_of_the_longest_history_and_of_the_shortest() -> None:
    short = Life("3 years", 30.0, 20.0, {"run": [20.0, 19.0, 90.0], "gaps": [0.5, 0.5, 0.6]}, [{"silver": 4.0}])
    long = Life("100 years", 300.0, 90.0, {"run": [30.0, 28.0, 29.0], "gaps": [0.8, 0.7, 0.9]}, [{"silver": 6.0}])
    lines = written([SHORT], [short, long])
    assert cells(lines, "a new day: `run`") == ["20.00", "29.00", "1.45", "<= 1.5: met"]
    assert cells(lines, "`gaps`") == ["0.50", "0.80", "1.60", "<= 1.5: MISSED"]
    assert cells(lines, "of the new day: silver, mean") == ["4.00", "6.00", "", ""]
    assert cells(lines, "before it: first `export`") == ["30.0", "300.0", "", ""]
    assert cells(lines, "before it: `maintain`") == ["20.0", "90.0", "", ""]
