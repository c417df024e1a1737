"""Login, logout, change and reset of a password."""

from torngas_aio import ConfigError, Url, route, settings

if not str(getattr(settings, "BASE_URL", "")).startswith(("http://", "https://")):
    raise ConfigError("BASE_URL is not set: reset links begin with it. Write BASE_URL = 'https://www.example.com'.")

url = Url("accounts.handlers")

urls = route(
    url(name="accounts-login", pattern=r"/accounts/login", handler="Login"),
    url(name="accounts-logout", pattern=r"/accounts/logout", handler="Logout"),
    url(name="accounts-password", pattern=r"/accounts/password", handler="ChangePassword"),
    url(name="accounts-reset", pattern=r"/accounts/reset", handler="ResetPassword"),
    url(name="accounts-confirm", pattern=r"/accounts/reset/confirm", handler="ConfirmReset"),
)
