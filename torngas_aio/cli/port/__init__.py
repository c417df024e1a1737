"""`torngas-aio port PATH`: converts a torngas 1.8 or Tornado 4/5 project, in Python 2 or 3, to torngas_aio.

    command.py   the command line                  tree.py       reading and replacing the project's files
    python2.py   Python 2 to 3                     library.py    standard library: removed and changed names
    binary.py    files and codecs of bytes         texts.py      text and bytes in expressions
    rewriting.py names, arguments, SQL, state      queries.py    removed forms of SQLAlchemy 1
    coroutines.py Tornado's generators             futures.py    names that hold futures, calls that accept them
    summary.py   files, without syntax trees       calls.py      functions that must await, to a fixpoint
    names.py     name resolution                   awaiting.py   insertion of `async` and `await`
    testcases.py test cases that wait              templates.py  Python 2 and missing awaits in templates
    reports.py   calls to review by hand           findings.py   everything else to review by hand
    sessions.py  values that JSON cannot store     parts.py      position of the code in a template
    edits.py     a file's names and replacements   syntax.py     names and positions of syntax nodes

Nothing of the project is imported or run. `torngas-aio check` uses names.py and its imports. Begin with `command.Port`.
"""

__all__: list[str] = []
