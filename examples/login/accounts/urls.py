"""The pages of the example."""

from torngas_aio import Url, route

url = Url("accounts.handlers")

urls = route(
    url(name="home", pattern=r"/", handler="Home"),
    url(name="login", pattern=r"/login", handler="Login"),
    url(name="logout", pattern=r"/logout", handler="Logout"),
    url(name="elsewhere", pattern=r"/logout-elsewhere", handler="Elsewhere"),
)
