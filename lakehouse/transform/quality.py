"""The rules that a record has to keep, declared beside each other; no row is changed by them.

A rule is one expression over the columns of ``records.RECORD`` and the window of the response, true where the record
is as it should be; null counts as broken. ``warn`` lets the record pass and counts it, ``quarantine`` refuses it,
``fail`` stops the stage before it writes anything. The expressions are DuckDB's SQL, which runs them everywhere
(``validation``), on the executors of a cluster, too.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from lakehouse.lake.regions import FORMER_NAMES, REGIONS
from lakehouse.lake.rule_results import RuleResult
from lakehouse.lake.tables import LABELS

WARN, QUARANTINE, FAIL = "warn", "quarantine", "fail"
DRIFT = "drift"
"""The level of what no rule speaks of: a field or a fuel that the API did not have before."""

LOWEST_FORECAST, HIGHEST_FORECAST = -50, 1000
"""gCO2/kWh. Seen: -20 to 780; all coal would be about 940."""
LONGEST_NAME = 100
"""Characters: ``VARCHAR(100)`` in PostgreSQL."""
MIX_TOLERANCE = "0.5"
"""Percent. Nine shares rounded to one decimal; sums of 99.8 to 100.2 are normal."""

BANDS = {
    2018: (79, 179, 279, 380),
    2019: (59, 159, 259, 360),
    2020: (54, 149, 229, 350),
    2021: (49, 139, 219, 330),
    2022: (44, 129, 209, 310),
    2023: (39, 119, 199, 290),
    2024: (34, 109, 189, 270),
    2025: (29, 99, 179, 250),
    2026: (24, 89, 169, 230),
    2027: (19, 79, 159, 210),
    2028: (14, 69, 149, 190),
    2029: (9, 59, 139, 170),
    2030: (4, 49, 129, 150),
}
"""Last value of very low, low, moderate and high by year (definitions of the API), gCO2/kWh."""
YEARS_BEHIND, YEARS_AHEAD = 2, 1
"""The label follows the year of the request, and in April 2021 the API still used the bands of 2019."""


@dataclass(frozen=True)
class Rule:
    """One rule: ``keeps`` is an expression in DuckDB's SQL that is true for a record that keeps it."""

    name: str
    level: str
    unit: str
    keeps: str

    @property
    def refuses(self) -> bool:
        """Whether a record that breaks it stays out of Silver."""
        return self.level != WARN


@dataclass(frozen=True)
class Rules:
    """A set of rules. A record's broken ones are the bits of one number, in order of declaration.

    ``repeated`` is the rule that no single record can break: it counts the good records of a response whose key another
    of them has, too, all but the one that counts.
    """

    records: tuple[Rule, ...]
    repeated: Rule

    @property
    def all(self) -> tuple[Rule, ...]:
        """Every rule."""
        return (*self.records, self.repeated)

    def failing(self, names: Collection[str]) -> "Rules":
        """The same with these rules at level ``fail``.

        Raises:
            KeyError: there is no rule of such a name.
        """
        if unknown := set(names) - {rule.name for rule in self.all}:
            raise KeyError(*sorted(unknown))
        records = tuple(replace(rule, level=FAIL) if rule.name in names else rule for rule in self.records)
        repeated = replace(self.repeated, level=FAIL) if self.repeated.name in names else self.repeated
        return Rules(records, repeated)

    @property
    def broken(self) -> str:
        """In DuckDB's SQL: the rules that a record breaks as the bits of one number; 0 where it keeps all."""
        bits = (f"CASE WHEN coalesce({rule.keeps}, false) THEN 0 ELSE {bit} END" for rule, bit in self._bits())
        return f"CAST({' + '.join(bits)} AS BIGINT)"

    @property
    def refuses(self) -> str:
        """In any SQL: whether one of the rules that are ``broken`` refuses the record."""
        return f"(broken & {sum(bit for rule, bit in self._bits() if rule.refuses)}) != 0"

    @property
    def breaks(self) -> dict[str, str]:
        """In any SQL, by name of the rule: whether it is among those that are ``broken``."""
        return {rule.name: f"(broken & {bit}) != 0" for rule, bit in self._bits()}

    @property
    def reasons(self) -> str:
        """In DuckDB's SQL: the names of the rules that are ``broken`` and refuse the record, as a list."""
        breaks = self.breaks
        names = (f"CASE WHEN {breaks[rule.name]} THEN '{rule.name}' END" for rule in self.records if rule.refuses)
        return f"list_filter([{', '.join(names)}], lambda name: name IS NOT NULL)"

    def names(self, broken: int) -> list[str]:
        """The names of the rules that a number of bits stands for."""
        return [rule.name for rule, bit in self._bits() if broken & bit]

    def results(self, failed: Mapping[str, int], checked: int) -> tuple[RuleResult, ...]:
        """Every rule's result, zeros included; ``failed`` by name."""
        return tuple(RuleResult(rule.name, rule.level, failed.get(rule.name, 0), checked) for rule in self.all)

    def _bits(self) -> list[tuple[Rule, int]]:
        return [(rule, 1 << place) for place, rule in enumerate(self.records)]


def _label_fits() -> str:
    """Whether the label belongs to the value by the bands of one of the plausible years.

    Thresholds fall from year to year, so the values that may carry a label in several years are one range. The ranges
    stand in two lists, five labels a year.
    """
    first, last = min(BANDS), max(BANDS)
    least, most = [], []
    for year in range(first, last + 1):
        earliest, latest = BANDS[max(first, year - YEARS_BEHIND)], BANDS[min(last, year + YEARS_AHEAD)]
        # A value equal to the top of "high" has been labelled "very high".
        least += [LOWEST_FORECAST, *(top + 1 for top in latest[:3]), latest[3]]
        most += [*earliest, HIGHEST_FORECAST]
    place = f"(greatest({first}, least({last}, year(timestamp))) - {first}) * {len(LABELS)}"
    place += f" + list_position([{_listed(LABELS)}], intensity_index)"
    return f"intensity_forecast BETWEEN ({least})[{place}] AND ({most})[{place}]"


def _names_fit() -> str:
    """Whether PostgreSQL can hold the names that are there; a lone surrogate never gets into Bronze."""
    fits = (f"length({name}) <= {LONGEST_NAME} AND NOT contains({name}, chr(0))" for name in ("shortname", "dno"))
    return f"coalesce({' AND '.join(fits)}, true)"


def _listed(texts: Collection[str]) -> str:
    return ", ".join(f"'{text}'" for text in texts)


_NAMES = {f"{region.regionid}|{region.shortname}|{region.dno}" for region in REGIONS}
_NAMES |= {
    f"{region.regionid}|{FORMER_NAMES[region.regionid]}|{region.dno}"
    for region in REGIONS
    if region.regionid in FORMER_NAMES
}


def _names_fit_id() -> str:
    """Whether no name is that of a region with another id, as the API gave them by postcode in 2020 and 2021.

    A name that no region has passes: the API may rename a region. What has no name or id breaks other rules.
    """

    def fits(column: str, names: Collection[tuple[int, str]]) -> str:
        known, own = {name for _, name in names}, {f"{regionid}|{name}" for regionid, name in names}
        return (
            f"({column} NOT IN ({_listed(sorted(known))}) "
            f"OR CAST(regionid AS STRING) || '|' || {column} IN ({_listed(sorted(own))}))"
        )

    short = [(region.regionid, region.shortname) for region in REGIONS] + list(FORMER_NAMES.items())
    both = f"{fits('shortname', short)} AND {fits('dno', [(region.regionid, region.dno) for region in REGIONS])}"
    return f"coalesce({both}, true) OR regionid NOT BETWEEN 1 AND {len(REGIONS)}"


RULES = Rules(
    records=(
        Rule("readable", QUARANTINE, "record", "is_readable"),
        Rule("key_present", QUARANTINE, "record", "regionid IS NOT NULL AND timestamp IS NOT NULL"),
        Rule("region_known", QUARANTINE, "id", f"regionid BETWEEN 1 AND {len(REGIONS)}"),
        Rule("names_present", QUARANTINE, "record", "length(shortname) > 0 AND length(dno) > 0"),
        Rule("names_of_this_region", QUARANTINE, "name", _names_fit_id()),
        Rule(
            "names_storable",
            QUARANTINE,
            f"name, at most {LONGEST_NAME} characters, none of them U+0000",
            _names_fit(),
        ),
        Rule("on_half_hour_grid", QUARANTINE, "minute", "epoch_us(timestamp) % 1800000000 = 0"),
        Rule("lasts_half_an_hour", QUARANTINE, "minute", "epoch_us(stop) - epoch_us(timestamp) = 1800000000"),
        Rule("inside_window", QUARANTINE, "UTC time", "stop BETWEEN window_start AND window_end"),
        Rule("forecast_is_integer", QUARANTINE, "gCO2/kWh", "is_forecast_whole"),
        Rule(
            "forecast_plausible",
            QUARANTINE,
            "gCO2/kWh",
            f"intensity_forecast BETWEEN {LOWEST_FORECAST} AND {HIGHEST_FORECAST}",
        ),
        Rule("label_known", QUARANTINE, "label", f"intensity_index IN ({_listed(LABELS)})"),
        Rule("fuels_complete", QUARANTINE, "fuel, all nine", "fuels_missing = 0"),
        Rule("fuels_once", QUARANTINE, "fuel", "are_fuels_once"),
        Rule("shares_exact", QUARANTINE, "percent, at most two decimals", "are_shares_exact"),
        Rule(
            "shares_in_range",
            QUARANTINE,
            "percent",
            "fuels_missing = 0 AND lowest_share >= 0 AND highest_share <= 100",
        ),
        Rule(
            "mix_is_whole",
            QUARANTINE,
            f"percent, 100 within {MIX_TOLERANCE}",
            f"abs(share_sum - 100) <= {MIX_TOLERANCE}",
        ),
        Rule("fuels_known", WARN, "fuel", "fuels_other = 0"),
        Rule(
            "names_expected",
            WARN,
            "name",
            f"CAST(regionid AS STRING) || '|' || shortname || '|' || dno IN ({_listed(sorted(_NAMES))})",
        ),
        Rule("label_fits_value", WARN, "label", _label_fits()),
    ),
    repeated=Rule("key_once_in_response", WARN, "record", "the newest of a response's records of one key counts"),
)
"""The rules of Silver."""
