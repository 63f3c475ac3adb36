"""The arguments of `undertone migrate` and `undertone erase`."""

import argparse

MIGRATE_ABOUT = """\
Bring the schema of UNDERTONE_DATABASE_URL up to date, and say from which
version to which. `serve` does so itself where it may; this is for a release
that changes the schema first, or as another user of the database. No setting
but the database's matters; where there is Valkey alone, or nothing is missing,
nothing is done. Nodes that run go on."""

ERASE_ABOUT = """\
Delete for good all that is kept of a namespace, or of one of its users: the
sessions in the store, their events and tickets, and all rows of the database.
A session that is live ends. Backups of the servers are not reached.

Says what is about to be deleted, and asks, unless --yes is given."""


def add_erase(parser: argparse.ArgumentParser) -> None:
    """The flags of `undertone erase`."""
    parser.add_argument(
        "--namespace",
        metavar="N",
        help="whose; without it, --user is one of the sessions that belong to no namespace",
    )
    parser.add_argument("--user", metavar="U", help="only sessions with this user_id")
    parser.add_argument("--yes", action="store_true", help="don't ask")
