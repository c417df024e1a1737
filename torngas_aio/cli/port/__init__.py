"""`torngas-aio port PATH`: a torngas 1.8 or Tornado 4/5 project, in Python 2 or 3, made one of this package.

    command.py   the command line                  tree.py       the project's files, read and replaced
    python2.py   Python 2 to 3                     library.py    what Python 3 has removed from its library
    binary.py    what is of bytes in Python 3      texts.py      which expressions are text
    rewriting.py names, arguments, SQL, state      queries.py    what SQLAlchemy 2 has removed
    coroutines.py Tornado's generators             futures.py    where futures are kept and awaited
    summary.py   files, without syntax trees       calls.py      which functions must await, to a fixpoint
    names.py     what names stand for              awaiting.py   the `await`s that are written
    testcases.py test cases that wait              templates.py  Python 2 in templates, what waits
    reports.py   calls that are left to do         findings.py   what else is left to do by hand
    sessions.py  what has no form in sessions      parts.py      where the code of a template is
    edits.py     a file's names and replacements   syntax.py     names and places of syntax nodes

Nothing of the project is imported or run. `torngas-aio check` uses names.py, and what that imports. Begin with
`command.Port`.
"""

__all__: list[str] = []
