"""Makes the warning that `waypost up` prints if policy permits none of its regions to any tenant."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gateway.policy.bundle import DATA_FILE, SHIPPED_POLICIES
from gateway.settings_loading import load_settings


def nowhere_permitted(regions: Sequence[str], configuration: Path | None) -> str | None:
    """Returns a warning if the policy data permit none of `regions` to any tenant, so that runs would wait.

    Returns None if a region is permitted, or if the data do not have the form of the shipped rules' data:
    only custom rules know what such data permit.
    """
    policy = load_settings(configuration, os.environ).policy
    folder = Path(policy.folder) if policy.folder else SHIPPED_POLICIES
    path = Path(policy.data) if policy.data else folder / DATA_FILE
    try:
        data: Any = json.loads(path.read_text())
        permitted = {name for tenant in data["tenants"].values() for name in tenant["regions"]}
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return None
    if permitted.intersection(regions) or not regions:
        return None
    return (
        f"policy permits none of these regions to any tenant, so runs will wait: name them in {path}, "
        f"or start with --region {' --region '.join(sorted(permitted)) or 'NAME'}"
    )
