"""Debian packages of another architecture, fetched without touching this machine.

`apt-get` is given a state of its own (lists, cache and an empty list of installed packages), so
neither root nor `dpkg --add-architecture` is needed and nothing is installed. The machine's own
sources and keys in /etc/apt are used as they are.

Example:

    apt = Apt(Path("guests/.cache"), "i386")
    apt.update()
    package = apt.resolve("busybox-static")["busybox-static"]  # Package(..., '1:1.35.0-4...')
    [archive] = apt.download(package)              # guests/.cache/debs/busybox-static_...deb
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
    architecture: str

    @property
    def file_name(self) -> str:
        """What apt calls its archive: the colon of an epoch is written as %3a."""
        return f"{self.name}_{self.version.replace(':', '%3a')}_{self.architecture}.deb"

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


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

    def resolve(self, name: str) -> dict[str, Package]:
        """What apt would install on an empty system for a package: that one and all it needs."""
        simulate = ("--no-install-recommends", "--simulate", "install", name)
        plan = self._run("apt-get", "--quiet=2", *simulate, check=False)
        lines = re.findall(r"^Inst (\S+) \((\S+) .*\[(\w+)\]\)", plan, re.MULTILINE)
        if not lines:
            raise AptError(
                f"apt knows no package {name} for {self.architecture}: is the network reachable, "
                "and do /etc/apt/sources.list and sources.list.d name a Debian bookworm mirror?"
            )
        return {line[0]: Package(*line) for line in lines}

    def download(self, *packages: Package) -> list[Path]:
        """Fetch the packages' archives, those that are not in the cache already."""
        archives = [self.debs / package.file_name for package in packages]
        pairs = zip(packages, archives, strict=True)
        missing = [f"{each.name}={each.version}" for each, path in pairs if not path.exists()]
        if missing:
            self._run("apt-get", "--quiet=2", "download", *missing)
        for archive in archives:
            if not archive.exists():
                raise AptError(f"apt-get download brought no {archive.name}")
        return archives

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
