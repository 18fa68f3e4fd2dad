"""Settings: flag > environment > ``conf/<env>.toml`` > ``conf/base.toml`` > default.

The one module that reads the environment. Unknown keys are refused wherever they come from; secrets come from
the environment or a file only, and never show in a ``repr``.
"""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from threading import Lock
from typing import Annotated, Any, ClassVar, Literal, Self, get_origin

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from lakehouse import __version__, resources, roots
from lakehouse.errors import UsageError

PREFIX = "LAKEHOUSE_"
PUBLIC_API = "https://api.carbonintensity.org.uk"
SECRETS = ("postgres.url", "postgres.owner_url", "hook.url")
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


class PostgresSettings(Section):
    """Where the daily table is published; no URL means the embedded server."""

    url: SecretStr | None = None
    owner_url: SecretStr | None = Field(None, description="For migrations; default: the same URL")
    password_file: Path | None = None


class Settings(BaseSettings):
    """Everything that can be set, checked."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter="__", extra="forbid", frozen=True, hide_input_in_errors=True
    )
    toml: ClassVar[Sequence[TomlConfigSettingsSource]] = ()

    env: str = "local"
    root: str = "data/lake"
    api: ApiSettings = ApiSettings()
    fetch: FetchSettings = FetchSettings()
    quality: QualitySettings = QualitySettings()
    retention: RetentionSettings = RetentionSettings()
    watch: WatchSettings = WatchSettings()
    freshness: FreshnessSettings = FreshnessSettings()
    hook: HookSettings = HookSettings()
    log: LogSettings = LogSettings()
    postgres: PostgresSettings = PostgresSettings()
    lineage: LineageSettings = LineageSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Flags, then the environment, then the TOML files, the environment's own first."""
        return init_settings, env_settings, *cls.toml

    @property
    def is_local(self) -> bool:
        """Whether the lake stands on this machine's file system."""
        return "://" not in self.root

    def path(self, *parts: str) -> str:
        """A place under the lake's root, as Spark and delta-rs take it."""
        return "/".join((self.root.rstrip("/"), *parts))

    @property
    def embedded_data(self) -> Path:
        """Where the embedded PostgreSQL keeps its data."""
        return self.beside(".postgres")

    def beside(self, ending: str) -> Path:
        """A place on this machine beside the root, named after it; of an object store, beside ``data/lake``."""
        lake = Path(self.root) if self.is_local else Path("data/lake").absolute()
        return lake.with_name(lake.name + ending)


def load(overrides: Mapping[str, Any] | None = None) -> Settings:
    """The settings of this process; ``overrides`` are the flags that were given.

    Raises:
        UsageError: an unknown key, a wrong value, a missing ``conf/<env>.toml`` or a secret inside ``conf/``.
    """
    flags = dict(overrides or {})
    env = str(flags.get("env") or os.environ.get(PREFIX + "ENV") or "local")
    conf = resources.path("conf")
    own = conf / f"{env}.toml"
    if not own.is_file():
        known = ", ".join(sorted(file.stem for file in conf.glob("*.toml") if file.stem != "base"))
        raise UsageError(f"LAKEHOUSE_ENV is {env!r}, but {own} does not exist; known: {known}.")

    sources = {file: _toml_source(file) for file in (own, conf / "base.toml")}
    files = {file: source.toml_data for file, source in sources.items()}

    class _Layered(Settings):
        toml: ClassVar[Sequence[TomlConfigSettingsSource]] = tuple(sources.values())

    _refuse_wrong_variables()
    for file, values in files.items():
        _refuse_secrets(file, values)
    try:
        settings = _Layered(**{**flags, "env": env})
    except ValidationError as error:
        raise UsageError(_sentence(error, flags, files)) from None
    root = roots.checked(settings.root, _origin(("root",), flags, files))
    return settings.model_copy(update={"root": root})


def environment() -> Mapping[str, str]:
    """The process environment, for the few places that must hand it on (JDK, libpq)."""
    return os.environ


_hiding = Lock()


@contextmanager
def without_variables(prefix: str) -> Iterator[None]:
    """Hide the variables of this prefix from the C libraries of this process; one block at a time."""
    with _hiding:
        hidden = {name: value for name, value in os.environ.items() if name.startswith(prefix)}
        for name in hidden:
            os.unsetenv(name)
        try:
            yield
        finally:
            for name, value in hidden.items():
                os.putenv(name, value)


def set_variable(name: str, value: str) -> None:
    """Set a variable for this process and those that it starts (the JVM), while no other thread is at work.

    A thread that reads C's environment (to look a host up, say) while another one adds to it can end the process:
    glibc guards nothing there.
    """
    os.environ[name] = value


def take_variable(name: str) -> str | None:
    """The value of a variable that is meant for this process alone; those that it starts do not see it."""
    return os.environ.pop(name, None)


@contextmanager
def variables(more: Mapping[str, str]) -> Iterator[None]:
    """These variables beside the others, for a process that Python starts meanwhile; C's environment stays as it is."""
    before = os.environ
    os.environ = {**before, **more}  # type: ignore[assignment]  # noqa: B003 (C's is to stay as it is)
    try:
        yield
    finally:
        os.environ = before  # noqa: B003 (which it never left)


def _toml_source(file: Path) -> TomlConfigSettingsSource:
    try:
        return TomlConfigSettingsSource(Settings, file)
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}.") from None
    except ValueError as error:  # also of a file that is no UTF-8
        raise UsageError(f"{file} is not valid TOML: {error}.") from None


def _refuse_wrong_variables() -> None:
    """Refuse a variable that is no setting, and a list or a section that is no JSON."""
    for name, value in os.environ.items():
        if not name.upper().startswith(PREFIX):
            continue
        kind: Any = Settings
        for part in name.upper().removeprefix(PREFIX).lower().split("__"):
            field = kind.model_fields.get(part) if _is_section(kind) else None
            if field is None:
                raise UsageError(f"The environment variable {name} is not a setting; see the README's list.")
            kind = field.annotation
        if get_origin(kind) is tuple and not _is_json(value):
            listed = json.dumps([part.strip() for part in value.split(",") if part.strip()])
            raise UsageError(f"The environment variable {name} is not a JSON list: write {name}='{listed}'.")
        if _is_section(kind) and not _is_json(value):
            raise UsageError(f"The environment variable {name} is not JSON: set {name}__... for each setting instead.")


def _is_section(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _refuse_secrets(file: Path, values: Mapping[str, Any]) -> None:
    for secret in SECRETS:
        section, key = secret.split(".")
        text = str(values.get(section, {}).get(key, ""))
        if ":" in text.partition("://")[2].partition("@")[0]:
            variable = f"{PREFIX}{section.upper()}__{key.upper()}"
            raise UsageError(f"{secret} in {file} holds a password; put it into {variable} instead.")


def _sentence(error: ValidationError, flags: Mapping[str, Any], files: Mapping[Path, Mapping[str, Any]]) -> str:
    """Which setting, what said so, and what it should be; never the value of a secret."""
    first = error.errors(include_url=False)[0]
    names = tuple(part for part in first["loc"] if isinstance(part, str))
    key, origin = ".".join(names), _origin(names, flags, files)
    if first["type"] == "extra_forbidden":
        return f"The setting {key} does not exist, but {origin} has it; see the README's list."
    if first["type"] == "value_error":  # settings that contradict each other, said whole
        return f"{first['msg'].removeprefix('Value error, ')}; correct {origin}."
    wanted = first["msg"].replace("Input should", "it should").split(", unable")[0]
    given = "" if names[:1] in (("postgres",), ("hook",)) else f", not {first['input']!r}"
    return f"The setting {key} is wrong in {origin}: {wanted}{given}."


def _origin(names: Sequence[str], flags: Mapping[str, Any], files: Mapping[Path, Mapping[str, Any]]) -> str:
    """What says the setting of these names: a flag, a variable or a file."""
    if _says(flags, names):
        return "the command line"
    variables = {name.upper(): name for name in os.environ}
    for depth in range(len(names), 0, -1):
        variable = (PREFIX + "__".join(names[:depth])).upper()
        if variable in variables:
            return f"the environment variable {variables[variable]}"
    section = (PREFIX + "__".join(names) + "__").upper()
    if inside := next((variables[name] for name in sorted(variables) if name.startswith(section)), None):
        return f"the environment variable {inside}"
    return next((str(file) for file, values in files.items() if _says(values, names)), "its default")


def _says(values: Any, names: Sequence[str]) -> bool:
    for name in names:
        if not isinstance(values, Mapping) or name not in values:
            return False
        values = values[name]
    return True
