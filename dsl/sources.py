"""The sources of rows: `data.train`, `validation`, `test` and `mix`, one class for each `type`.

Sources of data.train may have a weight, those of data.mix have a share.
"""

from __future__ import annotations

from dataclasses import dataclass, fields


@dataclass(frozen=True, slots=True)
class Columns:
    id: str | None
    system: str | None
    messages: str | None
    conversations: str | None
    tools: str | None
    prompt: str | None
    completion: str | None
    instruction: str | None
    input: str | None
    output: str | None
    history: str | None
    chosen: str | None
    rejected: str | None
    text: str | None
    label: str | None

    def given(self) -> dict[str, str]:
        """Role → column, for the columns that the recipe names."""
        named = {field.name: getattr(self, field.name) for field in fields(self)}
        return {role: column for role, column in named.items() if column is not None}


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret by the environment variable that holds it; its value never stands in a recipe."""

    env: str


@dataclass(frozen=True, slots=True)
class FileSource:
    """`path` is a file, a folder or a pattern."""

    type: str
    format: str
    columns: Columns
    path: str

    @property
    def name(self) -> str:
        return self.path


@dataclass(frozen=True, slots=True)
class HubSource:
    type: str
    format: str
    columns: Columns
    dataset: str
    config: str | None
    split: str
    revision: str | None
    token: Secret | None

    @property
    def name(self) -> str:
        return "/".join(filter(None, (self.dataset, self.config, self.split)))


@dataclass(frozen=True, slots=True)
class DatabaseSource:
    type: str
    format: str
    columns: Columns
    path: str
    query: str

    @property
    def name(self) -> str:
        return self.path


@dataclass(frozen=True, slots=True)
class TrainFile(FileSource):
    weight: float | None


@dataclass(frozen=True, slots=True)
class TrainHub(HubSource):
    weight: float | None


@dataclass(frozen=True, slots=True)
class TrainDatabase(DatabaseSource):
    weight: float | None


@dataclass(frozen=True, slots=True)
class MixFile(FileSource):
    share: float
    repeat: bool


@dataclass(frozen=True, slots=True)
class MixHub(HubSource):
    share: float
    repeat: bool


@dataclass(frozen=True, slots=True)
class MixDatabase(DatabaseSource):
    share: float
    repeat: bool


Source = FileSource | HubSource | DatabaseSource
TrainSource = TrainFile | TrainHub | TrainDatabase
MixSource = MixFile | MixHub | MixDatabase
