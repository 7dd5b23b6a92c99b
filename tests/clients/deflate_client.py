"""Reads a watch with Python's websockets and prints what it was told: deflate_client.py URL REQUEST COUNT."""
import asyncio
import json
import sys

import websockets


async def main(url, request, count):
    objects = []
    async with websockets.connect(url, compression="deflate") as socket:
        if request:
            await socket.send(request)
        while len(objects) < count:
            event = json.loads(await socket.recv())
            if request:
                if event["type"] != "DATA":
                    continue
                event = json.loads(event["data"])
            found = event["object"]
            objects.append([found["metadata"]["name"], found["data"]["text"]])
        extensions = ", ".join(extension.name for extension in socket.extensions)
    print(json.dumps({"objects": sorted(objects), "size": 0, "extensions": extensions}))


asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
