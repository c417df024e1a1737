"""Login, logout, change and reset of a password."""

from torngas_aio import ConfigError, Url, route, settings

if not str(getattr(settings, "BASE_URL", "")).startswith(("http://", "https://")):
    raise ConfigError("BASE_URL is not set: reset links begin with it. Write BASE_URL = 'https://www.example.com'.")

url = Url("__app__.handlers")

urls = route(
    url(name="__app__-login", pattern=r"/__app__/login", handler="Login"),
    url(name="__app__-logout", pattern=r"/__app__/logout", handler="Logout"),
    url(name="__app__-password", pattern=r"/__app__/password", handler="ChangePassword"),
    url(name="__app__-reset", pattern=r"/__app__/reset", handler="ResetPassword"),
    url(name="__app__-confirm", pattern=r"/__app__/reset/confirm", handler="ConfirmReset"),
)
