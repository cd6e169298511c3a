"""Performs the steps of examples/backup-stdlib.yaml: scan, pack, verify, publish; each may be repeated.

Uses the standard library only. A step reads the file named in WAYPOST_INPUT (`params`, `shard`, `outputs` of
the steps it needs), works in WAYPOST_WORKSPACE, and writes its result as JSON to WAYPOST_OUTPUT.
"""

import hashlib
import json
import os
import pathlib
import sys
import tarfile
import time
from typing import Any

SKIPPED = {"__pycache__", "site-packages", "dist-packages"}


def source_files(root: pathlib.Path) -> list[str]:
    """Every file below `root`, as sorted relative paths, without installed packages and bytecode caches."""
    found: list[str] = []
    for folder, names, files in os.walk(root):
        names[:] = sorted(name for name in names if name not in SKIPPED)
        below = pathlib.Path(folder)
        found += [
            str((below / name).relative_to(root))
            for name in files
            if (below / name).is_file() and not (below / name).is_symlink()
        ]
    return sorted(found)


def digest(path: pathlib.Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def scan(task: dict[str, Any], _: pathlib.Path) -> dict[str, Any]:
    """Lists this shard's share of the files: every n-th of the sorted list."""
    shard = task["shard"]
    return {"files": source_files(pathlib.Path(task["params"]["source"]))[shard["index"] :: shard["count"]]}


def pack(task: dict[str, Any], workspace: pathlib.Path) -> dict[str, Any]:
    """Writes the files into an archive, with a manifest of checksums, on this region's disk."""
    root, files = pathlib.Path(task["params"]["source"]), task["outputs"]["scan"]["files"]
    archive = workspace / "archive.tar.gz"
    manifest = {}
    with tarfile.open(archive, "w:gz", compresslevel=6) as tar:
        for name in files:
            tar.add(root / name, arcname=name)
            manifest[name] = digest(root / name)
    (workspace / "manifest.json").write_text(json.dumps(manifest))
    time.sleep(float(task["params"].get("paceSeconds", 0)))
    print(f"packed {len(files)} files into {archive.stat().st_size} bytes", flush=True)
    return {"files": len(files), "bytes": archive.stat().st_size, "sha256": digest(archive)}


def verify(task: dict[str, Any], workspace: pathlib.Path) -> dict[str, Any]:
    """Reads the archive back and compares each member's checksum with the manifest."""
    manifest = json.loads((workspace / "manifest.json").read_text())
    with tarfile.open(workspace / "archive.tar.gz") as tar:
        for member in tar:
            content = tar.extractfile(member)
            if content is None or hashlib.file_digest(content, "sha256").hexdigest() != manifest.pop(
                member.name
            ):
                raise SystemExit(f"{member.name} does not match its checksum")
    time.sleep(float(task["params"].get("paceSeconds", 0)))
    if manifest:
        raise SystemExit(f"missing from the archive: {sorted(manifest)[:3]}")
    return {"verified": task["outputs"]["pack"]["files"]}


def publish(task: dict[str, Any], workspace: pathlib.Path) -> dict[str, Any]:
    """Copies archive and manifest to the target, each as a whole or not at all."""
    target = pathlib.Path(task["params"]["target"])
    target.mkdir(parents=True, exist_ok=True)
    stem = f"shard-{task['shard']['index']:02d}"
    for name, suffix in (("archive.tar.gz", ".tar.gz"), ("manifest.json", ".json")):
        partial = target / f".{stem}{suffix}.{os.environ['WAYPOST_EPOCH']}"
        partial.write_bytes((workspace / name).read_bytes())
        partial.replace(target / f"{stem}{suffix}")
    return {"archive": f"{stem}.tar.gz", "sha256": digest(target / f"{stem}.tar.gz")}


STEPS = {"scan": scan, "pack": pack, "verify": verify, "publish": publish}


def main() -> None:
    task = json.loads(pathlib.Path(os.environ["WAYPOST_INPUT"]).read_text())
    result = STEPS[sys.argv[1]](task, pathlib.Path(os.environ["WAYPOST_WORKSPACE"]))
    pathlib.Path(os.environ["WAYPOST_OUTPUT"]).write_text(json.dumps(result))


if __name__ == "__main__":
    main()
