"""The site's addresses."""

from torngas_aio import Url, route

board = Url("board.handlers")

urls = route(
    board(name="Hello", pattern=r"/", handler="Hello"),
    board(name="Ready", pattern=r"/ready", handler="Ready"),
    board(name="Count", pattern=r"/count", handler="Count"),
    board(name="Posts", pattern=r"/posts", handler="Posts"),
    board(name="Slow", pattern=r"/slow", handler="Slow"),
    board(name="Stream", pattern=r"/stream", handler="Stream"),
    board(name="Echo", pattern=r"/echo", handler="Echo"),
    board(name="Kept", pattern=r"/kept", handler="Kept"),
    board(name="Sessionless", pattern=r"/sessionless", handler="Sessionless"),
    board(name="Login", pattern=r"/login", handler="Login"),
    board(name="Logout", pattern=r"/logout", handler="Logout"),
    board(name="Later", pattern=r"/later", handler="Later"),
)
