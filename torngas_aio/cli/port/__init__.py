"""`torngas-aio port PATH`: a torngas 1.8 or Tornado 4/5 project, in Python 2 or 3, made one of this package.

    command   tree        the command line; the project's files, read and replaced
    python2   rewriting   Python 2 to 3; changes that one file is enough for: names, decorators, removed arguments
    chains    summary     what expressions and files say, in short, without their syntax trees
    kinds     calls       what a chain stands for; which functions must await, to a fixpoint
    awaiting  findings    the `await`s that are written; what is left to do by hand
    edits                 replacements in a text, by position

Nothing of the project is imported or run. Only `torngas-aio port` imports this package. Begin with `command.Port`.
"""

__all__: list[str] = []
