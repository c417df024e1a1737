"""The greeting's addresses."""

from torngas_aio import Url, route

u = Url("hello.handlers", greeting="Hello")
urls = route(
    u(name="Index", pattern=r"/", handler="main_handler.Main"),
    u(name="China", pattern=r"/china/?", handler="main_handler.Country", kwargs={"greeting": "你好"}),
    u(name="USA", pattern=r"/usa/?", handler="main_handler.Country"),
    u(name="Login", pattern=r"/login/?", handler="login_handler.Login"),
    u(name="Logout", pattern=r"/logout/?", handler="login_handler.Logout"),
    u(name="Trouble", pattern=r"/trouble/?", handler="main_handler.Trouble"),
    u(name="Greetings", pattern=r"/api/greetings/(\w+)", handler="api_handler.Greetings"),
)
