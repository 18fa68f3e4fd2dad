"""Settings: flag > environment > ``conf/<env>.toml`` > ``conf/base.toml`` > default.

The one module that reads the environment. Unknown keys are refused wherever they come from; secrets come from
the environment or a file only, and never show in a ``repr``.
"""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any, ClassVar, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from lakehouse import resources
from lakehouse.errors import UsageError
from lakehouse.settings import certificates, object_store, roots
from lakehouse.settings.sections import (
    ApiSettings,
    FetchSettings,
    FreshnessSettings,
    HookSettings,
    LineageSettings,
    LogSettings,
    PostgresSettings,
    QualitySettings,
    RetentionSettings,
    S3Settings,
    WatchSettings,
)

PREFIX = "LAKEHOUSE_"
SECRETS = ("postgres.url", "postgres.owner_url", "hook.url")


class Settings(BaseSettings):
    """Everything that can be set, checked."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter="__", extra="forbid", frozen=True, hide_input_in_errors=True
    )
    toml: ClassVar[Sequence[TomlConfigSettingsSource]] = ()

    env: str = "local"
    root: str = "data/lake"
    s3: S3Settings = S3Settings()
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
        return not object_store.is_in_one(self.root)

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
    settings = settings.model_copy(update={"root": root})
    if not settings.is_local:
        object_store.use(settings.s3, os.environ)
        if settings.s3.ca_file is not None:
            set_variable(certificates.VARIABLE, str(certificates.bundle(settings.s3.ca_file)))
    return settings


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
