"""A lake in Python: pinned, lazy, the same figures in every shape, one sentence where it cannot. Without a JVM."""

import copy
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

import lakehouse
from lakehouse.dataset import Lake, NoSuchTableError, relation
from lakehouse.errors import LakehouseError, UsageError
from lakehouse.lake import delta_log
from lakehouse.lake.locking import locked
from lakehouse.settings import Settings
from lakehouse.spark import session
from lakehouse.transform import batch
from tests.support.made_once import made_once

FORMER = Path(__file__).resolve().parents[1] / "data" / "former_lake.tar.xz"
"""234 half-hours of 2023-06-15/16, four runs, a release ``v1``; it lacks the tables declared since."""
JUNE_15, JUNE_16 = date(2023, 6, 15), date(2023, 6, 16)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where it stands; only read."""

    def unpack(folder: Path) -> None:
        with tarfile.open(FORMER) as archive:
            archive.extractall(folder, filter="data")

    return made_once(tmp_path_factory, "former-to-read", unpack) / "lake"


@pytest.fixture(autouse=True)
def no_spark(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("Spark was opened")

    monkeypatch.setattr(session, "open_session", refuse)


@pytest.fixture
def lake(root: Path) -> Lake:
    return lakehouse.open_lake(root)


def london(lake: Lake) -> list[tuple[Any, ...]]:
    rows = lake.gold.daily.where(region="London").select("date_recorded", "intensity_avg", "n_periods").arrow()
    return [tuple(row.values()) for row in rows.to_pylist()]


BEFORE = [(JUNE_15, Decimal("333.67"), 6), (JUNE_16, Decimal("276.83"), 6)]
AFTER = [(JUNE_15, Decimal("333.67"), 6), (JUNE_16, Decimal("275.29"), 7)]


def test_opens_the_newest_lake_version_or_the_one_that_is_named(root: Path, lake: Lake) -> None:
    assert (lake.version, lake.release, london(lake)) == (4, None, AFTER)
    assert lake.tables == {
        **{"bronze.regional_intensity": 3, "silver.regional_half_hourly": 2, "silver.quarantine": 1},
        **{"gold.carbon_intensity_daily": 2, "gold.dim_region": 1, "ops.runs": 4},
    }
    first = lakehouse.open_lake(root, version=1)
    assert (first.version, london(first)) == (1, BEFORE)
    assert first.tables["bronze.regional_intensity"] == 1
    assert [lakehouse.open_lake(root, version=number).ops.runs.count() for number in (1, 2, 3, 4)] == [1, 2, 3, 4]


def test_opens_the_newest_run_that_had_ended_by_a_time(root: Path) -> None:
    def version(moment: Any) -> int:
        return lakehouse.open_lake(root, at=moment).version

    assert version("2026-11-26T00:05:44.979547Z") == 2  # the very moment at which it ended
    assert version("2026-11-26T00:05:44.979546Z") == 1
    assert version(datetime(2026, 11, 26, 1, 5, 50)) == 4
    assert version(date(2026, 11, 27)) == 4
    with pytest.raises(UsageError, match="had ended by 2026-11-26T00:00:00Z; the first ended at 2026-11-26T00:05:34Z"):
        version(date(2026, 11, 26))


def test_opens_a_release_by_name_or_by_its_folder(root: Path) -> None:
    for release in (lakehouse.open_lake(root, release="v1"), lakehouse.open_lake(root / "releases" / "v1")):
        assert (release.release, release.version, london(release)) == ("v1", 4, AFTER)
        assert release.tables["gold.carbon_intensity_daily"] == 1  # of the copy
        assert release.ops.runs.count() == 4
        assert release.cite().endswith("SHA-256 of contents " + release.state.run["checksum"] + ".")
        assert release.explain("London", JUNE_16).agrees


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({"version": 9}, "The lake has the versions 1 to 4, not 9"),
        ({"version": 0}, "The lake has the versions 1 to 4, not 0"),
        ({"version": "1"}, "version is '1': give the number of a lake version"),
        ({"at": "then"}, "at is 'then': write a UTC day"),
        ({"release": "v2"}, r"There is no release 'v2' in .+; known: v1\."),
        ({"release": "../v1"}, "'../v1' cannot name a release"),
        ({"version": 1, "release": "v1"}, "version and release each name a state of the lake: give one of them"),
        ({"version": 1, "at": "2026-11-27", "release": "v1"}, "version and at and release each name"),
    ],
)
def test_refuses_a_state_that_is_not_there(root: Path, asked: Any, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence) as refused:
        lakehouse.open_lake(root, **asked)
    assert "\n" not in str(refused.value)


def test_a_release_is_one_state(root: Path) -> None:
    with pytest.raises(UsageError, match="is release v1, which is one state: open it without version"):
        lakehouse.open_lake(root / "releases" / "v1", version=4)


def test_refuses_a_place_without_a_lake_or_without_a_run(root: Path, tmp_path: Path) -> None:
    with pytest.raises(LakehouseError, match=r"There is no lake at .+ yet; `lakehouse run` makes one"):
        lakehouse.open_lake(tmp_path)
    with pytest.raises(UsageError, match="No lake can stand at"):
        lakehouse.open_lake("ftp://x")
    runs = delta_log.open_table(str(root / "ops" / "runs"))
    assert runs is not None
    empty = pa.schema(runs.table.schema()).empty_table()
    write_deltalake(str(tmp_path / "ops" / "runs"), empty)
    with pytest.raises(LakehouseError, match="No run has ended in the lake at"):
        lakehouse.open_lake(tmp_path)


def test_takes_the_settings_root_where_none_is_given(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKEHOUSE_ROOT", str(root))
    assert lakehouse.open_lake().version == 4


def test_reaches_each_table_by_both_names(lake: Lake) -> None:
    for short, full in (
        ("bronze.responses", "bronze.regional_intensity"),
        ("silver.half_hours", "silver.regional_half_hourly"),
        ("silver.quarantine", "silver.quarantine"),
        ("gold.daily", "gold.carbon_intensity_daily"),
        ("gold.regions", "gold.dim_region"),
        ("ops.runs", "ops.runs"),
    ):
        assert lake[short].name == lake[full].name == full
        layer, name = short.split(".")
        assert getattr(getattr(lake, layer), name) is lake[full]
        assert {name, full.split(".")[1]} <= set(dir(getattr(lake, layer)))
        assert full in lake._ipython_key_completions_()
    assert "profile" not in dir(lake.gold)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        (
            "gold.profile",
            "lake version 4 holds no gold.profile: open a later lake version or release; if there is none",
        ),
        ("gold.carbon_intensity_monthly", "lake version 4 holds no gold.carbon_intensity_monthly: open a later"),
        ("gold.dayly", r"gold has no table 'dayly'; did you mean daily\?"),
        ("gold.xyz", "gold has no table 'xyz'; there are daily, carbon_intensity_daily, regions"),
        ("daily", "There is no table 'daily'; there are bronze.regional_intensity"),
        ("gold.__class__", "There is no table 'gold.__class__'"),
    ],
)
def test_says_which_tables_there_are(lake: Lake, name: str, sentence: str) -> None:
    with pytest.raises(NoSuchTableError, match=sentence):
        _ = lake[name]
    layer, _, table = name.partition(".")
    if table and not table.startswith("_"):
        assert not hasattr(getattr(lake, layer), table)


def test_every_shape_has_the_same_figures_to_the_digit(lake: Lake) -> None:
    for asked in (lake.gold.daily, lake.silver.half_hours.where(region=[13, "GB"], since=JUNE_16)):
        rows = asked.arrow().to_pylist()
        assert len(rows) == asked.count() > 10
        assert pa.table(asked).to_pylist() == rows
        assert asked.polars().to_dicts() == rows
        assert pl.DataFrame(asked).equals(asked.polars())
        assert asked.duckdb().to_arrow_table().to_pylist() == rows
    exact = lake.gold.daily.where(region=13, until=JUNE_16).select("intensity_avg", "fuel_gas")
    expected = (Decimal("333.67"), Decimal("64.35"))
    assert exact.duckdb().fetchall() == exact.polars().rows() == [expected]


def test_pandas_has_the_same_figures_to_the_digit(lake: Lake) -> None:
    pytest.importorskip("pandas", reason="needs pandas, as `make setup EXTRAS=dashboard` installs")
    for asked in (lake.gold.daily, lake.silver.half_hours.where(region=[13, "GB"], since=JUNE_16)):
        rows = asked.arrow().to_pylist()
        frame = asked.pandas()
        assert list(frame.columns) == list(asked.columns)
        for name in asked.columns:
            found = [None if value is None or value != value else value for value in frame[name]]
            wanted = [row[name] for row in rows]
            if isinstance(wanted[0], date) and not isinstance(wanted[0], datetime):
                found = [value.date() for value in found]
            assert found == wanted, name
            assert isinstance(found[0], type(wanted[0])) or name.startswith(("n_", "intensity", "regionid", "is_"))
    exact = lake.gold.daily.where(region=13, until=JUNE_16).select("intensity_avg", "fuel_gas").pandas()
    assert tuple(exact.iloc[0]) == (Decimal("333.67"), Decimal("64.35"))
    assert str(exact.dtypes["intensity_avg"]) == "decimal128(10, 2)[pyarrow]"
    assert str(lake.gold.daily.pandas().dtypes["date_recorded"]).startswith("datetime64[")  # which can be resampled
    assert lake.gold.daily.pandas().attrs["columns"]["intensity_avg"]["unit"] == "gCO2/kWh"


def test_rows_come_in_order_of_time_then_of_region(lake: Lake) -> None:
    for asked, names in (
        (lake.gold.daily, ("date_recorded", "regionid")),
        (lake.silver.half_hours, ("timestamp", "regionid")),
        (lake.gold.regions, ("regionid",)),
        (lake.silver.quarantine, ("ingestion_timestamp", "response_id", "position")),
        (lake.ops.runs, ("finished_at",)),
        (lake.bronze.responses, ("landing", "response_id")),
    ):
        keys = [tuple(row[name] for name in names) for row in asked.arrow().to_pylist()]
        assert keys == sorted(keys)
        assert len(keys) > 1


def test_reads_many_rows_in_parts_that_are_all_of_them_in_order(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = {name: lake[name].arrow() for name in ("silver.half_hours", "bronze.responses", "silver.quarantine")}
    asked: list[str | None] = []
    stream = delta_log.Snapshot.stream_arrow

    def noted(self: Any, columns: Any, where: str | None = None, order: Any = ()) -> Any:
        asked.append(where)
        return stream(self, columns, where, order)

    monkeypatch.setattr(delta_log.Snapshot, "stream_arrow", noted)
    monkeypatch.setattr(relation, "PART_ROWS", 40)
    monkeypatch.setattr(batch, "PART_PERIODS", 1)
    assert lake.silver.half_hours.arrow().equals(whole["silver.half_hours"])
    assert len(asked) == 7  # 13 half-hours of 18 regions, two at a time
    assert (
        asked[0]
        == "timestamp BETWEEN TIMESTAMP '2023-06-15T21:00:00.000000Z' AND TIMESTAMP '2023-06-15T21:30:00.000000Z'"
    )
    assert lake.silver.half_hours.where(region=13).arrow().num_rows == 13
    asked.clear()
    assert lake.bronze.responses.arrow().equals(whole["bronze.responses"])
    assert len(asked) == 3  # landings
    assert lake.silver.quarantine.arrow().equals(whole["silver.quarantine"])
    asked.clear()
    assert lake.silver.half_hours.head(3).equals(whole["silver.half_hours"].slice(0, 3))
    assert len(asked) == 1
    assert lake.silver.half_hours.where(since="2030-01-01").arrow().num_rows == 0


def test_where_narrows_by_region_and_by_a_half_open_range(lake: Lake) -> None:
    half_hours = lake.silver.half_hours
    one = half_hours.where(region=13, since="2023-06-16T00:00Z", until="2023-06-16T01:00Z").select("timestamp")
    assert [row["timestamp"].strftime("%H:%M") for row in one.arrow().to_pylist()] == ["00:00", "00:30"]
    assert half_hours.where(region="london").count() == 13
    assert half_hours.where(region=["London", 18]).count() == 26
    assert half_hours.where(region=["London", 18]).where(region="GB").count() == 13
    assert half_hours.where(since=JUNE_16).where(until=datetime(2023, 6, 16, 2, tzinfo=UTC)).count() == 4 * 18
    assert lake.gold.daily.where(since="2023-06-15T00:30Z").where(region=13).count() == 1
    assert lake.gold.daily.where(until="2023-06-16T00:30Z", region=13).count() == 2
    assert lake.ops.runs.where(until="2026-11-26T00:05:44.979547Z").count() == 1
    assert lake.gold.regions.where(region="UKPN London").select("parent_regionid").polars().item() == 15


@pytest.mark.parametrize(
    ("ask", "sentence"),
    [
        (
            lambda lake: lake.gold.daily.where(region="Lodnon"),
            "no region 'Lodnon' in gold.dim_region of lake version 4",
        ),
        (lambda lake: lake.gold.daily.where(region=19), "There is no region 19: ids are 1 to 18"),
        (lambda lake: lake.gold.daily.where(region=[]), "region is empty"),
        (lambda lake: lake.gold.daily.where(since="x"), "since is 'x': write a UTC day"),
        (lambda lake: lake.gold.daily.where(since=JUNE_16, until=JUNE_15), "which is not before until"),
        (lambda lake: lake.gold.regions.where(since=JUNE_16), "gold.dim_region has no time"),
        (lambda lake: lake.ops.runs.where(region=13), "ops.runs is not kept by region"),
        (lambda lake: lake.bronze.responses.where(region=13), "bronze.regional_intensity is not kept by region"),
        (lambda lake: lake.gold.daily.select("gas"), "has no column 'gas'; it has regionid, date_recorded,"),
        (lambda lake: lake.gold.daily.select(), "select() takes the names of columns, each once"),
        (lambda lake: lake.gold.daily.select("dno", "dno"), "select() takes the names of columns, each once"),
        (lambda lake: lake.explain("Nowhere", JUNE_16), "There is no region 'Nowhere'"),
        (lambda lake: lake.explain(13, "x"), "date is 'x': write a UTC day"),
        (lambda lake: lake.revisions(13, JUNE_16, JUNE_16), "which is not before until"),
        (lambda lake: lake.revisions(13, None, JUNE_16), "revisions() needs since and until"),
        (lambda lake: lake.gaps(since=JUNE_16, until=JUNE_15), "which is not before until"),
        (
            lambda lake: lake.gaps(since="2023-07-01"),
            "begins at 2023-07-01T00:00Z, which is not before its end, 2023-06-17",
        ),
        (lambda lake: lake.gaps(since="2023-06-16T00:10Z"), "is not on the half-hour grid"),
    ],
)
def test_refuses_in_one_sentence(lake: Lake, ask: Callable[[Lake], Any], sentence: str) -> None:
    with pytest.raises(UsageError, match=re.escape(sentence)):
        ask(lake)


def test_columns_carry_meaning_and_unit(lake: Lake) -> None:
    schema = lake.gold.daily.select("date_recorded", "intensity_avg", "fuel_wind").schema
    assert schema.field("intensity_avg").metadata == {
        b"meaning": b"Mean forecast intensity, gCO2/kWh, rounded once, half up",
        b"unit": b"gCO2/kWh",
    }
    assert schema.field("fuel_wind").metadata[b"unit"] == b"percent"
    assert b"unit" not in schema.field("date_recorded").metadata
    about = {key.decode(): text.decode() for key, text in schema.metadata.items()}
    assert (about["table"], about["version"], about["state"]) == ("gold.carbon_intensity_daily", "2", "lake version 4")
    assert "CC BY 4.0" in about["attribution"]
    asked = lake.gold.daily.select("intensity_avg")
    for table in (asked.arrow(), pa.table(asked), asked.head(1)):
        assert table.schema.equals(asked.schema, check_metadata=True)


def test_relations_are_values(lake: Lake) -> None:
    asked = lake.gold.daily.where(region=13)
    assert repr(asked) == "<gold.carbon_intensity_daily, version 2 of lake version 4 where regionid IN (13)>"
    assert lake.gold.daily.where(region=13) == asked != lake.gold.daily
    assert repr(lake.gold) == "<gold of lake version 4: carbon_intensity_daily, dim_region>"
    assert copy.copy(lake.gold).daily.name == lake.gold.daily.name
    with pytest.raises(AttributeError):
        asked.columns = ()  # type: ignore[misc]  # that it cannot be set is what is tested


def test_shows_itself_in_a_notebook(lake: Lake) -> None:
    shown = lake._repr_html_()
    assert "<b>lake version 4</b>, ended 2026-11-26 00:06 UTC" in shown
    assert "<td>lake.gold.daily</td><td>gold.carbon_intensity_daily</td><td>2</td>" in shown
    assert "profile" not in shown
    relation = lake.gold.daily.where(region=13)._repr_html_()
    assert "where regionid IN (13)</b><br>One row per region and UTC day; 2 rows</p>" in relation
    assert "<td>intensity_avg</td><td>decimal128(10, 2)</td><td>gCO2/kWh</td>" in relation
    assert "<td>2023-06-16</td><td>London</td><td>UKPN London</td><td>275.29</td>" in relation
    assert "<td>3</td>" not in lake.gold.regions.where(region=13)._repr_html_()
    assert " bytes</td>" in lake.bronze.responses._repr_html_()


def test_looks_back_as_the_pinned_version_knew_it(root: Path, lake: Lake) -> None:
    first = lakehouse.open_lake(root, version=1)
    for state, mean, answers, end in ((lake, "275.29", 3, 1), (first, "276.83", 1, 0)):
        found = state.explain("ukpn london", "2023-06-16")
        assert (found.agrees, found.gold and found.gold["intensity_avg"]) == (True, Decimal(mean))
        assert len(found.responses) == answers
        report = state.gaps()
        assert report.unrefined == 0
        assert report.span.end == datetime(2023, 6, 17, end, tzinfo=UTC)
        (gap,) = report.gaps
        assert gap.cause == "not fetched yet"
        assert gap.span.start == datetime(2023, 6, 16, 3, 0 if state is first else 30, tzinfo=UTC)
    everything = lake.revisions("London", JUNE_15, "2023-06-17", revised_only=False)
    assert {row["regionid"] for row in everything.statements} == {13}
    assert len(everything.statements) > len(
        first.revisions("London", JUNE_15, "2023-06-17", revised_only=False).statements
    )
    (hole,) = lake.gaps(since="2023-06-16T03:00Z", until="2023-06-16T05:00Z").gaps
    assert len(hole.span) == 3


def test_cites_a_lake_version_as_no_release(lake: Lake) -> None:
    assert lake.cite() == (
        "SIMULATED DATA (simulator:seed=42), not to be cited. Regional carbon intensity of Great Britain, daily, "
        "2023-06-15 to 2023-06-16. Lake version 4 (no release; run 20261126T000556Z-c34d2cac) of 2026-11-26, lakehouse "
        "0.1.0+4087dc78eee6. Source: Carbon Intensity API (NESO), CC BY 4.0, https://carbonintensity.org.uk."
    )


def test_takes_no_lock_and_writes_nothing(root: Path, settings_of: Callable[..., Settings]) -> None:
    def files() -> list[tuple[Path, int]]:
        return sorted((path, path.stat().st_mtime_ns) for path in root.rglob("*") if path.is_file())

    with locked(settings_of(str(root))):
        before = files()
        lake = lakehouse.open_lake(root)
        assert london(lake) == AFTER
        assert lake.explain(13, JUNE_16).agrees
        assert len(lake.gaps().gaps) == 1
        assert files() == before


@pytest.mark.parametrize("package", ["pandas", "polars"])
def test_names_a_package_that_is_not_installed(lake: Lake, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import_module = relation.importlib.import_module

    def without(name: str) -> Any:
        if name == package:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return import_module(name)

    monkeypatch.setattr(relation.importlib, "import_module", without)
    with pytest.raises(LakehouseError, match=f"^{package} is not installed here: install it .pip install {package}."):
        getattr(lake.gold.daily, package)()


def test_says_that_a_version_can_no_longer_be_read(root: Path, tmp_path: Path) -> None:
    shutil.copytree(root, tmp_path / "lake")
    lake = lakehouse.open_lake(tmp_path / "lake", version=1)
    for file in (tmp_path / "lake" / "gold" / "carbon_intensity_daily").glob("*.parquet"):
        file.unlink()
    with pytest.raises(LakehouseError, match=r"The rows at .+carbon_intensity_daily cannot be read") as failed:
        lake.gold.daily.arrow()
    assert "\n" not in str(failed.value)
    assert lake.gold.regions.count() == 18


def test_the_history_of_a_pinned_table_is_its_own(root: Path) -> None:
    """delta-rs numbers the newest commits from an older version down (deltalake 1.6.6)."""
    path = str(root / "gold" / "carbon_intensity_daily")
    newest = DeltaTable(path)
    stated = {entry["version"]: entry["timestamp"] for entry in newest.history()}
    pins = set()
    for version in (0, 1, 2):
        snapshot = delta_log.open_table(path, version)
        assert snapshot is not None
        wanted = list(range(version, -1, -1))
        assert [(entry["version"], entry["timestamp"]) for entry in snapshot.history()] == [
            (number, stated[number]) for number in wanted
        ]
        assert [entry["version"] for entry in snapshot.newest_commits(1)] == [version]
        pins.add(snapshot.pin.commit_id)
    assert len(pins - {None}) == 3


def test_loads_no_spark_to_read_figures(root: Path) -> None:
    code = (
        f"import sys, lakehouse; lake = lakehouse.open_lake({str(root)!r}); lake.gold.daily.where(region='gb').arrow();"
        "lake.gaps(); lake.cite(); lake._repr_html_(); print('pyspark' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
