"""The command line: defaults, the project's own options, several servers in one process."""

from collections.abc import Iterator

import pytest
from tornado.options import Error, define, options

from torngas_aio.http.worker_slot import RenewalLimits
from torngas_aio.webserver.options import (
    define_options,
    log_options,
    parse_options,
    refuse_words,
    renewal_limits,
    was_given,
    workers_wanted,
)

PROGRAM = "runserver.py"


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    define_options()
    parse_options([PROGRAM])
    yield
    parse_options([PROGRAM])


def test_defaults_are_those_that_are_documented() -> None:
    """Port 8000 on every address, one worker, loggers of our own."""
    assert (options.port, options.address) == (8000, "0.0.0.0")
    assert (options.workers, options.graceful_timeout) == (1, 30.0)
    assert options.disable_log is True
    assert options.unix_socket is options.certfile is options.keyfile is options.settings is None


def test_values_are_read_and_the_rest_is_returned() -> None:
    """Both spellings of a name are taken."""
    rest = parse_options([PROGRAM, "--port=81", "--graceful-timeout=1.5", "--disable_log", "left", "--over"])
    assert (options.port, options.graceful_timeout) == (81, 1.5)
    assert rest == ["left", "--over"]
    assert was_given("graceful_timeout")
    assert not was_given("address")


def test_a_second_command_line_knows_nothing_of_the_first() -> None:
    """Values come back to what they were, unless the program itself has changed them since."""
    parse_options([PROGRAM, "--port=81", "--address=::1"])
    options.address = "127.0.0.9"
    parse_options([PROGRAM])
    assert options.port == 8000
    assert options.address == "127.0.0.9"
    options.address = "0.0.0.0"


def test_defining_twice_is_harmless_and_keeps_the_project_s_own() -> None:
    """What a project defines is neither lost nor refused."""
    if "colour" not in options:
        define("colour", default="red", type=str)
    define_options()
    define_options()
    parse_options([PROGRAM, "--colour=blue"])
    assert options.colour == "blue"
    parse_options([PROGRAM])
    assert options.colour == "red"


@pytest.mark.parametrize(
    ("words", "values"),
    [
        (["--port", "81", "--address", "::1"], {"port": 81, "address": "::1"}),
        (["-port", "81"], {"port": 81}),
        (["--graceful-timeout", "1.5", "--port=82"], {"graceful_timeout": 1.5, "port": 82}),
        (["--log_to_stderr", "false", "--port", "0"], {"log_to_stderr": False, "port": 0}),
        (["--log_to_stderr", "--port", "0"], {"log_to_stderr": True, "port": 0}),
        (["--log_rotate_interval", "-1"], {"log_rotate_interval": -1}),
    ],
)
def test_a_value_may_stand_behind_a_space(words: list[str], values: dict[str, object]) -> None:
    """As well as behind `=`; a switch takes only true and false."""
    assert parse_options([PROGRAM, *words]) == []
    assert {name: getattr(options, name) for name in values} == values
    assert all(was_given(name) for name in values)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--prot", "80"], "Unrecognized command line option: 'prot'. Did you mean --port?"),
        (["--prot=80"], "Unrecognized command line option: 'prot'. Did you mean --port?"),
        (["--unix-sockt=x"], "Unrecognized command line option: 'unix_sockt'. Did you mean --unix_socket?"),
        (["--port=80", "--xyzzy"], "Unrecognized command line option: 'xyzzy'. `--help` lists all of them."),
        (["--log_to_stderr", "nowhere"], "'nowhere' is not an option. Options start with `--`"),
        (["port=80"], "'port=80' is not an option. Did you mean --port?"),
        (["start"], "'start' is not an option."),
    ],
)
def test_unknown_words_are_refused_in_one_line(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the nearest name, and without Tornado's whole help."""
    with pytest.raises(Error) as caught:
        refuse_words(parse_options([PROGRAM, *words]))
    assert str(caught.value).startswith(message)
    captured = capsys.readouterr()
    assert captured.out + captured.err == ""


@pytest.mark.parametrize("argument", ["--no-such-option=1", "--port", "--port=eighty"])
def test_what_cannot_be_read_is_tornado_s_error(argument: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Unknown names, missing values and wrong types alike; nothing is left behind."""
    with pytest.raises(Error):
        parse_options([PROGRAM, "--address=::1", argument])
    parse_options([PROGRAM])
    assert options.address == "0.0.0.0"
    capsys.readouterr()


def test_tornado_s_logging_is_off_unless_it_is_asked_for() -> None:
    """--disable_log, on by default, replaces Tornado's set-up; =false leaves its own level alone."""
    assert options.logging == "none"
    parse_options([PROGRAM, "--disable_log=false"])
    assert options.logging == "info"
    parse_options([PROGRAM, "--disable_log=false", "--logging=debug"])
    assert options.logging == "debug"


def test_rotation_is_the_settings_until_it_is_given() -> None:
    """Tornado's own defaults for its rotation options do not override LOGGING."""
    assert log_options().log_rotate_when is None
    assert log_options().log_rotate_interval is None
    assert log_options().log_rotate_mode is None
    parse_options([PROGRAM, "--log-rotate-when=midnight", "--log_rotate_interval=2", "--log_port_prefix=true"])
    chosen = log_options()
    assert (chosen.log_rotate_when, chosen.log_rotate_interval, chosen.log_port_prefix) == ("midnight", 2, True)
    assert chosen.log_to_stderr is None


@pytest.mark.parametrize(
    ("text", "size"),
    [("", 0), ("0", 0), ("1048576", 1 << 20), ("512M", 512 << 20), ("2g", 2 << 30), ("64k", 64 << 10)],
)
def test_a_worker_s_memory_has_a_unit(text: str, size: int) -> None:
    parse_options([PROGRAM, f"--max-rss={text}", "--max-requests=7"])
    assert renewal_limits() == RenewalLimits(7, size)


@pytest.mark.parametrize(
    "word", ["--max-rss=M", "--max-rss=1T", "--max-rss=-1M", "--max-rss=1.5G", "--max-requests=-1"]
)
def test_limits_that_are_none_are_refused(word: str) -> None:
    with pytest.raises(Error, match=r"--max_r\w+=.*: give a number of"):
        parse_options([PROGRAM, word])


def test_no_workers_mean_one_per_core(monkeypatch: pytest.MonkeyPatch) -> None:
    """0 counts the cores, another number is taken as it is."""
    monkeypatch.setattr("os.cpu_count", lambda: 6)
    assert workers_wanted() == 1
    parse_options([PROGRAM, "--workers=0"])
    assert workers_wanted() == 6
    parse_options([PROGRAM, "--workers=3"])
    assert workers_wanted() == 3


@pytest.mark.parametrize(
    "word",
    [
        "--port=-1",
        "--port=65536",
        "--workers=-1",
        "--hang_timeout=-1",
        "--hang_timeout=inf",
        "--graceful_timeout=-1",
        "--graceful_timeout=nan",
        "--drain_seconds=-0.5",
        "--drain_seconds=inf",
    ],
)
def test_a_value_that_no_server_can_work_with_is_refused(word: str) -> None:
    with pytest.raises(Error, match=f"{word.partition('=')[0]}=.*: give a number"):
        parse_options([PROGRAM, word])
    parse_options([PROGRAM])
