"""The other end for conformance_test.py: connections of Python's `websockets` (its protocol, without its I/O) on plain
sockets, frames that the library would not send, and the toolkit's programs.

The names are those of websockets 10, which Debian 12 has.
"""

import atexit
import contextlib
import functools
import os
import socket
import subprocess
import zlib

from websockets.client import ClientConnection
from websockets.frames import DATA_OPCODES, Frame, Opcode
from websockets.server import ServerConnection
from websockets.uri import parse_uri

PROGRAM = os.environ.get("TOOLKIT_PEER", "toolkit_peer")
MAX_SIZE = 64 << 20


class AnyFrame(Frame):
    """A frame without the library's own checks."""

    def check(self):
        pass


def frame(opcode, payload=b"", mask=True, **bits):
    """A frame's bytes; `bits` are fin, rsv1, rsv2 and rsv3."""
    return AnyFrame(opcode, payload, **bits).serialize(mask=mask)


def deflated(data, mode=zlib.Z_SYNC_FLUSH):
    """A message's payload (RFC 7692 section 7.2.1); with Z_FINISH a last block alone."""
    compressor = zlib.compressobj(wbits=-15)
    payload = compressor.compress(data) + compressor.flush(mode)
    return payload[:-4] if mode == zlib.Z_SYNC_FLUSH else payload


class Peer:
    """A connection and its socket. `told` is what the other end has said: texts, bytes, pongs, and last the code of its
    Close; 1006 when there was none."""

    def __init__(self, stream, connection):
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.stream, self.connection = stream, connection
        self.told, self.raw, self.open = [], bytearray(), True
        self.handshake = None  # the other end's
        self.kind, self.parts = None, []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stream.close()

    def write(self, *pieces):
        """What the library has to send, then these bytes as they are."""
        try:
            for piece in (*self.connection.data_to_send(), *pieces):
                if piece:
                    self.stream.sendall(piece)
                else:
                    self.stream.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # the other end is gone; what it said before is still to be read

    def read(self):
        try:
            data = self.stream.recv(1 << 20)
        except ConnectionResetError:
            data = b""
        self.raw += data
        self.connection.receive_data(data) if data else self.connection.receive_eof()
        for event in self.connection.events_received():
            self._take(event)
        self.write()
        if not data:
            self._end()

    def until(self, count):
        """`told`, once it has so many entries or the connection has ended."""
        while self.open and len(self.told) < count:
            self.read()
        return self.told

    def until_end(self):
        return self.until(float("inf"))

    def until_handshake(self):
        while self.handshake is None:
            self.read()
        return self.handshake

    def _take(self, event):
        if not isinstance(event, Frame):
            self.handshake = event
        elif event.opcode is Opcode.PONG:
            self.told.append("pong " + event.data.decode())
        elif event.opcode in DATA_OPCODES:
            self.kind = self.kind or event.opcode
            self.parts.append(event.data)
            if event.fin:
                data = b"".join(self.parts)
                self.told.append(data.decode() if self.kind is Opcode.TEXT else data)
                self.kind, self.parts = None, []

    def _end(self):
        self.open = False
        broken = self.connection.parser_exc
        if broken and not isinstance(broken, EOFError):
            self.told.append(f"refused by websockets: {broken}")
        self.told.append(self.connection.close_code)


class Server:
    """`toolkit_peer serve ...`, started when it is first needed."""

    def __init__(self, *arguments):
        self.arguments = arguments

    @functools.cached_property
    def port(self):
        process = subprocess.Popen([PROGRAM, "serve", *self.arguments], stdout=subprocess.PIPE, text=True)
        atexit.register(process.wait)
        atexit.register(process.kill)
        return int(process.stdout.readline().rpartition(":")[2])

    def connect(self, edit=None, **options):
        """A client, once the server has answered its request; `edit` may change the request."""
        connection = ClientConnection(parse_uri(f"ws://127.0.0.1:{self.port}/"), max_size=MAX_SIZE, **options)
        peer = Peer(socket.create_connection(("127.0.0.1", self.port)), connection)
        request = connection.connect()
        if edit:
            edit(request)
        connection.send_request(request)
        peer.write()
        peer.until_handshake()
        return peer


@contextlib.contextmanager
def connected(edit=None):
    """`toolkit_peer connect`, and the peer that has answered it; `edit` may change the response."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"ws://127.0.0.1:{listener.getsockname()[1]}/path?query"
        with subprocess.Popen([PROGRAM, "connect", url], stdout=subprocess.PIPE, text=True) as client:
            try:
                with Peer(listener.accept()[0], ServerConnection(max_size=MAX_SIZE)) as peer:
                    response = peer.connection.accept(peer.until_handshake())
                    if edit:
                        edit(response)
                    peer.connection.send_response(response)
                    peer.write()
                    yield client, peer
            finally:
                client.kill()
