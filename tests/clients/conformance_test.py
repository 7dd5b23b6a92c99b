#!/usr/bin/env python3
"""RFC 6455 and RFC 7692, case by case: Python's `websockets` and hand-made frames against the toolkit's server and
client, as conformance_test.mjs has it with Node's ws. The cases are a column of the table in docs/conformance.md, which
must be what is run here; UPDATE_DOCS=1 writes it.

Wants Debian's interpreter, /usr/bin/python3, and the environment variables TOOLKIT_PEER, the program's path, and
CONFORMANCE_DOCS, the page's.
"""

import functools
import itertools
import os
import signal
import socket
import struct
import sys
import zlib

from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory as Deflate

import conformance_page
from conformance_peer import Server, connected, deflated, frame

PATIENCE = 20  # seconds, for one case
SIZES = (0, 125, 126, 65535, 65536, 16 << 20)
CONT, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
MASK = bytes(4)
WORD = "κόσμε 😀".encode()
LONG = "compressible " * 500

plain = Server()
deflating = Server("deflate")
bare = functools.partial(frame, mask=False)  # as a server must send it
cases = []


def case(section, name, wanted, probe, *arguments):
    """Holds when the probe returns what is wanted."""
    cases.append((section, name, wanted, functools.partial(probe, *arguments)))


def close(code, reason=b""):
    return struct.pack("!H", code) + reason


# --- the server, seen by a client on websockets


def told(pieces, count=1, server=plain, extensions=None):
    """What a new connection that sends these bytes is told, until `count` events or its end."""
    with server.connect(extensions=extensions) as peer:
        for piece in pieces if isinstance(pieces, list) else [pieces]:
            peer.write(piece)
        return peer.until(count)


def payload_of(size, binary):
    return os.urandom(size) if binary else b"x" * size


def echoes(size, binary, server=plain, extensions=None):
    data = payload_of(size, binary)
    with server.connect(extensions=extensions) as peer:
        (peer.connection.send_binary if binary else peer.connection.send_text)(data)
        peer.write()
        return peer.until(1) == [data if binary else data.decode()]


def lengths():
    for size, binary in itertools.product(SIZES, (False, True)):
        case("6455 5.2", f"a {'binary' if binary else 'text'} message of {size} bytes", True, echoes, size, binary)
    case("6455 5.2", "a length that is not in its shortest form", [1002],
         told, b"\x81\xfe" + struct.pack("!H", 5) + MASK + b"hello")
    case("6455 5.2", "a 64-bit length that is not in its shortest form", [1002],
         told, b"\x81\xff" + struct.pack("!Q", 65535) + MASK + b"x" * 65535)
    case("6455 5.2", "a length of 2^63: too large", [1009], told, b"\x82\xff" + struct.pack("!Q", 1 << 63) + MASK)
    case("6455 5.2", "a message beyond the limit", [1009], told, b"\x82\xff" + struct.pack("!Q", 18 << 20) + MASK)


def headers():
    for bit in (1, 2, 3):
        case("6455 5.2", f"reserved bit {bit}", [1002], told, frame(TEXT, b"a", **{f"rsv{bit}": True}))
        case("6455 5.2", f"reserved bit {bit} of a continuation", [1002],
             told, [frame(TEXT, b"a", fin=False), frame(CONT, b"b", **{f"rsv{bit}": True})])
    for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15):
        case("6455 5.2", f"reserved opcode {opcode}", [1002], told, frame(opcode, b"a"))
    case("6455 5.1", "a frame of a client without a mask", [1002], told, bare(TEXT, b"a"))
    case("6455 5.1", "a ping of a client without a mask", [1002], told, bare(PING, b"a"))


def fragments():
    one, two, three = frame(TEXT, b"one ", fin=False), frame(CONT, b"two ", fin=False), frame(CONT, b"three")
    whole = "one two three"
    case("6455 5.4", "a message in three fragments", [whole], told, [one, two, three])
    case("6455 5.4", "fragments that arrive byte by byte", [whole],
         told, [bytes([byte]) for byte in one + two + three])
    case("6455 5.4", "fragments without content", [""],
         told, [frame(TEXT, fin=False), frame(CONT, fin=False), frame(CONT)])
    case("6455 5.4", "a ping between fragments", ["pong now", whole], told, [one, frame(PING, b"now"), two, three], 2)
    case("6455 5.4", "a pong between fragments", [whole], told, [one, two, frame(PONG, b"now"), three])
    case("6455 5.4", "a Close between fragments", [1001], told, [one, frame(CLOSE, close(1001))])
    case("6455 5.4", "a continuation of nothing", [1002], told, frame(CONT, b"a"))
    case("6455 5.4", "a message within a message", [1002], told, [one, frame(TEXT, b"a")])


def control_frames():
    case("6455 5.5.2", "a ping without payload", ["pong "], told, frame(PING))
    case("6455 5.5.2", "a ping of 125 bytes", ["pong " + "p" * 125], told, frame(PING, b"p" * 125))
    case("6455 5.5.2", "pings are answered in order", ["pong 1", "pong 2", "pong 3"],
         told, frame(PING, b"1") + frame(PING, b"2") + frame(PING, b"3"), 3)
    case("6455 5.5.3", "a pong that nobody asked for", ["after"], told, [frame(PONG, b"p"), frame(TEXT, b"after")])
    for name, opcode in (("ping", PING), ("pong", PONG), ("Close", CLOSE)):
        payload = close(1000) if opcode == CLOSE else b"p"
        case("6455 5.5", f"a {name} of 126 bytes", [1002], told, frame(opcode, payload.ljust(126, b"p")))
        case("6455 5.5", f"a {name} in fragments", [1002], told, frame(opcode, payload, fin=False))


def closes():
    for code in (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 3000, 3999, 4000, 4999):
        case("6455 7.4", f"close code {code} is echoed", [code], told, frame(CLOSE, close(code)))
    for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 2000, 2999):
        case("6455 7.4", f"close code {code}, which must not be sent", [1002], told, frame(CLOSE, close(code)))
    case("6455 7.4", "close code 1014, which IANA has listed since, is not known", [1002],
         told, frame(CLOSE, close(1014)))
    # Beast echoes them, and websockets then refuses the echo.
    for code in (5000, 65535):
        case("6455 7.4", f"close code {code}, of which the RFC says nothing, ends the connection",
             ["refused by websockets: invalid status code", 1006], told, frame(CLOSE, close(code)))
    case("6455 5.5.1", "a Close without a code is answered by 1000", [1000], told, frame(CLOSE))
    case("6455 5.5.1", "a Close of one byte", [1002], told, frame(CLOSE, b"a"))
    case("6455 5.5.1", "a Close with a reason of 123 bytes", [1000], told, frame(CLOSE, close(1000, b"r" * 123)))
    case("6455 5.5.1", "a Close whose reason is not UTF-8 is a protocol error", [1002],
         told, frame(CLOSE, close(1000, b"\xff")))
    case("6455 5.5.1", "what follows a Close is not looked at", [1000],
         told, frame(CLOSE, close(1000)) + frame(TEXT, b"late"))


def utf8():
    for cut in range(1, len(WORD), 3):
        case("6455 8.1", f"UTF-8 cut after {cut} bytes by a fragment", [WORD.decode()],
             told, [frame(TEXT, WORD[:cut], fin=False), frame(CONT, WORD[cut:])])
    for name, data in (("an overlong form", b"\xc0\xaf"), ("a surrogate", b"\xed\xa0\x80"),
                       ("beyond U+10FFFF", b"\xf4\x90\x80\x80"), ("a lone continuation byte", b"\x80"),
                       ("a character that is cut off", b"\xe2\x82")):
        case("6455 8.1", f"text that is not UTF-8: {name}", [1007], told, frame(TEXT, data))
    case("6455 8.1", "text that is not UTF-8, cut by a fragment", [1007],
         told, [frame(TEXT, b"\xed", fin=False), frame(CONT, b"\xa0\x80")])
    case("6455 8.1", "text that is not UTF-8, cut by a fragment and a ping", ["pong ", 1007],
         told, [frame(TEXT, b"\xed", fin=False), frame(PING), frame(CONT, b"\xa0\x80")], 2)
    case("6455 8.1", "any bytes in a binary message", [b"\xff\xc0\x00"], told, frame(BINARY, b"\xff\xc0\x00"))


# --- the opening handshake


def answer(edit, *fields, server=plain):
    """The status of the answer to a request that was changed, and these fields of it."""
    with server.connect(edit) as peer:
        response = peer.handshake
        return [response.status_code, *(response.headers.get(field) for field in fields)]


def field(name, *values):
    """Changes a request or response: these values alone, or nothing of that name."""

    def edit(message):
        if name in message.headers:
            del message.headers[name]
        for value in values:
            message.headers[name] = value  # one more of them

    return edit


def handshakes():
    protocol = "Sec-WebSocket-Protocol"
    for name, status, edit in (
            ("a request without Host", 400, field("Host")),
            ("a request without Upgrade", 426, field("Upgrade")),
            ("a request whose Connection names no upgrade", 426, field("Connection", "keep-alive")),
            ("a request without Sec-WebSocket-Key", 400, field("Sec-WebSocket-Key")),
            ("a key that is not of 16 bytes", 400, field("Sec-WebSocket-Key", "c2hvcnQ=")),
            ("upgrade among other tokens, in any case", 101, field("Connection", "keep-alive, UPGRADE")),
            ("websocket in any case", 101, field("Upgrade", "WebSocket"))):
        case("6455 4.2.1", name, [status], answer, edit)
    case("6455 11.3.1", "two fields Sec-WebSocket-Key", [400],
         answer, field("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==", "c29tZXRoaW5nIG90aGVyIQ=="))
    case("6455 4.4", "another version than 13", [426, "13"],
         answer, field("Sec-WebSocket-Version", "8"), "Sec-WebSocket-Version")
    for name, chosen, offered in (("the server's preferred subprotocol", "v2.echo", ("other, v1.echo, v2.echo",)),
                                  ("subprotocols in several fields", "v1.echo", ("other", "v1.echo")),
                                  ("no subprotocol that both know", None, ("other, v3.echo",)),
                                  ("no subprotocol unasked", None, ())):
        case("6455 4.2.2", name, [101, chosen], answer, field(protocol, *offered), protocol)


# --- compression


def compresses(**parameters):
    """Whether it is negotiated with this offer, and messages are echoed, in less than half of their bytes."""
    texts = [LONG, LONG[::-1], LONG]
    with deflating.connect(extensions=[Deflate(**parameters)]) as peer:
        peer.raw.clear()
        for text in texts:
            peer.connection.send_text(text.encode())
        peer.write()
        same = peer.until(len(texts)) == texts
        return [bool(peer.connection.extensions), same, len(peer.raw) < sum(map(len, texts)) / 2]


def refused_offers():
    """Those combinations of good parameters with which it does not work. zlib has no window of 8 bits."""
    bits = (None, True, *range(9, 16))
    parameters = {"server_no_context_takeover": (False, True), "client_no_context_takeover": (False, True),
                  "server_max_window_bits": (None, 15), "client_max_window_bits": bits}
    offers = [dict(zip(parameters, values)) for values in itertools.product(*parameters.values())]
    return [offer for offer in offers if compresses(**offer) != [True, True, True]]


def granted(*offers, server=deflating):
    name = "Sec-WebSocket-Extensions"
    return answer(field(name, *offers), name, server=server)


def negotiation():
    works = [True, True, True]
    grant = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
    case("7692 7.1", "permessage-deflate", works, compresses)
    for section, name in (("7.1.1", "server_no_context_takeover"), ("7.1.1", "client_no_context_takeover")):
        case(f"7692 {section}", name, works, lambda name=name: compresses(**{name: True}))
    case("7692 7.1.2", "client_max_window_bits", works, lambda: compresses(client_max_window_bits=10))
    case("7692 7.1.2", "client_max_window_bits without a value", works, lambda: compresses(client_max_window_bits=True))
    case("7692 7.1.2", "server_max_window_bits=15", works, lambda: compresses(server_max_window_bits=15))
    case("7692 7.1.2", "a smaller window than a shared compression has: declined", [False, True, False],
         lambda: compresses(server_max_window_bits=9))
    case("7692 7.1", "all combinations of parameters that can be granted", [], refused_offers)
    case("7692 7.1", "what is granted", [101, grant], granted, "permessage-deflate")
    case("7692 7.1.2", "client_max_window_bits=8", [101, grant],
         granted, "permessage-deflate; client_max_window_bits=8")
    case("7692 7.1.2", "a parameter's value in quotes", [101, grant + "; server_max_window_bits=15"],
         granted, 'permessage-deflate; server_max_window_bits="15"')
    for parameters in ("server_no_context_takeover=1", "client_no_context_takeover=1", "server_max_window_bits",
                       "server_max_window_bits=7", "server_max_window_bits=8", "server_max_window_bits=14",
                       "server_max_window_bits=16", "server_max_window_bits=015", "client_max_window_bits=7",
                       "client_max_window_bits=16", "client_max_window_bits=010", "client_max_window_bits=x",
                       "server_no_context_takeover; server_no_context_takeover",
                       "client_max_window_bits; client_max_window_bits=10", "another_parameter"):
        case("7692 7.1", f"declined: {parameters}", [101, None], granted, f"permessage-deflate; {parameters}")
    case("7692 5.1", "the first offer that can be granted", [101, grant],
         granted, "permessage-deflate; server_max_window_bits=9, permessage-deflate")
    case("7692 5.1", "offers in several fields, among other extensions", [101, grant],
         granted, "another", "permessage-deflate; another_parameter", "permessage-deflate")
    case("7692 5.1", "no extension that both know", [101, None], granted, "another; parameter=1")
    case("7692 5.1", "a server that does not compress grants nothing", [101, None],
         functools.partial(granted, server=plain), "permessage-deflate")
    case("6455 9.1", "an offer of extensions that breaks the grammar fails the handshake", [400, None],
         granted, "permessage-deflate; client_max_window_bits=10 junk")


def compressed_told(pieces, count=1):
    return told(pieces, count, deflating, [Deflate()])


def fragmented_by_the_library():
    with deflating.connect(extensions=[Deflate()]) as peer:
        peer.connection.send_text(LONG.encode(), fin=False)
        peer.connection.send_ping(b"now")
        peer.connection.send_continuation(b"middle", fin=False)
        peer.connection.send_continuation(LONG.encode(), fin=True)
        peer.write()
        return peer.until(2) == ["pong now", LONG + "middle" + LONG]


def compression():
    hello = deflated(b"hello")
    whole = frame(TEXT, hello, rsv1=True)
    first, rest = frame(TEXT, hello[:3], rsv1=True, fin=False), frame(CONT, hello[3:])
    case("7692 7.2", "a compressed message", ["hello"], compressed_told, whole)
    case("7692 7.2", "a compressed binary message of 16777216 bytes", True,
         echoes, 16 << 20, True, deflating, [Deflate()])
    case("7692 7.2", "a compressed message in fragments", ["hello"], compressed_told, [first, rest])
    case("7692 7.2", "a compressed message byte by byte", ["hello"],
         compressed_told, [bytes([byte]) for byte in first + rest])
    case("7692 7.2", "a ping between compressed fragments", ["pong now", "hello"],
         compressed_told, [first, frame(PING, b"now"), rest], 2)
    case("7692 7.2", "a Close between compressed fragments", [1001],
         compressed_told, [first, frame(CLOSE, close(1001))])
    case("7692 7.2", "compressed fragments of a client's library", True, fragmented_by_the_library)
    case("7692 7.2", "an uncompressed message where compression was negotiated", ["plain"],
         compressed_told, frame(TEXT, b"plain"))
    case("7692 7.2", "compressed and uncompressed messages in turn", ["hello", "plain", "hello"],
         compressed_told, whole + frame(TEXT, b"plain") + whole, 3)
    case("7692 6", "a continuation with reserved bit 1", [1002],
         compressed_told, [first, frame(CONT, hello[3:], rsv1=True)])
    case("7692 6", "a ping with reserved bit 1", [1002], compressed_told, frame(PING, b"p", rsv1=True))
    case("7692 6", "reserved bit 2 of a compressed message", [1002],
         compressed_told, frame(TEXT, hello, rsv1=True, rsv2=True))
    case("6455 5.1", "a compressed frame without a mask", [1002], compressed_told, bare(TEXT, hello, rsv1=True))
    case("6455 5.4", "a message within a compressed message", [1002], compressed_told, [first, frame(TEXT, b"a")])
    case("6455 5.4", "a compressed message within a message", [1002],
         compressed_told, [frame(TEXT, b"a", fin=False), whole])
    case("6455 8.1", "compressed text that is not UTF-8", [1007],
         compressed_told, frame(TEXT, deflated(b"\xed\xa0\x80"), rsv1=True))
    case("6455 5.2", "a compressed frame's length that is not in its shortest form", [1002],
         compressed_told, b"\xc1\xfe" + struct.pack("!H", len(hello)) + MASK + hello)
    case("7692 7.2.2", "a payload that is no deflate data", [1002],
         compressed_told, frame(TEXT, b"\xff\xff\xff", rsv1=True))
    case("7692 7.2", "a message that inflates beyond the limit", [1009],
         compressed_told, frame(TEXT, deflated(b"x" * (18 << 20)), rsv1=True))


def deflate_blocks():
    for section, name, payload in (("7.2.3.1", "one compressed block", "f248cdc9c90700"),
                                   ("7.2.3.3", "a block that is not compressed", "000500faff48656c6c6f00"),
                                   ("7.2.3.4", "a block with BFINAL", "f348cdc9c9070000"),
                                   ("7.2.3.5", "two blocks", "f24805000000ffffcac9c90700")):
        case(f"7692 {section}", f"the RFC's example: {name}", ["Hello"],
             compressed_told, frame(TEXT, bytes.fromhex(payload), rsv1=True))
    case("7692 7.2.3.1", "the RFC's example: two fragments", ["Hello"],
         compressed_told, frame(TEXT, bytes.fromhex("f248cd"), rsv1=True, fin=False) +
         frame(CONT, bytes.fromhex("c9c90700")))
    case("7692 7.2.3.2", "a message that refers to the one before, though that was not agreed", ["Hello", 1002],
         compressed_told, frame(TEXT, bytes.fromhex("f248cdc9c90700"), rsv1=True) +
         frame(TEXT, bytes.fromhex("f200110000"), rsv1=True), 2)
    case("7692 7.2.3.6", "an empty compressed message", [""], compressed_told, frame(TEXT, b"\0", rsv1=True))
    case("7692 7.2.1", "blocks behind one with BFINAL", ["Hello world"],
         compressed_told, frame(TEXT, deflated(b"Hello", zlib.Z_FINISH) + deflated(b" world"), rsv1=True))


# --- the client, seen by a server on websockets


def served(behave, edit=None):
    """What a connection of our client has told a server that behaves so, and what the client says of its end."""
    with connected(edit) as (client, peer):
        behave(peer)
        return [*peer.until_end(), client.stdout.read().strip()]


def sending(*pieces):
    return functools.partial(served, lambda peer: peer.write(*pieces))


def then_close(count, *pieces):
    """Once so many events have come back, the server closes."""

    def behave(peer):
        peer.write(*pieces)
        peer.until(count)
        peer.connection.send_close(1000)
        peer.write()

    return functools.partial(served, behave)


def client_echoes(size, binary):
    data = payload_of(size, binary)
    echo, *end = then_close(1, bare(BINARY if binary else TEXT, data))()
    return [echo == (data if binary else data.decode()), *end]


def client_masks():
    """How many of eight frames have a masking key of their own."""
    with connected() as (_, peer):
        peer.raw.clear()
        peer.write(*[bare(TEXT, b"a")] * 8)
        peer.until(8)
        return len({bytes(peer.raw[at + 2:at + 6]) for at in range(0, len(peer.raw), 7)})


def client_messages():
    ended = [1000, "end 1000"]
    for size, binary in itertools.product(SIZES, (False, True)):
        case("client 5.2", f"a {'binary' if binary else 'text'} message of {size} bytes", [True, *ended],
             client_echoes, size, binary)
    case("client 5.3", "a masking key of its own for each frame", 8, client_masks)
    case("client 5.4", "fragments with a ping between", ["pong now", "one two", *ended],
         then_close(2, bare(TEXT, b"one ", fin=False), bare(PING, b"now"), bare(CONT, b"two")))
    case("client 5.4", "fragments that arrive byte by byte", ["one two", *ended],
         then_close(1, *(bytes([b]) for b in bare(TEXT, b"one ", fin=False) + bare(CONT, b"two"))))
    case("client 5.5.2", "a ping of 125 bytes", ["pong " + "p" * 125, *ended], then_close(1, bare(PING, b"p" * 125)))
    case("client 5.5.3", "a pong that nobody asked for", ["after", *ended],
         then_close(1, bare(PONG, b"p"), bare(TEXT, b"after")))
    case("client 8.1", "UTF-8 cut by a fragment", [WORD.decode(), *ended],
         then_close(1, bare(TEXT, WORD[:4], fin=False), bare(CONT, WORD[4:])))


def client_violations():
    one = bare(TEXT, b"one ", fin=False)
    for section, name, pieces in (
            ("5.1", "a masked frame of a server", [frame(TEXT, b"a")]),
            ("5.2", "a reserved bit", [bare(TEXT, b"a", rsv1=True)]),
            ("5.2", "reserved bit 2", [bare(TEXT, b"a", rsv2=True)]),
            ("5.2", "reserved bit 3", [bare(TEXT, b"a", rsv3=True)]),
            ("5.2", "a reserved opcode", [bare(3, b"a")]),
            ("5.2", "a reserved opcode of a control frame", [bare(11, b"a")]),
            ("5.2", "a length that is not in its shortest form", [b"\x81\x7e" + struct.pack("!H", 5) + b"hello"]),
            ("5.4", "a continuation of nothing", [bare(CONT, b"a")]),
            ("5.4", "a message within a message", [one, bare(TEXT, b"a")]),
            ("5.5", "a ping in fragments", [bare(PING, b"a", fin=False)]),
            ("5.5", "a ping of 126 bytes", [bare(PING, b"p" * 126)]),
            ("5.5.1", "a Close of one byte", [bare(CLOSE, b"a")])):
        case(f"client {section}", name, [1002, "end 1002"], sending(*pieces))
    case("client 5.2", "a message beyond the limit", [1009, "end 1009"],
         sending(b"\x82\x7f" + struct.pack("!Q", 18 << 20)))
    case("client 8.1", "text that is not UTF-8", [1007, "end 1007"], sending(bare(TEXT, b"\xff")))
    case("client 8.1", "text that is not UTF-8, cut by a fragment", [1007, "end 1007"],
         sending(bare(TEXT, b"\xed", fin=False), bare(CONT, b"\xa0\x80")))


def client_closes():
    for code in (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 4000, 4999):
        case("client 7.4", f"close code {code}", [code, f"end {code}"], sending(bare(CLOSE, close(code))))
    for code in (0, 999, 1004, 1005, 1006, 1015, 2999):
        case("client 7.4", f"close code {code}, which must not be sent", [1002, "end 1002"],
             sending(bare(CLOSE, close(code))))
    case("client 5.5.1", "a Close without a code", [1000, "end 1005"], sending(bare(CLOSE)))
    case("client 7.1.5", "an end without a Close", [1006, "end 1006"],
         served, lambda peer: peer.stream.shutdown(socket.SHUT_WR))


def client_request():
    """The fields of its request that are not the library's to check."""
    with connected() as (_, peer):
        host = f"127.0.0.1:{peer.stream.getsockname()[1]}"
        request = peer.handshake
        return [request.path, request.headers["Host"] == host, request.headers.get("Sec-WebSocket-Extensions")]


def client_keys():
    keys = set()
    for _ in range(2):
        with connected() as (_, peer):
            keys.add(peer.handshake.headers["Sec-WebSocket-Key"])
    return len(keys)


def client_handshakes():
    accept, dropped = "Sec-WebSocket-Accept", [1006, "end 1002"]
    case("client 4.1", "its request", ["/path?query", True, None], client_request)
    case("client 4.1", "a key of its own for each connection", 2, client_keys)
    for name, edit in (("a response without Upgrade", field("Upgrade")),
                       ("a response whose Upgrade is another", field("Upgrade", "h2c")),
                       ("a response without Connection", field("Connection")),
                       ("a response whose Connection is another", field("Connection", "close")),
                       (f"a response without {accept}", field(accept)),
                       (f"a response with another {accept}", field(accept, "c29tZXRoaW5nIG90aGVyIQ=="))):
        case("client 4.1", name, dropped, served, lambda peer: None, edit)
    case("client 4.1", "websocket and upgrade in any case", [1000, "end 1000"],
         functools.partial(then_close(0), field("Upgrade", "WebSocket")))
    case("client 4.1", "a refusal", [1006, "end 403"],
         served, lambda peer: None, lambda response: setattr(response, "status_code", 403))
    case("client 4.1", "a subprotocol that was not offered", [1006, "end 0"],
         served, lambda peer: None, field("Sec-WebSocket-Protocol", "v1.echo"))
    case("client 4.1", "an extension that was not offered", [1006, "end 0"],
         functools.partial(then_close(0), field("Sec-WebSocket-Extensions", "permessage-deflate")))


# --- running them


class Late(Exception):
    pass


def give_up(*_):
    raise Late(f"nothing after {PATIENCE} s")


def run(wanted, probe):
    """Nothing when the case is as expected, otherwise what is not."""
    signal.setitimer(signal.ITIMER_REAL, PATIENCE)
    try:
        seen = probe()
    except Exception as error:  # pylint: disable=broad-except
        seen = f"{type(error).__name__}: {error}"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    return None if seen == wanted else f"wanted {wanted!r:.300}, seen {seen!r:.300}"


def main():
    for group in (lengths, headers, fragments, control_frames, closes, utf8, handshakes, negotiation, compression,
                  deflate_blocks, client_messages, client_violations, client_closes, client_handshakes):
        group()
    signal.signal(signal.SIGALRM, give_up)
    failed = 0
    for section, name, wanted, probe in cases:
        trouble = run(wanted, probe)
        failed += bool(trouble)
        print(f"  {'FAIL' if trouble else 'ok  '}  {section} {name}" + (f": {trouble}" if trouble else ""), flush=True)
    rows = [(section, name, "yes") for section, name, _, _ in cases]
    differences = conformance_page.check("Python websockets", os.environ["CONFORMANCE_DOCS"], rows)
    for difference in differences:
        print(f"  FAIL  docs/conformance.md (UPDATE_DOCS=1 writes it): {difference}")
    print(f"{len(cases) - failed} of {len(cases)} cases hold")
    return 1 if failed or differences else 0


if __name__ == "__main__":
    sys.exit(main())
