"""Debian packages of another architecture, fetched without touching this machine.

`apt-get` is given a state of its own (lists, cache and an empty list of installed packages), so
neither root nor `dpkg --add-architecture` is needed and nothing is installed. The machine's own
sources and keys in /etc/apt are used as they are.

Example:

    apt = Apt(Path("guests/.cache"), "i386")
    apt.update()
    package = apt.candidate("busybox-static")      # Package(name=..., version='1:1.35.0-4...')
    archive = apt.download(package)                # guests/.cache/debs/busybox-static_...deb
    apt.extract(archive, Path("unpacked"))
"""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path


class AptError(Exception):
    """Something the user can see to: no apt, no network, no such package."""


@dataclass(frozen=True)
class Package:
    """One version of one package."""

    name: str
    version: str
    depends: tuple[str, ...]


class Apt:
    """apt-get for one architecture, with everything it writes kept under one folder."""

    def __init__(self, cache: Path, architecture: str) -> None:
        for tool in ("apt-get", "apt-cache", "dpkg-deb"):
            if shutil.which(tool) is None:
                raise AptError(
                    f"{tool} is missing: the guests are Debian packages, and this machine has no "
                    "apt. Run `make guests` on Debian or Ubuntu and copy the guests/ folder here."
                )
        self.cache = cache.resolve()
        self.debs = self.cache / "debs"
        self.architecture = architecture
        for folder in (self.debs, self.cache / "lists/partial", self.cache / "archives/partial"):
            folder.mkdir(parents=True, exist_ok=True)
        (self.cache / "status").touch()

    def update(self) -> None:
        """Read the package lists. One list that fails does not stop the others."""
        self._run("apt-get", "--quiet=2", "update", check=False)

    def candidate(self, name: str) -> Package:
        """The version apt would install of the package, and what it depends on."""
        record = self._run("apt-cache", "--no-all-versions", "show", name, check=False)
        version = re.search(r"^Version: (\S+)$", record, re.MULTILINE)
        if version is None:
            raise AptError(
                f"apt knows no package {name} for {self.architecture}: is the network reachable, "
                "and do /etc/apt/sources.list and sources.list.d name a Debian bookworm mirror?"
            )
        depends = re.search(r"^Depends: (.+)$", record, re.MULTILINE)
        names = re.findall(r"(?:^|, )([a-z0-9.+-]+)", depends[1]) if depends else []
        return Package(name, version[1], tuple(names))

    def download(self, package: Package) -> Path:
        """Fetch the package's archive, unless it is in the cache already."""
        # apt writes the colon of an epoch as %3a in the file's name.
        version = package.version.replace(":", "%3a")
        archive = self.debs / f"{package.name}_{version}_{self.architecture}.deb"
        if not archive.exists():
            self._run("apt-get", "--quiet=2", "download", f"{package.name}={package.version}")
        if not archive.exists():
            raise AptError(f"apt-get download brought no {archive.name}")
        return archive

    def extract(self, archive: Path, folder: Path) -> None:
        """Unpack the archive's files under a folder."""
        self._run("dpkg-deb", "--extract", str(archive), str(folder))

    def _run(self, *command: str, check: bool = True) -> str:
        """Run one tool with our private state; its output, or what it complained about."""
        program, *arguments = command
        private = self._options() if program.startswith("apt") else []
        done = subprocess.run(
            [program, *private, *arguments], cwd=self.debs, text=True, capture_output=True
        )
        if check and done.returncode != 0:
            raise AptError(f"{program} failed: {done.stderr.strip()}")
        return done.stdout

    def _options(self) -> list[str]:
        settings = {
            "APT::Architecture": self.architecture,
            "APT::Architectures": self.architecture,
            "APT::Sandbox::User": "",  # do not hand files to the user _apt, who may not reach here
            "Dir::State": str(self.cache),
            "Dir::State::status": str(self.cache / "status"),
            "Dir::State::lists": str(self.cache / "lists"),
            "Dir::Cache": str(self.cache),
        }
        return [word for key, value in settings.items() for word in ("-o", f"{key}={value}")]
