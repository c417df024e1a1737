"""Messages for clients about faulty values, by error code.

A project's translation of the English message takes precedence over the Chinese ones here.
"""

import re

from torngas_aio.i18n import current_locale, gettext

__all__ = ["code_of", "message_of"]

_ENGLISH = {
    "body": "The body is not valid JSON.",
    "empty": "The body is empty; JSON was expected.",
    "encoding": "This is not valid UTF-8.",
    "media_type": "The Content-Type must be application/json.",
    "missing": "This value is required.",
    "unknown": "There is no such field.",
    "type": "This must be of type {expected}.",
    "choice": "This is none of the allowed values.",
    "format": "This is not a valid {expected}.",
    "min": "This must be at least {limit}.",
    "above": "This must be greater than {limit}.",
    "max": "This must be at most {limit}.",
    "below": "This must be less than {limit}.",
    "multiple": "This must be a multiple of {limit}.",
    "pattern": "This does not have the expected form.",
    "min_length": "The length must be at least {limit}.",
    "max_length": "The length must be at most {limit}.",
    "length": "The length must be {limit}.",
    "depth": "The value is nested too deeply.",
    "size": "The value is too large.",
    "too_large": "The file must not have more than {limit} bytes.",
    "content_type": "Files of this type are not accepted.",
    "invalid": "This value is not valid.",
}
_CHINESE = {
    "body": "请求体不是有效的 JSON。",
    "empty": "请求体为空，应为 JSON。",  # noqa: RUF001  # Chinese punctuation
    "encoding": "不是有效的 UTF-8。",
    "media_type": "Content-Type 必须是 application/json。",
    "missing": "该值为必填项。",
    "unknown": "没有这个字段。",
    "type": "类型必须是 {expected}。",
    "choice": "不是允许的取值。",
    "format": "不是有效的 {expected}。",
    "min": "不能小于 {limit}。",
    "above": "必须大于 {limit}。",
    "max": "不能大于 {limit}。",
    "below": "必须小于 {limit}。",
    "multiple": "必须是 {limit} 的倍数。",
    "pattern": "格式不符合要求。",
    "min_length": "长度不能小于 {limit}。",
    "max_length": "长度不能大于 {limit}。",
    "length": "长度必须是 {limit}。",
    "depth": "嵌套层数过多。",
    "size": "该值过大。",
    "too_large": "文件不能超过 {limit} 字节。",
    "content_type": "不接受此类型的文件。",
    "invalid": "该值无效。",
}

# Messages of msgspec 0.18 to 0.22. They are not a stable interface, so an unknown one gets the code "invalid".
_PATTERNS = [
    (re.compile(pattern), code)
    for pattern, code in [
        (r"Object missing required field `(?P<field>.+)`", "missing"),
        (r"Object contains unknown field `(?P<field>.+)`", "unknown"),
        (r"Expected `[a-z| ]*` of length (?P<limit>\d+)", "length"),
        (r"Expected `\w+` of length >= (?P<limit>\d+)", "min_length"),
        (r"Expected `\w+` of length <= (?P<limit>\d+)", "max_length"),
        (r"Expected `\w+` of (?:at least length|length at least) (?P<limit>\d+)", "min_length"),
        (r"Expected `\w+` of at most length (?P<limit>\d+)", "max_length"),
        (r"Expected `\w+` matching regex", "pattern"),
        (r"Expected `\w+` that's a multiple of (?P<limit>\S+)", "multiple"),
        (r"Expected `\w+` >= (?P<limit>\S+)", "min"),
        (r"Expected `\w+` > (?P<limit>\S+)", "above"),
        (r"Expected `\w+` <= (?P<limit>\S+)", "max"),
        (r"Expected `\w+` < (?P<limit>\S+)", "below"),
        (r"Invalid (?:enum )?value", "choice"),
        (r"Invalid (?P<expected>.+?)(?: string| encoded string)?$", "format"),
        (r"Expected `(?P<expected>[^`]+)`, got", "type"),
        (r"(?:Integer|Number|.*) (?:value )?out of range", "size"),
    ]
]


def code_of(sentence: str) -> tuple[str, dict[str, str]]:
    """Return the error code for a message of msgspec, and the values for our message."""
    for pattern, code in _PATTERNS:
        found = pattern.match(sentence)
        if found is not None:
            return code, found.groupdict()
    return "invalid", {}


def message_of(code: str, values: dict[str, object]) -> str:
    """Return the message for *code* in the visitor's language."""
    english = _ENGLISH.get(code, _ENGLISH["invalid"])
    text = gettext(english)
    if text == english and str(current_locale().code).startswith("zh"):
        text = _CHINESE.get(code, _CHINESE["invalid"])
    return text.format_map(values)
