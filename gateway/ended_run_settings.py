"""The settings about runs that have ended: whom they are announced to, and how long they are kept."""

from typing import Annotated

from msgspec import Meta, Struct

from gateway.secret import Secret


class RetentionSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings of retention: what is archived and then deleted. By default nothing is."""

    archive: str | None = None
    """Path of the folder that records of ended runs and the audit trail are written to before they go.

    Needed where any are to be deleted. It holds documents and results; the gateway alone may read it.
    """
    runs_days: Annotated[float, Meta(ge=3)] | None = None
    """The days after its end for which a run is kept, at least 3, since its idempotency key lives so long.

    None: age deletes no run.
    """
    runs_maximum: Annotated[int, Meta(ge=1)] | None = None
    """The number of ended runs that are kept: beyond it the first to end are deleted, after 3 days.

    None: their number deletes no run.
    """
    archived_days: Annotated[float, Meta(ge=3)] | None = None
    """The days after its archiving for which `explain` says in which file a run is. None: for good."""
    audit_days: Annotated[float, Meta(ge=3)] | None = None
    """The days for which the audit trail is kept, at least 3, with the decisions behind it.

    Then it goes, once it is archived and that is sealed, which needs `audit.key`. None: age deletes nothing.
    """
    audit_maximum: Annotated[int, Meta(ge=1000)] | None = None
    """The number of sealed entries of the audit trail that are kept; the oldest go, like those of age.

    None: their number deletes nothing.
    """
    pass_seconds: Annotated[float, Meta(gt=0)] = 60.0
    """The pause between two looks for what is to be deleted."""

    @property
    def deletes_runs(self) -> bool:
        """Returns whether ended runs are to be deleted at some time."""
        return self.runs_days is not None or self.runs_maximum is not None

    @property
    def deletes_trail(self) -> bool:
        """Returns whether entries of the audit trail are to be deleted at some time."""
        return self.audit_days is not None or self.audit_maximum is not None


class NotificationSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings of notifications. By default there are none: documents with `spec.notify` are refused."""

    egress: tuple[str, ...] = ()
    """The hosts that may be notified: names, `*.` and a name, addresses or networks, with `:PORT` if need be.

    What a name resolves to must be public, or in a listed network: nothing leads to the gateway's network.
    """
    key: Secret | None = None
    """The secret that messages are signed with (HMAC-SHA256): `whsec_` and base64, or any text.

    Needed where hosts are listed. Receivers check it as Standard Webhooks says.
    """
    seconds: Annotated[float, Meta(gt=0, le=60)] = 10.0
    """The time limit of one try."""
    tries: Annotated[int, Meta(ge=1, le=30)] = 10
    """The tries after which a message is given up; with the pauses below some nine hours."""
    pause_seconds: Annotated[float, Meta(gt=0)] = 30.0
    """The pause after the first try; each is twice as long as the one before, six hours at most."""
