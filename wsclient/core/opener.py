"""Opening: a connection to one of a client's addresses, and the session on it."""

import logging
from collections.abc import Callable, Sequence

from ..errors import TransportError, WSClientError
from .bounded import Abort
from .connect import Endpoint, Opened, open_socket
from .deflate import Deflater
from .session import Session
from .transport import Transport

logger = logging.getLogger("wsclient")


class Opener:
    """Connects. The event thread's.

    endpoints: where to, in this order; one that can't be had or didn't last comes after the others
    session_on: makes the session of an open transport
    """

    __slots__ = ("_endpoints", "_failed", "_session_on", "_warned", "endpoint")

    def __init__(self, endpoints: Sequence[Endpoint], session_on: Callable[[Transport, Opened], Session]) -> None:
        self._endpoints = list(endpoints)
        self._session_on = session_on
        self._failed: Endpoint | None = None  # the one whose last session ended before it proved healthy
        self._warned: list[str] = []
        self.endpoint = endpoints[0]
        """The one that is tried or used."""

    def open(self, attempt: Callable[[], Abort | None]) -> Session | WSClientError:
        """The session on the first that can be had; or why the last one can't.

        attempt: what ends each attempt at once; None if there is to be none
        """
        outcome: Session | WSClientError | None = None
        for endpoint in sorted(self._endpoints, key=lambda endpoint: endpoint is self._failed):
            abort = attempt()
            if abort is None:
                break
            self.endpoint = endpoint
            outcome = self._open(endpoint, abort)
            if isinstance(outcome, Session):
                return outcome
            if len(self._endpoints) > 1:
                logger.info("%s can't be had: %s", endpoint.safe_url, outcome)
        return outcome or TransportError("the attempt was ended")

    def lasted(self, proved: bool) -> None:
        """Whether the session that was opened last proved healthy before it ended."""
        self._failed = None if proved else self.endpoint

    def _open(self, endpoint: Endpoint, abort: Abort) -> Session | WSClientError:
        try:
            if endpoint.insecure_ssl and endpoint.secure:
                self._warn("insecure_ssl: any certificate is accepted from %s", endpoint)
            opened = open_socket(endpoint, abort)
            try:
                deflater = None if opened.compression is None else Deflater(opened.compression)
                transport = Transport(opened.socket, endpoint.timeout, deflater)
            except BaseException:
                opened.socket.close()
                raise
            return self._session_on(transport, opened)
        except WSClientError as error:
            return error
        except Exception as error:
            logger.exception("connecting failed in an unforeseen way")
            failure = TransportError(f"can't connect to {endpoint.safe_url}: {error}")
            failure.__cause__ = error
            return failure

    def warn_of_exposure(self) -> None:
        """Credentials are about to be sent."""
        endpoint = self.endpoint
        if not (endpoint.secure or endpoint.loopback):
            self._warn("credentials go over plain ws:// to %s: anyone on the way reads them", endpoint)

    def _warn(self, text: str, endpoint: Endpoint) -> None:
        """Once for each text."""
        if text not in self._warned:
            self._warned.append(text)
            logger.warning(text, endpoint.safe_url)
