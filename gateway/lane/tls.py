"""TLS over a plain transport of the loop: what was received and not read yet, and what is not sent yet, can be seen.

The loop's own reads on while it is told to pause, drops what it has read when the peer hangs up, and says nothing of
either; a connection that is used again by others must not have such corners.
"""

from __future__ import annotations

import asyncio
import os
import ssl
import sys
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from gateway.lane.records import LAST_SECONDS, MAX_EMPTY, MAX_UNASKED, RECORDS_AT_ONCE, Records

_AT_ONCE = 65536
_RECORD = 16384


class TlsTransport(asyncio.Protocol, asyncio.Transport):
    """The protocol of a plain transport, and the transport of the protocol that `new` makes after the handshake."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        context: ssl.SSLContext,
        new: Callable[[], asyncio.Protocol],
        *,
        name: str | None = None,
        server_side: bool = False,
    ) -> None:
        self._loop = loop
        self._new = new
        self._incoming: Any = ssl.MemoryBIO()
        self._outgoing: Any = ssl.MemoryBIO()
        self._tls: Any = context.wrap_bio(self._incoming, self._outgoing, server_side=server_side, server_hostname=name)
        self._records = Records()
        self._unread = b""
        self._empty, self._at_once = 0, RECORDS_AT_ONCE
        self._shaken: asyncio.Future[Any] = loop.create_future()
        self._raw: Any = None
        self._protocol: Any = None
        self._unsent: deque[memoryview] = deque()
        self._unasked = 0
        self._takes_more = True
        self._is_told_so = True
        self._paused = self._said_all = self._over = False
        self._error: Exception | None = None

    async def handshake(self) -> Any:
        """Wait for the handshake, and give the protocol; raises `OSError`, `ssl.CertificateError`."""
        try:
            return await self._shaken
        except BaseException:
            self._over = True
            self._raw.close()
            raise

    @property
    def is_between_records(self) -> bool:
        """Whether all that was received was read, and ended with a record."""
        is_read = not self._unread and not self._incoming.pending and not self._tls.pending()
        return is_read and self._records.is_between

    def read_now(self) -> None:
        """Read what lies in the socket: a ticket is no answer that nobody asked for (RFC 8446 4.6.1)."""
        with suppress(OSError):
            self.data_received(os.read(self._raw.get_extra_info("socket").fileno(), _AT_ONCE))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin the handshake."""
        self._raw = transport
        self._shake()

    def data_received(self, data: bytes) -> None:
        """Decrypt what the other one sends, as far as it is wanted."""
        if not self._over and not self._said_all:
            self._unread += data
            self._take_turn(self._at_once)

    def eof_received(self) -> bool:
        """Keep the other direction where that is wanted; without a closure alert the connection is cut off."""
        if self._said_all and not self._over:
            return True
        self._loop.call_later(LAST_SECONDS, self._raw.abort)
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Hand on what is there, and then that no more will come."""
        if not self._shaken.done():
            self._shaken.set_exception(exc or ConnectionAbortedError("it hung up in the TLS handshake"))
        if self._protocol is None:
            return
        self._paused, self._at_once = False, sys.maxsize
        try:
            self._take_turn(self._at_once)
        finally:
            self._protocol.connection_lost(exc or self._error)
            self._over = True
            # All this refers to itself, and would stay until somebody looks for such circles.
            self._protocol = self._tls = self._incoming = self._outgoing = None
            self._shaken = self._loop.create_future()
            self._unsent.clear()

    def pause_writing(self) -> None:
        """Take note that the other one is slow."""
        self._takes_more = False
        self._tell_whether_writable()

    def resume_writing(self) -> None:
        """Take note that it has caught up."""
        self._takes_more = True
        self._unasked = 0
        self._tell_whether_writable()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Tell of the TLS, and else what the plain transport tells."""
        return self._tls if name == "ssl_object" else self._raw.get_extra_info(name, default)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Speak to another one from now on."""
        self._protocol = protocol

    def is_closing(self) -> bool:
        """Tell whether nothing more will be sent."""
        return self._over or bool(self._raw.is_closing())

    def pause_reading(self) -> None:
        """Read nothing more, of the socket neither; at the end there is no later."""
        self._paused = self._at_once == RECORDS_AT_ONCE
        if not self.is_closing():
            self._raw.pause_reading()

    def resume_reading(self) -> None:
        """Read on, after the one that says so has come to its end."""
        if self._paused:
            self._paused = False
            self._loop.call_soon(self._read_on)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send octets."""
        if data and not self.is_closing():
            self._unsent.append(memoryview(data))
            self._encrypt()

    def get_write_buffer_size(self) -> int:
        """Count the octets that the system has not taken yet."""
        return int(self._raw.get_write_buffer_size()) + sum(map(len, self._unsent))

    def can_write_eof(self) -> bool:
        """Tell that to end one direction alone is not offered."""
        return False

    def close(self) -> None:
        """Send what is unsent and that it is all; wait for the other one's end, lest a reset overtake that.

        Whoever closes has to abort after a while.
        """
        if self.is_closing():
            return
        self._over = True
        with suppress(ssl.SSLError):
            self._tls.unwrap()
        self._flush()
        if self._said_all:
            self._raw.close()
        else:
            self._raw.write_eof()
            self._raw.resume_reading()

    def abort(self) -> None:
        """Hang up without a word."""
        self._over = True
        self._raw.abort()

    def _shake(self) -> None:
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self._flush()
            return
        except (OSError, ssl.CertificateError) as error:
            self._flush()
            self._over = True
            if not self._shaken.done():
                self._shaken.set_exception(error)
            return
        self._flush()
        if self._shaken.done():
            return
        self._protocol = self._new()
        self._shaken.set_result(self._protocol)
        self._protocol.connection_made(self)
        self._read()

    @property
    def _reads_on(self) -> bool:
        return not self._paused and not self._over and not self._said_all

    def _take_turn(self, records: int) -> None:
        """Decrypt what has come, but for what is more than so many records: others have their turn before that."""
        if self._protocol is not None:
            self._read()
        while self._unread and records > 0 and self._reads_on:
            octets, ended = self._records.follow(memoryview(self._unread)[:_RECORD], records)
            self._incoming.write(self._unread[:octets])
            self._unread = self._unread[octets:]
            records -= ended
            if self._protocol is None:
                self._shake()
            elif self._read():
                self._empty = 0
            else:
                self._empty += ended
            if self._empty > MAX_EMPTY:
                self.abort()
        if self._unread and self._reads_on:
            self._raw.pause_reading()
            self._loop.call_soon(self._read_on)

    def _read(self) -> bool:
        """Hand on what is decrypted; tells whether there was any."""
        has_brought = False
        while self._reads_on:
            try:
                data = self._tls.read(_RECORD)
            except ssl.SSLWantReadError:
                break
            except ssl.SSLZeroReturnError:
                data = b""
            except OSError as error:
                self._fail(error)
                return has_brought
            has_brought = True
            if data:
                self._protocol.data_received(data)
            else:
                self._end()
        self._after_reading()
        return has_brought

    def _end(self) -> None:
        self._said_all = True
        if not self._protocol.eof_received():
            self.close()

    def _after_reading(self) -> None:
        """Send what TLS has to say, and what had to wait for it."""
        if not self._takes_more:
            self._unasked += self._outgoing.pending
        if self._unasked > MAX_UNASKED:
            self.abort()
        elif self._unsent and not self._over:
            self._encrypt()
        else:
            self._flush()

    def _read_on(self) -> None:
        if not self.is_closing():
            self._take_turn(self._at_once)
        if self._reads_on and not self._unread and not self.is_closing():
            self._raw.resume_reading()

    def _encrypt(self) -> None:
        with suppress(ssl.SSLWantReadError):  # In the middle of a renegotiation (RFC 5246 7.4.1.1).
            while self._unsent:
                data = self._unsent[0]
                sent = self._tls.write(data[:_RECORD])
                self._flush()
                if sent < len(data):
                    self._unsent[0] = data[sent:]
                else:
                    self._unsent.popleft()
        self._flush()
        self._tell_whether_writable()

    def _flush(self) -> None:
        data = self._outgoing.read()
        if data and not self._raw.is_closing():
            self._raw.write(data)

    def _tell_whether_writable(self) -> None:
        takes_more = self._takes_more and not self._unsent
        if takes_more != self._is_told_so and self._protocol is not None:
            self._is_told_so = takes_more
            if takes_more:
                self._protocol.resume_writing()
            else:
                self._protocol.pause_writing()

    def _fail(self, error: Exception) -> None:
        self._error = error
        self._flush()
        self._over = True
        self._raw.close()
        self._loop.call_later(LAST_SECONDS, self._raw.abort)
