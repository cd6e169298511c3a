"""Writes what is in the image as a CycloneDX document: Waypost, and the packages of `helm/image.lock`.

What the base of the image brings is its own maker's to say. The same lock gives the same document.
Usage: `python -m helm.sbom FILE`; `make image` writes dist/waypost.cdx.json.
"""

import re
import sys
import tomllib
import uuid
from pathlib import Path
from typing import Any, Final

import msgspec

ROOT: Final = Path(__file__).parent.parent
LOCK: Final = Path(__file__).parent / "image.lock"
PACKAGE: Final = re.compile(r"^(?P<name>[a-z0-9-]+)==(?P<version>[^\s\\]+)", re.MULTILINE)


def bill_of_materials() -> dict[str, Any]:
    """Returns the CycloneDX document. Each package is named as package registries know it (purl)."""
    text = LOCK.read_text()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    waypost = _component("application", project["name"], project["version"])
    packages = [_component("library", found["name"], found["version"]) for found in PACKAGE.finditer(text)]
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "serialNumber": uuid.uuid5(uuid.NAMESPACE_URL, waypost["purl"] + text).urn,
        "version": 1,
        "metadata": {"component": waypost | {"licenses": [{"license": {"id": project["license"]}}]}},
        "components": packages,
        "dependencies": [
            {"ref": waypost["bom-ref"], "dependsOn": [package["bom-ref"] for package in packages]}
        ],
    }


def _component(kind: str, name: str, version: str) -> dict[str, Any]:
    purl = f"pkg:pypi/{name}@{version}"
    return {"type": kind, "bom-ref": purl, "name": name, "version": version, "purl": purl}


if __name__ == "__main__":
    document = msgspec.json.format(msgspec.json.encode(bill_of_materials()), indent=1)
    Path(sys.argv[1]).write_bytes(document + b"\n")
