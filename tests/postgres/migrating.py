"""A program that migrates, of which tests run several at once: DSN, package and its folder."""

import asyncio
import sys

import asyncpg

from uaitools.postgres.migrations import migrate, read


async def main(dsn: str, package: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        applied = await migrate(connection, read(package))
    finally:
        await connection.close()
    print(*(str(one) for one in applied))  # noqa: T201 - read by the test


if __name__ == "__main__":
    sys.path.insert(0, sys.argv[3])
    asyncio.run(main(*sys.argv[1:3]))
