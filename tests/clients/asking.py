"""What the clients of this folder have in common: a file that describes what is asked, and programs that ask."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from google.protobuf.descriptor_pb2 import FileDescriptorSet

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType

    from google.protobuf.descriptor import FileDescriptor

    from tests.conftest import Running

RUN_S_MAX = 110


def described(path: Path, *modules: ModuleType) -> Path:
    """Write a file that describes generated modules, each file in it behind those that it imports."""
    written = FileDescriptorSet()

    def write(file: FileDescriptor) -> None:
        for imported in file.dependencies:
            write(imported)
        if file.name not in [one.name for one in written.file]:
            file.CopyToProto(written.file.add())

    for module in modules:
        write(module.DESCRIPTOR)
    path.write_bytes(written.SerializeToString())
    return path


async def run(*command: str) -> str:
    """Run a program to its end; returns what it said."""
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    told, complained = await asyncio.wait_for(process.communicate(), RUN_S_MAX)
    assert process.returncode == 0, complained.decode()
    return told.decode()


async def until_written(office: Running, tokens: int) -> None:
    """Wait until Postgres has just so much of acme's usage."""
    async with asyncio.timeout(10):
        while {one.meter: one.quantity for one in (await office.client.usage("acme")).usage}["input_tokens"] != tokens:
            await asyncio.sleep(0.05)
