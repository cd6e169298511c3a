"""Builds what authenticates callers, from the issuers in the settings and the one of development."""

from pathlib import Path

from loguru import logger

from gateway.identity.development_issuer import DEVELOPMENT_ISSUER, development_issuer
from gateway.identity.issuer_checks import InvalidIssuer, check_issuers
from gateway.identity.jwt_verification import JwtAuthenticator
from gateway.settings import GatewaySettings
from gateway.start_error import StartError


def issuers_authenticator(settings: GatewaySettings) -> JwtAuthenticator:
    """Returns the authenticator of all issuers that are trusted; raises `StartError` for a wrong one."""
    issuers = settings.issuers
    # Its keys are on this machine's disk: it is switched on by a setting of its own, never by a line among
    # others.
    if any(issuer.url == DEVELOPMENT_ISSUER for issuer in issuers):
        raise StartError(
            "the development issuer is no ordinary one: start the gateway with --dev, or take it off the list"
        )
    if settings.development is not None:
        logger.warning(
            "development tokens are accepted: whoever can read {} can be anybody", settings.development
        )
        issuers = (*issuers, development_issuer(Path(settings.development)))
    if not issuers:
        logger.warning("no issuer is set: nobody can call")
    try:
        check_issuers(issuers)
    except InvalidIssuer as error:
        raise StartError(str(error)) from error
    return JwtAuthenticator(issuers)
