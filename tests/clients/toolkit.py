#!/usr/bin/env python3
"""Peers of the toolkit's examples, on the `websockets` library.

usage: toolkit.py echo-server             prints its port, serves until it is ended
       toolkit.py chat URL                two clients; prints what each is sent, then `done`
       toolkit.py channels URL CHANNEL TOKEN...   a client for each token; prints `subscribed`, then the first message of
                                  each, then `done`
       toolkit.py jwt URL SECRET          opens with several tokens; prints how each attempt went, then `done`
"""

import asyncio
import base64
import hashlib
import hmac
import json
import sys
import time

import websockets


async def echo_server():
    async def echo(socket, *_):
        async for message in socket:
            await socket.send(message)

    async with websockets.serve(echo, "127.0.0.1", 0) as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        await asyncio.Future()


async def chat(url):
    async with websockets.connect(url) as ada:
        print("ada:", (await ada.recv()).split(" ", 1)[1])
        async with websockets.connect(url) as bob:
            print("ada:", (await ada.recv()).split(" ", 1)[1])
            await bob.recv()
            long = "hello " * 1000
            await bob.send(long)
            for name, socket in (("ada", ada), ("bob", bob)):
                said = (await socket.recv()).split(" ", 1)[1]
                print(f"{name}:", "all of it" if said == long else said)
            print("extensions:", [type(extension).__name__ for extension in ada.extensions])
        print("ada:", (await ada.recv()).split(" ", 1)[1])
    print("done", flush=True)


async def channels(url, channel, *tokens):
    clients = []
    for bearer in tokens:
        client = await websockets.connect(url, extra_headers={"Authorization": f"Bearer {bearer}"})
        await client.send(json.dumps({"type": "subscribe", "channel": channel}))
        assert json.loads(await client.recv())["type"] == "subscribed"
        clients.append(client)
    print("subscribed", flush=True)
    for client in clients:
        print(await client.recv())
        await client.close()
    print("done", flush=True)


def token(secret, claims, algorithm="HS256"):
    def part(value):
        return base64.urlsafe_b64encode(value).rstrip(b"=")

    text = part(json.dumps({"alg": algorithm}).encode()) + b"." + part(json.dumps(claims).encode())
    return (text + b"." + part(hmac.new(secret.encode(), text, hashlib.sha256).digest())).decode()


async def jwt(url, secret):
    now = int(time.time())
    sound = {"sub": "ada", "aud": "example", "exp": now + 600}
    attempts = {
        "none": None,
        "sound": token(secret, sound),
        "expired": token(secret, {**sound, "exp": now - 600}),
        "another audience": token(secret, {**sound, "aud": "other"}),
        "another secret": token(secret + "x", sound),
        "unsigned": token(secret, sound, "none"),
    }
    for name, bearer in attempts.items():
        headers = {"Authorization": f"Bearer {bearer}"} if bearer else {}
        try:
            async with websockets.connect(url, extra_headers=headers) as socket:
                print(f"{name}: {await socket.recv()}")
        except websockets.InvalidStatusCode as refused:
            print(f"{name}: {refused.status_code}")
    async with websockets.connect(url, extra_headers={"Cookie": f"session={attempts['sound']}"}) as socket:
        print(f"cookie: {await socket.recv()}")
        await socket.send(token(secret, {**sound, "exp": now + 1200}))
        print(f"renewal: {await socket.recv()}")
        await socket.send(token(secret, {**sound, "exp": now + 1200, "sub": "eve"}))
        print(f"renewal as another: {await socket.recv()}")
    soon = token(secret, {**sound, "exp": now + 2})
    async with websockets.connect(url, extra_headers={"Authorization": f"Bearer {soon}"}) as socket:
        await socket.recv()
        try:
            await socket.recv()
        except websockets.ConnectionClosed as closed:
            print(f"expiry: {closed.rcvd.code} {closed.rcvd.reason}")
    print("done", flush=True)


if __name__ == "__main__":
    kind, *arguments = sys.argv[1:]
    asyncio.run({"echo-server": echo_server, "channels": channels, "chat": chat, "jwt": jwt}[kind](*arguments))
