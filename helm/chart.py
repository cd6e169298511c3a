"""Builds the chart: what is in `helm/waypost`, with what comes from elsewhere in the repository.

    files/                 rules, dashboards, jobs, alert routes, log pipeline: copied from `observability/`
    values.schema.json     completed with the settings of a gateway and of its plug-ins, from their types

So neither has a copy in Git, and a value that is no setting is refused before anything is installed.
Usage: `make chart`, or `python -m helm.chart FOLDER`, which writes the chart into FOLDER/waypost.
"""

import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

import observability
from helm.settings_schema import settings_schemas

SOURCE: Final = Path(__file__).parent / "waypost"
OBSERVABILITY: Final = Path(observability.__file__).parent
COPIED: Final[Mapping[str, str]] = {
    "prometheus/rules": "rules",
    "prometheus/prometheus.yml": "prometheus.yml",
    "alertmanager/alertmanager.yml": "alertmanager.yml",
    "grafana/dashboards": "dashboards",
    "loki/pipeline.alloy": "pipeline.alloy",
}
"""What the chart takes from `observability/`, with its names in the chart's folder `files`."""


def build(folder: Path) -> Path:
    """Writes the chart into `folder`/waypost, in place of one that is there; returns its path."""
    chart = folder / SOURCE.name
    shutil.rmtree(chart, ignore_errors=True)
    shutil.copytree(SOURCE, chart)
    (chart / "files").mkdir()
    for source, name in COPIED.items():
        path = OBSERVABILITY / source
        copy = shutil.copytree if path.is_dir() else shutil.copyfile
        copy(path, chart / "files" / name)
    schema = msgspec.json.decode((SOURCE / "values.schema.json").read_bytes())
    schema["$defs"] |= settings_schemas()
    (chart / "values.schema.json").write_bytes(msgspec.json.format(msgspec.json.encode(schema), indent=1))
    return chart


if __name__ == "__main__":
    sys.stdout.write(f"{build(Path(sys.argv[1]))}\n")
