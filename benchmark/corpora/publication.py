"""A data set that others published: where to get it, under which licence, and the digests of its files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmark.corpora.account import Account
from benchmark.corpora.capture_folder import Settings, file_digest, find_files
from benchmark.errors import CorpusError


@dataclass(frozen=True)
class PublicSettings(Settings):
    """digests: refuse a file whose SHA-256 isn't the published one, where that is known."""

    digests: bool = True


@dataclass(frozen=True)
class Publication:
    """What a loader knows of the data set that it reads.

    where: address of publication. licence: as stated by its authors. digests: SHA-256 by file name.
    """

    title: str
    where: str
    licence: str
    digests: Mapping[str, str] = field(default_factory=dict)

    def locate(self, settings: PublicSettings, root: Path, endings: tuple[str, ...]) -> tuple[Path, list[str]]:
        """Return the data's folder and the files in it that end so; one error says all that is needed to get them."""
        path = root / Path(settings.path).expanduser()
        if not settings.path:
            fault = "dataset.path isn't set"
        elif not path.is_dir():
            fault = f"{path}: there is no such folder"
        elif not (names := find_files(path, endings)):
            fault = f"{path}: no {', '.join(endings)} in this folder"
        else:
            return path, names
        raise CorpusError(
            f"{fault}. Get {self.title} from {self.where} (licence: {self.licence}), unpack it, and give its folder:"
            f" dataset.path=FOLDER. docs/corpora.md, section {settings.loader}, shows what the folder must hold"
        )

    def check(self, path: Path, names: list[str], settings: PublicSettings) -> dict[str, str]:
        """Return the SHA-256 of the files. Raises CorpusError for the first that was altered."""
        digests = {name: file_digest(path / name) for name in names}
        for name, found in digests.items():
            known = self.digests.get(Path(name).name, found)
            if settings.digests and found != known:
                raise CorpusError(
                    f"{path / name}: not the published file: its SHA-256 is {found}, that of {self.title} is {known};"
                    " dataset.digests=false takes it as it is"
                )
        return digests

    def remark(self, names: list[str], settings: PublicSettings, account: Account) -> None:
        """Account for the files that no digest speaks for."""
        unknown = [name for name in names if Path(name).name not in self.digests]
        if not settings.digests:
            account.remarks.append("digests: not checked (dataset.digests=false)")
        elif unknown:
            first = ", ".join(unknown[:2]) + ", …" * (len(unknown) > 2)
            account.remarks.append(f"digests: {len(unknown)} of {len(names)} files have none known: {first}")

    def notes(self) -> dict[str, Any]:
        """Return what a corpus's notes say of it."""
        return {"title": self.title, "published": self.where, "licence": self.licence}
