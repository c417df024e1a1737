"""`torngas-aio createuser` and `torngas-aio changepassword`; named in pyproject.toml."""

import argparse
import asyncio
import getpass
import sys

from sqlalchemy.exc import IntegrityError

from torngas_aio import project
from torngas_aio.auth import hash_password
from torngas_aio.exception import ArgumentError


class CreateUser:
    """Make a user. The password is asked for, or read from a line of the standard input."""

    help = "make a user of accounts"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("name")
        parser.add_argument("email")
        parser.add_argument("--admin", action="store_true", help="may do everything")

    def run(self, arguments: argparse.Namespace) -> int:
        asyncio.run(self.create(arguments))
        print(f"Made {arguments.name!r}.")
        return 0

    async def create(self, arguments: argparse.Namespace) -> None:
        async with project():
            from accounts.models import User

            hashed = await hash_password(_read_password())
            User.session.add(
                User(
                    name=arguments.name,
                    email=arguments.email.strip().lower(),
                    password_hash=hashed,
                    is_admin=arguments.admin,
                )
            )
            try:
                await User.session.commit()
            except IntegrityError as exc:
                raise ArgumentError(
                    f"createuser {arguments.name!r}: a user has this name or this address already."
                ) from exc


class ChangePassword:
    """Give a user a new password and end the user's sessions."""

    help = "give a user of accounts a new password"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("name")

    def run(self, arguments: argparse.Namespace) -> int:
        asyncio.run(self.change(arguments.name))
        print(f"Changed the password of {arguments.name!r}.")
        return 0

    async def change(self, name: str) -> None:
        async with project():
            from accounts.models import User
            from accounts.passwords import set_password

            user = await User.Q.filter_by(name=name).first()
            if user is None:
                raise ArgumentError(f"changepassword {name!r}: there is no such user.")
            if not await set_password(user, _read_password()):
                raise ArgumentError(f"changepassword {name!r}: it was changed meanwhile.")


def _read_password() -> str:
    from accounts.passwords import fault_of

    if sys.stdin.isatty():
        password, again = getpass.getpass("Password: "), getpass.getpass("Again: ")
    else:
        password = again = sys.stdin.readline().rstrip("\r\n")
    if fault := fault_of(password, again):
        raise ArgumentError(fault)
    return password
