"""The groups of settings, as ``conf/*.toml`` and ``LAKEHOUSE_GROUP__NAME`` name them: types, bounds, defaults. Pure."""

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from lakehouse import __version__

PUBLIC_API = "https://api.carbonintensity.org.uk"
LONGEST_HOURS = 24 * 36_500.0
"""A century: beyond it no time can be reckoned with."""


class Section(BaseModel):
    """A group of settings: fixed once read, unknown keys refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, allow_inf_nan=False)


class ApiSettings(Section):
    """How the API is asked."""

    url: str = PUBLIC_API
    contact: str = Field("", description="Who to write to; goes into the User-Agent")
    concurrency: Annotated[int, Field(ge=1, le=50)] = 5
    requests_per_second: Annotated[float, Field(ge=0)] = Field(5.0, description="0 switches the limit off")
    attempts: Annotated[int, Field(ge=1, le=20)] = 3
    connect_timeout_seconds: Annotated[float, Field(gt=0)] = 5.0
    read_timeout_seconds: Annotated[float, Field(gt=0)] = Field(15.0, description="Without a byte")
    attempt_timeout_seconds: Annotated[float, Field(gt=0)] = 20.0
    window_half_hours: Annotated[int, Field(ge=1, le=673)] = Field(673, description="673 is 14 days")
    max_body_mib: Annotated[float, Field(gt=0)] = Field(32.0, description="About 7 times a 14-day answer")
    give_up_after: Annotated[int, Field(ge=1)] = Field(5, description="Failed windows in a row")

    @property
    def is_public(self) -> bool:
        """Whether this is the API itself: its clock is the machine's, nobody needs to be asked."""
        return self.url.rstrip("/") == PUBLIC_API

    @property
    def user_agent(self) -> str:
        """The User-Agent header: product, version and contact."""
        return f"carbon-lakehouse/{__version__}" + (f" ({self.contact})" if self.contact else "")


class FetchSettings(Section):
    """Which half-hours are asked again."""

    refetch_horizon_hours: Annotated[float, Field(ge=0, le=LONGEST_HOURS)] = Field(
        48.0, description="A half-hour received younger than this may have been revised since"
    )
    empty_retry_hours: Annotated[float, Field(ge=0, le=LONGEST_HOURS)] = Field(
        24.0, description="A hole older than the horizon is asked again this often at most"
    )
    landing_mib: Annotated[float, Field(gt=0)] = Field(64.0, description="Bodies held before a commit")


class QualitySettings(Section):
    """What stops a stage before it writes anything."""

    contract: Literal["evolve", "freeze"] = Field(
        "evolve", description="What a field or fuel that nobody knew does: kept beside the rest, or stop"
    )
    fail: tuple[str, ...] = Field((), description="Names of rules that stop the stage when one record breaks them")
    max_deleted_share: Annotated[float, Field(ge=0, le=1)] = Field(
        0.1, description="Share of a table's rows, in PostgreSQL too, that one run may delete without --accept-loss"
    )


class RetentionSettings(Section):
    """How long versions of the tables stay readable."""

    days: Annotated[int, Field(ge=7, le=36500)] | None = Field(
        None, description="None: for ever. A number gives older versions up with the next `lakehouse maintain`"
    )


class WatchSettings(Section):
    """When `lakehouse watch` runs, and where it tells how it is."""

    every_seconds: Annotated[float, Field(ge=1, le=86_400)] = Field(1800.0, description="Between two runs")
    delay_seconds: Annotated[float, Field(ge=0)] | None = Field(
        None, description="After each half-hour of the API's clock; None: a fifteenth of the interval"
    )
    jitter_seconds: Annotated[float, Field(ge=0)] | None = Field(
        None, description="At most so much later, by chance; None: a thirtieth of the interval"
    )
    maintain_hours: Annotated[float, Field(ge=0, le=LONGEST_HOURS)] = Field(
        24.0, description="Between two `maintain`; 0: never"
    )
    address: str = Field("127.0.0.1", description="Where /healthz, /readyz and /metrics are served")
    port: Annotated[int, Field(ge=0, le=65_535)] = Field(9810, description="0 picks a free one")

    @property
    def delay(self) -> float:
        """Seconds after each slot: the API needs a moment to publish."""
        return self.every_seconds / 15 if self.delay_seconds is None else self.delay_seconds

    @property
    def jitter(self) -> float:
        """The longest chance delay, in seconds: many who watch one API must not ask it at the same second."""
        return self.every_seconds / 30 if self.jitter_seconds is None else self.jitter_seconds

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.delay + self.jitter >= self.every_seconds:
            raise ValueError(
                f"watch.delay_seconds and watch.jitter_seconds are {self.delay + self.jitter:g} together, which is not "
                f"less than watch.every_seconds, {self.every_seconds:g}"
            )
        return self


class LineageSettings(Section):
    """Where OpenLineage events go."""

    transport: Literal["off", "file", "http"] = Field("off", description="Nowhere, to a file, or to a server")
    file: Path | None = Field(None, description="Gets a line of JSON for each event")
    url: str | None = Field(None, description="The server's address, without the path api/v1/lineage")
    api_key_file: Path | None = Field(None, description="Holds the key that the server wants")
    timeout_seconds: Annotated[float, Field(gt=0, le=60)] = Field(
        2.0, description="The longest that a run waits at its end for events that are on their way"
    )
    namespace: Annotated[str, Field(min_length=1)] = Field("carbon_lakehouse", description="Of the jobs")

    @model_validator(mode="after")
    def _has_a_place(self) -> Self:
        places = {"off": ("", True), "file": ("file", self.file), "http": ("url", self.url)}
        option, place = places[self.transport]
        if not place:
            raise ValueError(f"lineage.transport is {self.transport!r}, but lineage.{option} is not set; set it too")
        return self


class FreshnessTarget(Section):
    """How old a layer may be: the time since the end of the newest half-hour that it holds."""

    warn_after_hours: Annotated[float, Field(gt=0, le=LONGEST_HOURS)] | None = Field(
        None, description="None: as the layer before it"
    )
    fail_after_hours: Annotated[float, Field(gt=0, le=LONGEST_HOURS)] | None = Field(
        None, description="None: as the layer before it"
    )


class FreshnessSettings(Section):
    """The targets that `lakehouse status` holds ages against, layer by layer in the order in which data passes them."""

    bronze: FreshnessTarget = Field(
        FreshnessTarget(), description="None: 1.5 and 3 hours, which two and five missed runs of every half-hour break"
    )
    silver: FreshnessTarget = FreshnessTarget()
    gold: FreshnessTarget = FreshnessTarget()
    export: FreshnessTarget = FreshnessTarget()

    @property
    def targets(self) -> dict[str, tuple[timedelta, timedelta]]:
        """By layer after what age to warn and after what to fail, what is not set taken from the layer before."""
        warn, fail = 1.5, 3.0
        found = {}
        for layer in type(self).model_fields:
            own: FreshnessTarget = getattr(self, layer)
            warn, fail = own.warn_after_hours or warn, own.fail_after_hours or fail
            found[layer] = (timedelta(hours=warn), timedelta(hours=fail))
        return found

    @model_validator(mode="after")
    def _agree(self) -> Self:
        above: tuple[str, tuple[timedelta, timedelta]] | None = None
        for layer, (warn, fail) in self.targets.items():
            if warn >= fail:
                raise ValueError(
                    f"freshness.{layer} warns after {_hours(warn)} hours, which is not before it fails, after "
                    f"{_hours(fail)}"
                )
            if above and (warn < above[1][0] or fail < above[1][1]):
                name, (earlier_warn, earlier_fail) = above
                raise ValueError(
                    f"freshness.{layer} ({_hours(warn)} and {_hours(fail)} hours) is stricter than freshness.{name} "
                    f"({_hours(earlier_warn)} and {_hours(earlier_fail)}), which it is made of and cannot be newer than"
                )
            above = (layer, (warn, fail))
        return self


def _hours(length: timedelta) -> str:
    return f"{length / timedelta(hours=1):g}"


class HookSettings(Section):
    """Who is told when a run fails or data is late, and when that is over: a program or a webhook."""

    command: tuple[str, ...] = Field((), description="A program and its arguments; it reads the event as JSON")
    url: SecretStr | None = Field(None, description="The event is posted there as JSON")
    url_file: Path | None = Field(None, description="A file that holds the address, which often is a secret")
    token_file: Path | None = Field(None, description="A file that holds a bearer token")
    timeout_seconds: Annotated[float, Field(gt=0, le=30)] = Field(10.0, description="For each attempt")
    attempts: Annotated[int, Field(ge=1, le=5)] = 3

    @property
    def is_set(self) -> bool:
        """Whether there is anybody to tell."""
        return bool(self.command or self.url or self.url_file)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        named = {"command": self.command, "url": self.url, "url_file": self.url_file}
        given = [f"hook.{name}" for name, value in named.items() if value]
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)} each say who is told: give one of them")
        if self.token_file and not (self.url or self.url_file):
            raise ValueError("hook.token_file is for a webhook, but neither hook.url nor hook.url_file is set")
        return self


class LogSettings(Section):
    """The file that gets everything that is logged, as lines of JSON."""

    file: Path | None = Field(None, description="None: no file")
    max_mib: Annotated[float, Field(gt=0, le=100_000)] = Field(10.0, description="Then it is renamed to FILE.1")
    keep: Annotated[int, Field(ge=1, le=1000)] = Field(5, description="Renamed files, FILE.1 the newest")


class S3Settings(Section):
    """How an object store is reached, by Spark and without it. Credentials come by AWS' own chain, never from here."""

    endpoint: Annotated[str, Field(pattern=r"^https?://[^/\s@]+/?$")] | None = Field(
        None, description="http(s)://host:port of a store that is not AWS'; None: AWS_ENDPOINT_URL, else AWS itself"
    )
    region: str | None = Field(None, description="None: that of AWS' own variables and profile")
    path_style: bool | None = Field(
        None, description="endpoint/bucket in place of bucket.endpoint; None: where an endpoint is given"
    )
    ca_file: Path | None = Field(None, description="Certificates (PEM) that are trusted, too")
    lease_seconds: Annotated[float, Field(ge=5, le=3600)] = Field(
        60.0, description="After so long without a sign a writer is taken to be gone"
    )


class PostgresSettings(Section):
    """Where the daily table is published; no URL means the embedded server."""

    url: SecretStr | None = None
    owner_url: SecretStr | None = Field(None, description="For migrations; default: the same URL")
    password_file: Path | None = None
